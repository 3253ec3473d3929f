"""Fit calibrations to queries with known names, and predict queries of other species for their evaluation."""

from dataclasses import dataclass

import numpy as np

from barcodemae.errors import ConfigurationError
from barcodemae.library.calibration.named_queries import NamedQueries, search_own
from barcodemae.library.calibration.probability import (
    LENGTHS,
    NEVER,
    OWN,
    PREDICTED,
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
    return Calibration({what: _fit(queries, what, everyone) for what in PREDICTED}, by)


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
    probabilities = {what: np.empty(len(fold), np.float32) for what in PREDICTED if queries.is_known(what).any()}
    for held_out in range(_NUM_FOLDS):
        rows = np.flatnonzero(fold == held_out)
        for what, values in probabilities.items():
            fitted = Calibration({what: _fit(queries, what, fold != held_out)}, OWN)
            values[rows] = fitted(what, queries.vote(what).take(rows), queries.num_bases[rows])
    return {what: _predictions(queries, what, values) for what, values in probabilities.items()}


def predict(queries: NamedQueries, calibration: Calibration) -> dict[str, Predictions]:
    """Predict queries by a calibration to others; returns the same as `predict_others`."""
    return {
        what: _predictions(queries, what, calibration(what, queries.vote(what), queries.num_bases))
        for what in PREDICTED
        if queries.is_known(what).any()
    }


def _predictions(queries: NamedQueries, what: str, probabilities: np.ndarray) -> Predictions:
    everyone = Predictions(
        probabilities, queries.observed(what), queries.is_new, queries.weights, nearest_length(queries.num_bases)
    )
    return everyone.take(queries.is_known(what))


def _fit(queries: NamedQueries, what: str, is_used: np.ndarray) -> tuple[Probability, ...]:
    """A probability for each of `LENGTHS`, fitted to some of the queries."""
    usable = queries.is_known(what) & is_used
    nearest = nearest_length(queries.num_bases)
    counts = np.bincount(nearest[usable], minlength=len(LENGTHS))
    fitted = {}
    for number in np.flatnonzero(counts >= MIN_QUERIES * (_NUM_FOLDS - 1) // _NUM_FOLDS):
        rows = np.flatnonzero(usable & (nearest == number))
        fitted[int(number)] = fit_probability(
            queries.vote(what).take(rows), queries.observed(what)[rows], queries.weights[rows]
        )
    if not fitted:
        return (NEVER,) * len(LENGTHS)
    return tuple(fitted[min(fitted, key=lambda other: abs(other - number))] for number in range(len(LENGTHS)))
