"""From queries to results: place, embed, search, compare bases, vote, estimate how probable each name is, and align."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data import normalise_nucleotides
from barcodemae.data.schema import RANKS, STRING
from barcodemae.errors import LibraryError
from barcodemae.library.alignment import Alignment, MarkerPart, align, bit_score, expected_value
from barcodemae.library.calibration.probability import LENGTHS, NOVELTY, Calibration, nearest_length
from barcodemae.library.checking.notes import describe_queries
from barcodemae.library.models import Embedder, find_neighbours
from barcodemae.library.results.schema import BEST, CONFIDENCE, HIT, NOVEL, RESULTS, UNRELIABLE
from barcodemae.library.search.evidence import Neighbours, RankNames, Vote, vote
from barcodemae.library.search.marker import NOT_THE_MARKER, FramedMarker, OnMarker, marker_of, why_unusable
from barcodemae.library.settings import MIN_CONFIDENCE
from barcodemae.library.store.stored import StoredLibrary

_NOVEL_DEPTH = len(RANKS)
_SPACE = pa.scalar(" ", STRING)
_OF_RECORDS = ("id", "file", "size", "sample")  # columns of results that copies of a read do not share


@dataclass(frozen=True)
class Searched:
    """Queries and the references that vote on them.

    Attributes:
        reasons: objects `[n]`, why a query is not usable; "" for the usable ones.
        barcodes: `[usable]`.
        found: `[usable]`, references near them.
        votes: rank -> vote on them.
    """

    reasons: np.ndarray
    barcodes: OnMarker
    found: Neighbours
    votes: dict[str, Vote]


class Identifier:
    """Identifies barcodes by a library.

    Args:
        library: has records.
        embedder: the model that made the library's vectors.
        calibration: estimates the probabilities.
        min_confidence: of a name that is called; or one for each of the lengths of the calibration.
        num_aligned: number of hits that are aligned with each query, best first. Names do not depend on it.
        primers: of the queries, see `search.primers.find_region`; only bases between them are compared.

    Attributes:
        ranks: the names of all records at each rank.

    Raises:
        ConfigurationError: the primers are not on the marker.
    """

    def __init__(
        self,
        library: StoredLibrary,
        embedder: Embedder,
        calibration: Calibration,
        min_confidence: float | np.ndarray = MIN_CONFIDENCE,
        num_aligned: int = 0,
        primers: str | None = None,
    ):
        self._library, self._embedder, self._calibration = library, embedder, calibration
        self._marker = marker_of(embedder)
        self._min_confidences = np.broadcast_to(min_confidence, len(LENGTHS))
        self._num_aligned = num_aligned
        self._region = None if primers is None else self._marker.region(primers)
        self._names = library.names()
        self.ranks = {rank: RankNames(self._names[rank]) for rank in RANKS}

    @classmethod
    def from_library(
        cls,
        library: StoredLibrary,
        embedder: Embedder,
        min_confidence: float = MIN_CONFIDENCE,
        num_aligned: int = 0,
        primers: str | None = None,
        max_error: float | None = None,
    ) -> "Identifier":
        """An identifier with the library's own calibration.

        Args:
            library, embedder, min_confidence, num_aligned, primers: as above.
            max_error: if given, the minimum confidence is that with which at most this share of queries gets a wrong
                name; see `calibration.guarantee`.

        Raises:
            LibraryError: it is not calibrated.
            ConfigurationError: the primers are not on the marker, or there are too few held-out queries to guarantee
                this error.
        """
        calibration = library.calibration()
        if calibration is None:
            raise LibraryError(
                f"{library.folder}: expected a calibrated library; calibrate it: barcodemae calibrate {library.folder}"
            )
        chosen = min_confidence if max_error is None else calibration.guarantee.min_confidences(max_error)
        return cls(library, embedder, calibration, chosen, num_aligned, primers)

    @property
    def marker(self) -> str:
        """Name of the library's marker."""
        return self._marker.name

    @property
    def has_frame(self) -> bool:
        """Whether the marker has a reference frame."""
        return isinstance(self._marker, FramedMarker)

    @property
    def min_confidences(self) -> np.ndarray:
        """Minimum confidence of a name that is called, for each of the lengths of the calibration."""
        return self._min_confidences

    def __call__(self, records: pa.Table) -> pa.Table:
        """Identify some thousand queries.

        Args:
            records: of `data.schema.SCHEMA`, as read; the result of one that is not a usable barcode has the reason.

        Returns:
            A table of `RESULTS`, in the order of the records.
        """
        # Copies of a read are identified once.
        sequences = normalise_nucleotides(records["nucleotides"])
        keys = pc.binary_join_element_wise(records["problem"], sequences, _SPACE).combine_chunks().dictionary_encode()
        _, first, copy_of = np.unique(keys.indices.to_numpy(), return_index=True, return_inverse=True)
        different = records.take(pa.array(first))
        results = self.results(different, self.search(different)).take(pa.array(copy_of))
        for name in _OF_RECORDS:
            position = RESULTS.get_field_index(name)
            results = results.set_column(
                position, RESULTS.field(position), records[name].cast(RESULTS.field(name).type)
            )
        return results

    def search(self, records: pa.Table) -> Searched:
        """Place queries on the marker, and find the references that vote on them.

        Args:
            records: as for a call.
        """
        sequences = normalise_nucleotides(records["nucleotides"]).to_pylist()
        read = self._marker.read(sequences, self._region)
        reasons = why_unusable(records["problem"], read, self._marker.name)
        barcodes = read.take(np.flatnonzero(reasons == ""))
        found = find_neighbours(self._library, self._embedder, barcodes)
        is_related = found.identities.max(axis=1, initial=0) >= self._library.comparison.min_identity
        if not is_related.all():
            reasons[np.flatnonzero(reasons == "")[~is_related]] = NOT_THE_MARKER
            barcodes, found = barcodes.take(np.flatnonzero(is_related)), found.take(is_related)
        return Searched(reasons, barcodes, found, vote(found, {name: one.numbers for name, one in self.ranks.items()}))

    def results(self, records: pa.Table, searched: Searched) -> pa.Table:
        """The results of a search: names, their probabilities, and hits.

        Args:
            records: as for a call.
            searched: what `search` found for them.
        """
        barcodes, found, votes = searched.barcodes, searched.found, searched.votes
        voters = found.voters()
        shown = voters.in_order(np.lexsort((-voters.similarities, -voters.identities), axis=1))
        probabilities = self._calibration(votes, barcodes.num_bases)
        has_species = self.ranks["species"].numbers[shown.records[:, 0]] >= 0
        begins, ends = self._marker.ends(barcodes)
        identified = self._assignments(votes, probabilities, barcodes.num_bases)
        lineages = pa.table({rank: identified[rank] for rank in ("phylum", "class")})
        notes = describe_queries(self._library, self.ranks, self._embedder.frame, barcodes, found, lineages)
        identified |= {
            "marker": pa.array([self.marker] * len(has_species), pa.string()),
            "novelty": pa.array(probabilities[NOVELTY], mask=~has_species),
            "hits": self._hits(shown, barcodes),
            "strand": pa.array(np.where(barcodes.placement.strand > 0, "+", "-")),
            "start": pa.array((barcodes.placement.start + 1).astype(np.int32)),
            "bases": pa.array(barcodes.num_bases.astype(np.int32)),
            "indels": pa.array(barcodes.placement.num_indels.astype(np.int32)),
            "query_start": pa.array(begins, pa.int32()),
            "query_end": pa.array(ends, pa.int32()),
            "notes": pa.array(notes, pa.string()),
        }
        return _result_table(records, searched.reasons, identified)

    def _assignments(
        self, votes: dict[str, Vote], probabilities: dict[str, np.ndarray], num_bases: np.ndarray
    ) -> dict[str, Any]:
        """Columns of names, confidences and call for usable queries."""
        columns: dict[str, Any] = {}
        depths = np.full(len(num_bases), _NOVEL_DEPTH)
        confidence = np.zeros(len(depths), np.float32)
        called = np.full(len(depths), "", object)
        min_confidences = self._min_confidences[nearest_length(num_bases)]
        for depth, rank in enumerate(RANKS):
            is_called = (votes[rank].names >= 0) & (probabilities[rank] >= min_confidences)
            depths[is_called], confidence[is_called] = depth, probabilities[rank][is_called]
            called[is_called] = self.ranks[rank].decode(votes[rank].names[is_called])
        for depth, rank in enumerate(RANKS):
            is_in_lineage = (depths >= depth) & (depths < _NOVEL_DEPTH)
            columns |= self._name_columns(rank, np.where(is_in_lineage, votes[rank].names, -1), probabilities[rank])
            columns |= self._name_columns(rank, votes[rank].names, probabilities[rank], BEST)
        calls = np.array([*RANKS, NOVEL], object)[depths]
        columns |= {"call": pa.array(calls, pa.string()), "name": pa.array(called, pa.string())}
        columns["confidence"] = pa.array(confidence, mask=depths == _NOVEL_DEPTH)
        return columns

    def _name_columns(
        self, rank: str, numbers: np.ndarray, confidences: np.ndarray, prefix: str = ""
    ) -> dict[str, Any]:
        return {
            f"{prefix}{rank}": pa.array(self.ranks[rank].decode(numbers), pa.string()),
            f"{prefix}{rank}{CONFIDENCE}": pa.array(confidences.astype(np.float32), mask=numbers < 0),
        }

    def _hits(self, found: Neighbours, barcodes: OnMarker) -> pa.Array:
        """The column of hits for usable queries, in the order of `found`, but the aligned ones by aligned identity."""
        alignments = np.full(found.records.shape, None, object)
        if self._num_aligned:
            alignments = self._alignments(found, self._marker.parts(barcodes))
            identities, columns = (
                np.array([[-1 if one is None else getattr(one, field) for one in row] for row in alignments])
                for field in ("identity", "columns")
            )
            order = np.lexsort((-columns, -identities), axis=1)
            found, alignments = found.in_order(order), np.take_along_axis(alignments, order, axis=1)
        is_hit = found.records >= 0
        records = pa.array(found.records[is_hit])
        values: dict[str, Any] = {name: self._names[name].take(records) for name in ("id", *RANKS, "bin")}
        values["similarity"] = pa.array(found.similarities[is_hit])
        values["frame_identity"] = pa.array(found.identities[is_hit])
        if self._num_aligned:
            num_bases = np.broadcast_to(barcodes.num_bases[:, None], is_hit.shape)[is_hit]
            values |= self._alignment_columns(alignments[is_hit], num_bases)
        arrays = [values.get(field.name, pa.nulls(len(records), field.type)) for field in HIT]
        arrays = [array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array for array in arrays]
        arrays = [array.cast(field.type) for array, field in zip(arrays, HIT, strict=True)]
        offsets = np.concatenate([[0], is_hit.sum(axis=1).cumsum()]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), pa.StructArray.from_arrays(arrays, fields=list(HIT)))

    def _alignment_columns(self, alignments: np.ndarray, num_bases: np.ndarray) -> dict[str, pa.Array]:
        """Columns of hits from their alignments `[hits]`, None where not aligned, and the queries' bases `[hits]`."""
        is_aligned = np.array([one is not None for one in alignments], bool)
        values = {
            field.name: pa.array([None if one is None else getattr(one, field.name) for one in alignments])
            for field in fields(Alignment)
        }
        identities = np.array([0 if one is None else one.identity for one in alignments], np.float64)
        bit_scores = bit_score(identities, num_bases)
        expected = expected_value(bit_scores, num_bases, self._marker.num_searched(self._library))
        values["bitscore"] = pa.array(bit_scores, mask=~is_aligned)
        values["evalue"] = pa.array(expected, mask=~is_aligned)
        return values

    def _alignments(self, found: Neighbours, queries: list[MarkerPart]) -> np.ndarray:
        """An `Alignment` or None for each query and hit, `[n, voters]`."""
        alignments = np.full(found.records.shape, None, object)
        nearest = found.records[:, : self._num_aligned]
        records = np.unique(nearest[nearest >= 0])
        parts = self._marker.parts(self._marker.read(self._library.nucleotides(records)))
        references = dict(zip(records.tolist(), parts, strict=True))
        for query, hit in np.argwhere(nearest >= 0):
            alignments[query, hit] = align(queries[query], references[nearest[query, hit]])
        return alignments


def _result_table(records: pa.Table, reasons: np.ndarray, identified: dict[str, Any]) -> pa.Table:
    """The results of all queries.

    Args:
        records: `[n]`, the queries.
        reasons: `[n]`, why a query is unusable; "" for a usable one.
        identified: columns of the usable queries.
    """
    is_usable = reasons == ""
    # The last row is that of all queries that are not usable.
    rows = pa.array(np.where(is_usable, np.cumsum(is_usable) - 1, is_usable.sum()))
    columns = {name: records[name].combine_chunks() for name in _OF_RECORDS}
    columns["reason"] = pa.array(reasons)
    for name, column in identified.items():
        filler = pa.array([UNRELIABLE if name == "call" else _filler(column.type)], column.type)
        columns[name] = pa.concat_arrays([column, filler]).take(rows)
    return pa.table([columns[field.name].cast(field.type) for field in RESULTS], schema=RESULTS)


def _filler(type_: pa.DataType) -> Any:
    """The value of a column of results for a query without a result."""
    if pa.types.is_string(type_):
        return ""
    return [] if pa.types.is_list(type_) else None
