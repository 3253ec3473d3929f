"""What a summary tells of answers, counted table by table."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data.schema import RANKS
from barcodemae.library.results.schema import UNRELIABLE
from barcodemae.library.results.text_columns import carried_names, finite, flat_hits, whole

BINS = 20
"""Bins of a histogram of probabilities, from 0 to 1."""

NOVELTY = 0.5
"""From this novelty on, a query is more likely of a species that the library does not hold than of one that it does."""

OTHER_REASONS = "other reasons"

# They bound the memory, for queries may be millions, and keep the page readable.
_IDS = 20
_REASONS = 100

_LINEAGE = RANKS[: RANKS.index("genus") + 1]


@dataclass
class Queries:
    """Queries that have something in common.

    Attributes:
        n: how many.
        ids: of the first twenty of them.
    """

    n: int = 0
    ids: list[str] = field(default_factory=list)

    def add(self, id: str) -> None:
        """Count one more."""
        self.n += 1
        if len(self.ids) < _IDS:
            self.ids.append(id)


@dataclass
class NewSpecies(Queries):
    """Queries that may be of one or several new species.

    Attributes:
        number: of their group, if somebody grouped them.
        lineage: names of the reference nearest to the first of them, phylum to genus.
        novelty: mean over the queries.
        similarity: mean over the queries, each to its nearest reference; 0 where there is none.
    """

    number: int | None = None
    lineage: tuple[str, ...] = ("",) * len(_LINEAGE)
    novelty: float = 0.0
    similarity: float = 0.0

    @property
    def genus(self) -> str:
        """The last name of the lineage, "" where unknown."""
        return self.lineage[-1]

    @property
    def above(self) -> list[str]:
        """The known names above the genus, nearest first."""
        return [name for name in reversed(self.lineage[:-1]) if name]


class SummaryCounts:
    """Counts of answers. Their memory grows with the names in the library and the groups, not with the queries.

    Args:
        groups: id of a query -> number of its group, such as a cluster. A query that it lacks is grouped by the genus
            of its nearest reference.

    Attributes:
        n: how many answers there were.
        calls: call -> answers.
        taxa: names from the phylum down to the called rank, "" where unknown -> answers.
        confidences: `[rank, BINS]`, answers of a called rank by the confidence there.
        novelties: `[BINS]`, answers by novelty.
        reasons: why answers are unreliable -> their queries.
        new_species: groups of queries whose novelty is `NOVELTY` or more.
    """

    def __init__(self, groups: Mapping[str, int] | None = None):
        self.n = 0
        self.calls: Counter[str] = Counter()
        self.taxa: Counter[tuple[str, ...]] = Counter()
        self.confidences = np.zeros((len(RANKS), BINS), np.int64)
        self.novelties = np.zeros(BINS, np.int64)
        self.reasons: dict[str, Queries] = {}
        self.new_species: dict[int | tuple[str, ...], NewSpecies] = {}
        self._groups = groups or {}

    def write(self, answers: pa.Table) -> None:
        """Count some more answers.

        Args:
            answers: of `RESULTS`.
        """
        self.n += len(answers)
        self.calls.update(whole(answers, "call").to_pylist())
        self._count_taxa(answers)
        for depth, rank in enumerate(RANKS):
            called = answers.filter(pc.equal(answers["call"], rank))
            self.confidences[depth] += _histogram(whole(called, f"{rank}_confidence"))
        self.novelties += _histogram(whole(answers, "novelty"))
        self._count_reasons(answers)
        self._count_new_species(answers)

    def totals(self) -> Counter[tuple[str, ...]]:
        """Answers by taxon, those of the taxa within it included; keys as in `taxa`, at every rank."""
        totals: Counter[tuple[str, ...]] = Counter()
        for path, n in self.taxa.items():
            for depth in range(1, len(path) + 1):
                totals[path[:depth]] += n
        return totals

    def _count_taxa(self, answers: pa.Table) -> None:
        counted = pa.table(carried_names(answers)).group_by(list(RANKS)).aggregate([([], "count_all")])
        for *names, n in zip(*(column.to_pylist() for column in counted.columns), strict=True):
            if path := tuple(name for name in names if name is not None):
                self.taxa[path] += n

    def _count_reasons(self, answers: pa.Table) -> None:
        unreliable = answers.filter(pc.equal(answers["call"], UNRELIABLE))
        for id, reason in zip(unreliable["id"].to_pylist(), unreliable["reason"].to_pylist(), strict=True):
            if reason not in self.reasons and len(self.reasons) >= _REASONS:
                reason = OTHER_REASONS
            self.reasons.setdefault(reason, Queries()).add(id)

    def _count_new_species(self, answers: pa.Table) -> None:
        new = answers.filter(pc.greater_equal(answers["novelty"], NOVELTY))
        bounds, hits = flat_hits(new)
        # An answer without hits takes null, which has no names.
        nearest = pa.array(bounds[:-1], mask=np.diff(bounds) == 0)
        names = zip(*(hits[rank].take(nearest).fill_null("").to_pylist() for rank in _LINEAGE), strict=True)
        similarities = finite(hits["similarity"].take(nearest)).fill_null(0).to_pylist()
        ids, novelties = new["id"].to_pylist(), new["novelty"].to_pylist()
        for id, lineage, novelty, similarity in zip(ids, names, novelties, similarities, strict=True):
            number = self._groups.get(id)
            key = lineage if number is None else number
            group = self.new_species.setdefault(key, NewSpecies(number=number, lineage=lineage))
            group.add(id)
            group.novelty += (novelty - group.novelty) / group.n
            group.similarity += (similarity - group.similarity) / group.n


def _histogram(shares: pa.Array) -> np.ndarray:
    known = finite(shares).drop_null().to_numpy(zero_copy_only=False)
    return np.histogram(known, BINS, range=(0, 1))[0]
