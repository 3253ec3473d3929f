"""Bases to clusters: numbered by size, each with its representative."""

from dataclasses import dataclass

import numpy as np

from barcodemae.clustering.differences import differing
from barcodemae.clustering.representatives import representative


@dataclass(frozen=True)
class Clusters:
    """What is told of each barcode.

    Attributes:
        numbers: int64 `[n]`, from 1: the largest cluster; of equally large ones, that of the first barcode.
        sizes: int64 `[n]`, barcodes in its cluster.
        is_representative: bool `[n]`, one barcode of each cluster.
        differences: float64 `[n]`, share of bases that differ from the representative, of those that both have; NaN
            where they share none.
    """

    numbers: np.ndarray
    sizes: np.ndarray
    is_representative: np.ndarray
    differences: np.ndarray

    @property
    def num_clusters(self) -> int:
        """How many there are."""
        return int(self.is_representative.sum())


def describe(clusters: np.ndarray, bases: np.ndarray, kinds: np.ndarray) -> Clusters:
    """Number clusters, and find their representatives.

    Args:
        clusters: int64 `[kinds]`, from 0.
        bases: int8 `[kinds, coordinates]`, of barcodes that all differ.
        kinds: int64 `[n]`, the row of `bases` of each barcode.
    """
    copies = np.bincount(kinds, minlength=len(clusters))
    _, first, clusters = np.unique(clusters, return_index=True, return_inverse=True)
    sizes = np.bincount(clusters, copies).astype(np.int64)
    numbers = np.empty(len(sizes), np.int64)
    numbers[np.lexsort((first, -sizes))] = np.arange(1, len(sizes) + 1)

    chosen = np.empty(len(sizes), np.int64)
    members = np.split(np.argsort(clusters, kind="stable"), np.cumsum(np.bincount(clusters))[:-1])
    differences = np.empty(len(clusters))
    for cluster, rows in enumerate(members):
        chosen[cluster] = rows[representative(bases[rows], copies[rows])]
        num_differing, num_shared = differing(bases[rows], bases[chosen[cluster], None])
        with np.errstate(invalid="ignore"):
            differences[rows] = num_differing / num_shared
    is_representative = np.zeros(len(kinds), bool)
    is_representative[np.unique(kinds, return_index=True)[1][chosen]] = True
    return Clusters(numbers[clusters[kinds]], sizes[clusters[kinds]], is_representative, differences[kinds])
