"""Confidence intervals that draw species, not rows: barcodes of one species stand or fall together."""

from typing import NamedTuple

import numpy as np

N_RESAMPLES = 2_000
LEVEL = 0.95

_BLOCK_BYTES = 2**26


class AccuracyIntervals(NamedTuple):
    """Percentile intervals `(low, high)` of one accuracy, or of the difference of two.

    Attributes:
        plain: of the share of right rows.
        by_species: of the mean over species of each one's share of right rows.
    """

    plain: tuple[float, float]
    by_species: tuple[float, float]


def species_bootstrap(right: np.ndarray, species: np.ndarray, seed: int = 0) -> AccuracyIntervals:
    """95 % intervals of an accuracy, from resamples of species with all of their rows.

    Intervals over rows would be far too narrow where a few species hold most of the rows.
    The adjusted mutual information has no such interval: a species drawn twice would have to be two species
    of two BINs, and a third of the species left out changes the number of clusters that is asked for.

    Args:
        right: `[n]`, 1 or true where a row was answered rightly; of two models, the difference, -1 to 1.
        species: `[n]`, names.
        seed: of the draws.

    Raises:
        ValueError: no rows.
    """
    if len(right) == 0:
        raise ValueError("expected at least one answered row, got none")
    _, group = np.unique(species, return_inverse=True)
    n_rows = np.bincount(group)
    n_right = np.bincount(group, weights=right)
    n_species = len(n_rows)
    rng = np.random.default_rng(seed)
    plain, by_species = np.empty(N_RESAMPLES), np.empty(N_RESAMPLES)
    n_at_once = max(1, _BLOCK_BYTES // (8 * n_species))
    for begin in range(0, N_RESAMPLES, n_at_once):
        block = slice(begin, min(begin + n_at_once, N_RESAMPLES))
        times_drawn = draw_species(rng, n_species, block.stop - begin)
        plain[block] = (times_drawn @ n_right) / (times_drawn @ n_rows)
        by_species[block] = times_drawn @ (n_right / n_rows) / n_species
    return AccuracyIntervals(percentile_interval(plain), percentile_interval(by_species))


def draw_species(rng: np.random.Generator, n_species: int, n_draws: int) -> np.ndarray:
    """How often each species is drawn when as many are drawn as there are, with replacement.

    Returns:
        int64 `[n_draws, n_species]`, rows of sum `n_species`; the same rows whether drawn at once or in turn.
    """
    return rng.multinomial(n_species, np.full(n_species, 1 / n_species), size=n_draws)


def percentile_interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % `(low, high)` of the values `[n]` that a statistic takes on resamples."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
