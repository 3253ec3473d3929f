"""Barcodes into BINs, by a threshold that no label of theirs has chosen: of cosines, or of letters that differ.

Clusters are those of single linkage: what a chain of neighbours closer than the threshold holds together, as the BINs
themselves begin (Ratnasingham and Hebert 2013, "A DNA-based registry for all animal species: the Barcode Index Number
system"). On `val` and `val_unseen` (linear vectors) average and complete linkage were less than 0.1 points better at
their best thresholds, or worse; and single linkage keeps no distances of all pairs.

Of cosines, the threshold is where `barcodemae.clustering.gap` finds the barcode gap. That rule and its one constant
were settled on `train`, `val` and `val_unseen`. BINs were made of letters that differ, each counted once. So a second
way is that of `barcodemae cluster`: it compares the letters of barcodes that a model puts next to each other.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import AgglomerativeClustering

from barcodemae.clustering.copies import distinct
from barcodemae.clustering.gap import gap_threshold
from barcodemae.clustering.linkage import THRESHOLD, Linkage
from barcodemae.evaluation.scores import load_metric
from barcodemae.vectors.nearest import unit_length

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


def letter_bin_scores(vectors: np.ndarray, letters: np.ndarray, bins: np.ndarray) -> dict[str, float]:
    """Adjusted mutual information of BINs and of clusters by the letters that differ.

    Args:
        vectors: `[n, dimensions]`, whose cosine tells whose letters are compared.
        letters: int8 `[n, coordinates]`, -1 where unknown.
        bins: `[n]`, names.

    Returns:
        `n_clusters, bin_ami, share_of_letters`.
    """
    first, kinds = distinct(letters)
    clusters = Linkage(unit_length(vectors[first]), letters[first]).cut(THRESHOLD)[kinds]
    return {
        "n_clusters": int(clusters.max()) + 1,
        "bin_ami": load_metric("bin_ami").compute(predictions=clusters, references=bins)["bin_ami"],
        "share_of_letters": THRESHOLD,
    }
