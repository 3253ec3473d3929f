"""How the vectors of a segment are searched: exactly as long as that is quick, then by an inverted file of FAISS."""

import math
from pathlib import Path
from typing import Any

import faiss
import numpy as np

# So many vectors are compared with a query in a twentieth of a millisecond on one core.
EXACT_RECORDS = 10_000

# Up to here the index keeps vectors in half precision, from here on codes of a quarter of that: 8 bits for two numbers.
PRODUCT_RECORDS = 3_000_000

LEAST_RECALL = 0.995

# Of `train`, twice as many lists (and half as large) were as quick; FAISS wants 39 points of each to train by.
_LISTS = 2
_TRAINING_POINTS = 64
_CODED_CANDIDATES = 4

# More lists are looked at only as long as that finds more.
_LEAST_GAIN = 0.001

_ASKED = 1000
_CANDIDATES = 50
_NEIGHBOURS = 10
_ROUNDING = 2e-4  # of half precision
_BLOCK_RECORDS = 100_000


def describe_exact() -> dict[str, Any]:
    """What the manifest tells of a segment without an index file."""
    return {"kind": "exact"}


def num_candidates(kind: str, num_hits: int) -> int:
    """How many records an index has to give so that the nearest are among them, which are then compared exactly."""
    return _CODED_CANDIDATES * num_hits if "PQ" in kind else num_hits


def build_index(vectors: np.ndarray, file: Path, seed: int = 0) -> dict[str, Any]:
    """Build an inverted file, and look at more and more of its lists until it finds what an exact search finds.

    Args:
        vectors: float32 or float16 `[n, dimension]`, of length 1.
        file: where it is written.
        seed: of the draws.

    Returns:
        What the manifest tells: `kind` (FAISS's own description), `nprobe`, and `recall`: of a thousand records, how
        many of the ten nearest others are among those that the index gives when 50 are asked for. The very nearest
        alone would be too easy: in a library with many barcodes of a species it is next to the record itself, and a
        query of a new species has no such neighbour.
    """
    n, dimension = vectors.shape
    num_lists = _LISTS * int(math.sqrt(n))
    code = f"PQ{dimension // 2}" if n > PRODUCT_RECORDS and dimension % 2 == 0 else "SQfp16"
    kind = f"IVF{num_lists},{code}"
    rng = np.random.default_rng(seed)
    index: Any = faiss.index_factory(dimension, kind, faiss.METRIC_INNER_PRODUCT)
    sample = np.sort(rng.permutation(n)[: _TRAINING_POINTS * num_lists])
    index.train(np.ascontiguousarray(vectors[sample], np.float32))
    for begin in range(0, n, _BLOCK_RECORDS):
        index.add(np.ascontiguousarray(vectors[begin : begin + _BLOCK_RECORDS], np.float32))
    asked = np.sort(rng.permutation(n)[:_ASKED])
    queries = np.ascontiguousarray(vectors[asked], np.float32)
    least = _cosine_of_neighbour(queries, vectors)
    index.nprobe, recall = 1, 0.0
    while True:
        before = recall
        found = index.search(queries, num_candidates(kind, _CANDIDATES))[1]
        recall = _recall(queries, vectors, found, asked, least)
        is_enough = recall >= LEAST_RECALL or recall < before + _LEAST_GAIN
        if is_enough or index.nprobe >= num_lists:
            break
        index.nprobe = min(2 * index.nprobe, num_lists)
    faiss.write_index(index, str(file))
    return {"kind": kind, "nprobe": index.nprobe, "recall": recall}


def _recall(queries: np.ndarray, vectors: np.ndarray, found: np.ndarray, asked: np.ndarray, least: np.ndarray) -> float:
    """Of the ten nearest other records of each query, the share that was found; of equally near ones any ten."""
    num_found = np.zeros(len(queries))
    for row, records in enumerate(found):
        others = records[(records >= 0) & (records != asked[row])]
        cosines = np.asarray(vectors[others], np.float32) @ queries[row]
        num_found[row] = min((cosines >= least[row] - _ROUNDING).sum(), _NEIGHBOURS)
    return float(num_found.mean() / _NEIGHBOURS)


def _cosine_of_neighbour(queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Of vectors that are among those given: the cosine of the tenth nearest other one, `[queries]`."""
    with_itself = _NEIGHBOURS + 1
    best = np.full((len(queries), with_itself), -np.inf, np.float32)
    for begin in range(0, len(vectors), _BLOCK_RECORDS):
        block = np.asarray(vectors[begin : begin + _BLOCK_RECORDS], np.float32)
        cosines, _ = faiss.knn(queries, block, min(with_itself, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
        best = -np.sort(-np.concatenate([best, cosines], axis=1), axis=1)[:, :with_itself]
    return best[:, -1]
