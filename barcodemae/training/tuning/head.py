"""The head of a tuned model, fitted in closed form."""

from dataclasses import dataclass

import numpy as np
import torch

from barcodemae.embedding.singular import LinearMap
from barcodemae.errors import ConfigurationError
from barcodemae.training.tuning.discriminants import (
    find_discriminants,
    of_trace_1,
    scatter_between_clusters,
    scatter_of_means,
    scatter_of_names,
    scatter_within_clusters,
)
from barcodemae.training.tuning.features import Reading, fit_base_map, fit_whitening, map_bases
from barcodemae.training.tuning.relatives import cluster_by_cosine, group_means, nearest_clusters
from barcodemae.training.tuning.settings import HeadSettings
from modeling_barcodemae.modeling_barcodemae import BarcodeMAEProjectionHead


@dataclass(frozen=True)
class FittedHead:
    """Weights of a `BarcodeMAEProjectionHead`, and what they were fitted on.

    Attributes:
        network: of the encoder's mean output.
        bases: of the bases, by column.
        num_barcodes, num_clusters, num_pairs, num_named: barcodes on the frame, their clusters, pairs of clusters taken
            for relatives, and barcodes with a genus.
    """

    network: LinearMap
    bases: LinearMap
    num_barcodes: int
    num_clusters: int
    num_pairs: int
    num_named: int

    def embed(self, reading: Reading) -> np.ndarray:
        """What a model with this head makes of barcodes: float32 `[n, embedding_size]`."""
        return map_bases(reading, self.bases) + self.network(reading.encoded)

    @torch.no_grad()
    def put_into(self, head: BarcodeMAEProjectionHead) -> None:
        """Set the weights of a head."""
        head.network.weight.copy_(torch.from_numpy(self.network.matrix.T))
        head.network.bias.copy_(torch.from_numpy(-self.network.mean @ self.network.matrix))
        # Centred by coordinate: a base counts by what it is more than the mean base there.
        by_coordinate = self.bases.matrix.reshape(-1, 4, self.bases.matrix.shape[1])
        means = self.bases.mean.reshape(-1, 4, 1)
        table = by_coordinate - (means * by_coordinate).sum(axis=1, keepdims=True)
        head.bases.weight[: head.silent].copy_(torch.from_numpy(table.reshape(head.silent, -1)))


@dataclass(frozen=True)
class Features:
    """What a head is fitted on, before anybody's name is asked.

    Attributes:
        vectors: float32 `[n, features]`; those of the bases come first.
        bases: gives the first of them.
        network: gives the others.
        clusters: int64 `[n]`, the cluster of each barcode.
        pairs: int64 `[pairs, 2]`, clusters that are relatives.
    """

    vectors: np.ndarray
    bases: LinearMap
    network: LinearMap
    clusters: np.ndarray
    pairs: np.ndarray


@dataclass(frozen=True)
class BaseFeatures:
    """What the bases alone tell; most of the work of a fit.

    Attributes:
        map: gives the vectors.
        vectors: float32 `[n, features]`.
        clusters: int64 `[n]`, the cluster of each barcode.
    """

    map: LinearMap
    vectors: np.ndarray
    clusters: np.ndarray


def find_base_features(reading: Reading, settings: HeadSettings) -> BaseFeatures:
    """Features and clusters of barcodes that lie on the frame.

    Raises:
        ConfigurationError: there are too few barcodes.
    """
    num_rows, num_columns = len(reading.bases), 4 * reading.bases.shape[1]
    if num_rows <= settings.embedding_size:
        raise ConfigurationError(
            f"expected more than {settings.embedding_size} barcodes on the reference frame to tune with, got {num_rows}"
        )
    base_map = fit_base_map(reading, min(settings.base_features, num_rows - 1, num_columns))
    vectors = map_bases(reading, base_map)
    return BaseFeatures(base_map, vectors, cluster_by_cosine(vectors, settings.cluster_cosine))


def join_features(reading: Reading, of_bases: BaseFeatures, settings: HeadSettings) -> Features:
    """The features of the bases and of the network, to a common scale, and which clusters are relatives.

    Raises:
        ConfigurationError: there are no relatives.
    """
    means = group_means(of_bases.vectors, of_bases.clusters)
    pairs = nearest_clusters(means, settings.num_relatives, settings.relative_cosine)
    if not len(pairs):
        raise ConfigurationError(
            f"expected relatives among the barcodes to tune with, got {len(means)} clusters with nothing in common"
        )
    network = fit_whitening(reading.encoded)
    whitened = network(reading.encoded)
    base_scale, network_scale = 1 / _length(of_bases.vectors), settings.network_share / _length(whitened)
    scaled = [of_bases.vectors * base_scale, whitened * network_scale]
    return Features(
        vectors=np.concatenate(scaled, axis=1, dtype=np.float32),
        bases=_followed_by(of_bases.map, base_scale * np.eye(scaled[0].shape[1])),
        network=_followed_by(network, network_scale * np.eye(scaled[1].shape[1])),
        clusters=of_bases.clusters,
        pairs=pairs,
    )


def fit_head(features: Features, genera: np.ndarray, species: np.ndarray, settings: HeadSettings) -> FittedHead:
    """Fit the head.

    Args:
        features: of `n` barcodes.
        genera: int64 `[n]`, numbers, -1 where unknown.
        species: int64 `[n]`, numbers of species, or of what stands for one where it is not named.
        settings: how.

    Raises:
        ConfigurationError: names are to tell relatives, and none are.
    """
    vectors, clusters = features.vectors, features.clusters
    inside = scatter_within_clusters(vectors, clusters)
    akin = inside + scatter_between_clusters(vectors, clusters, features.pairs)
    within = (1 - settings.label_share) * of_trace_1(akin) + settings.species_share * of_trace_1(inside)
    if settings.label_share:
        within += settings.label_share * of_trace_1(scatter_of_names(vectors, genera, species))
    among = of_trace_1(scatter_of_means(vectors, clusters))
    directions = find_discriminants(among, within, settings.embedding_size, settings.shrinkage)
    directions /= _length(vectors @ directions)
    num_bases = features.bases.matrix.shape[1]
    return FittedHead(
        network=_followed_by(features.network, directions[num_bases:]),
        bases=_followed_by(features.bases, directions[:num_bases]),
        num_barcodes=len(vectors),
        num_clusters=int(clusters.max()) + 1,
        num_pairs=len(features.pairs),
        num_named=int((genera >= 0).sum()),
    )


def _length(vectors: np.ndarray) -> float:
    return float(np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1).mean()))


def _followed_by(first: LinearMap, second: np.ndarray) -> LinearMap:
    return LinearMap(first.mean, (first.matrix @ second).astype(np.float32))
