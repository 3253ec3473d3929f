"""Single linkage of barcodes by the bases that differ, which is also the first step in making BINs.

Ratnasingham and Hebert 2013, "A DNA-based registry for all animal species: the Barcode Index Number system".
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from barcodemae.clustering.candidates import Candidates
from barcodemae.library.search.comparison import Comparison
from barcodemae.library.search.marker import MIN_BASES

LONG_SHARE = 2 / 3
"""Barcodes with at least this share of the bases of the longest one are clustered first; shorter ones join them."""

_BLOCK_PAIRS = 2**10


class Pairs(NamedTuple):
    """Barcodes that were compared.

    Attributes:
        first, second: int32 `[pairs]`, rows of the bases.
        differences: float64 `[pairs]`, share of bases that differ, out of those known in both.
    """

    first: np.ndarray
    second: np.ndarray
    differences: np.ndarray

    def within(self, threshold: float) -> "Pairs":
        """Those whose difference is at most the threshold."""
        near = self.differences <= threshold
        return Pairs(*(values[near] for values in self))


class Linkage:
    """Single linkage of barcodes, each compared with its candidates.

    Args:
        vectors: float32 `[n, dimension]`, of length 1; the candidates of a barcode are the nearest by cosine.
        bases: int8 `[n, width]`, see `search.comparison`; unique rows, for copies of one barcode would take the slots
            of its other relatives.
        comparison: how they are compared.

    Attributes:
        candidates: finds the candidates.
    """

    def __init__(self, vectors: np.ndarray, bases: np.ndarray, comparison: Comparison):
        self._bases, self._comparison = bases, comparison
        self.candidates = Candidates(vectors)
        everyone = np.arange(len(bases))
        self._near = self.candidates.nearest(everyone, among=everyone)
        self._pairs = compare_pairs(bases, everyone, self._near, comparison)

    def joins(self) -> tuple[np.ndarray, int]:
        """The distances at which clusters join, for `clustering.gap`.

        Returns:
            Distances, ascending, those of 0 included; and the number of clusters after the last join.
        """
        n = len(self._bases)
        # A sparse matrix takes a value of 0 as no entry.
        tree = minimum_spanning_tree(_graph(n, self._pairs, 1 + self._pairs.differences))
        return np.sort(tree.data - 1), n - tree.nnz

    def cut(self, threshold: float) -> np.ndarray:
        """The cluster of each barcode `[n]`, from 0.

        A short barcode may equal barcodes of two species in the bases that it has, and would link them. So the long
        ones are clustered first, and then each short one joins the cluster of the long one nearest to it. Those that
        are not near any are clustered in the same way.

        Args:
            threshold: maximum share of bases in which two barcodes that join differ.
        """
        num_bases = self._comparison.num_bases(self._bases)
        clusters = np.full(len(self._bases), -1)
        left = np.arange(len(self._bases))
        while len(left):
            is_long = num_bases[left] >= LONG_SHARE * num_bases[left].max()
            long, short = left[is_long], left[~is_long]
            clusters[long] = clusters.max(initial=-1) + 1 + self._link(long, threshold)
            nearest = self._nearest_of(short, long, threshold)
            clusters[short] = np.where(nearest >= 0, clusters[nearest], -1)
            left = short[nearest < 0]
        return clusters

    def _link(self, rows: np.ndarray, threshold: float) -> np.ndarray:
        """Single linkage of some of the barcodes: their clusters `[m]`, from 0.

        A barcode whose candidates are all in its own cluster may have relatives further away. The candidates of such
        relatives are all in their own cluster too, otherwise the two would have been compared. So these barcodes are
        searched again, each among those of other clusters, until no more clusters join.
        """
        n = len(self._bases)
        is_in = np.zeros(n, bool)
        is_in[rows] = True
        near = np.where((self._near >= 0) & is_in[self._near], self._near, -1)
        pairs = self._pairs.within(threshold)
        pairs = Pairs(*(values[is_in[pairs.first] & is_in[pairs.second]] for values in pairs))
        while True:
            clusters = _components(n, pairs)
            is_own = (clusters[near[rows]] == clusters[rows, None]) | (near[rows] < 0)
            enclosed = rows[is_own.all(axis=1)]
            further = self._nearest_outside(enclosed, clusters)
            new = compare_pairs(self._bases, enclosed, further, self._comparison).within(threshold)
            if not len(new.first):
                return np.unique(clusters[rows], return_inverse=True)[1]
            pairs = Pairs(*map(np.concatenate, zip(pairs, new, strict=True)))
            near[enclosed] = further

    def _nearest_of(self, rows: np.ndarray, among: np.ndarray, threshold: float) -> np.ndarray:
        """For each of some barcodes, the one of others that differs in the smallest share of bases, the first of equal
        ones; -1 where none is near."""
        found = np.full(len(rows), -1)
        pairs = compare_pairs(self._bases, rows, self.candidates.nearest(rows, among), self._comparison).within(
            threshold
        )
        order = np.lexsort((pairs.second, pairs.differences, pairs.first))
        short, first = np.unique(pairs.first[order], return_index=True)
        found[np.searchsorted(rows, short)] = pairs.second[order][first]
        return found

    def _nearest_outside(self, rows: np.ndarray, clusters: np.ndarray) -> np.ndarray:
        """For each of some barcodes, the nearest of them in other clusters: `[m, candidates]`."""
        found = np.full((len(rows), self._near.shape[1]), -1)
        for cluster in np.unique(clusters[rows]):
            own = clusters[rows] == cluster
            found[own] = self.candidates.nearest(rows[own], among=rows[~own])
        return found


def compare_pairs(bases: np.ndarray, rows: np.ndarray, candidates: np.ndarray, comparison: Comparison) -> Pairs:
    """Compare barcodes with their candidates.

    Args:
        bases: int8 `[n, width]`, see `search.comparison`.
        rows: `[m]`.
        candidates: `[m, candidates]`, rows too; -1 for none.
        comparison: how they are compared.

    Returns:
        All pairs, except a barcode with itself, and barcodes that share fewer than `MIN_BASES`.
    """
    is_pair = (candidates >= 0) & (candidates != rows[:, None])
    first = np.broadcast_to(rows[:, None], candidates.shape)[is_pair].astype(np.int32)
    second = candidates[is_pair].astype(np.int32)
    differences = np.full(len(first), np.inf)
    for begin in range(0, len(first), _BLOCK_PAIRS):
        block = slice(begin, begin + _BLOCK_PAIRS)
        num_equal, num_shared = comparison.compare(bases[first[block]], bases[second[block]])
        enough = num_shared >= MIN_BASES
        differences[block][enough] = (num_shared - num_equal)[enough] / num_shared[enough]
    return Pairs(first, second, differences).within(1)


def _components(n: int, pairs: Pairs) -> np.ndarray:
    return connected_components(_graph(n, pairs, np.ones(len(pairs.first), np.int8)), directed=False)[1]


def _graph(n: int, pairs: Pairs, weights: np.ndarray) -> coo_array:
    return coo_array((weights, (pairs.first, pairs.second)), shape=(n, n))
