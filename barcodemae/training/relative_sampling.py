"""Draws a relative of a barcode: from its own cluster, from a neighbouring cluster, or from its genus."""

from typing import Protocol

import numpy as np


class RelativeSampler(Protocol):
    """Draws relatives of one kind.

    Attributes:
        has_any: bool `[n]`, whether each barcode has such relatives.
    """

    has_any: np.ndarray

    def draw(self, records: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """A relative of each record.

        Args:
            records: int64 `[drawn]`, indices of records, each of which has a relative.
            numbers: `[drawn, 2]`, random numbers, uniform in [0, 1).

        Returns:
            int64 `[drawn]`, indices of records.
        """


class GroupSampler:
    """Draws members of groups. Members are the integers from 0 to n - 1, each in one group at most.

    Args:
        groups: int64 `[n]`, the group of each member; -1 if it is in none.
        num_groups: number of groups.

    Attributes:
        sizes: int64 `[num_groups + 1]`; the last, which index -1 selects, is 0.
    """

    def __init__(self, groups: np.ndarray, num_groups: int):
        order = np.argsort(groups, kind="stable")
        self._members = order[np.searchsorted(groups[order], 0) :]
        self.sizes = np.append(np.bincount(groups[groups >= 0], minlength=num_groups), 0)
        self._begins = np.cumsum(self.sizes) - self.sizes
        self._index_in_group = np.full(len(groups), -1)
        self._index_in_group[self._members] = np.arange(len(self._members)) - np.repeat(self._begins, self.sizes)

    def members(self, groups: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """The members of `groups` at `indices`, 0 to the group's size - 1: int64 of their common shape."""
        return self._members[self._begins[groups] + indices]

    def draw(self, groups: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """A member of each group `[n]`, none of them empty, by random numbers `[n]` in [0, 1): int64 `[n]`."""
        return self.members(groups, (numbers * self.sizes[groups]).astype(np.int64))

    def draw_other(self, groups: np.ndarray, members: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """As `draw`, but never the given `members [n]` of the groups; each group has two members or more."""
        index = (numbers * (self.sizes[groups] - 1)).astype(np.int64)
        return self.members(groups, index + (index >= self._index_in_group[members]))


class SameClusterSampler:
    """Draws another barcode of the same cluster.

    Args:
        clusters: int64 `[n]`, the cluster of each barcode, -1 if it is in none.
    """

    def __init__(self, clusters: np.ndarray):
        self._clusters, self._barcodes = clusters, GroupSampler(clusters, clusters.max(initial=-1) + 1)
        self.has_any = self._barcodes.sizes[clusters] > 1

    def draw(self, records: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        return self._barcodes.draw_other(self._clusters[records], records, numbers[:, 0])


class NearClusterSampler:
    """Draws first a neighbouring cluster, then one of its barcodes.

    Args:
        clusters: int64 `[n]`, the cluster of each barcode, -1 if it is in none.
        pairs: int64 `[pairs, 2]`, a cluster and a neighbour of it.
    """

    def __init__(self, clusters: np.ndarray, pairs: np.ndarray):
        num_clusters = clusters.max(initial=-1) + 1
        self._clusters, self._barcodes = clusters, GroupSampler(clusters, num_clusters)
        self._neighbours, self._pairs = GroupSampler(pairs[:, 0], num_clusters), pairs
        self.has_any = self._neighbours.sizes[clusters] > 0

    def draw(self, records: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        pairs = self._neighbours.draw(self._clusters[records], numbers[:, 0])
        return self._barcodes.draw(self._pairs[pairs, 1], numbers[:, 1])


class SameGenusSampler:
    """Draws first another species of the same genus, then one of its barcodes.

    Args:
        genera: int64 `[n]`, the genus of each barcode, -1 if unknown.
        species: int64 `[n]`, the species of each barcode, -1 if unknown.
    """

    def __init__(self, genera: np.ndarray, species: np.ndarray):
        is_named = (genera >= 0) & (species >= 0)
        # The same species name in two genera denotes two species.
        pairs, named_species = np.unique(np.stack([genera, species])[:, is_named], axis=1, return_inverse=True)
        self._species = np.full(len(genera), -1)
        self._species[is_named] = named_species.ravel()
        self._barcodes = GroupSampler(self._species, pairs.shape[1])
        self._genera = genera
        self._species_by_genus = GroupSampler(pairs[0], genera.max(initial=-1) + 1)
        self.has_any = is_named & (self._species_by_genus.sizes[genera] > 1)

    def draw(self, records: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        species = self._species_by_genus.draw_other(self._genera[records], self._species[records], numbers[:, 0])
        return self._barcodes.draw(species, numbers[:, 1])
