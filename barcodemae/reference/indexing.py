"""How the vectors of a segment are searched: exactly as long as that is quick, then by an inverted file of FAISS."""

import math
from pathlib import Path
from typing import Any

import faiss
import numpy as np

# So many vectors are compared with a query in a fifth of a millisecond on one core.
EXACT_RECORDS = 100_000

# From here on vectors are kept as product codes: 8 bits for four numbers, in place of 8 bits for one.
PRODUCT_RECORDS = 3_000_000

LEAST_RECALL = 0.99

_TRAINING_POINTS = 64  # of each list of the inverted file
_ASKED = 1000
_CANDIDATES = 50
_NEIGHBOURS = 10
_ROUNDING = 1e-6


def describe_exact() -> dict[str, Any]:
    """What the manifest tells of a segment without an index file."""
    return {"kind": "exact"}


def build_index(vectors: np.ndarray, file: Path, seed: int = 0) -> dict[str, Any]:
    """Build an inverted file, and look at more and more of its lists until it finds what an exact search finds.

    Args:
        vectors: float32 or float16 `[n, dimension]`, of length 1.
        file: where it is written.
        seed: of the draws.

    Returns:
        What the manifest tells: `kind` (FAISS's own description), `nprobe`, and `recall`: of a thousand records, how
        many of the ten nearest others are among the 50 that the index gives, which are then compared exactly. The very
        nearest alone would be too easy: in a library with many barcodes of a species it is next to the record itself,
        and a query of a new species has no such neighbour.
    """
    n, dimension = vectors.shape
    num_lists = 4 * int(math.sqrt(n))
    code = f"PQ{dimension // 4}" if n > PRODUCT_RECORDS and dimension % 4 == 0 else "SQ8"
    kind = f"IVF{num_lists},{code}"
    rng = np.random.default_rng(seed)
    index: Any = faiss.index_factory(dimension, kind, faiss.METRIC_INNER_PRODUCT)
    sample = np.sort(rng.permutation(n)[: _TRAINING_POINTS * num_lists])
    index.train(np.ascontiguousarray(vectors[sample], np.float32))
    for begin in range(0, n, EXACT_RECORDS):
        index.add(np.ascontiguousarray(vectors[begin : begin + EXACT_RECORDS], np.float32))
    asked = np.sort(rng.permutation(n)[:_ASKED])
    queries = np.ascontiguousarray(vectors[asked], np.float32)
    least = _cosine_of_neighbour(queries, vectors)
    index.nprobe, recall = 1, 0.0
    while True:
        found = index.search(queries, _CANDIDATES)[1]
        cosines = np.einsum("ncd,nd->nc", np.asarray(vectors[np.maximum(found, 0)], np.float32), queries)
        is_near = (cosines >= least[:, None] - _ROUNDING) & (found >= 0) & (found != asked[:, None])
        recall = float(np.minimum(is_near.sum(axis=1), _NEIGHBOURS).mean() / _NEIGHBOURS)
        if recall >= LEAST_RECALL or index.nprobe >= num_lists:
            break
        index.nprobe = min(2 * index.nprobe, num_lists)
    faiss.write_index(index, str(file))
    return {"kind": kind, "nprobe": index.nprobe, "recall": recall}


def _cosine_of_neighbour(queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Of vectors that are among those given: the cosine of the tenth nearest other one, `[queries]`."""
    with_itself = _NEIGHBOURS + 1
    best = np.full((len(queries), with_itself), -np.inf, np.float32)
    for begin in range(0, len(vectors), EXACT_RECORDS):
        block = np.asarray(vectors[begin : begin + EXACT_RECORDS], np.float32)
        cosines, _ = faiss.knn(queries, block, min(with_itself, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
        best = -np.sort(-np.concatenate([best, cosines], axis=1), axis=1)[:, :with_itself]
    return best[:, -1]
