"""Targets of the pooled decoder: the bases of the complete barcode, or of one of its relatives.

Barcodes with the same targets get similar embeddings. If the targets of a barcode are its relatives' bases, its
embedding retains what they share rather than what distinguishes it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from barcodemae.errors import ConfigurationError
from barcodemae.training.randomness import Stream, uniform
from barcodemae.training.relative_sampling import RelativeSampler
from barcodemae.training.stored import StoredBarcodes
from barcodemae.training.tuning.head import find_base_features
from barcodemae.training.tuning.settings import HeadSettings
from tokenization_barcodemae import Placement, lay_out

logger = logging.getLogger(__name__)

# Base frequencies are estimated from this many evenly spaced barcodes.
_MAX_COUNTED = 8192


@dataclass(frozen=True)
class OwnBases:
    """The bases of the barcode itself.

    Coordinates are those of the reference frame if the barcode lies on it, and are counted from its first base if it
    does not. A barcode that an epoch reads unaligned has its targets on the frame nevertheless, so that its embedding
    becomes similar to that of the same barcode read on the frame.

    Attributes:
        training: records to train on.
        validation: records to validate on.
        num_coordinates: number of coordinates of the decoder.
    """

    training: StoredBarcodes
    validation: StoredBarcodes
    num_coordinates: int

    def __call__(self, records: np.ndarray, epoch: int) -> np.ndarray:
        """Targets of some records.

        Args:
            records: `[n]`, their indices.
            epoch: from 0; -1 for validation.

        Returns:
            int8 `[n, coordinates]`, 0 to 3 for A, C, G, T, -1 where the barcode has no known base.
        """
        return read_bases(self.validation if epoch < 0 else self.training, records, self.num_coordinates)


@dataclass(frozen=True)
class RelativeBases:
    """The bases of a relative for a share of the barcodes, drawn anew in each epoch; in validation, their own bases.

    A barcode without a relative of the kind drawn for it also has its own bases as target.

    Attributes:
        own: targets of the other barcodes.
        seed: seed of the run.
        samplers: for each kind of relatives, the share of the barcodes, and what draws the relative.
    """

    own: OwnBases
    seed: int
    samplers: Sequence[tuple[float, RelativeSampler]]

    def __call__(self, records: np.ndarray, epoch: int) -> np.ndarray:
        """As `OwnBases.__call__`."""
        return self.own(records if epoch < 0 else self.choose(records, epoch), epoch)

    def choose(self, records: np.ndarray, epoch: int) -> np.ndarray:
        """The record whose bases are the target, for each record: int64 `[n]`."""
        numbers = uniform(self.seed, Stream.RELATIVE, epoch, records, 3)
        chosen, begin = records.copy(), 0.0
        for share, sampler in self.samplers:
            drawn = (begin <= numbers[:, 0]) & (numbers[:, 0] < begin + share) & sampler.has_any[records]
            chosen[drawn] = sampler.draw(records[drawn], numbers[drawn, 1:])
            begin += share
        return chosen


def cluster_by_bases(barcodes: StoredBarcodes, num_coordinates: int) -> tuple[np.ndarray, np.ndarray]:
    """Cluster barcodes and find neighbouring clusters without taxon names, as `barcodemae tune` does.

    Args:
        barcodes: `[n]` barcodes.
        num_coordinates: number of frame coordinates to read.

    Returns:
        int64 `[n]`, the cluster of each barcode, -1 if it does not lie on the reference frame; and int64 `[pairs, 2]`,
        a cluster and a neighbour of it.

    Raises:
        ConfigurationError: fewer than two barcodes lie on the frame.
    """
    rows, settings = np.flatnonzero(barcodes.is_placed), HeadSettings()
    if len(rows) < 2:
        raise ConfigurationError(f"expected two barcodes or more on the reference frame, got {len(rows)}")
    logger.info("finding relatives among %d barcodes: some minutes", len(rows))
    bases = read_bases(barcodes, rows, num_coordinates)
    features = find_base_features(bases, np.maximum(barcodes.num_tokens[rows], 1), settings)
    clusters = np.full(len(barcodes), -1)
    clusters[rows] = features.clusters
    return clusters, features.related_clusters(settings)


def read_bases(barcodes: StoredBarcodes, records: np.ndarray, num_coordinates: int) -> np.ndarray:
    """Bases by coordinate: int8 `[n, coordinates]`, 0 to 3 for A, C, G, T, -1 where a barcode has no known base."""
    taken = barcodes.take(records)
    return lay_out(taken.nucleotides, Placement.in_one_piece(taken.starts.astype(np.int64)), num_coordinates)


def count_bases(barcodes: StoredBarcodes, num_coordinates: int) -> np.ndarray:
    """Counts of A, C, G and T at each coordinate in a sample of the barcodes: int64 `[coordinates, 4]`."""
    rows = np.unique(np.linspace(0, len(barcodes) - 1, min(len(barcodes), _MAX_COUNTED)).astype(np.int64))
    bases = read_bases(barcodes, rows, num_coordinates)
    return np.stack([(bases == base).sum(axis=0) for base in range(4)], axis=1)
