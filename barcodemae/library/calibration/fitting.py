"""Learn from named queries how far a name can be trusted, and predict those of other species to judge it by."""

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
from barcodemae.library.embedder import Embedder
from barcodemae.library.store.stored import StoredLibrary

CUT_LENGTHS = LENGTHS[:-1]
"""To which barcodes are cut, so that mini-barcodes are predicted too."""

MIN_QUERIES = 50

_NUM_FOLDS = 5


@dataclass(frozen=True)
class Predictions:
    """Probabilities of queries, and what came.

    Attributes:
        probabilities: `[n]`.
        observed: bool `[n]`.
        is_new: bool `[n]`, the library does not hold the species.
        weights: `[n]`, how much each counts, as in `NamedQueries`.
        length: `[n]`, place in `LENGTHS` of the one nearest to the query's bases.
    """

    probabilities: np.ndarray
    observed: np.ndarray
    is_new: np.ndarray
    weights: np.ndarray
    length: np.ndarray

    def take(self, rows: np.ndarray) -> "Predictions":
        return Predictions(*(values[rows] for values in vars(self).values()))


def calibrate(queries: NamedQueries, by: str) -> Calibration:
    """Fit all probabilities.

    Args:
        queries: fifty or more of a length. At a rank and length where fewer have a name, the next length serves; at a
            rank where there is none, no name is trusted.
        by: `OWN` or `QUERIES`, what they are.

    Raises:
        ConfigurationError: there are too few queries.
    """
    everyone = np.ones(len(queries.species), bool)
    num_queries = np.bincount(nearest_length(queries.num_bases)).max()  # each is asked whole, and cut
    if num_queries < MIN_QUERIES:
        raise ConfigurationError(f"expected {MIN_QUERIES} named queries or more to calibrate, got {num_queries}")
    return Calibration({what: _fit(queries, what, everyone) for what in PREDICTED}, by)


def calibrate_by_own(library: StoredLibrary, embedder: Embedder) -> Calibration:
    """Calibrate a library by its own records, held out.

    Args:
        library: to ask.
        embedder: the one that it was made with.

    Raises:
        ConfigurationError: fewer than fifty records have a species.
    """
    return calibrate(search_own(library, embedder, CUT_LENGTHS), OWN)


def predict_others(queries: NamedQueries, seed: int = 0) -> dict[str, Predictions]:
    """What is predicted of each species by what the others taught, in five folds.

    Args:
        queries: fifty or more.
        seed: of the folds.

    Returns:
        Of each rank at which a query has a name, and of `NOVELTY`.
    """
    _, number = np.unique(queries.species, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(number.max() + 1)[number] % _NUM_FOLDS
    probabilities = {what: np.empty(len(fold), np.float32) for what in PREDICTED if queries.counts(what).any()}
    for here in range(_NUM_FOLDS):
        rows = np.flatnonzero(fold == here)
        for what, told in probabilities.items():
            learnt = Calibration({what: _fit(queries, what, fold != here)}, OWN)
            told[rows] = learnt(what, queries.vote(what).take(rows), queries.num_bases[rows])
    return {what: _predictions(queries, what, told) for what, told in probabilities.items()}


def predict(queries: NamedQueries, calibration: Calibration) -> dict[str, Predictions]:
    """What a calibration says of queries that it was not learnt from; as `predict_others`."""
    return {
        what: _predictions(queries, what, calibration(what, queries.vote(what), queries.num_bases))
        for what in PREDICTED
        if queries.counts(what).any()
    }


def _predictions(queries: NamedQueries, what: str, probabilities: np.ndarray) -> Predictions:
    everyone = Predictions(
        probabilities, queries.observed(what), queries.is_new, queries.weights, nearest_length(queries.num_bases)
    )
    return everyone.take(queries.counts(what))


def _fit(queries: NamedQueries, what: str, of: np.ndarray) -> tuple[Probability, ...]:
    """A probability for each of `LENGTHS`, from some of the queries."""
    usable = queries.counts(what) & of
    nearest = nearest_length(queries.num_bases)
    counts = np.bincount(nearest[usable], minlength=len(LENGTHS))
    fitted = {}
    for place in np.flatnonzero(counts >= MIN_QUERIES * (_NUM_FOLDS - 1) // _NUM_FOLDS):
        rows = np.flatnonzero(usable & (nearest == place))
        fitted[int(place)] = fit_probability(
            queries.vote(what).take(rows), queries.observed(what)[rows], queries.weights[rows]
        )
    if not fitted:
        return (NEVER,) * len(LENGTHS)
    return tuple(fitted[min(fitted, key=lambda one: abs(one - place))] for place in range(len(LENGTHS)))
