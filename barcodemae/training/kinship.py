"""Kinds of relatives of a barcode, to draw one from: of its cluster, of a cluster near it, or of its genus."""

from typing import Protocol

import numpy as np


class Kind(Protocol):
    """One kind of relatives.

    Attributes:
        has_any: bool `[n]`, which barcodes have such relatives.
    """

    has_any: np.ndarray

    def draw(self, records: np.ndarray, chances: np.ndarray) -> np.ndarray:
        """A relative of each record.

        Args:
            records: int64 `[drawn]`, all of which have one.
            chances: `[drawn, 2]`, uniform in [0, 1).

        Returns:
            int64 `[drawn]`, records.
        """


class Groups:
    """Numbers, each in one group at most, to draw from.

    Args:
        group: int64 `[n]`, the group of each number from 0 to n - 1; -1 for none.
        count: groups.

    Attributes:
        sizes: int64 `[count + 1]`; the last, which -1 finds too, is that of no group, 0.
    """

    def __init__(self, group: np.ndarray, count: int):
        order = np.argsort(group, kind="stable")
        self._members = order[np.searchsorted(group[order], 0) :]
        self.sizes = np.append(np.bincount(group[group >= 0], minlength=count), 0)
        self._begins = np.cumsum(self.sizes) - self.sizes
        self._rank = np.full(len(group), -1)
        self._rank[self._members] = np.arange(len(self._members)) - np.repeat(self._begins, self.sizes)

    def draw(self, groups: np.ndarray, chances: np.ndarray) -> np.ndarray:
        """A member of each group `[n]`, none of which is empty, by a number in [0, 1): int64 `[n]`."""
        return self._members[self._begins[groups] + (chances * self.sizes[groups]).astype(np.int64)]

    def draw_other(self, groups: np.ndarray, members: np.ndarray, chances: np.ndarray) -> np.ndarray:
        """The same, but never `members [n]` themselves; each group has two members or more."""
        rank = (chances * (self.sizes[groups] - 1)).astype(np.int64)
        return self._members[self._begins[groups] + rank + (rank >= self._rank[members])]


class OfSameCluster:
    """Another barcode of the same cluster.

    Args:
        clusters: int64 `[n]`, the cluster of each barcode, -1 for none.
    """

    def __init__(self, clusters: np.ndarray):
        self._clusters, self._barcodes = clusters, Groups(clusters, clusters.max(initial=-1) + 1)
        self.has_any = self._barcodes.sizes[clusters] > 1

    def draw(self, records: np.ndarray, chances: np.ndarray) -> np.ndarray:
        return self._barcodes.draw_other(self._clusters[records], records, chances[:, 0])


class OfNearCluster:
    """A barcode of a cluster near its own: first the cluster is drawn, then the barcode.

    Args:
        clusters: int64 `[n]`, the cluster of each barcode, -1 for none.
        pairs: int64 `[pairs, 2]`, a cluster and one that is near to it.
    """

    def __init__(self, clusters: np.ndarray, pairs: np.ndarray):
        count = clusters.max(initial=-1) + 1
        self._clusters, self._barcodes = clusters, Groups(clusters, count)
        self._near, self._pairs = Groups(pairs[:, 0], count), pairs
        self.has_any = self._near.sizes[clusters] > 0

    def draw(self, records: np.ndarray, chances: np.ndarray) -> np.ndarray:
        near = self._pairs[self._near.draw(self._clusters[records], chances[:, 0]), 1]
        return self._barcodes.draw(near, chances[:, 1])


class OfSameGenus:
    """A barcode of another species of its genus: first the species is drawn, then the barcode.

    Args:
        genera: int64 `[n]`, the genus of each barcode, -1 where unknown.
        species: int64 `[n]`, the same of species.
    """

    def __init__(self, genera: np.ndarray, species: np.ndarray):
        named = (genera >= 0) & (species >= 0)
        # A species name that stands in two genera is two species.
        pairs, unit = np.unique(np.stack([genera, species])[:, named], axis=1, return_inverse=True)
        self._units = np.full(len(genera), -1)
        self._units[named] = unit.ravel()
        self._barcodes = Groups(self._units, pairs.shape[1])
        self._genera = genera
        self._of_genus = Groups(pairs[0], genera.max(initial=-1) + 1)
        self.has_any = named & (self._of_genus.sizes[genera] > 1)

    def draw(self, records: np.ndarray, chances: np.ndarray) -> np.ndarray:
        species = self._of_genus.draw_other(self._genera[records], self._units[records], chances[:, 0])
        return self._barcodes.draw(species, chances[:, 1])
