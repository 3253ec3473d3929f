"""Fit calibrations to queries with known names, and predict queries of other species for their evaluation."""

from dataclasses import dataclass

import numpy as np

from barcodemae.errors import ConfigurationError
from barcodemae.library.calibration.named_queries import NamedQueries, search_own
from barcodemae.library.calibration.probability import (
    LENGTHS,
    NEVER,
    OWN,
    TARGETS,
    Calibration,
    Probability,
    fit_probability,
    nearest_length,
)
from barcodemae.library.models import Embedder
from barcodemae.library.store.stored import StoredLibrary

CUT_LENGTHS = LENGTHS[:-1]
"""Lengths to which barcodes are cut, so that mini-barcodes are calibrated too."""

MIN_QUERIES = 50

_NUM_FOLDS = 5


@dataclass(frozen=True)
class Predictions:
    """Predicted probabilities of queries, and what was observed.

    Attributes:
        probabilities: `[n]`.
        observed: bool `[n]`.
        is_new: bool `[n]`, the species is not in the library.
        weights: `[n]`, as in `NamedQueries`.
        length: `[n]`, index in `LENGTHS` of the one nearest to the query's number of bases.
    """

    probabilities: np.ndarray
    observed: np.ndarray
    is_new: np.ndarray
    weights: np.ndarray
    length: np.ndarray

    def take(self, rows: np.ndarray) -> "Predictions":
        """Those of some of the queries."""
        return Predictions(*(values[rows] for values in vars(self).values()))

    @property
    def groups(self) -> dict[str, np.ndarray]:
        """Group of queries -> bool `[n]`."""
        return {"known species": ~self.is_new, "new species": self.is_new}


def calibrate(queries: NamedQueries, by: str) -> Calibration:
    """Fit all probabilities.

    Args:
        queries: at least fifty of a length. At a rank and length where fewer have a name, the nearest length with
            enough is used; at a rank without any, the probability is 0.
        by: `OWN` or `QUERIES`, the kind of queries.

    Raises:
        ConfigurationError: there are too few queries.
    """
    everyone = np.ones(len(queries.species), bool)
    num_queries = np.bincount(nearest_length(queries.num_bases)).max()  # each is searched complete, and cut
    if num_queries < MIN_QUERIES:
        raise ConfigurationError(f"expected at least {MIN_QUERIES} named queries to calibrate, got {num_queries}")
    return Calibration({target: _fit(queries, target, everyone) for target in TARGETS}, by)


def calibrate_by_own(library: StoredLibrary, embedder: Embedder) -> Calibration:
    """Calibrate a library by its own records, held out.

    Args:
        library: to calibrate.
        embedder: the model that made its vectors.

    Raises:
        ConfigurationError: fewer than fifty records have a species.
    """
    return calibrate(search_own(library, embedder, CUT_LENGTHS), OWN)


def predict_others(queries: NamedQueries, seed: int = 0) -> dict[str, Predictions]:
    """Predict the queries of each species by a calibration to those of other species, in five folds.

    Args:
        queries: at least fifty.
        seed: of the folds.

    Returns:
        Predictions for `NOVELTY` and each rank at which a query has a name.
    """
    _, number = np.unique(queries.species, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(number.max() + 1)[number] % _NUM_FOLDS
    probabilities = {target: np.empty(len(fold), np.float32) for target in TARGETS if queries.is_known(target).any()}
    for held_out in range(_NUM_FOLDS):
        rows = np.flatnonzero(fold == held_out)
        for target, values in probabilities.items():
            fitted = Calibration({target: _fit(queries, target, fold != held_out)}, OWN)
            values[rows] = fitted(target, queries.vote(target).take(rows), queries.num_bases[rows])
    return {target: _predictions(queries, target, values) for target, values in probabilities.items()}


def predict(queries: NamedQueries, calibration: Calibration) -> dict[str, Predictions]:
    """Predict queries by a calibration to others; returns the same as `predict_others`."""
    return {
        target: _predictions(queries, target, calibration(target, queries.vote(target), queries.num_bases))
        for target in TARGETS
        if queries.is_known(target).any()
    }


def _predictions(queries: NamedQueries, target: str, probabilities: np.ndarray) -> Predictions:
    everyone = Predictions(
        probabilities, queries.observed(target), queries.is_new, queries.weights, nearest_length(queries.num_bases)
    )
    return everyone.take(queries.is_known(target))


def _fit(queries: NamedQueries, target: str, is_used: np.ndarray) -> tuple[Probability, ...]:
    """A probability for each of `LENGTHS`, fitted to some of the queries."""
    usable = queries.is_known(target) & is_used
    nearest = nearest_length(queries.num_bases)
    counts = np.bincount(nearest[usable], minlength=len(LENGTHS))
    fitted = {}
    for number in np.flatnonzero(counts >= MIN_QUERIES * (_NUM_FOLDS - 1) // _NUM_FOLDS):
        rows = np.flatnonzero(usable & (nearest == number))
        fitted[int(number)] = fit_probability(
            queries.vote(target).take(rows), queries.observed(target)[rows], queries.weights[rows]
        )
    if not fitted:
        return (NEVER,) * len(LENGTHS)
    return tuple(fitted[min(fitted, key=lambda other: abs(other - number))] for number in range(len(LENGTHS)))
