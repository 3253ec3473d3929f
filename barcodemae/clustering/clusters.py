"""Clusters: numbered by size, each with the barcode that represents it."""

from dataclasses import dataclass

import numpy as np

from barcodemae.library.search.comparison import Comparison

# Their bases take some ten megabytes.


@dataclass(frozen=True)
class Clusters:
    """The cluster of each barcode.

    Attributes:
        numbers: int64 `[n]`, from 1, the largest cluster; equally large ones in the order of their first barcodes.
        sizes: int64 `[n]`, number of reads in the cluster, which is that of barcodes where none is annotated.
        is_representative: bool `[n]`, true for one barcode of each cluster.
        differences: float64 `[n]`, share of bases that differ from the representative, out of those known in both; NaN
            where there are none.
    """

    numbers: np.ndarray
    sizes: np.ndarray
    is_representative: np.ndarray
    differences: np.ndarray

    @property
    def num_clusters(self) -> int:
        """Number of clusters."""
        return int(self.is_representative.sum())


def describe_clusters(
    labels: np.ndarray, bases: np.ndarray, unique: np.ndarray, reads: np.ndarray, comparison: Comparison
) -> Clusters:
    """Number clusters, and find their representatives.

    Where numbers of reads are annotated, a cluster is represented by its most abundant barcode, otherwise by the one
    that `find_representative` chooses, also among equally abundant ones; and of the copies of this barcode, by the
    first of the most abundant ones.

    Args:
        labels: int64 `[unique]`, the cluster of each unique barcode, any numbers.
        bases: int8 `[unique, width]`, of unique barcodes, see `search.comparison`.
        unique: int64 `[n]`, for each barcode the index of its unique barcode.
        reads: int64 `[n]`, number of reads of each barcode.
        comparison: how barcodes are compared.
    """
    copies = np.zeros(len(labels), np.int64)
    np.add.at(copies, unique, reads)  # bincount has weights in floating point
    _, first, labels = np.unique(labels, return_index=True, return_inverse=True)
    sizes = np.zeros(len(first), np.int64)
    np.add.at(sizes, labels, copies)
    numbers = np.empty(len(sizes), np.int64)
    numbers[np.lexsort((first, -sizes))] = np.arange(1, len(sizes) + 1)

    representatives = np.empty(len(sizes), np.int64)
    differences = np.empty(len(labels))
    members = np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])
    has_abundance = bool((reads > 1).any())
    for cluster, rows in enumerate(members):
        most = rows[copies[rows] == copies[rows].max()] if has_abundance else rows
        representatives[cluster] = most[find_representative(bases[most], copies[most], comparison)]
        num_equal, num_shared = comparison.compare(bases[rows], bases[representatives[cluster]])
        with np.errstate(invalid="ignore"):
            differences[rows] = (num_shared - num_equal) / num_shared
    is_representative = np.zeros(len(unique), bool)
    most_abundant = np.lexsort((-reads, unique))
    is_representative[most_abundant[np.unique(unique[most_abundant], return_index=True)[1]][representatives]] = True
    return Clusters(numbers[labels[unique]], sizes[labels[unique]], is_representative, differences[unique])


def find_representative(bases: np.ndarray, copies: np.ndarray, comparison: Comparison) -> int:
    """The barcode of a cluster that agrees with all others in the most bases.

    Among barcodes of equal coverage this is the medoid, the one with the fewest differences from all others; a short
    barcode gains nothing from the bases that it lacks.

    Args:
        bases: int8 `[n, width]`, see `search.comparison`.
        copies: int64 `[n]`, number of barcodes with these bases.
        comparison: how they are compared.

    Returns:
        Its row; of equally good ones the first.
    """
    return int(comparison.agreement(bases, copies).argmax())
