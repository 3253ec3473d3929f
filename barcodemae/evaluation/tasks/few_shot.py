"""Few-shot identification: how many barcodes of a species must a library hold?"""

from typing import Any

import numpy as np
import pyarrow as pa

from barcodemae.embedding.nearest import unit_length
from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.benchmark import draw_per_taxon
from barcodemae.evaluation.scores import scores_with_intervals
from barcodemae.evaluation.tasks.probes import species_task

SHOTS = (1, 2, 5, 10)
NUM_DRAWS = 10
# A larger number of shots is used only where so many species have enough barcodes.
MIN_SPECIES = 20


def nearest_mean(support: np.ndarray, taxa: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Assign each query to the nearest mean of a taxon, after centring and scaling to unit length.

    This is SimpleShot's "CL2N" (Wang et al. 2019, arXiv 1911.04623), the common baseline of few-shot learning on
    frozen vectors. One difference: SimpleShot centres on the mean of the many vectors that its network was trained
    on; here the support is all that there is, so its own mean is taken.

    Args:
        support: `[n, dimensions]`.
        taxa: `[n]`, their names.
        queries: `[num_queries, dimensions]`.

    Returns:
        Names `[num_queries]`; of equally near means, the first name.
    """
    centre = support.mean(axis=0)
    names, taxon, num_rows = np.unique(taxa, return_inverse=True, return_counts=True)
    means = np.zeros((len(names), support.shape[1]), support.dtype)
    np.add.at(means, taxon, unit_length(support - centre))
    means /= num_rows[:, None]
    # The squared distance, less the query's own length, which is the same for every mean.
    distances = np.sum(means**2, axis=1) - 2 * unit_length(queries - centre) @ means.T
    return names[distances.argmin(axis=1)]


def few_shot_scores(
    train_embeddings: np.ndarray, train: pa.Table, query_embeddings: np.ndarray, queries: pa.Table, *, seed: int = 0
) -> list[dict[str, Any]]:
    """Species accuracy with 1, 2, 5 and 10 barcodes per species, drawn ten times from `train`.

    All entries are about the same species, those that have enough barcodes for the largest number of shots:
    otherwise the task would change along the curve. A number of shots that fewer than 20 species have is left out
    (except 1).

    Args:
        train_embeddings: float32 `[n, dimensions]`.
        train: their records; those without a species are left out.
        query_embeddings: float32 `[num_queries, dimensions]`.
        queries: their records.
        seed: random seed of the draws and of the bootstrap.

    Returns:
        One entry per number of shots: `shots`; `n_species` to choose from; `n_queries` of these species; `n_seeds`,
        the draws; `species_accuracy` and `species_accuracy_by_species`, means over the draws, and each with
        `_interval`, over species.

    Raises:
        ConfigurationError: as `probes.species_task`, or no query is of a species that has enough barcodes.
    """
    task = species_task(train_embeddings, train, query_embeddings, queries)
    names, num_rows = np.unique(task.taxa, return_counts=True)
    all_shots = [shots for shots in SHOTS if shots == 1 or np.sum(num_rows >= shots) >= MIN_SPECIES]
    names = names[num_rows >= max(all_shots)]
    rows = np.isin(task.true, names)
    if not rows.any():
        raise ConfigurationError(f"expected queries of species with {max(all_shots)} barcodes in train, got none")
    known = np.isin(task.taxa, names)
    vectors, taxa = task.train[known], task.taxa[known]
    entries = []
    for shots in all_shots:
        num_correct = np.zeros(int(rows.sum()))
        for draw in range(NUM_DRAWS):
            support = draw_per_taxon(taxa, shots, (seed, draw))
            predicted = nearest_mean(vectors[support], taxa[support], task.queries[rows])
            num_correct += predicted == task.true[rows]
        counts = {"shots": shots, "n_species": len(names), "n_queries": len(num_correct), "n_seeds": NUM_DRAWS}
        entries.append(counts | _accuracies(num_correct / NUM_DRAWS, task.true[rows], seed))
    return entries


def _accuracies(correct: np.ndarray, species: np.ndarray, seed: int) -> dict[str, Any]:
    """`correct` is each query's share of draws in which it is assigned correctly."""
    _, group = np.unique(species, return_inverse=True)
    by_species = np.bincount(group, weights=correct) / np.bincount(group)
    return scores_with_intervals("species", float(correct.mean()), float(by_species.mean()), correct, species, seed)
