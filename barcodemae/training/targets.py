"""Targets of the pooled decoder: the bases or k-mers of the complete barcode, or of one of its relatives.

Barcodes with the same targets get similar embeddings. If the targets of a barcode are those of its relatives, its
embedding retains what they share rather than what distinguishes it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from barcodemae.embedding.kmer_map import count_kmers
from barcodemae.errors import ConfigurationError
from barcodemae.training.randomness import Stream, uniform
from barcodemae.training.relative_sampling import RelativeSampler
from barcodemae.training.stored import StoredBarcodes
from barcodemae.training.tuning.head import BaseFeatures, find_base_features
from barcodemae.training.tuning.kmers import find_kmer_features
from barcodemae.training.tuning.settings import HeadSettings
from tokenization_barcodemae import Placement, lay_out

logger = logging.getLogger(__name__)

# Frequencies of bases and k-mers are estimated from this many evenly spaced barcodes.
_MAX_COUNTED = 8192


class OwnTargets(Protocol):
    """The targets of barcodes that reconstruct themselves.

    Attributes:
        training: records to train on.
    """

    @property
    def training(self) -> StoredBarcodes: ...

    def __call__(self, records: np.ndarray, epoch: int) -> np.ndarray:
        """Targets of some records: `[n, ...]`, as the model expects them.

        Args:
            records: `[n]`, their indices.
            epoch: from 0; -1 for validation.
        """

    def count(self) -> np.ndarray:
        """How often each target occurs in a sample of the training records: for the decoder's initial bias."""

    def comparable(self) -> np.ndarray:
        """int64 `[rows]`, the training records of which relatives can be found."""

    def features(self, rows: np.ndarray, settings: HeadSettings) -> BaseFeatures:
        """Features and clusters of some training records, without taxon names."""


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
        """int8 `[n, coordinates]`, 0 to 3 for A, C, G, T, -1 where the barcode has no known base."""
        return self._read(self.validation if epoch < 0 else self.training, records)

    def count(self) -> np.ndarray:
        """int64 `[coordinates, 4]`, counts of A, C, G and T at each coordinate."""
        bases = self._read(self.training, _sample(self.training))
        return np.stack([(bases == base).sum(axis=0) for base in range(4)], axis=1)

    def comparable(self) -> np.ndarray:
        return np.flatnonzero(self.training.is_placed)

    def features(self, rows: np.ndarray, settings: HeadSettings) -> BaseFeatures:
        num_tokens = np.maximum(self.training.num_tokens[rows], 1)
        return find_base_features(self._read(self.training, rows), num_tokens, settings)

    def _read(self, barcodes: StoredBarcodes, records: np.ndarray) -> np.ndarray:
        taken = barcodes.take(records)
        placement = Placement.in_one_piece(taken.starts.astype(np.int64))
        return lay_out(taken.nucleotides, placement, self.num_coordinates)


@dataclass(frozen=True)
class OwnKmers:
    """The numbers of all overlapping k-mers of the barcode itself, wherever they are.

    The encoder reads every k-th of them, from whatever base an epoch begins with.

    Attributes:
        training: records to train on.
        validation: records to validate on.
        k: bases in a k-mer.
    """

    training: StoredBarcodes
    validation: StoredBarcodes
    k: int

    def __call__(self, records: np.ndarray, epoch: int) -> np.ndarray:
        """float32 `[n, 1, 4**k]`."""
        sequences = _sequences(self.validation if epoch < 0 else self.training, records)
        return np.concatenate([counts for _, counts in count_kmers(sequences, self.k)])[:, None]

    def count(self) -> np.ndarray:
        """float64 `[1, 4**k]`."""
        total = np.zeros((1, 4**self.k))
        for _, counts in count_kmers(_sequences(self.training, _sample(self.training)), self.k):
            total += counts.sum(axis=0, dtype=np.float64)
        return total

    def comparable(self) -> np.ndarray:
        return np.arange(len(self.training))

    def features(self, rows: np.ndarray, settings: HeadSettings) -> BaseFeatures:
        return find_kmer_features(_sequences(self.training, rows), settings)[1]


@dataclass(frozen=True)
class RelativeTargets:
    """The targets of a relative for a share of the barcodes, drawn anew in each epoch; in validation, their own.

    A barcode without a relative of the kind drawn for it also has its own target.

    Attributes:
        own: targets of the other barcodes.
        seed: seed of the run.
        samplers: for each kind of relatives, the share of the barcodes, and what draws the relative.
    """

    own: OwnTargets
    seed: int
    samplers: Sequence[tuple[float, RelativeSampler]]

    def __call__(self, records: np.ndarray, epoch: int) -> np.ndarray:
        """As `OwnTargets.__call__`."""
        return self.own(records if epoch < 0 else self.choose(records, epoch), epoch)

    def choose(self, records: np.ndarray, epoch: int) -> np.ndarray:
        """The record that is the target, for each record: int64 `[n]`."""
        numbers = uniform(self.seed, Stream.RELATIVE, epoch, records, 3)
        chosen, begin = records.copy(), 0.0
        for share, sampler in self.samplers:
            drawn = (begin <= numbers[:, 0]) & (numbers[:, 0] < begin + share) & sampler.has_any[records]
            chosen[drawn] = sampler.draw(records[drawn], numbers[drawn, 1:])
            begin += share
        return chosen


def find_clusters(own: OwnTargets) -> tuple[np.ndarray, np.ndarray]:
    """Cluster training records and find neighbouring clusters without taxon names, as `barcodemae tune` does.

    Args:
        own: targets of the records.

    Returns:
        int64 `[n]`, the cluster of each record, -1 if it can't be compared; and int64 `[pairs, 2]`, a cluster and a
        neighbour of it.

    Raises:
        ConfigurationError: fewer than two records can be compared.
    """
    rows = own.comparable()
    if len(rows) < 2:
        raise ConfigurationError(
            "expected two barcodes or more to compare (with --pooled-target bases, on the reference frame), got "
            f"{len(rows)}"
        )
    logger.info("finding relatives among %d barcodes: some minutes", len(rows))
    settings = HeadSettings()
    features = own.features(rows, settings)
    clusters = np.full(len(own.training), -1)
    clusters[rows] = features.clusters
    return clusters, features.related_clusters(settings)


def _sample(barcodes: StoredBarcodes) -> np.ndarray:
    return np.unique(np.linspace(0, len(barcodes) - 1, min(len(barcodes), _MAX_COUNTED)).astype(np.int64))


def _sequences(barcodes: StoredBarcodes, records: np.ndarray) -> list[str]:
    return barcodes.take(records).nucleotides.to_pylist()
