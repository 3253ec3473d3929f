"""An inverted file: near vectors are in one list, and a query is compared with a few lists instead of all vectors.

FAISS searches them, but its files are never read: its reader trusts the sizes, offsets and even names of other files in
them, and is not meant for files from others (https://github.com/facebookresearch/faiss/issues/5400). Only arrays are
saved: the centroids, and the list of each vector. The lists are filled from the vectors when a library is opened.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from barcodemae.errors import LibraryError

# The recall measured when an index is built is that of its own records, which have conspecifics. A query of a new
# species lies between the lists: with 4 of 332, the nearest record of 1.9 % of them was missed, with 8 or 16 that of
# 0.1 %. Also, between equally near centroids, rounding decides which is nearest.
MIN_PROBED = 16

_BLOCK_RECORDS = 100_000
_PROBE_FACTOR = 4

# FAISS compares vectors in half precision by wide registers only if their dimension is a multiple of this; vectors of
# 300 numbers with four zeros appended were found in a fifteenth of the time.
_REGISTER = 16


@dataclass(frozen=True)
class Lists:
    """The lists learnt from vectors.

    Attributes:
        centroids: float32 `[lists, dimension]`, of length 1.
        list_of: int32 `[n]`, the list of each vector.
        codebook: float32 `[pieces, 256, dimension / pieces]`, if vectors are searched by codes; otherwise empty.
        codes: uint8 `[n, pieces]`, of the difference of each vector from its centroid; otherwise empty.
    """

    centroids: np.ndarray
    list_of: np.ndarray
    codebook: np.ndarray
    codes: np.ndarray

    def save(self, file: Path) -> None:
        """Write the arrays to a safetensors file."""
        save_file({name: np.ascontiguousarray(values) for name, values in vars(self).items()}, file)

    @classmethod
    def load(cls, file: Path, num_records: int, dimension: int) -> "Lists":
        """Read a file that `save` wrote.

        Args:
            file: to read.
            num_records: number of vectors.
            dimension: of a vector.

        Raises:
            LibraryError: the file can't be read, or its arrays are not of such vectors.
        """
        try:
            with safe_open(file, framework="numpy") as tensors:
                lists = cls(*(tensors.get_tensor(name) for name in cls.__dataclass_fields__))
        except (OSError, ValueError, TypeError, SafetensorError) as error:
            raise LibraryError(f"{file}: expected the lists of an inverted file, got: {error}") from error
        if problem := lists._problem(num_records, dimension):
            raise LibraryError(
                f"{file}: expected the lists of {num_records:,} vectors of {dimension} numbers, {problem}"
            )
        return lists

    def _problem(self, num_records: int, dimension: int) -> str:
        num_lists, pieces = len(self.centroids) if self.centroids.ndim else 0, dimension // 2
        is_coded = self.codes.size > 0
        expected = {
            "centroids": (np.float32, (num_lists, dimension)),
            "list_of": (np.int32, (num_records,)),
            "codebook": (np.float32, (pieces, 256, 2) if is_coded else (0,)),
            "codes": (np.uint8, (num_records, pieces) if is_coded else (0,)),
        }
        for name, (dtype, shape) in expected.items():
            values = getattr(self, name)
            if values.dtype != dtype or values.shape != shape:
                return f"got {name} of {values.dtype} {values.shape}"
        if is_coded and 2 * pieces != dimension:
            return "got codes of pairs"
        if not (np.isfinite(self.centroids).all() and np.isfinite(self.codebook).all()):
            return "got numbers that are not finite"
        if ((self.list_of < 0) | (self.list_of >= num_lists)).any():
            return f"got numbers of lists that are not from 0 to {num_lists - 1}"
        return ""


class InvertedFile:
    """An index of lists filled with some of the vectors that they were learnt from.

    Lists without a vector are left out, so that each list that is searched has vectors.

    Args:
        lists: of all vectors.
        rows: int64 `[n]`, the vectors that can be found, at least one.
        vectors: returns the vectors of rows, `[rows, dimension]`, of length 1.
        nprobe: minimum number of lists with which a query is compared.
    """

    def __init__(self, lists: Lists, rows: np.ndarray, vectors: Callable[[np.ndarray], np.ndarray], nprobe: int):
        rows = rows[np.argsort(lists.list_of[rows], kind="stable")]
        used, list_of = np.unique(lists.list_of[rows], return_inverse=True)
        self.is_coded = lists.codes.size > 0
        self.nprobe = min(nprobe, len(used))
        self._index = _empty_index(lists, used)
        for begin in range(0, len(rows), _BLOCK_RECORDS):
            block = rows[begin : begin + _BLOCK_RECORDS]
            codes = lists.codes[block] if self.is_coded else _padded(vectors(block), np.float16).view(np.uint8)
            ends = np.flatnonzero(np.diff(list_of[begin : begin + len(block)])) + 1
            for first, last in zip([0, *ends], [*ends, len(block)], strict=True):
                ids, part = (np.ascontiguousarray(values[first:last]) for values in (block, codes))
                number = int(list_of[begin + first])
                self._index.invlists.add_entries(number, len(ids), faiss.swig_ptr(ids), faiss.swig_ptr(part))
        self._index.ntotal = len(rows)

    @property
    def num_lists(self) -> int:
        """Number of lists that are not empty."""
        return self._index.nlist

    def search(
        self, queries: np.ndarray, num_hits: int, among: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The nearest vectors of each query, nearest first.

        If the lists searched for a query have too few vectors, more and more lists are searched.

        Args:
            queries: float32 `[n, dimension]`, of length 1.
            num_hits: number of vectors for each query.
            among: int64, the rows that can be found, by default all; with it no more than `nprobe` lists are searched.

        Returns:
            Similarities, float32 `[n, num_hits]`, and rows, int64 `[n, num_hits]`; -1 where there are no more. With
            codes, similarities are estimates.
        """
        queries = np.ascontiguousarray(queries, np.float32) if self.is_coded else _padded(queries, np.float32)
        parameters: Any = faiss.SearchParametersIVF()
        if among is not None:
            selector = faiss.IDSelectorBatch(among)  # FAISS keeps no reference to it
            parameters.sel = selector
        parameters.nprobe = self.nprobe
        similarities, rows = self._index.search(queries, num_hits, params=parameters)
        last = min(num_hits, self._index.ntotal) - 1
        while among is None and parameters.nprobe < self.num_lists and (rows[:, last] < 0).any():
            parameters.nprobe = min(_PROBE_FACTOR * parameters.nprobe, self.num_lists)
            few = np.flatnonzero(rows[:, last] < 0)
            similarities[few], rows[few] = self._index.search(queries[few], num_hits, params=parameters)
        return similarities, rows


