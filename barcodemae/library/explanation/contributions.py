"""Why a query got its name: which of its bases make the best reference score above the best one of another name."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from barcodemae.data.schema import RANKS
from barcodemae.embedding.attribution import Attribution
from barcodemae.embedding.nearest import Hits, unit_length
from barcodemae.library.identification import Searched
from barcodemae.library.models import Embedder, is_short, refine_short
from barcodemae.library.search.evidence import Neighbours, RankNames, choose_voters
from barcodemae.library.search.marker import OnMarker
from barcodemae.library.search.short_queries import shared_part
from barcodemae.library.settings import NUM_CANDIDATES
from barcodemae.library.store.stored import StoredLibrary
from tokenization_barcodemae import orient, read_kmers

_BLOCK_RECORDS = 16_384


@dataclass(frozen=True)
class Explanation:
    """Why one query got its name rather than the next best one of the same rank.

    Attributes:
        id: of the query.
        rank, name: the rank that was called, and the name.
        other_name: the name of the best reference with another one.
        reference, other_reference: ids of the best references with the two names.
        coordinates: int64 `[n]`, from 0, of the query's known bases on the reference frame; of a marker without one,
            positions in the query, as read on the marker's strand.
        bases: int8 `[n]`, there: 0 to 3 for A, C, G and T.
        reference_bases, other_bases: int8 `[n]`, of the two references; -1 where unknown, as all are without a frame.
        cosines: float64 `[n]`, contributions to the difference of the two cosines.
        identities: float64 `[n]`, contributions to the difference of the two shares of equal bases.
        contributions: float64 `[n]`, to the difference of the scores: both together, with their weights in the score.
        difference: of the scores of the two references.
        baseline: the part of it that no base contributes, see `Attribution`.
    """

    id: str
    rank: str
    name: str
    other_name: str
    reference: str
    other_reference: str
    coordinates: np.ndarray
    bases: np.ndarray
    reference_bases: np.ndarray
    other_bases: np.ndarray
    cosines: np.ndarray
    identities: np.ndarray
    contributions: np.ndarray
    difference: float
    baseline: float

    @property
    def completeness_error(self) -> float:
        """The absolute difference between the sum of contributions and baseline, and the difference of the scores."""
        return abs(float(self.contributions.sum()) + self.baseline - self.difference)


class Explainer:
    """Explains the names that a library gives.

    Args:
        library: has records.
        embedder: the model that made the library's vectors; its base map, if it has one, or its network is explained.
        ranks: the names of all records at each rank, see `Identifier`.
    """

    def __init__(self, library: StoredLibrary, embedder: Embedder, ranks: dict[str, RankNames]):
        self._library, self._embedder, self._ranks = library, embedder, ranks
        self._ids = library.names()["id"]

    def __call__(self, searched: Searched, results: pa.Table) -> Iterator[Explanation]:
        """Explain the names of queries; those without a name, or without another one in the library, are left out.

        Args:
            searched: `[n]` queries, see `Identifier.search`.
            results: of `RESULTS`, `[n]`, what was found for them.

        Yields:
            In the order of the queries.

        Raises:
            ConfigurationError: the model reads other tokens than k-mers.
        """
        usable = pa.array(np.flatnonzero(searched.reasons == ""))
        calls, ids = (results[column].take(usable).to_pylist() for column in ("call", "id"))
        pairs: dict[int, tuple[str, _Pair]] = {}
        for rank in RANKS:
            rows = np.flatnonzero([call == rank for call in calls])
            names = searched.votes[rank].names[rows]
            found = self._pairs(
                self._ranks[rank].numbers, names, searched.found.take(rows), searched.barcodes.take(rows)
            )
            pairs |= {int(row): (rank, pair) for row, pair in zip(rows, found, strict=True) if pair is not None}
        for row in sorted(pairs):
            rank, pair = pairs[row]
            yield self._explain(ids[row], rank, pair, searched.barcodes.take(np.array([row])))

    def _pairs(
        self, numbers: np.ndarray, names: np.ndarray, found: Neighbours, barcodes: OnMarker
    ) -> "list[_Pair | None]":
        """The best reference with the name of each query, and the best one with another name, if there is one.

        Args:
            numbers: int64 `[records]`, number of each record's name at a rank.
            names: int64 `[n]`, the names of queries.
            found: references near the queries; others are searched where these have no other name.
            barcodes: the queries.
        """
        candidates = np.where(found.records >= 0, numbers[found.records], -1)
        is_other = (candidates >= 0) & (candidates != names[:, None])
        best, others = _best(found, candidates == names[:, None]), _best(found, is_other)
        rows = np.flatnonzero(others[0] < 0)
        if len(rows):
            more = self._search_others(numbers, names[rows], barcodes.take(rows))
            for values, new in zip(others, _best(more, more.records >= 0), strict=True):
                values[rows] = new
        return [
            None if record < 0 or other < 0 else _Pair(np.array([record, other]), float(score - other_score))
            for record, score, other, other_score in zip(*best, *others, strict=True)
        ]

    def _search_others(self, numbers: np.ndarray, names: np.ndarray, barcodes: OnMarker) -> Neighbours:
        """The references nearest to queries `[n]` among all with another name than theirs, by an exact search."""
        records = self._library.live[numbers[self._library.live] >= 0]
        vectors = self._embedder.encode(barcodes.sequences, normalize_embeddings=True, placement=barcodes.placement)
        rows = np.full((len(names), NUM_CANDIDATES), -1)
        cosines = np.full(rows.shape, -np.inf, np.float32)
        for begin in range(0, len(records), _BLOCK_RECORDS):
            block = records[begin : begin + _BLOCK_RECORDS]
            more = vectors @ self._library.vectors(block).astype(np.float32).T
            more[numbers[block] == names[:, None]] = -np.inf
            cosines = np.concatenate([cosines, more], axis=1)
            rows = np.concatenate([rows, np.broadcast_to(block, more.shape)], axis=1)
            order = np.argsort(-cosines, axis=1, kind="stable")[:, :NUM_CANDIDATES]
            cosines, rows = np.take_along_axis(cosines, order, axis=1), np.take_along_axis(rows, order, axis=1)
        hits = refine_short(
            self._library,
            self._embedder,
            barcodes,
            Hits(np.where(cosines > -np.inf, rows, -1), cosines),
            len(self._library.live) - (numbers[records] != names[:, None]).sum(axis=1),
            lambda queries, found: (numbers[found] < 0) | (numbers[found] == names[queries]),
        )
        return choose_voters(hits, barcodes.bases, self._library.bases, self._library.comparison)

    def _explain(self, id: str, rank: str, pair: "_Pair", query: OnMarker) -> Explanation:
        comparison, references = self._library.comparison, self._library.bases(pair.records)
        has_frame = self._embedder.frame is not None
        sequence = orient(query.sequences, query.placement.strand)[0]
        codes = query.bases[0] if has_frame else next(read_kmers([sequence], 1)).ids
        at = np.flatnonzero(codes >= 0)
        attribution = self._attribute(query, pair.records, references)
        cosines = np.zeros(len(codes))
        cosines[attribution.coordinates] = attribution.contributions
        shares = comparison.identity_by_base(sequence, query.bases[0], references)
        identities = (shares[0] - shares[1])[at]
        bases = references[:, at] if has_frame else np.full((2, len(at)), -1, np.int8)
        name, other_name = self._ranks[rank].decode(self._ranks[rank].numbers[pair.records])
        reference, other_reference = self._ids.take(pa.array(pair.records)).to_pylist()
        return Explanation(
            id=id,
            rank=rank,
            name=name,
            other_name=other_name,
            reference=reference,
            other_reference=other_reference,
            coordinates=at,
            bases=codes[at].astype(np.int8),
            reference_bases=bases[0],
            other_bases=bases[1],
            cosines=cosines[at],
            identities=identities,
            contributions=comparison.cosine_weight * cosines[at] + comparison.identity_weight * identities,
            difference=pair.difference,
            baseline=comparison.cosine_weight * attribution.baseline,
        )

    def _attribute(self, query: OnMarker, records: np.ndarray, references: np.ndarray) -> Attribution:
        """The contributions of a query's bases to the difference of its cosines with two references."""
        base_map = self._embedder.base_map
        if base_map is not None and is_short(self._embedder, query)[0]:  # compared with the same part
            begin, end = shared_part(query.bases)[0]
            vectors = unit_length(base_map.embed_bases(references[:, begin:end], begin))
            return base_map.attribute_bases(query.bases[0, begin:end], vectors[0] - vectors[1], begin)
        vectors = self._library.vectors(records).astype(np.float64)
        return self._embedder.attribute_along(query.sequences[0], vectors[0] - vectors[1], query.placement)


@dataclass(frozen=True)
class _Pair:
    """Two references, the best one with a query's name and the best one with another.

    Attributes:
        records: int64 `[2]`, their numbers.
        difference: of their scores.
    """

    records: np.ndarray
    difference: float


def _best(found: Neighbours, is_chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first chosen reference of each query, -1 for none, and its score.

    Args:
        found: of `n` queries, best first.
        is_chosen: bool `[n, candidates]`.
    """
    rows, columns = np.arange(len(is_chosen)), is_chosen.argmax(axis=1)
    return np.where(is_chosen.any(axis=1), found.records[rows, columns], -1), found.scores[rows, columns]
