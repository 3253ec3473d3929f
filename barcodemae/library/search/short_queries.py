"""Short queries: they are compared with the same part of each reference, not with complete ones.

The vector of a fifth of a barcode is far from those of complete barcodes, also of its own species. Candidates are found
by the vectors of complete barcodes and, among all references, by equal bases; they are compared by vectors of the part.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

import faiss
import numpy as np

from barcodemae.embedding.attribution import Attribution
from barcodemae.embedding.nearest import Hits, unit_length
from barcodemae.library.search.marker import dereplicate

MAX_SHORT = 424
"""Maximum number of known bases of a short query. On `val_unseen`, more than 500 are found as well by complete vectors;
this is also the limit between the lengths that are calibrated, 300 and 600 bases."""

# Queries of which both ends lie in the same blocks of this number of coordinates are compared with the same part of
# the references. The bases of a block, four bits each, fill a word of 64 bits.
_BLOCK = 16

# Number of references with the most equal bases. On `val` and `val_unseen`, 100 or a comparison of all references by
# vectors give the same names within half a point.
NUM_NEAR = 50

_QUERIES = 1024
_RECORDS = 16_384


class BaseMap(Protocol):
    """Makes vectors of the bases on a part of the frame, as `embedding.base_map.BaseMapEmbedder` does."""

    def embed_bases(self, bases: np.ndarray, first: int = 0) -> np.ndarray:
        """Vectors `[n, dimension]` of bases `[n, coordinates]` from the coordinate `first` on."""

    def attribute_bases(self, bases: np.ndarray, direction: np.ndarray, first: int = 0) -> Attribution:
        """The contributions of bases `[coordinates]` to the product of their vector, of length 1, with a direction."""


class PartSearch:
    """Searches references by the part of the marker that a query has. It takes half a byte of memory for each base.

    Args:
        records: int64 `[n]`, numbers of the records to search, ascending.
        bases: returns the bases of records on the frame, int8 `[n, frame_length]`.
        frame_length: of the frame, in nucleotides.
    """

    def __init__(self, records: np.ndarray, bases: Callable[[np.ndarray], np.ndarray], frame_length: int):
        self._records, self._bases = records, bases
        self._packed = np.empty((len(records), -(-frame_length // _BLOCK) * _BLOCK // 2), np.uint8)
        for begin in range(0, len(records), _RECORDS):
            block = slice(begin, begin + _RECORDS)
            self._packed[block] = _pack(bases(records[block]), is_query=False)

    def search(
        self,
        queries: np.ndarray,
        candidates: np.ndarray,
        base_map: BaseMap,
        num_hits: int,
        num_excluded: np.ndarray | None = None,
        is_excluded: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    ) -> Hits:
        """The nearest records of each query by the part of the marker that it has, nearest first.

        Args:
            queries: int8 `[n, frame_length]`, bases on the frame, at least one known in each row.
            candidates: int64 `[n, candidates]`, those of the records that are compared in any case; -1 for none.
            base_map: makes vectors of both.
            num_hits: number of records for each query; if there are fewer, the rest is -1 and -inf.
            num_excluded: int64 `[n]`, number of records that are excluded for a query; by default none.
            is_excluded: whether records are excluded for queries, by the rows of the queries and the numbers of the
                records, which are broadcast.

        Returns:
            Similarities are cosines of the vectors of the part.
        """
        rows = np.full((len(queries), num_hits), -1)
        similarities = np.full(rows.shape, -np.inf, np.float32)
        if not len(self._records):
            return Hits(rows, similarities)
        num_more = np.zeros(len(queries), np.int64)
        if num_excluded is not None:
            # Rounded up to powers of 4, so that few queries with many excluded records do not slow down all others.
            num_more = 4 ** np.ceil(np.log2(np.maximum(num_excluded, 1)) / 2).astype(np.int64)
        for group, begin, end in _groups(queries, num_more):
            part = queries[group, begin:end]
            packed = np.ascontiguousarray(self._packed[:, begin // 2 : -(-end // _BLOCK) * _BLOCK // 2])
            num_near = min(NUM_NEAR + int(num_more[group[0]]), len(packed))
            near = faiss.knn_hamming(_pack(part, is_query=True), packed, num_near)[1]
            given = np.where(candidates[group] < 0, -1, np.searchsorted(self._records, candidates[group]))
            found = np.sort(np.concatenate([near, given], axis=1), axis=1)
            is_usable = (found >= 0) & (np.diff(found, axis=1, prepend=-1) > 0)  # each once
            compared, column = np.unique(found[is_usable], return_inverse=True)
            # Many references are equal in a short part: the vector of each different one is computed once.
            first, copy_of = dereplicate(packed[compared])
            bases = self._bases(self._records[compared[first]])[:, begin:end]
            vectors = unit_length(base_map.embed_bases(np.concatenate([part, bases]), begin))
            vectors, references = np.split(vectors, [len(part)])
            cosines = np.full(found.shape, -np.inf, np.float32)
            of_query = np.nonzero(is_usable)[0]
            cosines[is_usable] = np.where(
                packed[compared].any(axis=1)[column],  # others have no base there
                np.einsum("nd,nd->n", references[copy_of[column]], vectors[of_query]),
                -np.inf,
            )
            found = self._records[found]
            if is_excluded is not None:
                cosines[is_excluded(group[:, None], found)] = -np.inf
            order = np.argsort(-cosines, axis=1, kind="stable")[:, :num_hits]
            cosines = np.take_along_axis(cosines, order, axis=1)
            similarities[group, : order.shape[1]] = cosines
            rows[group, : order.shape[1]] = np.where(cosines > -np.inf, np.take_along_axis(found, order, axis=1), -1)
        return Hits(rows, similarities)


def _groups(queries: np.ndarray, kinds: np.ndarray) -> Iterator[tuple[np.ndarray, int, int]]:
    """Some rows of one kind with about the same part of the marker, and the part's begin and end."""
    groups = np.concatenate([shared_part(queries), kinds[:, None]], axis=1)
    parts, group = np.unique(groups, axis=0, return_inverse=True)
    group = group.ravel()  # NumPy 2.0 alone gives it another shape
    for number, (part_begin, part_end, _) in enumerate(parts.tolist()):
        rows = np.flatnonzero(group == number)
        for begin in range(0, len(rows), _QUERIES):
            yield rows[begin : begin + _QUERIES], part_begin, part_end


