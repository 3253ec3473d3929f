"""BLAST and VSEARCH as searchers."""

import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.csv
from tqdm import tqdm

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.rivals.alignment_programs import PROGRAMS, SETTINGS, program_version, run_program
from barcodemae.evaluation.rivals.text_forms import write_barcodes
from barcodemae.vectors.nearest import Hits

_COLUMNS = ("query", "key", "score", "identity")
_NO_LETTER_OF_DNA = re.compile("[^ACGTRYSWKMBDHVN]")


class AlignmentSearcher:
    """The best hits of an alignment program, as it ranks them: BLAST by bit score, VSEARCH by identity.

    Of equal hits, the program's order counts. Similarities are percent identities: with BLAST that of the best local
    alignment of query and key, which may cover a small part of them; with VSEARCH that of the global one, without the
    gaps at its ends (its definition 2). To VSEARCH an N equals any letter, to BLAST none. BLAST looks at both strands,
    VSEARCH at the given one. A setting that keeps fewer hits than are asked for leaves -1, as does a query without a
    known letter. An interrupted search (Ctrl-C) leaves no files.

    Sources: Camacho et al. 2009, "BLAST+: architecture and applications"; Rognes et al. 2016, "VSEARCH: a versatile
    open source tool for metagenomics"; for `-max_target_seqs`, Shah et al. 2019, "Misunderstood parameter of NCBI BLAST
    impacts the correctness of bioinformatics workflows".

    Args:
        setting: one of `alignment_programs.SETTINGS`.
        n_threads: of the program; by default all cores that this process may use.

    Attributes:
        version: of the program.

    Raises:
        ConfigurationError: there is no such setting, or the program is not installed.
    """

    def __init__(self, setting: str, n_threads: int | None = None):
        if setting not in SETTINGS:
            raise ConfigurationError(f"expected one of {', '.join(SETTINGS)}, got {setting!r}")
        self._setting = SETTINGS[setting]
        self._program = PROGRAMS[self._setting.program]
        self._n_threads = n_threads or _usable_cores()
        self.version = program_version(self._setting.program)

    def commands(self, n_neighbours: int = 1) -> list[str]:
        """The two command lines of a search, as they are run in a temporary folder: make a library, ask it."""
        numbers = {"n_neighbours": n_neighbours, "n_threads": self._n_threads, "options": self._setting.options}
        return [" ".join(line.format(**numbers).split()) for line in (self._program.index, self._program.search)]

    def search(self, keys: list[str], queries: list[str], n_neighbours: int = 1) -> Hits:
        """The program's best hits.

        Args:
            keys: barcodes, in any case, with or without gaps; what is no letter of DNA counts as N.
            queries: the same.
            n_neighbours: how many, at most the number of keys.

        Raises:
            ConfigurationError: there are fewer keys than neighbours, no key has letters, or the program fails.
        """
        if not 1 <= n_neighbours <= len(keys):
            raise ConfigurationError(f"expected {max(n_neighbours, 1)} keys or more, got {len(keys)}")
        index, search = self.commands(n_neighbours)
        shape = (len(queries), n_neighbours)
        hits = Hits(np.full(shape, -1, np.int64), np.full(shape, -np.inf, np.float32))
        with (
            tempfile.TemporaryDirectory(prefix="barcodes-") as scratch,
            tqdm(total=len(queries), desc=self._setting.program, unit="query", leave=False) as progress,
        ):
            folder = Path(scratch)
            if not write_numbered(folder / "keys.fasta", keys):
                raise ConfigurationError(f"expected keys with letters of DNA, got none in {len(keys)} keys")
            run_program(index, folder)
            for begin in range(0, len(queries), self._program.n_queries):
                block = queries[begin : begin + self._program.n_queries]
                if write_numbered(folder / "queries.fasta", block):
                    run_program(search, folder)
                    fill_in(hits, folder / "hits.tsv", begin)
                progress.update(len(block))
        return hits


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def write_numbered(path: Path, sequences: list[str]) -> int:
    """Write sequences under their row numbers, without those of N alone; returns how many there are."""
    texts = [_NO_LETTER_OF_DNA.sub("N", text) for text in write_barcodes(sequences, "plain")]
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
    query, key, score, identity = (table[name].to_numpy() for name in _COLUMNS)
    # A stable sort: of equal scores, the program's order.
    order = np.lexsort((-score, query))
    place = np.arange(len(order)) - np.searchsorted(query[order], query[order])
    best = place < hits.rows.shape[1]
    cells = (begin + query[order][best], place[best])
    hits.rows[cells] = key[order][best]
    hits.similarities[cells] = identity[order][best]
