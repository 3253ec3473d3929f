"""Related barcodes by their vectors alone: clusters of about the size of a species, and neighbouring clusters.

Up to 20,000 vectors, all pairs are compared. Of more, each is compared with those in the nearest lists of an inverted
file, so that the time grows less than with their square.
"""

import math
from collections.abc import Iterator

import faiss
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from barcodemae.embedding.nearest import unit_length
from barcodemae.library.search.inverted_file import learn_lists

_MAX_EXACT = 20_000
_BLOCK_ROWS = 1024
_BLOCK_COLUMNS = 64

# Each vector is compared with those of so many lists; lists are learnt from so many vectors each.
_NUM_NEAR_LISTS = 4
_TRAINING_POINTS = 64


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
    for rows, others in _comparisons(vectors):
        i, j = np.nonzero(vectors[rows] @ vectors[others].T >= min_cosine)
        clusters = _merged(clusters, clusters[rows][i], clusters[others][j])
    return np.unique(clusters, return_inverse=True)[1]


def _comparisons(vectors: np.ndarray) -> Iterator[tuple[slice | np.ndarray, slice | np.ndarray]]:
    """Blocks of rows, and rows to compare each with; a pair is compared once in either direction, if at all."""
    n = len(vectors)
    if n <= _MAX_EXACT:
        for begin in range(0, n, _BLOCK_ROWS):
            yield slice(begin, begin + _BLOCK_ROWS), slice(None)
        return
    lists = learn_lists(vectors, lambda distinct: int(math.sqrt(distinct)), _TRAINING_POINTS, False, seed=0)
    num_lists = len(lists.centroids)
    num_near = min(_NUM_NEAR_LISTS, num_lists)
    near = faiss.knn(vectors, lists.centroids, num_near, metric=faiss.METRIC_INNER_PRODUCT)[1]
    members = _rows_by_number(lists.list_of, num_lists)
    for visitors, own in zip(_rows_by_number(near.ravel(), num_lists), members, strict=True):
        yield visitors // num_near, own


def _rows_by_number(numbers: np.ndarray, count: int) -> list[np.ndarray]:
    """The rows of each number from 0 to `count` - 1."""
    return np.split(np.argsort(numbers, kind="stable"), np.cumsum(np.bincount(numbers, minlength=count))[:-1])


def nearest_clusters(means: np.ndarray, num_nearest: int, min_cosine: float) -> np.ndarray:
    """Pairs of a cluster and one of its nearest clusters.

    Args:
        means: `[clusters, dimensions]`, mean vectors of the clusters.
        num_nearest: maximum number of nearest clusters for each cluster.
        min_cosine: minimum cosine similarity of a pair.

    Returns:
        int64 `[pairs, 2]`.
    """
    vectors, numbers = unit_length(np.asarray(means, np.float32)), np.arange(len(means))
    near = np.full((len(means), num_nearest), -1)
    cosines = np.full(near.shape, -np.inf, np.float32)
    for rows, others in _comparisons(vectors):
        references = numbers[others]
        found, columns = faiss.knn(
            vectors[rows], vectors[others], min(num_nearest + 1, len(references)), metric=faiss.METRIC_INNER_PRODUCT
        )
        candidates = np.concatenate([near[rows], references[columns]], axis=1)
        is_own = candidates == numbers[rows, None]
        similarities = np.where(is_own, -np.inf, np.concatenate([cosines[rows], found], axis=1))
        best = np.argsort(-similarities, axis=1, kind="stable")[:, :num_nearest]
        near[rows] = np.take_along_axis(candidates, best, axis=1)
        cosines[rows] = np.take_along_axis(similarities, best, axis=1)
    is_near = cosines >= min_cosine
    return np.stack([np.broadcast_to(numbers[:, None], near.shape)[is_near], near[is_near]], axis=1)


def group_means(vectors: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Mean of each group: float64 `[groups, dimensions]`; `groups [n]` are indices from 0 without gaps."""
    sizes = np.bincount(groups)
    members = coo_array((np.ones(len(groups)), (groups, np.arange(len(groups))))).tocsr()
    means = np.empty((len(sizes), vectors.shape[1]))
    for begin in range(0, vectors.shape[1], _BLOCK_COLUMNS):
        block = slice(begin, begin + _BLOCK_COLUMNS)
        means[:, block] = members @ vectors[:, block].astype(np.float64)
    return means / sizes[:, None]


def _merged(clusters: np.ndarray, firsts: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """The clusters `[n]` after joining pairs of them."""
    n = len(clusters)
    pairs = np.unique(firsts * n + seconds)
    involved, numbers = np.unique([pairs // n, pairs % n], return_inverse=True)
    links = coo_array((np.ones(len(pairs), np.int8), tuple(numbers.reshape(2, -1))), shape=2 * involved.shape)
    joined = connected_components(links, directed=False)[1]
    first_of = involved[np.unique(joined, return_index=True)[1]]
    new = np.arange(n)
    new[involved] = first_of[joined]
    return new[clusters]
