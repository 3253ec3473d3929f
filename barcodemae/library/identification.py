"""Queries to answers: place, embed, search, compare bases, vote, say how likely each name is right, and align."""

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
from barcodemae.library.embedder import Embedder
from barcodemae.library.neighbours import find_neighbours
from barcodemae.library.results.schema import HIT, NOVEL, RESULTS, UNRELIABLE
from barcodemae.library.search.evidence import Neighbours, RankNames, Vote, vote
from barcodemae.library.search.marker import OnMarker, read_on_marker, why_unusable
from barcodemae.library.settings import MIN_CONFIDENCE
from barcodemae.library.store.stored import StoredLibrary
from tokenization_barcodemae import ReferenceFrame


class Identifier:
    """Names barcodes by a library.

    Args:
        library: has records.
        embedder: the one that the library was made with.
        calibration: gives probabilities.
        min_confidence: of a name that is called.
        num_aligned: so many hits of each query, the best ones, are aligned with it. No name depends on that.
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
    def of(
        cls,
        library: StoredLibrary,
        embedder: Embedder,
        min_confidence: float = MIN_CONFIDENCE,
        num_aligned: int = 0,
    ) -> "Identifier":
        """What names barcodes by a library and its own calibration.

        Raises:
            LibraryError: it is not calibrated.
        """
        calibration = library.calibration()
        if calibration is None:
            raise LibraryError(f"{library.folder}: expected a calibrated library; barcodemae calibrate makes it one")
        return cls(library, embedder, calibration, min_confidence, num_aligned)

    def __call__(self, records: pa.Table) -> pa.Table:
        """Answers to some thousand queries.

        Args:
            records: of `data.schema.SCHEMA`, as read: what is no usable barcode is answered with the reason.

        Returns:
            A table of `RESULTS`, in the order of the records.
        """
        read = read_on_marker(normalise_nucleotides(records["nucleotides"]).to_pylist(), self._frame)
        reasons = why_unusable(records["problem"], read)
        asked = np.flatnonzero(reasons == "")
        barcodes = read.take(asked)
        found = find_neighbours(self._library, self._embedder, barcodes)
        votes = {rank: vote(found, names.numbers) for rank, names in self._ranks.items()}
        answered = self._results(found, votes, barcodes.num_bases)
        answered |= {
            "hits": self._hits(found, barcodes),
            "strand": pa.array(np.where(barcodes.placement.strand > 0, "+", "-")),
            "start": pa.array((barcodes.placement.start + 1).astype(np.int32)),
            "bases": pa.array(barcodes.num_bases.astype(np.int32)),
        }
        unreliable = {
            "id": records["id"].cast(pa.string()).combine_chunks(),
            "call": pa.array(np.full(len(records), UNRELIABLE)),
            "reason": pa.array(reasons),
        }
        return _merged(unreliable, answered, asked)

    def _results(self, found: Neighbours, votes: dict[str, Vote], num_bases: np.ndarray) -> dict[str, Any]:
        """Columns of the queries that were asked."""
        columns: dict[str, Any] = {}
        called = np.full(len(found.records), NOVEL, object)
        names = np.full(len(found.records), "", object)
        for rank in RANKS:
            name = self._ranks[rank].decode(votes[rank].names)
            predicted = self._calibration(rank, votes[rank], num_bases)
            confidence = np.where(votes[rank].names >= 0, predicted, np.float32(0))
            columns[rank] = pa.array(name, pa.string())
            columns[f"{rank}_confidence"] = pa.array(confidence.astype(np.float32))
            carried = confidence >= self._min_confidence
            called[carried], names[carried] = rank, name[carried]
        columns |= {"call": pa.array(called, pa.string()), "name": pa.array(names, pa.string())}
        columns["novelty"] = pa.array(self._calibration(NOVELTY, votes["species"], num_bases))
        return columns

    def _hits(self, found: Neighbours, barcodes: OnMarker) -> pa.Array:
        there = found.records >= 0
        records = pa.array(found.records[there])
        values: dict[str, Any] = {name: self._names[name].take(records).cast(pa.string()) for name in ("id", *RANKS)}
        values["similarity"] = pa.array(found.similarities[there])
        values["frame_identity"] = pa.array(found.identities[there])
        if self._num_aligned:
            alignments = self._alignments(found, barcodes)[there]
            for field in fields(Alignment):
                told = [None if alignment is None else getattr(alignment, field.name) for alignment in alignments]
                values[field.name] = pa.array(told, HIT.field(field.name).type)
        columns = [values.get(field.name, pa.nulls(len(records), field.type)) for field in HIT]
        columns = [column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column for column in columns]
        offsets = np.concatenate([[0], there.sum(axis=1).cumsum()]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), pa.StructArray.from_arrays(columns, fields=list(HIT)))

    def _alignments(self, found: Neighbours, barcodes: OnMarker) -> np.ndarray:
        """An `Alignment` or None of each query and hit, `[n, voters]`."""
        queries = cut_to_frame(barcodes.sequences, barcodes.placement, self._frame.length)
        alignments = np.full(found.records.shape, None, object)
        nearest = found.records[:, : self._num_aligned]
        wanted = np.unique(nearest[nearest >= 0])
        sequences = self._library.nucleotides(wanted)
        stretches = cut_to_frame(sequences, self._frame.place(sequences), self._frame.length)
        references = dict(zip(wanted.tolist(), stretches, strict=True))
        for query, hit in np.argwhere(nearest >= 0):
            alignments[query, hit] = align(queries[query], references[nearest[query, hit]])
        return alignments


def _merged(unreliable: dict[str, Any], answered: dict[str, Any], asked: np.ndarray) -> pa.Table:
    """Rows of all queries: those asked have the answered columns, the others what is told of unreliable ones."""
    n = len(unreliable["id"])
    place = np.full(n, -1)
    place[asked] = np.arange(len(asked))
    rows = pa.array(place, mask=place < 0)
    was_asked = pa.array(place >= 0)
    columns = []
    for field in RESULTS:
        value = answered[field.name].take(rows) if field.name in answered else pa.nulls(n, field.type)
        if field.name in unreliable:
            value = (
                pc.if_else(was_asked, value, unreliable[field.name])
                if field.name in answered
                else unreliable[field.name]
            )
        elif pa.types.is_string(field.type):
            value = pc.fill_null(value, "")
        elif pa.types.is_list(field.type):
            value = pc.fill_null(value, pa.scalar([], field.type))
        columns.append(value.cast(field.type))
    return pa.table(columns, schema=RESULTS)
