"""The projection head of a tuned model, fitted in closed form."""

from dataclasses import dataclass

import numpy as np
import torch

from barcodemae.embedding.singular import LinearMap, fit_one_hot_map, map_one_hot
from barcodemae.errors import ConfigurationError
from barcodemae.training.tuning.discriminants import (
    find_discriminants,
    scale_to_trace_1,
    scatter_between_clusters,
    scatter_of_cluster_means,
    scatter_within_clusters,
    scatter_within_genera,
)
from barcodemae.training.tuning.encoded import EncodedBarcodes
from barcodemae.training.tuning.relatives import cluster_by_cosine, group_means, nearest_clusters
from barcodemae.training.tuning.settings import HeadSettings
from modeling_barcodemae.modeling_barcodemae import BarcodeMAEProjectionHead


@dataclass(frozen=True)
class FittedHead:
    """Weights of a `BarcodeMAEProjectionHead`, and numbers of what they were fitted on.

    Attributes:
        network: map of the encoder's mean output.
        bases: map of the one-hot bases.
        num_barcodes: barcodes on the reference frame.
        num_clusters: their clusters.
        num_pairs: pairs of clusters that are relatives.
        num_named: barcodes with a genus.
    """

    network: LinearMap
    bases: LinearMap
    num_barcodes: int
    num_clusters: int
    num_pairs: int
    num_named: int

    def embed(self, barcodes: EncodedBarcodes) -> np.ndarray:
        """The embeddings of a model with this head: float32 `[n, embedding_size]`."""
        return map_one_hot(barcodes.bases, self.bases, barcodes.num_tokens) + self.network(barcodes.encoded)

    @torch.no_grad()
    def copy_to(self, head: BarcodeMAEProjectionHead) -> None:
        """Set the weights of a model's head, except those of a decoder that completes barcodes."""
        if isinstance(head.network, torch.nn.Linear):
            head.network.weight.copy_(torch.from_numpy(self.network.matrix.T))
            head.network.bias.copy_(torch.from_numpy(-self.network.mean @ self.network.matrix))
        # Centred at each coordinate: a base contributes its difference from the mean base, and an absent base nothing.
        by_coordinate = self.bases.matrix.reshape(-1, 4, self.bases.matrix.shape[1])
        means = self.bases.mean.reshape(-1, 4, 1)
        table = by_coordinate - (means * by_coordinate).sum(axis=1, keepdims=True)
        head.bases.weight[: head.silent].copy_(torch.from_numpy(table.reshape(head.silent, -1)))


@dataclass(frozen=True)
class BaseFeatures:
    """Features of the bases alone, and clusters by them; most of the work of a fit.

    Attributes:
        map: gives the features.
        vectors: float32 `[n, features]`.
        clusters: int64 `[n]`, the cluster of each barcode.
    """

    map: LinearMap
    vectors: np.ndarray
    clusters: np.ndarray

    def related_clusters(self, settings: HeadSettings) -> np.ndarray:
        """Pairs of a cluster and a related one: int64 `[pairs, 2]`."""
        means = group_means(self.vectors, self.clusters)
        return nearest_clusters(means, settings.num_relatives, settings.relative_cosine)


@dataclass(frozen=True)
class Features:
    """What a head is fitted on, besides taxon names.

    Attributes:
        vectors: float32 `[n, features]`, those of the bases first.
        bases: gives the first features.
        network: gives the others.
        clusters: int64 `[n]`, the cluster of each barcode.
        pairs: int64 `[pairs, 2]`, a cluster and a related one.
    """

    vectors: np.ndarray
    bases: LinearMap
    network: LinearMap
    clusters: np.ndarray
    pairs: np.ndarray


def find_base_features(bases: np.ndarray, num_tokens: np.ndarray, settings: HeadSettings) -> BaseFeatures:
    """Features and clusters of barcodes by their bases alone.

    Args:
        bases: int8 `[n, coordinates]`, 0 to 3 for A, C, G, T, -1 where a barcode has no known base; two rows or more.
        num_tokens: `[n]`, number of k-mers of each barcode, 1 or more.
        settings: `base_features` and `cluster_cosine` are used.
    """
    base_map = fit_one_hot_map(bases, min(settings.base_features, len(bases) - 1), num_tokens)
    vectors = map_one_hot(bases, base_map, num_tokens)
    return BaseFeatures(base_map, vectors, cluster_by_cosine(vectors, settings.cluster_cosine))


