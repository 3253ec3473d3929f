"""Few-shot identification: how many barcodes of a species must a library hold?"""

from typing import Any

import numpy as np
import pyarrow as pa

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.bootstrap import species_bootstrap
from barcodemae.evaluation.tasks.questions import species_questions
from barcodemae.evaluation.tasks.sampling import draw_per_taxon
from barcodemae.vectors.nearest import unit_length

SHOTS = (1, 2, 5, 10)
N_DRAWS = 10
# More shots are asked only where so many species have them.
MIN_SPECIES = 20


def nearest_mean(support: np.ndarray, taxa: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Name each query by the nearest mean of a taxon, after centring and scaling to unit length.

    This is SimpleShot's "CL2N" (Wang et al. 2019, arXiv 1911.04623), the common baseline of few-shot learning on
    frozen vectors. One difference: SimpleShot centres on the mean of the many vectors that its network was trained
    on; here the support is all that there is, so its own mean is taken.

    Args:
        support: `[n, dimensions]`.
        taxa: `[n]`, their names.
        queries: `[n_queries, dimensions]`.

    Returns:
        Names `[n_queries]`; of equally near means, the first name.
    """
    centre = support.mean(axis=0)
    names, taxon, n_rows = np.unique(taxa, return_inverse=True, return_counts=True)
    means = np.zeros((len(names), support.shape[1]), support.dtype)
    np.add.at(means, taxon, unit_length(support - centre))
    means /= n_rows[:, None]
    # The squared distance, less the query's own length, which is the same for every mean.
    distances = np.sum(means**2, axis=1) - 2 * unit_length(queries - centre) @ means.T
    return names[distances.argmin(axis=1)]


def few_shot_scores(
    train_embeddings: np.ndarray, train: pa.Table, query_embeddings: np.ndarray, queries: pa.Table, *, seed: int = 0
) -> list[dict[str, Any]]:
    """Species accuracy with 1, 2, 5 and 10 barcodes per species, drawn ten times from `train`.

    All entries are about the same species, those that have enough barcodes for the largest number asked: otherwise
    the task would change along the curve. A number of shots that fewer than 20 species have is not asked (but 1 is).

    Args:
        train_embeddings: float32 `[n, dimensions]`.
        train: their records; those without a species take no part.
        query_embeddings: float32 `[n_queries, dimensions]`.
        queries: their records.
        seed: of the draws and of the bootstrap.

    Returns:
        One entry per number of shots: `shots`; `n_species` to choose from; `n_queries` of these species; `n_seeds`,
        the draws; `species_accuracy` and `species_accuracy_by_species`, means over the draws, and each with
        `_interval`, over species.

    Raises:
        ConfigurationError: as `questions.species_questions`, or no query is of a species that has enough barcodes.
    """
    asked = species_questions(train_embeddings, train, query_embeddings, queries)
    names, n_rows = np.unique(asked.taxa, return_counts=True)
    all_shots = [shots for shots in SHOTS if shots == 1 or np.sum(n_rows >= shots) >= MIN_SPECIES]
    names = names[n_rows >= max(all_shots)]
    rows = np.isin(asked.answers, names)
    if not rows.any():
        raise ConfigurationError(f"expected queries of species with {max(all_shots)} barcodes in train, got none")
    known = np.isin(asked.taxa, names)
    vectors, taxa = asked.train[known], asked.taxa[known]
    entries = []
    for shots in all_shots:
        n_right = np.zeros(int(rows.sum()))
        for draw in range(N_DRAWS):
            support = draw_per_taxon(taxa, shots, (seed, draw))
            given = nearest_mean(vectors[support], taxa[support], asked.queries[rows])
            n_right += given == asked.answers[rows]
        counts = {"shots": shots, "n_species": len(names), "n_queries": len(n_right), "n_seeds": N_DRAWS}
        entries.append(counts | _accuracies(n_right / N_DRAWS, asked.answers[rows], seed))
    return entries


def _accuracies(right: np.ndarray, species: np.ndarray, seed: int) -> dict[str, Any]:
    """`right` is each query's share of draws in which it was named rightly."""
    intervals = species_bootstrap(right, species, seed)
    _, group = np.unique(species, return_inverse=True)
    by_species = np.bincount(group, weights=right) / np.bincount(group)
    return {
        "species_accuracy": float(right.mean()),
        "species_accuracy_interval": list(intervals.plain),
        "species_accuracy_by_species": float(by_species.mean()),
        "species_accuracy_by_species_interval": list(intervals.by_species),
    }
