"""Counts for the summary of an identification, taken table by table."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data.schema import RANKS
from barcodemae.library.results.schema import UNRELIABLE
from barcodemae.library.results.text_columns import called_lineages, column_array, finite, flat_hits

NUM_BINS = 20
"""Number of bins of a histogram of probabilities, from 0 to 1."""

MIN_NOVELTY = 0.5
"""From this novelty on, it is more probable that the species is not in the library than that it is."""

LINEAGE = RANKS[: RANKS.index("genus") + 1]
"""The ranks by which queries of species that are not in the library are grouped."""

OTHER_REASONS = "other reasons"

# These limit the memory, as there may be millions of queries, and keep the page readable.
_MAX_IDS = 20
_MAX_REASONS = 100


@dataclass
class Queries:
    """Queries that have something in common.

    Attributes:
        n: number of queries.
        reads: number of their reads.
        ids: of the first twenty of them.
    """

    n: int = 0
    reads: int = 0
    ids: list[str] = field(default_factory=list)

    def add(self, id: str, reads: int) -> None:
        """Count one more query."""
        self.n += 1
        self.reads += reads
        if len(self.ids) < _MAX_IDS:
            self.ids.append(id)


@dataclass
class Taxon(Queries):
    """Queries of one taxon: that which they are called, or that of the nearest reference.

    Attributes:
        lineage: names from the phylum to the taxon, "" where unknown.
        probability: mean over the queries: the confidence, or the novelty.
        identity: mean over the queries, of the nearest reference; 0 where there is none.
    """

    lineage: tuple[str, ...] = ("",) * len(LINEAGE)
    probability: float = 0.0
    identity: float = 0.0

    @property
    def name(self) -> str:
        """The name of the taxon, "" where unknown."""
        return self.lineage[-1]

    @property
    def higher_taxa(self) -> list[str]:
        """The known names above the taxon, lowest first."""
        return [name for name in reversed(self.lineage[:-1]) if name]

    def add_result(self, result: dict[str, Any], probability: str) -> None:
        """Count one more query, a row of `SummaryCounts.write`, whose probability is in the named column."""
        self.add(result["id"], result["size"])
        self.probability += (result[probability] - self.probability) / self.n
        self.identity += (result["identity"] - self.identity) / self.n


class SummaryCounts:
    """Counts of results, of reads where ids have numbers of reads. Their memory grows with the number of names in the
    library, not of queries.

    Attributes:
        n: number of queries.
        reads: number of their reads; that of queries where no id has a number of reads.
        calls: call -> number of reads.
        taxa: names from the phylum down to the called rank, "" where unknown -> number of reads.
        confidences: `[rank, NUM_BINS]`, number of reads called at a rank by the confidence there.
        novelties: `[NUM_BINS]`, number of reads by novelty.
        reasons: reason of unreliable results -> their queries.
        species: lineage of a called species -> its queries.
        not_in_library: lineage of the nearest reference -> queries whose novelty is `MIN_NOVELTY` or more.
    """

    def __init__(self) -> None:
        self.n = self.reads = 0
        self.calls: Counter[str] = Counter()
        self.taxa: Counter[tuple[str, ...]] = Counter()
        self.confidences = np.zeros((len(RANKS), NUM_BINS), np.int64)
        self.novelties = np.zeros(NUM_BINS, np.int64)
        self.reasons: dict[str, Queries] = {}
        self.species: dict[tuple[str, ...], Taxon] = {}
        self.not_in_library: dict[tuple[str, ...], Taxon] = {}

    def write(self, results: pa.Table) -> None:
        """Add results to the counts.

        Args:
            results: of `RESULTS`.
        """
        self.n += len(results)
        sizes = column_array(results, "size").to_numpy(zero_copy_only=False)
        self.reads += int(sizes.sum())
        for depth, rank in enumerate(RANKS):
            called = results.filter(pc.equal(results["call"], rank))
            self.confidences[depth] += _histogram(called, "confidence")
        self.novelties += _histogram(results, "novelty")
        self._count_taxa(results)
        self._count_reasons(results)
        results = _with_nearest(results)
        called = results.filter(pc.equal(results["call"], "species"))
        _count_lineages(self.species, called, RANKS, "confidence")
        new = results.filter(pc.greater_equal(results["novelty"], MIN_NOVELTY))
        _count_lineages(self.not_in_library, new, [f"nearest_{rank}" for rank in LINEAGE], "novelty")

    @property
    def unit(self) -> str:
        """What is counted: "reads", or "queries" where no id has a number of reads."""
        return "queries" if self.reads == self.n else "reads"

    def _count_taxa(self, results: pa.Table) -> None:
        names = {"call": results["call"], "size": results["size"], **called_lineages(results)}
        counted = pa.table(names).group_by(["call", *RANKS], use_threads=False).aggregate([("size", "sum")])
        for row in counted.to_pylist():
            self.calls[row["call"]] += row["size_sum"]
            if lineage := tuple(row[rank] for rank in RANKS if row[rank] is not None):
                self.taxa[lineage] += row["size_sum"]

    def _count_reasons(self, results: pa.Table) -> None:
        unreliable = results.filter(pc.equal(results["call"], UNRELIABLE)).select(["id", "reason", "size"])
        for row in unreliable.to_pylist():
            reason = row["reason"]
            if reason not in self.reasons and len(self.reasons) >= _MAX_REASONS:
                reason = OTHER_REASONS
            self.reasons.setdefault(reason, Queries()).add(row["id"], row["size"])


def _with_nearest(results: pa.Table) -> pa.Table:
    """Columns of results without hits, and of the nearest reference the names and the identity, of the alignment if
    there is one."""
    bounds, hits = flat_hits(results)
    # A query without hits takes null, which has no names.
    nearest = pa.array(bounds[:-1], mask=np.diff(bounds) == 0)
    columns = {name: column_array(results, name) for name in ("id", "size", "call", *RANKS)}
    columns |= {name: finite(column_array(results, name)).fill_null(0) for name in ("confidence", "novelty")}
    columns |= {f"nearest_{rank}": hits[rank].take(nearest).fill_null("") for rank in LINEAGE}
    identity = pc.coalesce(finite(hits["identity"]), finite(hits["frame_identity"]))
    columns["identity"] = identity.take(nearest).fill_null(0)
    return pa.table(columns)


def _count_lineages(
    taxa: dict[tuple[str, ...], Taxon], results: pa.Table, ranks: Sequence[str], probability: str
) -> None:
    for row in results.to_pylist():
        lineage = tuple(row[rank] for rank in ranks)
        taxa.setdefault(lineage, Taxon(lineage=lineage)).add_result(row, probability)


def _histogram(results: pa.Table, column: str) -> np.ndarray:
    """Number of reads by a probability, `[NUM_BINS]`."""
    known = results.filter(pc.is_finite(results[column]))
    shares, sizes = (column_array(known, name).to_numpy(zero_copy_only=False) for name in (column, "size"))
    return np.histogram(shares, NUM_BINS, range=(0, 1), weights=sizes)[0]
