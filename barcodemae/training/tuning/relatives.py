"""Related barcodes by their vectors alone: clusters of about the size of a species, and neighbouring clusters."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from barcodemae.embedding.nearest import nearest_by_cosine, unit_length

_BLOCK_ROWS = 1024


def cluster_by_cosine(vectors: np.ndarray, min_cosine: float) -> np.ndarray:
    """Single-linkage clusters: barcodes connected by a chain of pairs with at least a minimum cosine similarity.

    Cosines are computed block by block, and clusters are merged after each block: memory is linear in barcodes.

    Args:
        vectors: `[n, dimensions]`.
        min_cosine: minimum cosine similarity of a pair.

    Returns:
        int64 `[n]`, the cluster of each barcode, from 0.
    """
    vectors = unit_length(np.asarray(vectors, np.float32))
    clusters = np.arange(len(vectors))
    for begin in range(0, len(vectors), _BLOCK_ROWS):
        # Only columns from `begin` on: each pair is needed once.
        cosines = vectors[begin : begin + _BLOCK_ROWS] @ vectors[begin:].T
        i, j = np.nonzero(cosines >= min_cosine)
        clusters = _merged(clusters, clusters[begin + i], clusters[begin + j])
    return np.unique(clusters, return_inverse=True)[1]


def nearest_clusters(means: np.ndarray, num_nearest: int, min_cosine: float) -> np.ndarray:
    """Pairs of a cluster and one of its nearest clusters.

    Args:
        means: `[clusters, dimensions]`, mean vectors of the clusters.
        num_nearest: maximum number of nearest clusters for each cluster.
        min_cosine: minimum cosine similarity of a pair.

    Returns:
        int64 `[pairs, 2]`.
    """
    num_nearest = min(num_nearest, len(means) - 1)
    hits = nearest_by_cosine(means, means, num_nearest + 1)
    own = np.arange(len(means))[:, None]
    is_near = (hits.rows != own) & (hits.similarities >= min_cosine)
    is_near &= is_near.cumsum(axis=1) <= num_nearest  # among equal means, a cluster may be missing from its own hits
    firsts = np.broadcast_to(own, hits.rows.shape)
    return np.stack([firsts[is_near], hits.rows[is_near]], axis=1)


def group_means(vectors: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Mean of each group: float64 `[groups, dimensions]`; `groups [n]` are indices from 0 without gaps."""
    sizes = np.bincount(groups)
    sums = coo_array((np.ones(len(groups)), (groups, np.arange(len(groups))))).tocsr() @ vectors.astype(np.float64)
    return sums / sizes[:, None]


def _merged(clusters: np.ndarray, firsts: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    n = len(clusters)
    pairs = np.unique(firsts * n + seconds)
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs // n, pairs % n)), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)[clusters]