def join_features(base_features: BaseFeatures, encoded: np.ndarray, settings: HeadSettings) -> Features:
    """Scale the features of the bases and of the network, join them, and find related clusters.

    Args:
        base_features: of `n` barcodes.
        encoded: float32 `[n, hidden]`, mean output of the encoder.
        settings: `network_share`, `relative_cosine` and `num_relatives` are used.

    Raises:
        ConfigurationError: no clusters are related.
    """
    pairs = base_features.related_clusters(settings)
    if not len(pairs):
        num_clusters = base_features.clusters.max(initial=-1) + 1
        raise ConfigurationError(f"expected related barcodes to tune with, got {num_clusters} unrelated clusters")
    network = fit_whitening(encoded)
    whitened = network(encoded)
    base_scale = 1 / _rms_length(base_features.vectors)
    network_scale = settings.network_share / (_rms_length(whitened) or 1.0)  # an encoder that was left out gives 0
    num_base_features, num_network_features = base_features.vectors.shape[1], whitened.shape[1]
    vectors = np.empty((len(encoded), num_base_features + num_network_features), np.float32)
    np.multiply(base_features.vectors, base_scale, out=vectors[:, :num_base_features])
    np.multiply(whitened, network_scale, out=vectors[:, num_base_features:])
    return Features(
        vectors=vectors,
        bases=_compose(base_features.map, base_scale * np.eye(num_base_features)),
        network=_compose(network, network_scale * np.eye(num_network_features)),
        clusters=base_features.clusters,
        pairs=pairs,
    )


def fit_whitening(vectors: np.ndarray, floor: float = 1e-4) -> LinearMap:
    """Principal axes scaled to variance 1; axes with less than `floor` of the first variance are scaled to less.

    Vectors that are all equal are mapped to 0.
    """
    mean = vectors.mean(axis=0)
    centred = (vectors - mean).astype(np.float64)
    variances, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    if not variances[-1]:
        return LinearMap(mean, np.zeros(axes.shape, np.float32))
    matrix = axes / np.sqrt(np.maximum(variances, 0) + floor * variances[-1])
    return LinearMap(mean, matrix.astype(np.float32))


def fit_head(features: Features, genera: np.ndarray, species: np.ndarray, settings: HeadSettings) -> FittedHead:
    """Fit the head.

    Args:
        features: features of `n` barcodes.
        genera: int64 `[n]`, indices of genera, -1 if unknown.
        species: int64 `[n]`, indices of species, or of units that replace species without a name.
        settings: how to fit.

    Raises:
        ConfigurationError: `settings.label_share` is above 0, and no genus has two species.
    """
    vectors, clusters = features.vectors, features.clusters
    within_clusters = scatter_within_clusters(vectors, clusters)
    within_relatives = within_clusters + scatter_between_clusters(vectors, clusters, features.pairs)
    within = (1 - settings.label_share) * scale_to_trace_1(within_relatives)
    within += settings.species_share * scale_to_trace_1(within_clusters)
    if settings.label_share:
        within += settings.label_share * scale_to_trace_1(scatter_within_genera(vectors, genera, species))
    among = scale_to_trace_1(scatter_of_cluster_means(vectors, clusters))
    directions = find_discriminants(among, within, settings.embedding_size, settings.shrinkage)
    directions /= _rms_length(vectors @ directions.astype(np.float32))
    num_bases = features.bases.matrix.shape[1]
    return FittedHead(
        network=_compose(features.network, directions[num_bases:]),
        bases=_compose(features.bases, directions[:num_bases]),
        num_barcodes=len(vectors),
        num_clusters=int(clusters.max()) + 1,
        num_pairs=len(features.pairs),
        num_named=int((genera >= 0).sum()),
    )


def _rms_length(vectors: np.ndarray) -> float:
    return float(np.sqrt(np.einsum("nd,nd->", vectors, vectors, dtype=np.float64) / len(vectors)))


def _compose(first: LinearMap, second: np.ndarray) -> LinearMap:
    return LinearMap(first.mean, (first.matrix @ second).astype(np.float32))
