"""Queries to answers: place, embed, search, compare letters, vote, and say how likely each name is right."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data import normalise_nucleotides
from barcodemae.data.schema import RANKS
from barcodemae.reference.answers import ANSWERS, HIT, NOVEL, UNRELIABLE
from barcodemae.reference.calibration import Calibration
from barcodemae.reference.embedder import Embedder
from barcodemae.reference.evidence import Neighbours, Vote, vote
from barcodemae.reference.library import Library
from barcodemae.reference.marker import read_on_marker, why_unusable
from barcodemae.reference.names import NamesOfRank
from barcodemae.reference.neighbours import find_neighbours
from tokenization_barcodemae import ReferenceFrame

LEAST_CONFIDENCE = 0.8
"""A name is called where it is right at least so likely."""


class Identifier:
    """Names barcodes by a library.

    Args:
        library: has records.
        embedder: the one that the library was made with.
        calibration: gives probabilities.
        least_confidence: of a name that is called.
    """

    def __init__(
        self,
        library: Library,
        embedder: Embedder,
        calibration: Calibration,
        least_confidence: float = LEAST_CONFIDENCE,
    ):
        assert embedder.frame is not None
        self._library, self._embedder, self._calibration = library, embedder, calibration
        self._frame: ReferenceFrame = embedder.frame
        self._least_confidence = least_confidence
        self._names = library.names()
        self._ranks = {rank: NamesOfRank(self._names[rank]) for rank in RANKS}

    def __call__(self, records: pa.Table) -> pa.Table:
        """Answers to some thousand queries.

        Args:
            records: of `data.schema.SCHEMA`, as read: what is no usable barcode is answered with the reason.

        Returns:
            A table of `ANSWERS`, in the order of the records.
        """
        read = read_on_marker(normalise_nucleotides(records["nucleotides"]).to_pylist(), self._frame)
        reasons = why_unusable(records["problem"], read)
        asked = np.flatnonzero(reasons == "")
        found = find_neighbours(self._library, self._embedder, read.take(asked))
        votes = {rank: vote(found, names.numbers) for rank, names in self._ranks.items()}
        answered = self._answers(found, votes)
        answered |= {
            "strand": pa.array(np.where(read.placement.strand[asked] > 0, "+", "-")),
            "start": pa.array((read.placement.start[asked] + 1).astype(np.int32)),
            "letters": pa.array(read.num_letters[asked].astype(np.int32)),
        }
        unreliable = {
            "id": records["id"].cast(pa.string()).combine_chunks(),
            "call": pa.array(np.full(len(records), UNRELIABLE)),
            "reason": pa.array(reasons),
        }
        return _merged(unreliable, answered, asked)

    def _answers(self, found: Neighbours, votes: dict[str, Vote]) -> dict[str, Any]:
        """Columns of the queries that were asked."""
        columns: dict[str, Any] = {}
        called = np.full(len(found.records), NOVEL, object)
        names = np.full(len(found.records), "", object)
        for rank in RANKS:
            name = self._ranks[rank].of(votes[rank].names)
            confidence = np.where(votes[rank].names >= 0, self._calibration.ranks[rank](votes[rank]), np.float32(0))
            columns[rank] = pa.array(name, pa.string())
            columns[f"{rank}_confidence"] = pa.array(confidence.astype(np.float32))
            carried = confidence >= self._least_confidence
            called[carried], names[carried] = rank, name[carried]
        columns |= {"call": pa.array(called, pa.string()), "name": pa.array(names, pa.string())}
        columns["novelty"] = pa.array(self._calibration.novelty(votes["species"]))
        columns["hits"] = self._hits(found)
        return columns

    def _hits(self, found: Neighbours) -> pa.Array:
        there = found.records >= 0
        records = pa.array(found.records[there])
        values: dict[str, Any] = {name: self._names[name].take(records).cast(pa.string()) for name in ("id", *RANKS)}
        values["similarity"] = pa.array(found.similarities[there])
        values["identity"] = pa.array(found.identities[there])
        fields = [
            values[field.name].combine_chunks()
            if isinstance(values.get(field.name), pa.ChunkedArray)
            else values.get(field.name, pa.nulls(len(records), field.type))
            for field in HIT
        ]
        offsets = np.concatenate([[0], there.sum(axis=1).cumsum()]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), pa.StructArray.from_arrays(fields, fields=list(HIT)))


def _merged(unreliable: dict[str, Any], answered: dict[str, Any], asked: np.ndarray) -> pa.Table:
    """Rows of all queries: those asked have the answered columns, the others what is told of unreliable ones."""
    n = len(unreliable["id"])
    place = np.full(n, -1)
    place[asked] = np.arange(len(asked))
    rows = pa.array(place, mask=place < 0)
    was_asked = pa.array(place >= 0)
    columns = []
    for field in ANSWERS:
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
    return pa.table(columns, schema=ANSWERS)
