"""Tuned linear probe: logistic regression on frozen vectors, its strength chosen within the train split."""

import warnings
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.scores import accuracy_scores
from barcodemae.evaluation.tasks.questions import species_questions
from barcodemae.evaluation.tasks.sampling import draw_per_taxon

# Inverse strengths of the penalty that are tried, strong to weak.
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
N_FOLDS = 3
TUNING_ROWS_PER_SPECIES = 6
MAX_ITERATIONS = 300


def choose_strength(train: np.ndarray, taxa: np.ndarray, seed: int = 0) -> float:
    """The inverse strength C of the penalty that is most accurate in stratified cross-validation (3 folds).

    Of equally accurate ones, the one with the least log loss. At most 6 barcodes of a species take part, which keeps
    15 fits about as cheap as the last one, and only species that have a barcode for each fold.

    Args:
        train: `[n, dimensions]`.
        taxa: `[n]`, their names.
        seed: of the draw and of the folds.

    Raises:
        ConfigurationError: fewer than two species have 3 barcodes.
    """
    rows = draw_per_taxon(taxa, TUNING_ROWS_PER_SPECIES, seed)
    names, inverse, n_rows = np.unique(taxa[rows], return_inverse=True, return_counts=True)
    if np.sum(n_rows >= N_FOLDS) < 2:
        raise ConfigurationError(
            f"a tuned probe expects two species or more with {N_FOLDS} barcodes in the train split, "
            f"got {np.sum(n_rows >= N_FOLDS)} of {len(names)}"
        )
    rows = rows[n_rows[inverse] >= N_FOLDS]
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    strengths = {"logisticregression__C": STRENGTHS}
    search = GridSearchCV(_probe(), strengths, scoring=["accuracy", "neg_log_loss"], cv=folds, refit=False)
    with warnings.catch_warnings():
        # A weak penalty may not converge in time: it is judged by what it got to.
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(train[rows], taxa[rows])
    tried = search.cv_results_
    marks = zip(tried["mean_test_accuracy"], tried["mean_test_neg_log_loss"], STRENGTHS, strict=True)
    return max(marks)[-1]


def logistic_probe_scores(
    train_embeddings: np.ndarray, train: pa.Table, query_embeddings: np.ndarray, queries: pa.Table, *, seed: int = 0
) -> dict[str, Any]:
    """Species accuracy of multinomial logistic regression, over the queries whose species stands in `train`.

    Every dimension is standardised by its mean and deviation in `train`. The solver is L-BFGS, at most 300 steps,
    on all rows of `train`; the penalty is that of `choose_strength`. Queries have no part in it.

    Args:
        train_embeddings: float32 `[n, dimensions]`.
        train: their records; those without a species take no part.
        query_embeddings: float32 `[n_queries, dimensions]`.
        queries: their records.
        seed: of the choice of the penalty and of the bootstrap.

    Returns:
        `n_train, n_queries, n_answerable`; `c`, the inverse strength of the penalty, `tuning_rows_per_species`,
        the most barcodes of a species that it was chosen on, and `converged`, whether the last fit came to its end;
        and what `scores.accuracy_scores` gives for species.

    Raises:
        ConfigurationError: as `questions.species_questions` and `choose_strength`.
    """
    asked = species_questions(train_embeddings, train, query_embeddings, queries)
    strength = choose_strength(asked.train, asked.taxa, seed)
    probe = _probe().set_params(logisticregression__C=strength)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # told as `converged`
        probe.fit(asked.train, asked.taxa)
    given = probe.predict(asked.queries)
    return {
        **asked.counts,
        "c": strength,
        "tuning_rows_per_species": TUNING_ROWS_PER_SPECIES,
        "converged": bool(probe[-1].n_iter_.max() < MAX_ITERATIONS),
        **accuracy_scores("species", given, asked.answers, asked.answers, seed),
    }


def _probe() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=MAX_ITERATIONS))
