"""Related barcodes by their vectors alone: clusters of about the size of a species, and neighbouring clusters.

Up to `MAX_EXACT_BARCODES` barcodes, all pairs are compared. With more, each is compared with those in the nearest lists
of an inverted file, so that the time grows less than with their square.
"""

import math
from collections.abc import Iterator

import faiss
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from barcodemae.clustering.candidates import MAX_EXACT_BARCODES, Candidates
from barcodemae.embedding.nearest import unit_length
from barcodemae.library.search.inverted_file import learn_lists

_BLOCK_ROWS = 1024
_BLOCK_COLUMNS = 64

# Each barcode is compared with those of so many lists; lists are learnt from so many barcodes each.
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
    """Blocks of rows, and the rows to compare each of them with, so that near ones are compared once or more."""
    n = len(vectors)
    if n <= MAX_EXACT_BARCODES:
        for begin in range(0, n, _BLOCK_ROWS):
            yield slice(begin, begin + _BLOCK_ROWS), slice(begin, None)  # each pair is needed once
        return
    lists = learn_lists(vectors, lambda distinct: int(math.sqrt(distinct)), _TRAINING_POINTS, False, seed=0)
    members, num_near = _rows_by_number(lists.list_of), min(_NUM_NEAR_LISTS, len(lists.centroids))
    near = faiss.knn(vectors, lists.centroids, num_near, metric=faiss.METRIC_INNER_PRODUCT)[1]
    for visitors, own in zip(_rows_by_number(near.ravel()), members, strict=True):
        yield visitors // num_near, own


def _rows_by_number(numbers: np.ndarray) -> list[np.ndarray]:
    """The rows of each number, for numbers `[n]` from 0 without gaps."""
    return np.split(np.argsort(numbers, kind="stable"), np.cumsum(np.bincount(numbers))[:-1])


def nearest_clusters(means: np.ndarray, num_nearest: int, min_cosine: float) -> np.ndarray:
    """Pairs of a cluster and one of its nearest clusters.

    Args:
        means: `[clusters, dimensions]`, mean vectors of the clusters.
        num_nearest: maximum number of nearest clusters for each cluster, up to 50.
        min_cosine: minimum cosine similarity of a pair.

    Returns:
        int64 `[pairs, 2]`.
    """
    vectors = unit_length(np.asarray(means, np.float32))
    candidates, rows = Candidates(vectors), np.arange(len(vectors))
    found = [np.empty((0, 2), np.int64)]
    for begin in range(0, len(rows), _BLOCK_ROWS):
        own = rows[begin : begin + _BLOCK_ROWS, None]
        near = candidates.nearest(own[:, 0], rows)[:, : num_nearest + 1]
        cosines = np.einsum("nd,nkd->nk", vectors[own[:, 0]], vectors[near])
        is_near = (near != own) & (near >= 0) & (cosines >= min_cosine)
        is_near &= is_near.cumsum(axis=1) <= num_nearest
        found.append(np.stack([np.broadcast_to(own, near.shape)[is_near], near[is_near]], axis=1))
    return np.concatenate(found)


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
