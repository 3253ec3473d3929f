"""Soft targets and weights of taxa in a classification: hierarchical label smoothing, and class weights.

The smoothing is that of MycoAI (Romeijn et al. 2024, Molecular Ecology Resources, doi 10.1111/1755-0998.14006).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from barcodemae.data.schema import RANKS


@dataclass(frozen=True)
class HierarchicalSmoothing:
    """Targets in which related taxa have a part of the probability.

    At each rank, the taxon of a barcode has what is left of 1. All other taxa share `uniform` equally. For each higher
    rank of the classification, the taxa of the barcode's group at that rank share `by_rank` by their number of training
    records, the taxon itself included; where the group is unknown, the taxon keeps that part.

    Attributes:
        counts: number of taxa at each rank.
        uniform: probability of all other taxa together.
        by_rank: probability that is divided within the group of a higher rank, for each such rank.
        parts: for each rank, pairs of a higher rank, as its index, and sparse float32 `[taxa there, taxa at the rank]`,
            the share of each taxon in the records of each group.
    """

    counts: list[int]
    uniform: float
    by_rank: float
    parts: list[list[tuple[int, csr_array]]]

    @classmethod
    def from_taxa(
        cls, ranks: Sequence[str], counts: list[int], taxa: np.ndarray, uniform: float, by_rank: float
    ) -> "HierarchicalSmoothing":
        """Count the taxa of training records.

        Args:
            ranks: of the classification, in any order.
            counts: number of taxa at each rank.
            taxa: int64 `[n, ranks]`, index of each record's taxon at each rank, -1 if unknown.
            uniform, by_rank: as above.
        """
        levels = [RANKS.index(rank) for rank in ranks]
        parts = []
        for rank, level in enumerate(levels):
            higher = [other for other, above in enumerate(levels) if above < level and by_rank]
            parts.append(
                [(other, _shares(taxa[:, other], taxa[:, rank], counts[other], counts[rank])) for other in higher]
            )
        return cls(counts, uniform, by_rank, parts)

    def __call__(self, taxa: np.ndarray) -> np.ndarray:
        """The targets of barcodes.

        Args:
            taxa: int64 `[batch, ranks]`, -1 if unknown.

        Returns:
            float32 `[batch, taxa of all ranks]`; the targets at a rank sum to 1, or are 0 where the taxon is unknown.
        """
        targets = []
        for rank, count in enumerate(self.counts):
            rows = np.flatnonzero(taxa[:, rank] >= 0)
            own = taxa[rows, rank]
            target = np.zeros((len(taxa), count), np.float32)
            target[rows] = self.uniform / max(count - 1, 1)
            target[rows, own] = 1 - (self.uniform if count > 1 else 0)
            for other, shares in self.parts[rank]:
                is_known = taxa[rows, other] >= 0
                grouped = rows[is_known]
                target[grouped, own[is_known]] -= self.by_rank
                target[grouped] += self.by_rank * shares[taxa[grouped, other]].toarray()
            targets.append(target)
        return np.concatenate(targets, axis=1)


def class_weights(taxa: np.ndarray, num_taxa: int, power: float) -> np.ndarray:
    """Weights of taxa that reduce the influence of frequent ones.

    Args:
        taxa: int64 `[n]`, index of each training record's taxon, -1 if unknown.
        num_taxa: number of taxa, each of which has a record.
        power: a weight is the number of records to the power of minus this: 0 for equal weights of all records, 1 for
            equal weights of all taxa.

    Returns:
        float32 `[num_taxa]`; the mean over the records with a taxon is 1.
    """
    numbers = np.bincount(taxa[taxa >= 0], minlength=num_taxa).astype(float)
    weights = np.maximum(numbers, 1) ** -power
    return (weights * numbers.sum() / (weights * numbers).sum()).astype(np.float32)


def _shares(groups: np.ndarray, taxa: np.ndarray, num_groups: int, num_taxa: int) -> csr_array:
    known = (groups >= 0) & (taxa >= 0)
    ones = np.ones(known.sum(), np.float32)
    counts = csr_array((ones, (groups[known], taxa[known])), shape=(num_groups, num_taxa))
    counts.sum_duplicates()
    totals = np.maximum(counts.sum(axis=1), 1)
    return csr_array(counts.multiply(1 / np.asarray(totals).reshape(-1, 1)), dtype=np.float32)
