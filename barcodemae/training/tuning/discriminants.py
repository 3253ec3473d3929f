"""Directions in which relatives are alike and others differ.

Discriminant analysis (Fisher 1936; Rao 1948) with two kinds of relatives: those that names tell, the species of one
genus, and those that barcodes tell by themselves, clusters that lie next to each other. Every species and every
cluster counts once, however many barcodes it has.
"""

import numpy as np
import scipy.linalg

from barcodemae.errors import ConfigurationError
from barcodemae.training.tuning.relatives import group_means


def scatter_within_clusters(vectors: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """How barcodes differ from the mean of their cluster: float64 `[dimensions, dimensions]`.

    Args:
        vectors: `[n, dimensions]`.
        clusters: `[n]`, numbers from 0.
    """
    return _scatter_within(vectors, clusters, group_means(vectors, clusters)[clusters])


def scatter_between_clusters(vectors: np.ndarray, clusters: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """How clusters that are relatives differ: float64 `[dimensions, dimensions]`.

    Args:
        vectors: `[n, dimensions]`.
        clusters: `[n]`, numbers from 0.
        pairs: `[pairs, 2]`, one or more.
    """
    means = group_means(vectors, clusters)
    differences = means[pairs[:, 0]] - means[pairs[:, 1]]
    return differences.T @ differences / (2 * len(pairs))


def scatter_of_names(vectors: np.ndarray, genera: np.ndarray, species: np.ndarray) -> np.ndarray:
    """How the barcodes of a genus differ from its mean, which is that of its species' means.

    Args:
        vectors: `[n, dimensions]`.
        genera: `[n]`, numbers, -1 where unknown: such barcodes do not count.
        species: `[n]`, numbers; each lies in one genus.

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
    return _scatter_within(vectors, species, centres[genera])


def scatter_of_means(vectors: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """How cluster means differ from the mean of all: float64 `[dimensions, dimensions]`."""
    means = group_means(vectors, clusters)
    centred = means - means.mean(axis=0)
    return centred.T @ centred / len(means)


def of_trace_1(scatter: np.ndarray) -> np.ndarray:
    """A scatter to a common scale; none at all, as of clusters of one barcode each, stays none."""
    return scatter / (np.trace(scatter) or 1.0)


def find_discriminants(among: np.ndarray, within: np.ndarray, num_directions: int, shrinkage: float) -> np.ndarray:
    """Directions with the largest ratio of scatter among all to scatter within relatives.

    Args:
        among: `[dimensions, dimensions]`, of all.
        within: `[dimensions, dimensions]`, of relatives.
        num_directions: at most so many as there are dimensions.
        shrinkage: of `within` towards a multiple of the identity, 0 to 1.

    Returns:
        float64 `[dimensions, num_directions]`, best first, each with scatter 1 within relatives.
    """
    n = len(within)
    within = (1 - shrinkage) * within + shrinkage * np.trace(within) / n * np.eye(n)
    _, directions = scipy.linalg.eigh(among, within, subset_by_index=(max(n - num_directions, 0), n - 1))
    return directions[:, ::-1]


def _scatter_within(vectors: np.ndarray, groups: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Each group counts once: `centres [n, dimensions]` are what its barcodes are compared with."""
    weights = 1 / np.bincount(groups)[groups]
    differences = (vectors - centres) * np.sqrt(weights)[:, None]
    return differences.T @ differences / weights.sum()
