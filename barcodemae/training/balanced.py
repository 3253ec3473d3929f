"""Batches in which some taxa have equally many barcodes, as objectives that compare barcodes of a batch need them."""

import numpy as np

from barcodemae.errors import ConfigurationError
from barcodemae.training.randomness import Stream, generator_seed
from barcodemae.training.relative_sampling import GroupSampler
from barcodemae.training.steps import steps_in_epoch


class BalancedBatches:
    """Plans epochs of balanced batches.

    A batch begins with different barcodes of different taxa, each taxon equally probable. Its other records are the
    next of a permutation of all records, so that an epoch reads each record at least once, also those of rare taxa and
    those without a name; it can be in both parts of a batch. The batches of BarcodeMAE+
    (github.com/bioscan-ml/BarcodeMAE-plus) are composed in this way.

    Args:
        taxa: int64 `[n]`, the taxon of each record, -1 if it is unknown.
        taxa_per_batch: number of taxa.
        barcodes_per_taxon: number of barcodes of each; taxa with fewer are left to the permutation.

    Raises:
        ConfigurationError: there are fewer than `taxa_per_batch` taxa with that many barcodes.
    """

    def __init__(self, taxa: np.ndarray, taxa_per_batch: int, barcodes_per_taxon: int):
        self._groups = GroupSampler(taxa, taxa.max(initial=-1) + 1)
        self._frequent = np.flatnonzero(self._groups.sizes[:-1] >= barcodes_per_taxon)
        self._num_taxa, self._num_barcodes = taxa_per_batch, barcodes_per_taxon
        self._num_records = len(taxa)
        if len(self._frequent) < taxa_per_batch:
            raise ConfigurationError(
                f"--taxa-per-batch {taxa_per_batch}: expected as many taxa with --barcodes-per-taxon "
                f"{barcodes_per_taxon} training records or more, got {len(self._frequent)}"
            )

    def steps_in_epoch(self, batch_size: int, batches_per_step: int) -> int:
        """Number of steps in which the permutation is read once; if it has no part in a batch, as without balance."""
        return steps_in_epoch(self._num_records, (self._num_others(batch_size) or batch_size) * batches_per_step)

    def epoch_steps(
        self, batch_size: int, accumulation: int, processes: int, seed: int, epoch: int
    ) -> list[np.ndarray]:
        """Plan the steps of an epoch, all of them complete.

        Args:
            batch_size: records per batch and process.
            accumulation: accumulated batches per step and process.
            processes: number of processes.
            seed: seed of the run.
            epoch: from 0.

        Returns:
            For each step, indices of records `[accumulation * batch_size * processes]`, ordered so that
            `process_batches` gives balanced batches to each process.
        """
        generator = np.random.default_rng(generator_seed(seed, Stream.ORDER, epoch))
        num_steps = self.steps_in_epoch(batch_size, accumulation * processes)
        num_batches = num_steps * accumulation * processes
        sizes = np.full(num_batches, len(self._frequent))
        taxa = self._frequent[draw_distinct(sizes, self._num_taxa, generator)].ravel()
        members = draw_distinct(self._groups.sizes[taxa], self._num_barcodes, generator)
        balanced = self._groups.members(taxa[:, None], members).reshape(num_batches, -1)
        others = np.resize(generator.permutation(self._num_records), (num_batches, self._num_others(batch_size)))
        batches = np.concatenate([balanced, others], axis=1).reshape(num_steps, accumulation, processes, batch_size)
        return list(batches.swapaxes(2, 3).reshape(num_steps, -1))  # processes take rows in turn

    def _num_others(self, batch_size: int) -> int:
        return batch_size - self._num_taxa * self._num_barcodes


def draw_distinct(sizes: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Draw different numbers from each range, all sets of them equally probable.

    Args:
        sizes: int64 `[n]`, the range of each row is 0 to its size - 1; each is at least `count`.
        count: numbers to draw for each row.
        generator: source of random numbers.

    Returns:
        int64 `[n, count]`.
    """
    drawn = np.empty((len(sizes), 0), np.int64)
    for i in range(count):
        number = (generator.random(len(sizes)) * (sizes - i)).astype(np.int64)
        for earlier in np.sort(drawn, axis=1).T:  # count only numbers that were not drawn earlier
            number += number >= earlier
        drawn = np.concatenate([drawn, number[:, None]], axis=1)
    return drawn
