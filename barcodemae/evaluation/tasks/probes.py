"""Probes: how accurately a linear classifier predicts seen species from frozen vectors.

The linear probe is the published one; the logistic probe chooses the strength of its penalty within the train split.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.benchmark import answerable, draw_per_taxon, labels
from barcodemae.evaluation.scores import accuracy_scores
from barcodemae.evaluation.vector_cache import check_finite

# The published recipe of the linear probe (BarcodeBERT, arXiv 2311.02401).
LEARNING_RATE = 1.0
MOMENTUM = 0.95
WEIGHT_DECAY = 1e-9
BATCH_SIZE = 1024
EPOCHS = 200

# The logistic probe: inverse strengths of the penalty that are tried, strong to weak.
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
NUM_FOLDS = 3
TUNING_ROWS_PER_SPECIES = 6
MAX_ITERATIONS = 300


class SpeciesTask(NamedTuple):
    """Vectors to fit a classifier of species to, and vectors of the same species to classify.

    Attributes:
        train: `[n, dimensions]`, those of known species.
        taxa: `[n]`, their species.
        queries: `[num_answerable, dimensions]`, those of species in `taxa`.
        true: `[num_answerable]`, their species.
        counts: `n_train, n_queries, n_answerable`, for the results.
    """

    train: np.ndarray
    taxa: np.ndarray
    queries: np.ndarray
    true: np.ndarray
    counts: dict[str, Any]


def species_task(
    train_embeddings: np.ndarray, train: pa.Table, query_embeddings: np.ndarray, queries: pa.Table
) -> SpeciesTask:
    """Leave out records without a species, and queries of species that are not in `train`.

    Args:
        train_embeddings: `[n, dimensions]`.
        train: their records.
        query_embeddings: `[num_queries, dimensions]`.
        queries: their records.

    Raises:
        ConfigurationError: no query is of a species in `train`, `train` is of one species, or a vector is not finite.
    """
    train_species, species = labels(train, "species"), labels(queries, "species")
    known, rows = train_species != "", answerable(species, train_species)
    if not rows.any():
        raise ConfigurationError("expected queries of a species of the train split, got none")
    if len(set(train_species[known])) < 2:
        raise ConfigurationError("expected at least two species in the train split, got one")
    check_finite(train_embeddings)
    check_finite(query_embeddings)
    return SpeciesTask(
        train=train_embeddings[known],
        taxa=train_species[known],
        queries=query_embeddings[rows],
        true=species[rows],
        counts={"n_train": int(known.sum()), "n_queries": len(queries), "n_answerable": int(rows.sum())},
    )


def fit_predict(
    train: np.ndarray, taxa: np.ndarray, queries: np.ndarray, *, epochs: int = EPOCHS, seed: int = 0
) -> np.ndarray:
    """Train a linear classifier with SGD and classify the queries.

    Vectors are standardised by one mean and one standard deviation of the whole `train` matrix, so that
    dimensions keep their proportions.

    Args:
        train: float32 `[n, dimensions]`.
        taxa: `[n]`, their names.
        queries: float32 `[num_queries, dimensions]`.
        epochs: passes over `train`.
        seed: random seed of the initial weights and of the order of the rows.

    Returns:
        Names `[num_queries]`.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator().manual_seed(seed)
    names, targets = np.unique(taxa, return_inverse=True)
    mean, deviation = train.mean(), max(train.std(), np.finfo(np.float32).tiny)

    def standardise(vectors: np.ndarray) -> torch.Tensor:
        return torch.from_numpy((vectors - mean) / deviation).float().to(device)

    inputs, classes = standardise(train), torch.from_numpy(targets).to(device)
    bound = train.shape[1] ** -0.5
    weight = torch.empty(len(names), train.shape[1]).uniform_(-bound, bound, generator=generator).to(device)
    bias = torch.empty(len(names)).uniform_(-bound, bound, generator=generator).to(device)
    parameters = [weight.requires_grad_(), bias.requires_grad_()]
    optimizer = torch.optim.SGD(parameters, lr=LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    for _ in tqdm(range(epochs), desc="linear probe", unit="epoch", leave=False):
        for rows in torch.randperm(len(inputs), generator=generator).to(device).split(BATCH_SIZE):
            loss = F.cross_entropy(F.linear(inputs[rows], weight, bias), classes[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return names[F.linear(standardise(queries), weight, bias).argmax(dim=1).cpu().numpy()]


def linear_probe_scores(
    train_embeddings: np.ndarray,
    train: pa.Table,
    query_embeddings: np.ndarray,
    queries: pa.Table,
    *,
    epochs: int = EPOCHS,
    seed: int = 0,
) -> dict[str, Any]:
    """Species accuracy of the probe, over the queries whose species is in `train`.

    Args:
        train_embeddings: float32 `[n, dimensions]`.
        train: their records; those without a species are left out.
        query_embeddings: float32 `[num_queries, dimensions]`.
        queries: their records.
        epochs: passes over `train`.
        seed: random seed of the probe and of the bootstrap.

    Returns:
        `n_train, n_queries, n_answerable`, and what `scores.accuracy_scores` gives for species.

    Raises:
        ConfigurationError: as `species_task`.
    """
    task = species_task(train_embeddings, train, query_embeddings, queries)
    predicted = fit_predict(task.train, task.taxa, task.queries, epochs=epochs, seed=seed)
    return task.counts | accuracy_scores("species", predicted, task.true, task.true, seed)


def choose_strength(train: np.ndarray, taxa: np.ndarray, seed: int = 0) -> float:
    """The inverse strength C of the penalty that is most accurate in stratified cross-validation (3 folds).

    Of equally accurate ones, the one with the minimum log loss. At most 6 barcodes of a species take part, which keeps
    15 fits about as cheap as the last one, and only species that have a barcode for each fold.

    Args:
        train: `[n, dimensions]`.
        taxa: `[n]`, their names.
        seed: random seed of the draw and of the folds.

    Raises:
        ConfigurationError: fewer than two species have 3 barcodes.
    """
    rows = draw_per_taxon(taxa, TUNING_ROWS_PER_SPECIES, seed)
    names, inverse, num_rows = np.unique(taxa[rows], return_inverse=True, return_counts=True)
    if np.sum(num_rows >= NUM_FOLDS) < 2:
        raise ConfigurationError(
            f"a tuned probe expects two species or more with {NUM_FOLDS} barcodes in the train split, "
            f"got {np.sum(num_rows >= NUM_FOLDS)} of {len(names)}"
        )
    rows = rows[num_rows[inverse] >= NUM_FOLDS]
    folds = StratifiedKFold(NUM_FOLDS, shuffle=True, random_state=seed)
    strengths = {"logisticregression__C": STRENGTHS}
    search = GridSearchCV(_probe(), strengths, scoring=["accuracy", "neg_log_loss"], cv=folds, refit=False)
    with warnings.catch_warnings():
        # A weak penalty may not converge in time: it is scored as it is then.
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(train[rows], taxa[rows])
    tried = search.cv_results_
    results = zip(tried["mean_test_accuracy"], tried["mean_test_neg_log_loss"], STRENGTHS, strict=True)
    return max(results)[-1]


def logistic_probe_scores(
    train_embeddings: np.ndarray, train: pa.Table, query_embeddings: np.ndarray, queries: pa.Table, *, seed: int = 0
) -> dict[str, Any]:
    """Species accuracy of multinomial logistic regression, over the queries whose species is in `train`.

    Every dimension is standardised by its mean and deviation in `train`. The solver is L-BFGS, at most 300 steps,
    on all rows of `train`; the penalty is that of `choose_strength`. Queries are not used in the choice.

    Args:
        train_embeddings: float32 `[n, dimensions]`.
        train: their records; those without a species are left out.
        query_embeddings: float32 `[num_queries, dimensions]`.
        queries: their records.
        seed: random seed of the choice of the penalty and of the bootstrap.

    Returns:
        `n_train, n_queries, n_answerable`; `c`, the inverse strength of the penalty, `tuning_rows_per_species`,
        the maximum number of barcodes of a species in that choice, and `converged`, whether the last fit did;
        and what `scores.accuracy_scores` gives for species.

    Raises:
        ConfigurationError: as `species_task` and `choose_strength`.
    """
    task = species_task(train_embeddings, train, query_embeddings, queries)
    strength = choose_strength(task.train, task.taxa, seed)
    probe = _probe().set_params(logisticregression__C=strength)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # reported as `converged`
        probe.fit(task.train, task.taxa)
    predicted = probe.predict(task.queries)
    return {
        **task.counts,
        "c": strength,
        "tuning_rows_per_species": TUNING_ROWS_PER_SPECIES,
        "converged": bool(probe[-1].n_iter_.max() < MAX_ITERATIONS),
        **accuracy_scores("species", predicted, task.true, task.true, seed),
    }


def _probe() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=MAX_ITERATIONS))
