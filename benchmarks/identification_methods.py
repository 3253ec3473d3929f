"""The compared methods, as a user would run them: one command on a file of queries. Part of `identification.py`."""

import json
import os
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

from barcodemae.embedding.nearest import Hits
from barcodemae.evaluation.baselines.aligner_programs import run_program
from barcodemae.evaluation.baselines.aligners import AlignmentSearcher, fill_in, write_numbered
from barcodemae.evaluation.benchmark import labels
from barcodemae.library.results.schema import BEST, CONFIDENCE

RANKS = ("genus", "species")


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


class Method(ABC):
    """A program with a library in a folder of its own.

    Args:
        folder: of its files.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True)

    @abstractmethod
    def prepare(self, references: pa.Table) -> None:
        """Make the library on disk."""

    @abstractmethod
    def run(self, queries: list[str]) -> float:
        """Search all queries by one command; its duration in seconds, from start to end."""

    @abstractmethod
    def results(self, num_queries: int) -> Assigned:
        """Assignments of the last `run`."""


class AlignmentProgram(Method):
    """BLAST or VSEARCH, which assign the taxa of the best hit.

    Args:
        folder: of its files.
        setting: one of `aligner_programs.SETTINGS`.
    """

    def __init__(self, folder: Path, setting: str):
        super().__init__(folder)
        self._index, self._search = AlignmentSearcher(setting).commands()

    def prepare(self, references: pa.Table) -> None:
        self._taxa = {rank: labels(references, rank) for rank in RANKS}
        write_numbered(self.folder / "references.fasta", references["nucleotides"].to_pylist())
        run_program(self._index, self.folder)

    def run(self, queries: list[str]) -> float:
        write_numbered(self.folder / "queries.fasta", queries)
        begin = time.perf_counter()
        run_program(self._search, self.folder)
        return time.perf_counter() - begin

    def results(self, num_queries: int) -> Assigned:
        hits = Hits(np.full((num_queries, 1), -1), np.full((num_queries, 1), -np.inf, np.float32))
        fill_in(hits, self.folder / "hits.tsv", 0)
        rows = hits.rows[:, 0]
        identities = np.where(rows >= 0, hits.similarities[:, 0], 0)
        taxa = {rank: np.where(rows >= 0, values[rows], "") for rank, values in self._taxa.items()}
        return Assigned(taxa, dict.fromkeys(RANKS, identities), -identities)


class BarcodeMAE(Method):
    """`barcodemae index`, `calibrate` and `identify`.

    Args:
        folder: of its files.
        engine: `network` or `frame`.
        calibration: identified barcodes that are not in the library.
    """

    def __init__(self, folder: Path, engine: str, calibration: pa.Table):
        super().__init__(folder)
        self.library = folder / "library"
        self._engine = engine
        self._calibration = calibration

    def prepare(self, references: pa.Table) -> None:
        pq.write_table(references, self.folder / "references.parquet")
        pq.write_table(self._calibration, self.folder / "identified.parquet")
        self._call("index", "references.parquet", "--output", "library", "--engine", self._engine)
        self._call("calibrate", "library", "--queries", "identified.parquet")

    def run(self, queries: list[str]) -> float:
        write_numbered(self.folder / "queries.fasta", queries)
        begin = time.perf_counter()
        self._call("identify", "queries.fasta", "--library", "library", "--output", "assignments.parquet")
        return time.perf_counter() - begin

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

    def _call(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "barcodemae", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=os.environ, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{json.dumps(command)} ended with code {done.returncode}: {done.stderr[-500:]}")


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
    precision = np.cumsum((weights * correct)[order]) / assigned
    ends = np.append(confidence[order][1:] != confidence[order][:-1], True)
    good = np.flatnonzero(ends & (precision >= min_accuracy))
    return float(assigned[good[-1]] / assigned[-1]) if len(good) else 0.0
