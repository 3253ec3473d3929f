"""The compared methods, as a user would run them: one command on a file of queries. Part of `identification.py`."""

import json
import os
import shlex
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from barcodemae.data import RANKS
from barcodemae.embedding.nearest import Hits
from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.baselines.aligner_programs import ENVIRONMENT
from barcodemae.evaluation.baselines.aligners import AlignmentSearcher, fill_in, write_numbered
from barcodemae.evaluation.benchmark import labels
from barcodemae.library.results.schema import BEST, CONFIDENCE


@dataclass(frozen=True)
class Assigned:
    """Assignments of all queries, in their order.

    Attributes:
        taxa: rank -> `[n]`, "" where none is assigned.
        confidence: rank -> `[n]`, larger is more confident; of BLAST and VSEARCH the identity of the best hit.
        novelty: `[n]`, larger is more likely a new species.
    """

    taxa: Mapping[str, np.ndarray]
    confidence: Mapping[str, np.ndarray]
    novelty: np.ndarray

    def save(self, path: Path) -> None:
        """Write a file `.npz`."""
        parts = {f"{name} {rank}": getattr(self, name)[rank] for name in ("taxa", "confidence") for rank in self.taxa}
        np.savez_compressed(path, novelty=self.novelty, **{name: _plain(values) for name, values in parts.items()})

    @classmethod
    def load(cls, path: Path) -> "Assigned":
        """Read what `save` wrote."""
        with np.load(path) as parts:
            ranks = [name.split()[1] for name in parts if name.startswith("taxa ")]
            taxa, confidence = ({rank: parts[f"{name} {rank}"] for rank in ranks} for name in ("taxa", "confidence"))
            return cls(taxa, confidence, parts["novelty"])


def _plain(values: np.ndarray) -> np.ndarray:
    return values.astype(str) if values.dtype == object else values


@dataclass(frozen=True)
class Cost:
    """What a command took.

    Attributes:
        seconds: from start to end.
        cpu_seconds: of all its threads and processes; other work on the machine hardly changes it.
        memory: maximum resident size, in bytes.
    """

    seconds: float
    cpu_seconds: float
    memory: int

    def __add__(self, other: "Cost") -> "Cost":
        """The cost of one command after another."""
        return Cost(self.seconds + other.seconds, self.cpu_seconds + other.cpu_seconds, max(self.memory, other.memory))


# A process of its own, since a new one counts the memory of the one that starts it.
_LAUNCHER = """
import json, os, subprocess, sys
process = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(process.pid, 0)
with open(sys.argv[1], "w") as file:
    json.dump([os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss], file)
"""


def run_measured(command: list[str], folder: Path) -> Cost:
    """Run a command in a folder.

    Raises:
        ConfigurationError: it fails; the message has the end of what it printed.
    """
    with (folder / "log.txt").open("w+") as log:
        begin = time.perf_counter()
        subprocess.run(
            [sys.executable, "-S", "-c", _LAUNCHER, "cost.json", *command],
            cwd=folder,
            env=os.environ | ENVIRONMENT,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=True,
        )
        seconds = time.perf_counter() - begin
        code, cpu_seconds, memory = json.loads((folder / "cost.json").read_text())
        if code:
            log.seek(0)
            raise ConfigurationError(f"{shlex.join(command)} ended with code {code}: {log.read()[-500:]}")
    # Kibibytes on Linux, bytes on macOS.
    return Cost(seconds, cpu_seconds, memory * (1 if sys.platform == "darwin" else 1024))


_BARCODEMAE = [sys.executable, "-m", "barcodemae"]


