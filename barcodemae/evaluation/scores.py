"""Accuracies with their intervals over species, and whether two of them differ by more than chance."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from barcodemae.errors import ConfigurationError

if TYPE_CHECKING:
    import evaluate

NUM_RESAMPLES = 2_000
LEVEL = 0.95

_BLOCK_BYTES = 2**26
_METRICS = Path(__file__).parent / "metrics"


@cache
def load_metric(name: str) -> "evaluate.EvaluationModule":
    """A metric of this package (`taxon_accuracy`, `bin_ami`), read from the installed file, without network.

    Its data are in memory, so that parallel processes share no cache file.
    """
    import evaluate  # an optional package, which the leaderboard does without

    return evaluate.load(str(_METRICS / name / f"{name}.py"), keep_in_memory=True)


def accuracy_scores(
    rank: str, predicted: np.ndarray, true: np.ndarray, species: np.ndarray, seed: int = 0
) -> dict[str, Any]:
    """Accuracy at one rank, plain and averaged over species, each with its 95 % interval over species.

    Args:
        rank: `genus`, ...: the prefix of the keys.
        predicted: `[n]`, taxa.
        true: `[n]`, taxa.
        species: `[n]`, to average over and to resample.
        seed: random seed of the bootstrap.

    Returns:
        As `scores_with_intervals`.
    """
    shares = load_metric("taxon_accuracy").compute(predictions=predicted, references=true, taxa=species)
    correct = predicted == true
    return scores_with_intervals(rank, shares["accuracy"], shares["accuracy_by_taxon"], correct, species, seed)


def scores_with_intervals(
    rank: str, accuracy: float, accuracy_by_species: float, correct: np.ndarray, species: np.ndarray, seed: int = 0
) -> dict[str, Any]:
    """Two accuracies with the bootstrap intervals that belong to them.

    Args:
        rank: prefix of the keys.
        accuracy: mean over rows.
        accuracy_by_species: mean over species of the mean over the rows of each.
        correct: `[n]`, 1 or true where a row is assigned correctly, or the share of repeated draws that are.
        species: `[n]`, names.
        seed: random seed of the bootstrap.

    Returns:
        `<rank>_accuracy`, `<rank>_accuracy_by_species`, and each of these with `_interval` (`[low, high]`).
    """
    intervals = species_bootstrap(correct, species, seed)
    return {
        f"{rank}_accuracy": accuracy,
        f"{rank}_accuracy_interval": list(intervals.plain),
        f"{rank}_accuracy_by_species": accuracy_by_species,
        f"{rank}_accuracy_by_species_interval": list(intervals.by_species),
    }


def harmonic_mean(genus_accuracy: float, bin_ami: float) -> float:
    """The published headline: harmonic mean of genus accuracy and BIN AMI; 0 where one is not positive."""
    if min(genus_accuracy, bin_ami) <= 0:
        return 0.0
    return 2 * genus_accuracy * bin_ami / (genus_accuracy + bin_ami)


class AccuracyIntervals(NamedTuple):
    """Percentile intervals `(low, high)` of one accuracy, or of the difference of two.

    Attributes:
        plain: of the share of correct rows.
        by_species: of the mean over species of each one's share of correct rows.
    """

    plain: tuple[float, float]
    by_species: tuple[float, float]


def species_bootstrap(correct: np.ndarray, species: np.ndarray, seed: int = 0) -> AccuracyIntervals:
    """95 % intervals of an accuracy, from resamples of species with all of their rows.

    Intervals over rows would be far too narrow where a few species hold most of the rows.
    The adjusted mutual information has no such interval: a species drawn twice would have to be two species
    of two BINs, and leaving out a third of the species changes the number of clusters.

    Args:
        correct: `[n]`, 1 or true where a row is assigned correctly; of two models, the difference, -1 to 1.
        species: `[n]`, names.
        seed: random seed of the draws.

    Raises:
        ValueError: no rows.
    """
    if len(correct) == 0:
        raise ValueError("expected at least one row, got none")
    _, group = np.unique(species, return_inverse=True)
    num_rows = np.bincount(group)
    num_correct = np.bincount(group, weights=correct)
    num_species = len(num_rows)
    rng = np.random.default_rng(seed)
    plain, by_species = np.empty(NUM_RESAMPLES), np.empty(NUM_RESAMPLES)
    block_size = max(1, _BLOCK_BYTES // (8 * num_species))
    for begin in range(0, NUM_RESAMPLES, block_size):
        block = slice(begin, min(begin + block_size, NUM_RESAMPLES))
        times_drawn = draw_species(rng, num_species, block.stop - begin)
        plain[block] = (times_drawn @ num_correct) / (times_drawn @ num_rows)
        by_species[block] = times_drawn @ (num_correct / num_rows) / num_species
    return AccuracyIntervals(percentile_interval(plain), percentile_interval(by_species))


def draw_species(rng: np.random.Generator, num_species: int, num_draws: int) -> np.ndarray:
    """How often each species is drawn when as many are drawn as there are, with replacement.

    Returns:
        int64 `[num_draws, num_species]`, rows of sum `num_species`; the same rows whether drawn at once or in turn.
    """
    return rng.multinomial(num_species, np.full(num_species, 1 / num_species), size=num_draws)


def percentile_interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % `(low, high)` of the values `[n]` that a statistic takes on resamples."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def paired_comparison(model: np.ndarray, baseline: np.ndarray, species: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """Accuracy of the model minus that of the baseline, with 95 % interval and two-sided p-value, all over species.

    The interval comes from a bootstrap that draws species with the assignments of both. The p-value comes from a
    randomisation test: if both were equally good, their assignments of a whole species could be exchanged; p is the
    share of random exchanges that give a difference as large or larger, (b + 1) / (n + 1) with n = 2,000, so never 0.
    (The same bootstrap, recentred, would give p-values that are too small where species are few and uneven.)

    Args:
        model: `[n]`, true or 1 where the model was correct, or the share of several seeds' runs that were.
        baseline: `[n]`, the same of the baseline, on the same rows.
        species: `[n]`, names.
        seed: random seed of the draws.

    Returns:
        `difference, interval` (`[low, high]`), `p_value`: of the share of correct rows; the same with `_by_species`:
        of the mean over species of each one's share; `n_species, num_rows`.

    Raises:
        ConfigurationError: no rows.
    """
    if len(species) == 0:
        raise ConfigurationError("a comparison expects barcodes that both models assigned, got none")
    difference = model.astype(float) - baseline.astype(float)
    _, group = np.unique(species, return_inverse=True)
    total, num_rows = np.bincount(group, weights=difference), np.bincount(group)
    mean = total / num_rows
    intervals = species_bootstrap(difference, species, seed)
    p_value, p_value_by_species = _exchange(np.stack([total, mean], axis=1), seed)
    return {
        "difference": float(difference.mean()),
        "interval": list(intervals.plain),
        "p_value": p_value,
        "difference_by_species": float(mean.mean()),
        "interval_by_species": list(intervals.by_species),
        "p_value_by_species": p_value_by_species,
        "n_species": len(num_rows),
        "n_rows": len(difference),
    }


def _exchange(of_species: np.ndarray, seed: int) -> list[float]:
    """p-values of the sums of the columns of `[num_species, m]` when each row changes its sign with probability 1/2."""
    rng = np.random.default_rng(seed)
    # Sums of the same numbers in another order may differ in their last digits.
    observed = np.abs(of_species.sum(axis=0)) * (1 - 1e-9)
    num_larger = np.zeros(of_species.shape[1])
    block_size = max(1, _BLOCK_BYTES // (8 * len(of_species)))
    for begin in range(0, NUM_RESAMPLES, block_size):
        n = min(block_size, NUM_RESAMPLES - begin)
        signs = rng.integers(0, 2, (n, len(of_species))) * 2 - 1
        num_larger += (np.abs(signs @ of_species) >= observed).sum(axis=0)
    return ((num_larger + 1) / (NUM_RESAMPLES + 1)).tolist()
