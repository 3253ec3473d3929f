"""How the vectors of a segment are searched: exactly as long as that is quick, then by an inverted file of FAISS."""

import math
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from barcodemae.library.search.inverted_file import MIN_PROBED, InvertedFile, Lists, learn_lists

# So many vectors are compared with a query in a twentieth of a millisecond on one core.
EXACT_RECORDS = 10_000

# Up to here the index keeps vectors in half precision, from here on codes of a quarter of that: 8 bits for two numbers.
PRODUCT_RECORDS = 3_000_000

MIN_RECALL = 0.995

# Of `train`, twice as many lists (and half as large) were as quick; FAISS wants 39 points of each to train by.
_LISTS = 2
_TRAINING_POINTS = 64
_CODED_CANDIDATES = 4

# More lists are looked at only as long as that finds more.
_MIN_GAIN = 0.001

_ASKED = 1000
_CANDIDATES = 50
_NEIGHBOURS = 10
_ROUNDING = 2e-4  # of half precision
_BLOCK_RECORDS = 100_000


def describe_exact() -> dict[str, Any]:
    """What the manifest tells of a segment without an index file."""
    return {"kind": "exact"}


def num_candidates(is_coded: bool, num_hits: int) -> int:
    """How many records an index has to give so that the nearest are among them, which are then compared exactly."""
    return _CODED_CANDIDATES * num_hits if is_coded else num_hits


def build_index(vectors: np.ndarray, file: Path, seed: int = 0) -> dict[str, Any]:
    """Learn an inverted file, and keep what was learnt; as `learn_index`.

    Args:
        vectors, seed: as there.
        file: where it is written.
    """
    lists, _, described = learn_index(vectors, seed)
    lists.save(file)
    return described


def learn_index(vectors: np.ndarray, seed: int = 0) -> tuple[Lists, InvertedFile, dict[str, Any]]:
    """Learn an inverted file, and look at more and more of its lists until it finds what an exact search finds.

    Args:
        vectors: float32 or float16 `[n, dimension]`, of length 1.
        seed: of the draws.

    Returns:
        What was learnt, the index of all vectors, and what the manifest says of it: `kind` (FAISS's own description),
        `nprobe`, and `recall`: of a thousand records, how many of the ten nearest others are among those that the index
        gives when 50 are asked for, all at once or one at a time, whichever is less. The very nearest alone would be
        too easy: in a library with many barcodes of a species it is next to the record itself, and a query of a new
        species has no such neighbour.
    """
    n, dimension = vectors.shape
    is_coded = n > PRODUCT_RECORDS and dimension % 2 == 0
    lists = learn_lists(vectors, lambda distinct: int(_LISTS * math.sqrt(distinct)), _TRAINING_POINTS, is_coded, seed)
    index = InvertedFile(lists, np.arange(n), lambda rows: vectors[rows], MIN_PROBED)
    asked = np.sort(np.random.default_rng(seed).permutation(n)[:_ASKED])
    queries = np.ascontiguousarray(vectors[asked], np.float32)
    least = _cosine_of_neighbour(queries, vectors)
    recall = 0.0
    while True:
        before, recall = recall, _recall(index, queries, vectors, asked, least)
        is_enough = recall >= MIN_RECALL or recall < before + _MIN_GAIN
        if is_enough or index.nprobe == index.num_lists:
            break
        index.nprobe = min(2 * index.nprobe, index.num_lists)
    code = f"PQ{dimension // 2}" if is_coded else "SQfp16"
    described = {"kind": f"IVF{index.num_lists},{code}", "nprobe": index.nprobe, "recall": recall}
    return lists, index, described


def _recall(
    index: InvertedFile, queries: np.ndarray, vectors: np.ndarray, asked: np.ndarray, least: np.ndarray
) -> float:
    """Of the ten nearest other records of each query, the share that was found; of equally near ones any ten.

    Queries come in batches of every size, and rounding differs with the size.
    """
    num_hits = num_candidates(index.is_coded, _CANDIDATES)
    at_once = index.search(queries, num_hits)[1]
    one_by_one = np.concatenate([index.search(query[None], num_hits)[1] for query in queries])
    shares = []
    for found in (at_once, one_by_one):
        num_found = np.zeros(len(queries))
        for row, records in enumerate(found):
            others = records[(records >= 0) & (records != asked[row])]
            cosines = np.asarray(vectors[others], np.float32) @ queries[row]
            num_found[row] = min((cosines >= least[row] - _ROUNDING).sum(), _NEIGHBOURS)
        shares.append(float(num_found.mean() / _NEIGHBOURS))
    return min(shares)


def _cosine_of_neighbour(queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Of vectors that are among those given: the cosine of the tenth nearest other one, `[queries]`."""
    with_itself = _NEIGHBOURS + 1
    best = np.full((len(queries), with_itself), -np.inf, np.float32)
    for begin in range(0, len(vectors), _BLOCK_RECORDS):
        block = np.asarray(vectors[begin : begin + _BLOCK_RECORDS], np.float32)
        cosines, _ = faiss.knn(queries, block, min(with_itself, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
        best = -np.sort(-np.concatenate([best, cosines], axis=1), axis=1)[:, :with_itself]
    return best[:, -1]
