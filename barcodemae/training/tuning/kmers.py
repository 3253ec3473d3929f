"""The head of a marker without a reference frame: a linear map of k-mers, fitted as that of bases."""

from collections.abc import Iterator

import numpy as np

from barcodemae.embedding.kmer_map import KmerMapEmbedder, kmer_spectra
from barcodemae.embedding.singular import LinearMap, singular_vectors
from barcodemae.training.tuning.head import BaseFeatures, FittedHead, fit_head, join_features
from barcodemae.training.tuning.relatives import cluster_by_cosine
from barcodemae.training.tuning.settings import HeadSettings
from tokenization_barcodemae import KmerProfile

K = 6
"""Bases in a k-mer. On `val_unseen` of fungal ITS and vertebrate 12S, the nearest reference by 7-mers has the
same genus within half a point, and the map is four times as large."""

_BLOCK_ROWS = 4096


def fit_kmer_map(
    sequences: list[str], genera: np.ndarray, species: np.ndarray, profile: KmerProfile, settings: HeadSettings
) -> tuple[KmerMapEmbedder, FittedHead]:
    """Fit the map of a marker.

    K-mers are weighted by their information, the logarithm of the inverse share of barcodes that have them (Sparck
    Jones 1972), projected on singular vectors, and from there on the directions are those of `fit_head`.

    Args:
        sequences: `[n]`, on the marker's strand, each with a known k-mer.
        genera: int64 `[n]`, indices of genera, -1 if unknown.
        species: int64 `[n]`, indices of species, or of units that replace species without a name.
        profile: of the marker.
        settings: how to fit; `network_share` is not used.

    Raises:
        ConfigurationError: no barcodes are related, or `settings.label_share` is above 0 and no genus has two species.
    """
    weights, features = find_kmer_features(sequences, settings)
    nothing = np.zeros((len(sequences), 1), np.float32)  # there is no network
    fitted = fit_head(join_features(features, nothing, settings), genera, species, settings)
    table = fitted.bases.matrix
    return KmerMapEmbedder(table, weights, fitted.bases.mean @ table, profile), fitted


def find_kmer_features(sequences: list[str], settings: HeadSettings) -> tuple[np.ndarray, BaseFeatures]:
    """Weights of k-mers, and features and clusters of barcodes by their k-mers alone.

    Args:
        sequences: `[n]`, as for `fit_kmer_map`; two or more.
        settings: `base_features` and `cluster_cosine` are used.

    Returns:
        float32 `[4**K]`, and the features.
    """
    num_with = np.zeros(4**K)
    for _, spectra in kmer_spectra(sequences, K):
        num_with += (spectra > 0).sum(axis=0)
    weights = np.log(len(sequences) / np.clip(num_with, 1, len(sequences) - 0.5)).astype(np.float32)
    total = np.zeros(4**K)
    for block in _blocks(sequences, weights):
        total += block.sum(axis=0, dtype=np.float64)
    mean = (total / len(sequences)).astype(np.float32)
    directions = singular_vectors(
        (block - mean for block in _blocks(sequences, weights)), min(settings.base_features, len(sequences) - 1)
    )
    to_features = LinearMap(mean, directions.astype(np.float32))
    vectors = np.concatenate([to_features(block) for block in _blocks(sequences, weights)])
    return weights, BaseFeatures(to_features, vectors, cluster_by_cosine(vectors, settings.cluster_cosine))


def _blocks(sequences: list[str], weights: np.ndarray) -> Iterator[np.ndarray]:
    """The spectra of some thousand sequences at a time."""
    for begin in range(0, len(sequences), _BLOCK_ROWS):
        yield np.concatenate([part for _, part in kmer_spectra(sequences[begin : begin + _BLOCK_ROWS], K, weights)])
