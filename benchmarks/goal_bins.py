"""Barcodes into BINs, by a threshold that no label of theirs has chosen: of cosines, or of letters that differ.

Clusters are those of single linkage: what a chain of neighbours closer than the threshold holds together, as the BINs
themselves begin (Ratnasingham and Hebert 2013, "A DNA-based registry for all animal species: the Barcode Index Number
system"). On `val` and `val_unseen` (linear vectors) average and complete linkage were less than 0.1 points better at
their best thresholds, or worse; and single linkage keeps no distances of all pairs.

The threshold is the barcode gap: barcodes of one BIN join at small distances, BINs of one genus at larger ones, and
few in between. As the threshold grows, clusters join at a rate, d log(clusters) / d log(threshold); the threshold is
where this rate is lowest between two higher peaks. The rule and its one constant were settled on `train`, `val` and
`val_unseen`.

BINs were made of letters that differ, each counted once. So a second way compares the letters of barcodes that a model
puts next to each other; its threshold is the best one on 5,000 barcodes of `train`.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import AgglomerativeClustering

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.scores import load_metric
from barcodemae.vectors.nearest import nearest_by_cosine, unit_length

# Width of the Gaussian that smooths the rate, in log(distance).
BANDWIDTH = 0.3

# Of the letters that two barcodes of a BIN both have, the share that differs at most; from 1.7 to 2.5 % the adjusted
# mutual information of `train` is within half a point.
LETTERS_THRESHOLD = 0.02
NUM_NEIGHBOURS = 50

# Rounding of float32 cosines lies far below, one letter of 658 in a centred embedding above.
_SMALLEST_DISTANCE = 1e-4
_STEP = 0.02
_BLOCK_ROWS = 512
_TRIED = np.geomspace(1 / 5, 5, 33)  # times the threshold that was chosen


class Tree(NamedTuple):
    """Who joins whom, the nearest first.

    Attributes:
        children: int64 `[n - 1, 2]`: a barcode, 0 to n - 1, or n plus the number of an earlier join.
        distances: float64 `[n - 1]`, 1 - cosine, rising.
    """

    children: np.ndarray
    distances: np.ndarray


def link(vectors: np.ndarray) -> Tree:
    """Single linkage by cosine, in memory that grows with the rows and not with their pairs.

    Args:
        vectors: `[n, dimensions]`, two or more.

    Raises:
        ValueError: a value is not finite.
    """
    # Of unit vectors, half the squared distance is 1 - cosine, and this metric needs no matrix of all pairs.
    linkage = AgglomerativeClustering(n_clusters=None, distance_threshold=0, linkage="single")
    linkage.fit(unit_length(np.asarray(vectors, np.float32)))
    return Tree(linkage.children_, linkage.distances_**2 / 2)


def cut(tree: Tree, threshold: float) -> np.ndarray:
    """Cluster of each barcode `[n]`, from 0: joins up to the threshold, itself included."""
    n = len(tree.children) + 1
    joined = np.flatnonzero(tree.distances <= threshold)
    ends = tree.children[joined].ravel()
    edges = coo_array((np.ones(len(ends)), (ends, np.repeat(n + joined, 2))), shape=(2 * n - 1, 2 * n - 1))
    _, of_node = connected_components(edges, directed=False)
    return np.unique(of_node[:n], return_inverse=True)[1]


def join_rate(distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How fast clusters join as the threshold grows: thresholds `[m]`, and -d log(clusters) / d log(threshold) `[m]`.

    Raises:
        ConfigurationError: no two barcodes lie apart.
    """
    n_clusters = len(distances) + 1 - np.arange(len(distances))  # before each join
    apart = distances >= _SMALLEST_DISTANCE
    if not apart.any():
        raise ConfigurationError("expected barcodes that lie apart to put into BINs, got the same vector for all")
    places = np.log(distances[apart])
    steps = np.log(n_clusters / (n_clusters - 1))[apart]
    grid = np.arange(places.min(), places.max() + _STEP, _STEP)
    kernel = np.exp(-(((grid[:, None] - places) / BANDWIDTH) ** 2) / 2) / (BANDWIDTH * np.sqrt(2 * np.pi))
    return np.exp(grid), kernel @ steps


def gap_threshold(distances: np.ndarray) -> float:
    """The cosine distance at the bottom of the deepest valley of `join_rate`: no label is looked at.

    The depth of a valley is counted from the lower one of the highest peaks at its two sides.

    Args:
        distances: of a `Tree`, rising.

    Raises:
        ConfigurationError: the rate has one peak only.
    """
    thresholds, rate = join_rate(distances)
    highest_before = np.maximum.accumulate(rate)
    highest_after = np.maximum.accumulate(rate[::-1])[::-1]
    depth = np.minimum(highest_before, highest_after) - rate
    if depth.max() <= 0:
        raise ConfigurationError("expected a gap between the distances within and between BINs, found none")
    return float(thresholds[depth.argmax()])


def bin_scores(vectors: np.ndarray, bins: np.ndarray) -> dict[str, float]:
    """Adjusted mutual information of BINs and clusters, at the label-free threshold and at the best one.

    Args:
        vectors: `[n, dimensions]`.
        bins: `[n]`, names; they judge, and choose nothing but what is called best.

    Returns:
        `threshold, n_clusters, bin_ami`, and `best_threshold, best_bin_ami`: of 33 from a fifth of the chosen threshold
        to five times it, the chosen one among them.
    """
    tree = link(vectors)

    def ami(threshold: float) -> float:
        return load_metric("bin_ami").compute(predictions=cut(tree, threshold), references=bins)["bin_ami"]

    chosen = gap_threshold(tree.distances)
    tried = chosen * _TRIED
    found = [ami(threshold) for threshold in tried]
    return {
        "threshold": chosen,
        "n_clusters": int(cut(tree, chosen).max()) + 1,
        "bin_ami": ami(chosen),
        "best_threshold": float(tried[int(np.argmax(found))]),
        "best_bin_ami": max(found),
    }


def cluster_by_letters(vectors: np.ndarray, letters: np.ndarray) -> np.ndarray:
    """Single linkage of barcodes that are among each other's nearest and differ at a share of letters that is small.

    Args:
        vectors: `[n, dimensions]`, whose cosine tells who is near.
        letters: int8 `[n, coordinates]`, -1 where unknown.

    Returns:
        Cluster of each barcode `[n]`.
    """
    n = len(vectors)
    near = nearest_by_cosine(vectors, vectors, min(NUM_NEIGHBOURS + 1, n)).rows
    pairs = []
    for begin in range(0, n, _BLOCK_ROWS):
        own, others = letters[begin : begin + _BLOCK_ROWS, None], letters[near[begin : begin + _BLOCK_ROWS]]
        both = (own >= 0) & (others >= 0)
        differing = ((own != others) & both).sum(axis=2)
        rows, places = np.nonzero(differing <= LETTERS_THRESHOLD * both.sum(axis=2))
        pairs.append(np.stack([begin + rows, near[begin + rows, places]]))
    i, j = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(i), np.int8), (i, j)), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def letter_bin_scores(vectors: np.ndarray, letters: np.ndarray, bins: np.ndarray) -> dict[str, float]:
    """Adjusted mutual information of BINs and `cluster_by_letters`: `n_clusters, bin_ami, share_of_letters`."""
    clusters = cluster_by_letters(vectors, letters)
    return {
        "n_clusters": int(clusters.max()) + 1,
        "bin_ami": load_metric("bin_ami").compute(predictions=clusters, references=bins)["bin_ami"],
        "share_of_letters": LETTERS_THRESHOLD,
    }
