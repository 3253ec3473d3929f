"""From queries to results: place, embed, search, compare bases, vote, estimate how probable each name is, and align."""

from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data import normalise_nucleotides
from barcodemae.data.schema import RANKS
from barcodemae.errors import LibraryError
from barcodemae.library.alignment import Alignment, align, cut_to_frame
from barcodemae.library.calibration.probability import NOVELTY, Calibration
from barcodemae.library.models import Embedder, find_neighbours
from barcodemae.library.results.schema import HIT, NOVEL, RESULTS, UNRELIABLE
from barcodemae.library.search.evidence import Neighbours, RankNames, Vote, vote
from barcodemae.library.search.marker import OnMarker, read_on_marker, why_unusable
from barcodemae.library.settings import MIN_CONFIDENCE
from barcodemae.library.store.stored import StoredLibrary
from tokenization_barcodemae import ReferenceFrame


class Identifier:
    """Identifies barcodes by a library.

    Args:
        library: has records.
        embedder: the model that made the library's vectors.
        calibration: estimates the probabilities.
        min_confidence: of a name that is called.
        num_aligned: number of hits that are aligned with each query, best first. Names do not depend on it.
    """

    def __init__(
        self,
        library: StoredLibrary,
        embedder: Embedder,
        calibration: Calibration,
        min_confidence: float = MIN_CONFIDENCE,
        num_aligned: int = 0,
    ):
        assert embedder.frame is not None
        self._library, self._embedder, self._calibration = library, embedder, calibration
        self._frame: ReferenceFrame = embedder.frame
        self._min_confidence, self._num_aligned = min_confidence, num_aligned
        self._names = library.names()
        self._ranks = {rank: RankNames(self._names[rank]) for rank in RANKS}

    @classmethod
    def from_library(
        cls,
        library: StoredLibrary,
        embedder: Embedder,
        min_confidence: float = MIN_CONFIDENCE,
        num_aligned: int = 0,
    ) -> "Identifier":
        """An identifier with the library's own calibration.

        Raises:
            LibraryError: it is not calibrated.
        """
        calibration = library.calibration()
        if calibration is None:
            raise LibraryError(f"{library.folder}: expected a calibrated library; calibrate it: barcodemae calibrate")
        return cls(library, embedder, calibration, min_confidence, num_aligned)

    def __call__(self, records: pa.Table) -> pa.Table:
        """Identify some thousand queries.

        Args:
            records: of `data.schema.SCHEMA`, as read; the result of one that is not a usable barcode has the reason.

        Returns:
            A table of `RESULTS`, in the order of the records.
        """
        read = read_on_marker(normalise_nucleotides(records["nucleotides"]).to_pylist(), self._frame)
        reasons = why_unusable(records["problem"], read)
        barcodes = read.take(np.flatnonzero(reasons == ""))
        found = find_neighbours(self._library, self._embedder, barcodes)
        votes = {rank: vote(found, names.numbers) for rank, names in self._ranks.items()}
        identified = self._assignments(found, votes, barcodes.num_bases)
        identified |= {
            "hits": self._hits(found, barcodes),
            "strand": pa.array(np.where(barcodes.placement.strand > 0, "+", "-")),
            "start": pa.array((barcodes.placement.start + 1).astype(np.int32)),
            "bases": pa.array(barcodes.num_bases.astype(np.int32)),
            "indels": pa.array(barcodes.placement.num_indels.astype(np.int32)),
        }
        return _result_table(records["id"].cast(pa.string()).combine_chunks(), reasons, identified)

    def _assignments(self, found: Neighbours, votes: dict[str, Vote], num_bases: np.ndarray) -> dict[str, Any]:
        """Columns of names, confidences, call and novelty for usable queries."""
        columns: dict[str, Any] = {}
        call = np.full(len(found.records), NOVEL, object)
        called_name = np.full(len(found.records), "", object)
        for rank in RANKS:
            name = self._ranks[rank].decode(votes[rank].names)
            predicted = self._calibration(rank, votes[rank], num_bases)
            confidence = np.where(votes[rank].names >= 0, predicted, np.float32(0))
            columns[rank] = pa.array(name, pa.string())
            columns[f"{rank}_confidence"] = pa.array(confidence.astype(np.float32))
            is_called = confidence >= self._min_confidence
            call[is_called], called_name[is_called] = rank, name[is_called]
        columns |= {"call": pa.array(call, pa.string()), "name": pa.array(called_name, pa.string())}
        columns["novelty"] = pa.array(self._calibration(NOVELTY, votes["species"], num_bases))
        return columns

    def _hits(self, found: Neighbours, barcodes: OnMarker) -> pa.Array:
        """The column of hits for usable queries."""
        is_hit = found.records >= 0
        records = pa.array(found.records[is_hit])
        values: dict[str, Any] = {name: self._names[name].take(records).cast(pa.string()) for name in ("id", *RANKS)}
        values["similarity"] = pa.array(found.similarities[is_hit])
        values["frame_identity"] = pa.array(found.identities[is_hit])
        if self._num_aligned:
            alignments = self._alignments(found, barcodes)[is_hit]
            for field in fields(Alignment):
                column = [None if alignment is None else getattr(alignment, field.name) for alignment in alignments]
                values[field.name] = pa.array(column, HIT.field(field.name).type)
        columns = [values.get(field.name, pa.nulls(len(records), field.type)) for field in HIT]
        columns = [column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column for column in columns]
        offsets = np.concatenate([[0], is_hit.sum(axis=1).cumsum()]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), pa.StructArray.from_arrays(columns, fields=list(HIT)))

    def _alignments(self, found: Neighbours, barcodes: OnMarker) -> np.ndarray:
        """An `Alignment` or None for each query and hit, `[n, voters]`."""
        queries = cut_to_frame(barcodes.sequences, barcodes.placement, self._frame.length)
        alignments = np.full(found.records.shape, None, object)
        nearest = found.records[:, : self._num_aligned]
        records = np.unique(nearest[nearest >= 0])
        sequences = self._library.nucleotides(records)
        segments = cut_to_frame(sequences, self._frame.place(sequences), self._frame.length)
        references = dict(zip(records.tolist(), segments, strict=True))
        for query, hit in np.argwhere(nearest >= 0):
            alignments[query, hit] = align(queries[query], references[nearest[query, hit]])
        return alignments


def _result_table(ids: pa.Array, reasons: np.ndarray, identified: dict[str, Any]) -> pa.Table:
    """The results of all queries.

    Args:
        ids: `[n]`.
        reasons: `[n]`, why a query is unusable; "" for a usable one.
        identified: columns of the usable queries.
    """
    is_usable = reasons == ""
    rows = pa.array(np.cumsum(is_usable) - 1, mask=~is_usable)
    columns = {name: column.take(rows) for name, column in identified.items()}
    columns |= {"id": ids, "reason": pa.array(reasons), "call": pc.fill_null(columns["call"], UNRELIABLE)}
    for field in RESULTS:
        if pa.types.is_string(field.type):
            columns[field.name] = pc.fill_null(columns[field.name], "")
        elif pa.types.is_list(field.type):
            columns[field.name] = pc.fill_null(columns[field.name], pa.scalar([], field.type))
    return pa.table([columns[field.name].cast(field.type) for field in RESULTS], schema=RESULTS)
