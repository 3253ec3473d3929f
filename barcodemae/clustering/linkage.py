"""Single linkage of barcodes by the bases that differ, as the BINs themselves begin.

Ratnasingham and Hebert 2013, "A DNA-based registry for all animal species: the Barcode Index Number system".
"""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from barcodemae.clustering.candidates import Candidates
from barcodemae.clustering.differences import Pairs, compare


class Linkage:
    """Barcodes, each compared with those that may be its relatives.

    Args:
        vectors: float32 `[n, dimension]`, of length 1, whose cosine tells who may be near.
        bases: int8 `[n, coordinates]`, -1 where unknown; no two rows the same, for copies of one barcode would fill
            the places of its other relatives.

    Attributes:
        candidates: what finds those that may be relatives.
    """

    def __init__(self, vectors: np.ndarray, bases: np.ndarray):
        self._bases = bases
        self.candidates = Candidates(vectors)
        everyone = np.arange(len(bases))
        self._near = self.candidates.of(everyone, among=everyone)
        self._pairs = compare(bases, everyone, self._near)

    def joins(self) -> tuple[np.ndarray, int]:
        """What `clustering.gap` reads.

        Returns:
            Differences at which clusters join, rising, those of 0 among them; and how many clusters are left then.
        """
        n = len(self._bases)
        # A sparse matrix takes an entry of 0 for none.
        tree = minimum_spanning_tree(_graph(n, self._pairs, 1 + self._pairs.differences))
        return np.sort(tree.data - 1), n - tree.nnz

    def cut(self, threshold: float) -> np.ndarray:
        """Cluster of each barcode `[n]`, from 0.

        A barcode whose candidates all are of its own cluster may have relatives behind them. Those of such relatives
        are of theirs alone too, or they would have met. So these barcodes ask again among each other, without their own
        cluster, until no clusters join any more.

        Args:
            threshold: share of bases that differ, itself included.
        """
        near, pairs = self._near, _within(self._pairs, threshold)
        while True:
            clusters = _components(len(self._bases), pairs)
            hidden = np.flatnonzero(((clusters[near] == clusters[:, None]) | (near < 0)).all(axis=1))
            behind = self._behind(hidden, clusters)
            new = _within(compare(self._bases, hidden, behind), threshold)
            if not len(new.first):
                return clusters
            pairs = Pairs(*map(np.concatenate, zip(pairs, new, strict=True)))
            near = near.copy()
            near[hidden] = behind

    def _behind(self, rows: np.ndarray, clusters: np.ndarray) -> np.ndarray:
        """Of some barcodes, for each the nearest that are of another cluster than it: `[m, candidates]`."""
        found = np.full((len(rows), self._near.shape[1]), -1)
        for cluster in np.unique(clusters[rows]):
            own = clusters[rows] == cluster
            found[own] = self.candidates.of(rows[own], among=rows[~own])
        return found


def _within(pairs: Pairs, threshold: float) -> Pairs:
    near = pairs.differences <= threshold
    return Pairs(*(values[near] for values in pairs))


def _components(n: int, pairs: Pairs) -> np.ndarray:
    return connected_components(_graph(n, pairs, np.ones(len(pairs.first), np.int8)), directed=False)[1]


def _graph(n: int, pairs: Pairs, weights: np.ndarray) -> coo_array:
    return coo_array((weights, (pairs.first, pairs.second)), shape=(n, n))