class Method(ABC):
    """A program with a library in a folder of its own.

    Args:
        folder: of its files.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def prepare(self, references: pa.Table) -> Cost:
        """Make the library on disk, and measure it."""

    @abstractmethod
    def run(self, queries: list[str]) -> Cost:
        """Identify all queries, and measure it."""

    @abstractmethod
    def results(self, num_queries: int) -> Assigned:
        """Assignments of the last `run`."""


class Program(Method):
    """A method that is one command in its folder."""

    def run(self, queries: list[str]) -> Cost:
        write_numbered(self.folder / "queries.fasta", queries)
        return run_measured(self.command(), self.folder)

    @abstractmethod
    def command(self) -> list[str]:
        """The command that identifies `queries.fasta` in the folder."""


class AlignmentProgram(Program):
    """BLAST or VSEARCH, which assign the taxa of the best hit.

    Args:
        folder: of its files.
        setting: one of `aligner_programs.SETTINGS`.
    """

    def __init__(self, folder: Path, setting: str):
        super().__init__(folder)
        self._index, self._search = AlignmentSearcher(setting).commands()

    def prepare(self, references: pa.Table) -> Cost:
        self._taxa = {rank: labels(references, rank) for rank in RANKS}
        write_numbered(self.folder / "references.fasta", references["nucleotides"].to_pylist())
        return run_measured(shlex.split(self._index), self.folder)

    def command(self) -> list[str]:
        return shlex.split(self._search)

    def results(self, num_queries: int) -> Assigned:
        hits = Hits(np.full((num_queries, 1), -1), np.full((num_queries, 1), -np.inf, np.float32))
        fill_in(hits, self.folder / "hits.tsv", 0)
        rows = hits.rows[:, 0]
        identities = np.where(rows >= 0, hits.similarities[:, 0], 0)
        taxa = {rank: np.where(rows >= 0, values[rows], "") for rank, values in self._taxa.items()}
        return Assigned(taxa, dict.fromkeys(RANKS, identities), -identities)


class BarcodeMAE(Program):
    """`barcodemae index`, `calibrate` and `identify`.

    Args:
        folder: of its files.
        engine: `network` or `frame`.
        calibration: identified barcodes that are not in the library; by default it is calibrated by its own records.
        model: by default, the one that is the default of `barcodemae index`.
    """

    def __init__(self, folder: Path, engine: str, calibration: pa.Table | None = None, model: str | None = None):
        super().__init__(folder)
        self.library = folder / "library"
        self._engine = engine
        self._calibration = calibration
        self._model = (
            [] if model is None else ["--model", str(Path(model).resolve()) if Path(model).is_dir() else model]
        )

    def prepare(self, references: pa.Table) -> Cost:
        pq.write_table(references, self.folder / "references.parquet")
        options = ["--output", "library", "--engine", self._engine, *self._model]
        cost = self._call("index", "references.parquet", *options)
        if self._calibration is not None:
            pq.write_table(self._calibration, self.folder / "identified.parquet")
            cost += self._call("calibrate", "library", "--queries", "identified.parquet")
        return cost

    def command(self) -> list[str]:
        arguments = ["queries.fasta", "--library", "library", "--output", "assignments.parquet", *self._model]
        return [*_BARCODEMAE, "identify", *arguments]

    def results(self, num_queries: int) -> Assigned:
        table = pq.read_table(self.folder / "assignments.parquet")
        rows = np.array(table["id"].to_pylist()).astype(int)
        row_of_query = np.full(num_queries, -1)
        row_of_query[rows] = np.arange(len(rows))

        def in_order(column: str, absent: object) -> np.ndarray:
            values = np.array([absent if value is None else value for value in table[column].to_pylist()])
            return np.where(row_of_query >= 0, values[row_of_query], absent)

        return Assigned(
            {rank: in_order(f"{BEST}{rank}", "") for rank in RANKS},
            {rank: in_order(f"{BEST}{rank}{CONFIDENCE}", 0.0) for rank in RANKS},
            in_order("novelty", 1.0),
        )

    def _call(self, *arguments: str) -> Cost:
        return run_measured([*_BARCODEMAE, *arguments], self.folder)


def coverage(confidence: np.ndarray, correct: np.ndarray, weights: np.ndarray, min_accuracy: float = 0.95) -> float:
    """The largest share of queries that can be assigned, most confident first, with a minimum accuracy.

    Args:
        confidence: `[n]`; queries of the same confidence are assigned together or not at all.
        correct: bool `[n]`.
        weights: `[n]`, how much each query counts.
        min_accuracy: of those assigned.
    """
    order = np.argsort(-confidence, kind="stable")
    assigned = np.cumsum(weights[order])
    precision = np.cumsum((weights * correct)[order]) / np.maximum(assigned, 1e-12)
    ends = np.append(confidence[order][1:] != confidence[order][:-1], True)
    good = np.flatnonzero(ends & (precision >= min_accuracy))
    return float(assigned[good[-1]] / assigned[-1]) if len(good) else 0.0
