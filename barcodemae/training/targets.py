"""The bases that a pooled decoder is to reconstruct: of the whole barcode, however it is read, or of a relative.

What is near in the space of embeddings is what reconstructs the same. A barcode that has to reconstruct its relatives
leaves out what is its own, and keeps what they share.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from barcodemae.data.randomness import Stream, uniform
from barcodemae.data.stored import StoredBarcodes
from barcodemae.errors import ConfigurationError
from barcodemae.training.kinship import Kind
from barcodemae.training.tuning.features import Reading, fit_base_map, map_bases
from barcodemae.training.tuning.head import HeadSettings
from barcodemae.training.tuning.relatives import cluster_by_cosine, group_means, nearest_clusters
from tokenization_barcodemae import Placement, lay_out

logger = logging.getLogger(__name__)

# So many barcodes, at even distances, tell the frequencies of bases.
_COUNTED = 8192


@dataclass(frozen=True)
class OwnBases:
    """Each barcode is to reconstruct itself.

    Coordinates are those of the reference frame where the barcode lies on it, and are counted from its first base
    where it does not. A barcode that an epoch reads freely keeps its coordinates on the frame: so what the encoder
    makes of it comes to lie near what it makes of the same barcode on the frame.

    Attributes:
        training: records to learn from.
        validation: records to validate on.
        coordinates: how many the decoder has.
    """

    training: StoredBarcodes
    validation: StoredBarcodes
    coordinates: int

    def __call__(self, records: np.ndarray, epoch: int) -> np.ndarray:
        """Targets of some records.

        Args:
            records: `[n]`, their indices.
            epoch: from 0; -1 for validation.

        Returns:
            int8 `[n, coordinates]`, 0 to 3 for A, C, G, T, -1 where the barcode has none.
        """
        return bases_of(self.validation if epoch < 0 else self.training, records, self.coordinates)


@dataclass(frozen=True)
class RelativeBases:
    """A barcode is to reconstruct a relative, which is drawn anew in each epoch; in validation, itself.

    A barcode that has no relative of the kind that is drawn for it reconstructs itself.

    Attributes:
        own: what it is to reconstruct otherwise.
        seed: of the run.
        kinds: share of the barcodes, and which relatives.
    """

    own: OwnBases
    seed: int
    kinds: Sequence[tuple[float, Kind]]

    def __call__(self, records: np.ndarray, epoch: int) -> np.ndarray:
        """As `OwnBases.__call__`."""
        return self.own(records if epoch < 0 else self.choose(records, epoch), epoch)

    def choose(self, records: np.ndarray, epoch: int) -> np.ndarray:
        """Which record each is to reconstruct."""
        chances = uniform(self.seed, Stream.RELATIVE, epoch, records, 3)
        chosen, begin = records.copy(), 0.0
        for share, kind in self.kinds:
            drawn = (begin <= chances[:, 0]) & (chances[:, 0] < begin + share) & kind.has_any[records]
            chosen[drawn] = kind.draw(records[drawn], chances[drawn, 1:])
            begin += share
        return chosen


def clusters_by_bases(barcodes: StoredBarcodes, coordinates: int) -> tuple[np.ndarray, np.ndarray]:
    """Clusters and their neighbours by the barcodes alone, as `barcodemae tune` sees them.

    Args:
        barcodes: `n` of them.
        coordinates: how many are read.

    Returns:
        int64 `[n]`, the cluster of each barcode, -1 where it does not lie on the reference frame; and int64
        `[pairs, 2]`, a cluster and one that is near to it.

    Raises:
        ConfigurationError: fewer than two barcodes lie on the frame.
    """
    rows, settings = np.flatnonzero(barcodes.is_placed), HeadSettings()
    if len(rows) < 2:
        raise ConfigurationError(f"expected two barcodes or more on the reference frame, got {len(rows)}")
    logger.info("finding relatives among %d barcodes: some minutes", len(rows))
    reading = Reading(
        bases_of(barcodes, rows, coordinates),
        np.maximum(barcodes.num_tokens[rows], 1),
        np.zeros((len(rows), 0), np.float32),
    )
    vectors = map_bases(reading, fit_base_map(reading, min(settings.base_features, len(rows) - 1)))
    of_placed = cluster_by_cosine(vectors, settings.cluster_cosine)
    pairs = nearest_clusters(group_means(vectors, of_placed), settings.num_relatives, settings.relative_cosine)
    clusters = np.full(len(barcodes), -1)
    clusters[rows] = of_placed
    return clusters, pairs


def bases_of(barcodes: StoredBarcodes, records: np.ndarray, coordinates: int) -> np.ndarray:
    """int8 `[n, coordinates]`, 0 to 3 for A, C, G, T, -1 where a barcode has none."""
    taken = barcodes.take(records)
    strand, score = np.ones(len(records), np.int8), np.zeros(len(records), np.float32)
    return lay_out(taken.nucleotides, Placement(taken.starts.astype(np.int64), strand, score), coordinates)


def count_bases(barcodes: StoredBarcodes, coordinates: int) -> np.ndarray:
    """int64 `[coordinates, 4]`, how often A, C, G and T stand at each coordinate, in a sample of the barcodes."""
    rows = np.unique(np.linspace(0, len(barcodes) - 1, min(len(barcodes), _COUNTED)).astype(np.int64))
    bases = bases_of(barcodes, rows, coordinates)
    return np.stack([(bases == base).sum(axis=0) for base in range(4)], axis=1)
