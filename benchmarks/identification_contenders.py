"""Who names barcodes, as a user would run it: one command on a file of queries. Part of `identification.py`."""

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

from barcodemae.evaluation.baselines.aligner_programs import run_program
from barcodemae.evaluation.baselines.aligners import AlignmentSearcher, fill_in, write_numbered
from barcodemae.evaluation.benchmark import labels
from barcodemae.vectors.nearest import Hits

RANKS = ("genus", "species")


@dataclass(frozen=True)
class Named:
    """Answers to queries, in their order.

    Attributes:
        names: rank -> `[n]`, "" without an answer.
        confidence: rank -> `[n]`, larger is surer; of BLAST and VSEARCH the identity of the best hit.
        novelty: `[n]`, larger is more likely a new species.
    """

    names: Mapping[str, np.ndarray]
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
    def ask(self, queries: list[str]) -> float:
        """Answer all queries by one command; seconds that it took, from its start to its end."""

    @abstractmethod
    def answers(self, num_queries: int) -> Named:
        """Answers of the last `ask`."""


class AlignmentProgram(Method):
    """BLAST or VSEARCH, which name a query by its best hit.

    Args:
        folder: of its files.
        setting: one of `alignment_programs.SETTINGS`.
    """

    def __init__(self, folder: Path, setting: str):
        super().__init__(folder)
        self._index, self._search = AlignmentSearcher(setting).commands()

    def prepare(self, references: pa.Table) -> None:
        self._names = {rank: labels(references, rank) for rank in RANKS}
        write_numbered(self.folder / "keys.fasta", references["nucleotides"].to_pylist())
        run_program(self._index, self.folder)

    def ask(self, queries: list[str]) -> float:
        write_numbered(self.folder / "queries.fasta", queries)
        begin = time.perf_counter()
        run_program(self._search, self.folder)
        return time.perf_counter() - begin

    def answers(self, num_queries: int) -> Named:
        hits = Hits(np.full((num_queries, 1), -1), np.full((num_queries, 1), -np.inf, np.float32))
        fill_in(hits, self.folder / "hits.tsv", 0)
        rows = hits.rows[:, 0]
        identities = np.where(rows >= 0, hits.similarities[:, 0], 0)
        names = {rank: np.where(rows >= 0, values[rows], "") for rank, values in self._names.items()}
        return Named(names, dict.fromkeys(RANKS, identities), -identities)


class BarcodeMAE(Method):
    """`barcodemae index`, `calibrate` and `identify`.

    Args:
        folder: of its files.
        engine: `network` or `frame`.
        calibration: named barcodes that are not in the library.
    """

    def __init__(self, folder: Path, engine: str, calibration: pa.Table):
        super().__init__(folder)
        self.library = folder / "library"
        self._engine = engine
        self._calibration = calibration

    def prepare(self, references: pa.Table) -> None:
        pq.write_table(references, self.folder / "references.parquet")
        pq.write_table(self._calibration, self.folder / "named.parquet")
        self._run("index", "references.parquet", "--output", "library", "--engine", self._engine)
        self._run("calibrate", "library", "--queries", "named.parquet")

    def ask(self, queries: list[str]) -> float:
        write_numbered(self.folder / "queries.fasta", queries)
        begin = time.perf_counter()
        self._run("identify", "queries.fasta", "--library", "library", "--output", "assignments.parquet")
        return time.perf_counter() - begin

    def answers(self, num_queries: int) -> Named:
        table = pq.read_table(self.folder / "assignments.parquet")
        row = np.array(table["id"].to_pylist()).astype(int)
        position = np.full(num_queries, -1)
        position[row] = np.arange(len(row))

        def in_order(column: str, absent: object) -> np.ndarray:
            values = np.array([absent if value is None else value for value in table[column].to_pylist()])
            return np.where(position >= 0, values[position], absent)

        return Named(
            {rank: in_order(rank, "") for rank in RANKS},
            {rank: in_order(f"{rank}_confidence", 0.0) for rank in RANKS},
            in_order("novelty", 1.0),
        )

    def _run(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "barcodemae.cli", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=os.environ, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{json.dumps(command)} ended with code {done.returncode}: {done.stderr[-500:]}")