def learn_lists(
    vectors: np.ndarray, num_lists_for: Callable[[int], int], num_points: int, is_coded: bool, seed: int
) -> Lists:
    """Learn lists by k-means on distinct vectors; equal ones are always in the same.

    Args:
        vectors: float32 or float16 `[n, dimension]`, of length 1.
        num_lists_for: returns the number of lists for a number of distinct vectors.
        num_points: number of vectors from which each list is learnt.
        is_coded: whether vectors are searched by codes of a quarter of their size, which requires an even dimension.
        seed: of the random samples.
    """
    dimension = vectors.shape[1]
    row = np.dtype((np.void, vectors.dtype.itemsize * dimension))
    _, first, copy_of = np.unique(np.ascontiguousarray(vectors).view(row), return_index=True, return_inverse=True)
    copy_of = copy_of.ravel()  # NumPy 2.0 alone gives it another shape
    num_lists = min(num_lists_for(len(first)), len(first))
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.permutation(first)[: num_points * num_lists])
    points = np.ascontiguousarray(vectors[sample], np.float32)
    means = faiss.Kmeans(
        dimension,
        num_lists,
        niter=10,
        spherical=True,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=num_points,
    )
    means.train(points)
    centroids = np.asarray(means.centroids, np.float32)
    nearest: Any = faiss.IndexFlatIP(dimension)
    nearest.add(centroids)
    blocks = (first[begin : begin + _BLOCK_RECORDS] for begin in range(0, len(first), _BLOCK_RECORDS))
    found = [nearest.search(np.ascontiguousarray(vectors[block], np.float32), 1)[1][:, 0] for block in blocks]
    used, list_of = np.unique(np.concatenate(found), return_inverse=True)
    centroids, list_of = centroids[used], list_of[copy_of].astype(np.int32)
    if not is_coded:
        return Lists(centroids, list_of, np.zeros(0, np.float32), np.zeros(0, np.uint8))
    pairs: Any = faiss.ProductQuantizer(dimension, dimension // 2, 8)
    pairs.train(np.ascontiguousarray(points - centroids[list_of[sample]]))
    codes = np.empty((len(vectors), dimension // 2), np.uint8)
    for begin in range(0, len(vectors), _BLOCK_RECORDS):
        block = slice(begin, begin + _BLOCK_RECORDS)
        rest = np.asarray(vectors[block], np.float32) - centroids[list_of[block]]
        codes[block] = pairs.compute_codes(np.ascontiguousarray(rest))
    codebook = faiss.vector_to_array(pairs.centroids).reshape(dimension // 2, 256, 2)
    return Lists(centroids, list_of, codebook, codes)


def _padded(vectors: np.ndarray, dtype: type) -> np.ndarray:
    """Vectors `[n, dimension]` with zeros appended, to a multiple of the numbers that are compared at once."""
    num_more = -vectors.shape[1] % _REGISTER
    return np.ascontiguousarray(np.pad(vectors, ((0, 0), (0, num_more))), dtype)


def _empty_index(lists: Lists, used: np.ndarray) -> Any:
    centroids = lists.centroids[used] if lists.codes.size else _padded(lists.centroids[used], np.float32)
    dimension = centroids.shape[1]
    quantizer: Any = faiss.IndexFlatIP(dimension)
    quantizer.add(np.ascontiguousarray(centroids))
    kind = faiss.METRIC_INNER_PRODUCT
    index: Any
    if lists.codes.size:
        index = faiss.IndexIVFPQ(quantizer, dimension, len(used), dimension // 2, 8, kind)
        faiss.copy_array_to_vector(lists.codebook.ravel(), index.pq.centroids)
    else:
        half = faiss.ScalarQuantizer.QT_fp16
        index = faiss.IndexIVFScalarQuantizer(quantizer, dimension, len(used), half, kind, False)
    index.is_trained = True
    return index
