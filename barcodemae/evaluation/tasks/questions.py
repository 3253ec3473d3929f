"""What tasks on frozen vectors ask before they begin: can these vectors and labels be judged at all?"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.splits import answerable, labels


def check_embeddings(embeddings: np.ndarray) -> None:
    """Refuse vectors with NaN or infinity: some tasks would make a number of them.

    Args:
        embeddings: `[n, dimensions]`.

    Raises:
        ConfigurationError: a value is not finite.
    """
    # Sums of rows pass on what is not finite, and no second matrix is made.
    n_bad = int(np.sum(~np.isfinite(embeddings.sum(axis=1, dtype=np.float64))))
    if n_bad > 0:
        raise ConfigurationError(f"expected finite embeddings, got NaN or infinity in {n_bad} of {len(embeddings)}")


class SpeciesQuestions(NamedTuple):
    """Vectors to learn species from, and vectors of the same species to be named.

    Attributes:
        train: `[n, dimensions]`, those of known species.
        taxa: `[n]`, their species.
        queries: `[n_answerable, dimensions]`, those of species that stand in `taxa`.
        answers: `[n_answerable]`, their species.
        counts: `n_train, n_queries, n_answerable`, for the results.
    """

    train: np.ndarray
    taxa: np.ndarray
    queries: np.ndarray
    answers: np.ndarray
    counts: dict[str, Any]


def species_questions(
    train_embeddings: np.ndarray, train: pa.Table, query_embeddings: np.ndarray, queries: pa.Table
) -> SpeciesQuestions:
    """Leave out what has no species, and queries of species that are not in `train`.

    Args:
        train_embeddings: `[n, dimensions]`.
        train: their records.
        query_embeddings: `[n_queries, dimensions]`.
        queries: their records.

    Raises:
        ConfigurationError: no query can be answered, `train` is of one species, or a vector is not finite.
    """
    train_species, species = labels(train, "species"), labels(queries, "species")
    known, rows = train_species != "", answerable(species, train_species)
    if not rows.any():
        raise ConfigurationError("expected queries of a species that stands in the train split, got none")
    if len(set(train_species[known])) < 2:
        raise ConfigurationError("expected two species or more in the train split to tell apart, got one")
    check_embeddings(train_embeddings)
    check_embeddings(query_embeddings)
    return SpeciesQuestions(
        train=train_embeddings[known],
        taxa=train_species[known],
        queries=query_embeddings[rows],
        answers=species[rows],
        counts={"n_train": int(known.sum()), "n_queries": len(queries), "n_answerable": int(rows.sum())},
    )
