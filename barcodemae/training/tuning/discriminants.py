"""Directions in which relatives are similar and other barcodes differ.

Discriminant analysis (Fisher 1936; Rao 1948) with two kinds of relatives: species of one genus, by their names, and
neighbouring clusters, by the barcodes alone. Every species and every cluster has the same weight, however many barcodes
it has.
"""

import numpy as np
import scipy.linalg

from barcodemae.errors import ConfigurationError
from barcodemae.training.tuning.relatives import group_means

_BLOCK_ROWS = 16_384


def scatter_within_clusters(vectors: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Scatter of barcodes around the mean of their cluster: float64 `[dimensions, dimensions]`.

    Args:
        vectors: `[n, dimensions]`.
        clusters: `[n]`, cluster indices from 0.
    """
    return _scatter_within(vectors, clusters, group_means(vectors, clusters))


def scatter_between_clusters(vectors: np.ndarray, clusters: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Scatter of the means of related clusters: float64 `[dimensions, dimensions]`.

    Args:
        vectors: `[n, dimensions]`.
        clusters: `[n]`, cluster indices from 0.
        pairs: `[pairs, 2]`, pairs of related clusters, at least one.
    """
    means = group_means(vectors, clusters)
    differences = means[pairs[:, 0]] - means[pairs[:, 1]]
    return differences.T @ differences / (2 * len(pairs))


def scatter_within_genera(vectors: np.ndarray, genera: np.ndarray, species: np.ndarray) -> np.ndarray:
    """Scatter of barcodes around the centre of their genus, which is the mean of its species' means.

    Args:
        vectors: `[n, dimensions]`.
        genera: `[n]`, indices of genera, -1 if unknown: such barcodes are ignored.
        species: `[n]`, indices of species.

    Returns:
        float64 `[dimensions, dimensions]`.

    Raises:
        ConfigurationError: no genus has two species.
    """
    named = genera >= 0
    vectors, genera = vectors[named], np.unique(genera[named], return_inverse=True)[1]
    species = np.unique(np.stack([genera, species[named]]), axis=1, return_inverse=True)[1].ravel()
    genus_of_species = np.zeros(species.max(initial=-1) + 1, np.int64)
    genus_of_species[species] = genera
    if not (np.bincount(genus_of_species) > 1).any():
        raise ConfigurationError("expected a genus with two species or more among the named barcodes, found none")
    centres = group_means(group_means(vectors, species), genus_of_species)
    return _scatter_within(vectors, species, centres[genus_of_species])


def scatter_of_cluster_means(vectors: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Scatter of cluster means around their mean: float64 `[dimensions, dimensions]`."""
    means = group_means(vectors, clusters)
    centred = means - means.mean(axis=0)
    return centred.T @ centred / len(means)


def scale_to_trace_1(scatter: np.ndarray) -> np.ndarray:
    """The scatter divided by its trace; a scatter of 0, as of clusters of one barcode each, remains 0."""
    return scatter / (np.trace(scatter) or 1.0)


def find_discriminants(among: np.ndarray, within: np.ndarray, num_directions: int, shrinkage: float) -> np.ndarray:
    """Directions with the largest ratio of the scatter among all barcodes to the scatter within relatives.

    Args:
        among: `[dimensions, dimensions]`, scatter among all barcodes.
        within: `[dimensions, dimensions]`, scatter within relatives.
        num_directions: number of directions; at most the number of dimensions is returned.
        shrinkage: shrinkage of `within` towards a multiple of the identity, 0 to 1.

    Returns:
        float64 `[dimensions, num_directions]`, largest ratio first, each with scatter 1 within relatives.
    """
    n = len(within)
    within = (1 - shrinkage) * within + shrinkage * np.trace(within) / n * np.eye(n)
    _, directions = scipy.linalg.eigh(among, within, subset_by_index=(max(n - num_directions, 0), n - 1))
    return directions[:, ::-1]


def _scatter_within(vectors: np.ndarray, groups: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Scatter around the `centres [groups, dimensions]`, with the same weight for each group."""
    weights = 1 / np.bincount(groups)[groups]
    scatter = np.zeros((vectors.shape[1], vectors.shape[1]))
    for begin in range(0, len(vectors), _BLOCK_ROWS):  # in double precision, all rows at once need twice their memory
        block = slice(begin, begin + _BLOCK_ROWS)
        differences = (vectors[block] - centres[groups[block]]) * np.sqrt(weights[block])[:, None]
        scatter += differences.T @ differences
    return scatter / weights.sum()