def shared_part(queries: np.ndarray) -> np.ndarray:
    """The part of the references that queries are compared with, int64 `[n, 2]`: its first coordinate, and its end.

    Args:
        queries: int8 `[n, frame_length]`, bases on the frame, at least one known in each row.
    """
    is_known, length = queries >= 0, queries.shape[1]
    firsts = is_known.argmax(axis=1) // _BLOCK
    ends = (length - 1 - is_known[:, ::-1].argmax(axis=1)) // _BLOCK + 1
    return np.stack([firsts * _BLOCK, np.minimum(ends * _BLOCK, length)], axis=1)


def _pack(bases: np.ndarray, is_query: bool) -> np.ndarray:
    """Bases as bits, so that the number of bits that differ orders references by their bases.

    A base is one of four bits, so that two different bases differ by two. A base that a reference lacks has none: it
    differs by one, half as much. Where a query lacks a base, all four are set, so that references with a base there
    differ by three: this changes nothing among those that have the complete part.

    Returns:
        uint8 `[n, bytes]`, a multiple of eight bytes.
    """
    bits = np.zeros((len(bases), -(-bases.shape[1] // _BLOCK) * _BLOCK, 4), bool)
    bits[:, : bases.shape[1]] = bases[:, :, None] == np.arange(4, dtype=np.int8)
    if is_query:
        bits[:, : bases.shape[1]][bases < 0] = True
    return np.packbits(bits.reshape(len(bits), -1), axis=1)
