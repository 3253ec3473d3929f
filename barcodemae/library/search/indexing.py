"""The search index of vectors: none while an exact search is quick enough, then an inverted file of FAISS."""

import math
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from barcodemae.library.search.inverted_file import MIN_PROBED, InvertedFile, Lists, learn_lists
from barcodemae.library.settings import NUM_CANDIDATES

# A query is compared with so many vectors in a twentieth of a millisecond on one core.
MAX_EXACT_RECORDS = 10_000

# Up to this number the index has vectors in half precision, above it codes of a quarter of the size: 8 bits for two
# numbers.
MAX_UNCODED_RECORDS = 3_000_000

MIN_RECALL = 0.995

# Number of lists, by the square root of the number of distinct vectors, and of points to learn each from, for which
# FAISS requires 39. On `train`, twice as many lists were as quick.
_LISTS = 2
_TRAINING_POINTS = 64
_CODED_CANDIDATES = 4

# More lists are searched only while recall grows by so much.
_MIN_GAIN = 0.001

_NUM_QUERIES = 1000
_NUM_NEIGHBOURS = 10
_ROUNDING = 2e-4  # of half precision
_BLOCK_RECORDS = 100_000


def describe_exact() -> dict[str, Any]:
    """The description, in the manifest, of a segment without an index file."""
    return {"kind": "exact"}


def num_candidates(is_coded: bool, num_hits: int) -> int:
    """Number of records that an index has to find for the nearest to be among them; codes are then compared exactly."""
    return _CODED_CANDIDATES * num_hits if is_coded else num_hits


def build_index(vectors: np.ndarray, file: Path, seed: int = 0) -> dict[str, Any]:
    """Learn an inverted file, and save its lists; see `learn_index`.

    Args:
        vectors, seed: as in `learn_index`.
        file: to which the lists are written.

    Returns:
        The description of the index, as from `learn_index`.
    """
    lists, _, described = learn_index(vectors, seed)
    lists.save(file)
    return described


def learn_index(vectors: np.ndarray, seed: int = 0) -> tuple[Lists, InvertedFile, dict[str, Any]]:
    """Learn an inverted file, and search more and more of its lists until it finds nearly what an exact search does.

    Args:
        vectors: float32 or float16 `[n, dimension]`, of length 1.
        seed: of the random samples.

    Returns:
        The lists; the index of all vectors; and its description for the manifest: `kind` (as in FAISS), `nprobe`, and
        `recall`: for a thousand records, the share of the ten nearest other records that are among the 50 that the
        index finds, with all queries at once or one at a time, whichever is lower. The nearest record alone would be
        too easy to find: in a library with many barcodes of a species it is almost the same, and a query of a new
        species has no such neighbour.
    """
    n, dimension = vectors.shape
    is_coded = n > MAX_UNCODED_RECORDS and dimension % 2 == 0
    lists = learn_lists(vectors, lambda distinct: int(_LISTS * math.sqrt(distinct)), _TRAINING_POINTS, is_coded, seed)
    index = InvertedFile(lists, np.arange(n), lambda rows: vectors[rows], MIN_PROBED)
    rows = np.sort(np.random.default_rng(seed).permutation(n)[:_NUM_QUERIES])
    queries = np.ascontiguousarray(vectors[rows], np.float32)
    min_cosines = _neighbour_cosines(queries, vectors)
    recall = 0.0
    while True:
        before, recall = recall, _recall(index, queries, vectors, rows, min_cosines)
        is_enough = recall >= MIN_RECALL or recall < before + _MIN_GAIN
        if is_enough or index.nprobe == index.num_lists:
            break
        index.nprobe = min(3 * index.nprobe // 2, index.num_lists)
    code = f"PQ{dimension // 2}" if is_coded else "SQfp16"
    described = {"kind": f"IVF{index.num_lists},{code}", "nprobe": index.nprobe, "recall": recall}
    return lists, index, described


def _recall(
    index: InvertedFile, queries: np.ndarray, vectors: np.ndarray, rows: np.ndarray, min_cosines: np.ndarray
) -> float:
    """Share of the ten nearest other records of each query that is found; among equally near ones, any ten.

    It is measured for large batches and single queries, because rounding differs with the size of a batch.

    Args:
        index: of all vectors.
        queries: `[n, dimension]`, the vectors in some rows.
        vectors: all of them.
        rows: `[n]`.
        min_cosines: `[n]`, cosine of the tenth nearest other record.
    """
    num_hits = num_candidates(index.is_coded, NUM_CANDIDATES)
    at_once = index.search(queries, num_hits)[1]
    one_by_one = np.concatenate([index.search(query[None], num_hits)[1] for query in queries])
    shares = []
    for found in (at_once, one_by_one):
        num_found = np.zeros(len(queries))
        for query, records in enumerate(found):
            others = records[(records >= 0) & (records != rows[query])]
            cosines = np.asarray(vectors[others], np.float32) @ queries[query]
            num_found[query] = min((cosines >= min_cosines[query] - _ROUNDING).sum(), _NUM_NEIGHBOURS)
        shares.append(float(num_found.mean() / _NUM_NEIGHBOURS))
    return min(shares)


def _neighbour_cosines(queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """The cosine of the tenth nearest other vector, for queries that are among the vectors: `[queries]`."""
    with_itself = _NUM_NEIGHBOURS + 1
    best = np.full((len(queries), with_itself), -np.inf, np.float32)
    for begin in range(0, len(vectors), _BLOCK_RECORDS):
        block = np.asarray(vectors[begin : begin + _BLOCK_RECORDS], np.float32)
        cosines, _ = faiss.knn(queries, block, min(with_itself, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
        best = -np.sort(-np.concatenate([best, cosines], axis=1), axis=1)[:, :with_itself]
    return best[:, -1]
