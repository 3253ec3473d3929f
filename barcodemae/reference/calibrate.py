"""Learn from named queries how far a name can be trusted, and foretell those of other species to judge it by."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from barcodemae.data.schema import RANKS
from barcodemae.errors import ConfigurationError
from barcodemae.reference.build import keep_calibration
from barcodemae.reference.calibration import NEVER, OWN, Calibration, Probability, fit_probability
from barcodemae.reference.library import Library
from barcodemae.reference.named_queries import NOVELTY, NamedQueries, ask_own

FEWEST_QUERIES = 50

_NUM_FOLDS = 5


@dataclass(frozen=True)
class Foretold:
    """Probabilities of queries, and what came.

    Attributes:
        probabilities: `[n]`.
        happened: bool `[n]`.
        is_new: bool `[n]`, the library does not hold the species.
        weights: `[n]`, how much each counts, as in `NamedQueries`.
    """

    probabilities: np.ndarray
    happened: np.ndarray
    is_new: np.ndarray
    weights: np.ndarray

    def take(self, rows: np.ndarray) -> "Foretold":
        return Foretold(*(values[rows] for values in vars(self).values()))


def calibrate(queries: NamedQueries, by: str) -> Calibration:
    """Fit all probabilities.

    Args:
        queries: fifty or more. At a rank where fewer have a name, no name is trusted.
        by: `OWN` or `QUERIES`, what they are.

    Raises:
        ConfigurationError: there are too few queries.
    """
    if (n := len(queries.species)) < FEWEST_QUERIES:
        raise ConfigurationError(f"expected {FEWEST_QUERIES} named queries or more to calibrate, got {n}")
    everyone = np.ones(len(queries.species), bool)
    ranks = dict.fromkeys(RANKS, NEVER) | {rank: _fit(queries, rank, everyone) for rank in _fitted_ranks(queries)}
    return Calibration(ranks, _fit(queries, NOVELTY, everyone), by)


def calibrate_by_own(folder: str | Path) -> bool:
    """Calibrate a library by its own records, unless it was calibrated by queries.

    Returns:
        Whether it is calibrated now: it can't be by fewer than fifty records with a species.

    Raises:
        LibraryError: it is missing or broken, or another process is writing to it.
    """
    library = Library.open(folder)
    present = library.calibration()
    if present is not None and present.by != OWN:
        return True
    try:
        calibration = calibrate(ask_own(library), OWN)
    except ConfigurationError:
        return False
    keep_calibration(library.folder, calibration)
    return True


def foretell_others(queries: NamedQueries, seed: int = 0) -> dict[str, Foretold]:
    """What is foretold of each species by what the others taught, in five folds.

    Args:
        queries: fifty or more.
        seed: of the folds.

    Returns:
        Of each rank at which enough queries have a name, and of `NOVELTY`.
    """
    _, number = np.unique(queries.species, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(number.max() + 1)[number] % _NUM_FOLDS
    found = {}
    for what in (*_fitted_ranks(queries), NOVELTY):
        probabilities = np.empty(len(fold))
        for here in range(_NUM_FOLDS):
            rows = np.flatnonzero(fold == here)
            probabilities[rows] = _fit(queries, what, fold != here)(queries.vote(what).take(rows))
        everyone = Foretold(probabilities, queries.happened(what), queries.is_new, queries.weights)
        found[what] = everyone.take(queries.counts(what))
    return found


def foretell(queries: NamedQueries, calibration: Calibration) -> dict[str, Foretold]:
    """What a calibration says of queries that it was not learnt from; as `foretell_others`."""
    found = {}
    for what in (*RANKS, NOVELTY):
        probability = calibration.novelty if what == NOVELTY else calibration.ranks[what]
        foretold = probability(queries.vote(what))
        everyone = Foretold(foretold, queries.happened(what), queries.is_new, queries.weights)
        found[what] = everyone.take(queries.counts(what))
    return found


def _fitted_ranks(queries: NamedQueries) -> list[str]:
    """The ranks at which enough queries have a name, species among them."""
    return [rank for rank in RANKS if queries.named[rank].sum() >= FEWEST_QUERIES]


def _fit(queries: NamedQueries, what: str, of: np.ndarray) -> Probability:
    rows = np.flatnonzero(queries.counts(what) & of)
    return fit_probability(queries.vote(what).take(rows), queries.happened(what)[rows], queries.weights[rows])
