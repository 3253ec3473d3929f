"""Which barcodes are relatives, told by their vectors alone: clusters as large as a species, and their neighbours."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from barcodemae.embedding.nearest import nearest_by_cosine, unit_length

_BLOCK_ROWS = 1024


def cluster_by_cosine(vectors: np.ndarray, min_cosine: float) -> np.ndarray:
    """Single-linkage clusters: two barcodes are of one if a chain of pairs with at least that cosine joins them.

    Cosines are computed block by block, and pairs go as soon as their clusters are one: memory is linear in barcodes.

    Args:
        vectors: `[n, dimensions]`.
        min_cosine: within a chain.

    Returns:
        int64 `[n]`, the number of each barcode's cluster, from 0.
    """
    vectors = unit_length(np.asarray(vectors, np.float32))
    clusters = np.arange(len(vectors))
    for begin in range(0, len(vectors), _BLOCK_ROWS):
        # A pair need be seen but once: its later barcode stands to the right.
        cosines = vectors[begin : begin + _BLOCK_ROWS] @ vectors[begin:].T
        i, j = np.nonzero(cosines >= min_cosine)
        clusters = _merged(clusters, clusters[begin + i], clusters[begin + j])
    return np.unique(clusters, return_inverse=True)[1]


def nearest_clusters(means: np.ndarray, num_nearest: int, min_cosine: float) -> np.ndarray:
    """Pairs of a cluster and one of those nearest to it.

    Args:
        means: `[clusters, dimensions]`, the mean vector of each.
        num_nearest: of each cluster, at most.
        min_cosine: what is farther is no relative.

    Returns:
        int64 `[pairs, 2]`.
    """
    num_nearest = min(num_nearest, len(means) - 1)
    hits = nearest_by_cosine(means, means, num_nearest + 1)
    itself = np.arange(len(means))[:, None]
    found = (hits.rows != itself) & (hits.similarities >= min_cosine)
    found &= found.cumsum(axis=1) <= num_nearest  # of equal means, a cluster may not find itself among the first
    firsts = np.broadcast_to(itself, hits.rows.shape)
    return np.stack([firsts[found], hits.rows[found]], axis=1)


def group_means(vectors: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Float64 `[groups, dimensions]`, the mean of each group; `groups [n]` are numbers from 0, none left out."""
    sizes = np.bincount(groups)
    sums = coo_array((np.ones(len(groups)), (groups, np.arange(len(groups))))).tocsr() @ vectors.astype(np.float64)
    return sums / sizes[:, None]


def _merged(clusters: np.ndarray, firsts: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    n = len(clusters)
    pairs = np.unique(firsts * n + seconds)
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs // n, pairs % n)), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)[clusters]
