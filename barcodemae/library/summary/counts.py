"""Counts for the summary of an identification, taken table by table."""

from collections import Counter
from dataclasses import dataclass, field

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

OTHER_REASONS = "other reasons"

# These limit the memory, as there may be millions of queries, and keep the page readable.
_MAX_IDS = 20
_MAX_REASONS = 100

_LINEAGE = RANKS[: RANKS.index("genus") + 1]


@dataclass
class Queries:
    """Queries that have something in common.

    Attributes:
        n: number of queries.
        ids: of the first twenty of them.
    """

    n: int = 0
    ids: list[str] = field(default_factory=list)

    def add(self, id: str) -> None:
        """Count one more query."""
        self.n += 1
        if len(self.ids) < _MAX_IDS:
            self.ids.append(id)


@dataclass
class NewSpecies(Queries):
    """Queries that may be of new species, with the same genus of the nearest reference.

    Attributes:
        lineage: names of the nearest reference, from the phylum to the genus, "" where unknown.
        novelty: mean over the queries.
        similarity: mean over the queries, each to its nearest reference; 0 where there is none.
    """

    lineage: tuple[str, ...] = ("",) * len(_LINEAGE)
    novelty: float = 0.0
    similarity: float = 0.0

    @property
    def genus(self) -> str:
        """The name of the genus, "" where unknown."""
        return self.lineage[-1]

    @property
    def higher_taxa(self) -> list[str]:
        """The known names above the genus, lowest first."""
        return [name for name in reversed(self.lineage[:-1]) if name]


class SummaryCounts:
    """Counts of results. Their memory grows with the number of names in the library, not of queries.

    Attributes:
        n: number of queries.
        calls: call -> number of queries.
        taxa: names from the phylum down to the called rank, "" where unknown -> number of queries.
        confidences: `[rank, NUM_BINS]`, number of queries called at a rank by the confidence there.
        novelties: `[NUM_BINS]`, number of queries by novelty.
        reasons: reason of unreliable results -> their queries.
        new_species: lineage of the nearest reference -> queries whose novelty is `MIN_NOVELTY` or more.
    """

    def __init__(self) -> None:
        self.n = 0
        self.calls: Counter[str] = Counter()
        self.taxa: Counter[tuple[str, ...]] = Counter()
        self.confidences = np.zeros((len(RANKS), NUM_BINS), np.int64)
        self.novelties = np.zeros(NUM_BINS, np.int64)
        self.reasons: dict[str, Queries] = {}
        self.new_species: dict[tuple[str, ...], NewSpecies] = {}

    def write(self, results: pa.Table) -> None:
        """Add results to the counts.

        Args:
            results: of `RESULTS`.
        """
        self.n += len(results)
        self.calls.update(results["call"].to_pylist())
        self._count_taxa(results)
        for depth, rank in enumerate(RANKS):
            called = results.filter(pc.equal(results["call"], rank))
            self.confidences[depth] += _histogram(column_array(called, "confidence"))
        self.novelties += _histogram(column_array(results, "novelty"))
        self._count_reasons(results)
        self._count_new_species(results)

    def totals(self) -> Counter[tuple[str, ...]]:
        """Number of queries by taxon, with those of the taxa within it; keys as in `taxa`, at every rank."""
        totals: Counter[tuple[str, ...]] = Counter()
        for lineage, n in self.taxa.items():
            for depth in range(1, len(lineage) + 1):
                totals[lineage[:depth]] += n
        return totals

    def _count_taxa(self, results: pa.Table) -> None:
        counted = pa.table(called_lineages(results)).group_by(list(RANKS)).aggregate([([], "count_all")])
        for *names, n in zip(*(column.to_pylist() for column in counted.columns), strict=True):
            if lineage := tuple(name for name in names if name is not None):
                self.taxa[lineage] += n

    def _count_reasons(self, results: pa.Table) -> None:
        unreliable = results.filter(pc.equal(results["call"], UNRELIABLE))
        for id, reason in zip(unreliable["id"].to_pylist(), unreliable["reason"].to_pylist(), strict=True):
            if reason not in self.reasons and len(self.reasons) >= _MAX_REASONS:
                reason = OTHER_REASONS
            self.reasons.setdefault(reason, Queries()).add(id)

    def _count_new_species(self, results: pa.Table) -> None:
        new = results.filter(pc.greater_equal(results["novelty"], MIN_NOVELTY))
        bounds, hits = flat_hits(new)
        # A query without hits takes null, which has no names.
        nearest = pa.array(bounds[:-1], mask=np.diff(bounds) == 0)
        lineages = zip(*(hits[rank].take(nearest).fill_null("").to_pylist() for rank in _LINEAGE), strict=True)
        similarities = finite(hits["similarity"].take(nearest)).fill_null(0).to_pylist()
        ids, novelties = new["id"].to_pylist(), new["novelty"].to_pylist()
        for id, lineage, novelty, similarity in zip(ids, lineages, novelties, similarities, strict=True):
            group = self.new_species.setdefault(lineage, NewSpecies(lineage=lineage))
            group.add(id)
            group.novelty += (novelty - group.novelty) / group.n
            group.similarity += (similarity - group.similarity) / group.n


def _histogram(shares: pa.Array) -> np.ndarray:
    known = finite(shares).drop_null().to_numpy(zero_copy_only=False)
    return np.histogram(known, NUM_BINS, range=(0, 1))[0]
