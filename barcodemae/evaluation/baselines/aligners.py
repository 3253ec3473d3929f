"""BLAST and VSEARCH as searchers."""

import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.csv
from tqdm import tqdm

from barcodemae.embedding.nearest import Hits
from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.baselines.aligner_programs import PROGRAMS, SETTINGS, program_version, run_program
from barcodemae.evaluation.baselines.encoder_tokens import write_barcodes

_COLUMNS = ("query", "reference", "score", "identity")
_NOT_A_BASE = re.compile("[^ACGTRYSWKMBDHVN]")


class AlignmentSearcher:
    """The best hits of an alignment program, as it ranks them: BLAST by bit score, VSEARCH by identity.

    Of equally good hits, the first of the program counts. Similarities are percent identities: with BLAST that of the
    best local alignment of query and reference, which may cover a small part of them; with VSEARCH that of the global
    one, without the gaps at its ends (its definition 2). An N matches any base in VSEARCH, none in BLAST. BLAST
    searches both strands, VSEARCH the given one. A setting that returns too few hits leaves -1, as does a query without
    a known base. An interrupted search (Ctrl-C) leaves no files.

    Sources: Camacho et al. 2009, "BLAST+: architecture and applications"; Rognes et al. 2016, "VSEARCH: a versatile
    open source tool for metagenomics"; for `-max_target_seqs`, Shah et al. 2019, "Misunderstood parameter of NCBI BLAST
    impacts the correctness of bioinformatics workflows".

    Args:
        setting: one of `aligner_programs.SETTINGS`.
        num_threads: threads of the program; by default all cores that this process may use.

    Attributes:
        version: of the program.

    Raises:
        ConfigurationError: the setting does not exist, or the program is not installed.
    """

    def __init__(self, setting: str, num_threads: int | None = None):
        if setting not in SETTINGS:
            raise ConfigurationError(f"expected one of {', '.join(SETTINGS)}, got {setting!r}")
        self._setting = SETTINGS[setting]
        self._program = PROGRAMS[self._setting.program]
        self._num_threads = num_threads or _usable_cores()
        self.version = program_version(self._setting.program)

    def commands(self, num_neighbours: int = 1) -> list[str]:
        """The two command lines of a search, as they are run in a temporary folder: make a database, search it."""
        numbers = {"num_neighbours": num_neighbours, "num_threads": self._num_threads, "options": self._setting.options}
        return [" ".join(line.format(**numbers).split()) for line in (self._program.index, self._program.search)]

    def search(self, references: list[str], queries: list[str], num_neighbours: int = 1) -> Hits:
        """The program's best hits.

        Args:
            references: barcodes, in any case, with or without gaps; a character that is not an IUPAC base counts as N.
            queries: the same.
            num_neighbours: hits of each query, at most the number of references.

        Raises:
            ConfigurationError: there are fewer references than neighbours, no reference has a known base, or the
                program fails.
        """
        if not 1 <= num_neighbours <= len(references):
            raise ConfigurationError(f"expected {max(num_neighbours, 1)} references or more, got {len(references)}")
        index, search = self.commands(num_neighbours)
        shape = (len(queries), num_neighbours)
        hits = Hits(np.full(shape, -1, np.int64), np.full(shape, -np.inf, np.float32))
        with (
            tempfile.TemporaryDirectory(prefix="barcodes-") as scratch,
            tqdm(total=len(queries), desc=self._setting.program, unit="query", leave=False) as progress,
        ):
            folder = Path(scratch)
            if not write_numbered(folder / "references.fasta", references):
                raise ConfigurationError(f"expected references with DNA bases, got none in {len(references)}")
            run_program(index, folder)
            for begin in range(0, len(queries), self._program.num_queries):
                block = queries[begin : begin + self._program.num_queries]
                if write_numbered(folder / "queries.fasta", block):
                    run_program(search, folder)
                    fill_in(hits, folder / "hits.tsv", begin)
                progress.update(len(block))
        return hits


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def write_numbered(path: Path, sequences: list[str]) -> int:
    """Write sequences under their row numbers, except those of N alone; returns the number of sequences written."""
    texts = [_NOT_A_BASE.sub("N", text) for text in write_barcodes(sequences, "plain")]
    entries = [f">{row}\n{text}\n" for row, text in enumerate(texts) if text.strip("N")]
    path.write_text("".join(entries), encoding="ascii")
    return len(entries)


def fill_in(hits: Hits, path: Path, begin: int) -> None:
    """Read the hits of the queries from row `begin` on."""
    if path.stat().st_size == 0:
        return
    table = pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(column_names=_COLUMNS),
        parse_options=pyarrow.csv.ParseOptions(delimiter="\t"),
    )
    query, reference, score, identity = (table[name].to_numpy() for name in _COLUMNS)
    # A stable sort: of equal scores, the program's order.
    order = np.lexsort((-score, query))
    position = np.arange(len(order)) - np.searchsorted(query[order], query[order])
    best = position < hits.rows.shape[1]
    cells = (begin + query[order][best], position[best])
    hits.rows[cells] = reference[order][best]
    hits.similarities[cells] = identity[order][best]
