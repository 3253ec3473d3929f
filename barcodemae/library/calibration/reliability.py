"""Errors of probabilities: what was predicted beside what came."""

import numpy as np

NUM_BINS = 15


def expected_calibration_error(
    probabilities: np.ndarray, observed: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Mean distance of what was predicted and what came, over 15 bins of equal width, each by its queries (Guo 2017).

    Args:
        probabilities: `[n]`, 0 to 1.
        observed: bool `[n]`.
        weights: `[n]`, how much each query counts; by default alike.
    """
    counts, predicted, came = in_bins(probabilities, observed, weights)
    return float(np.abs(predicted - came).sum() / counts.sum())


def brier_score(probabilities: np.ndarray, observed: np.ndarray) -> float:
    """Mean squared distance of what was predicted and what came (Brier 1950)."""
    return float(np.mean((probabilities - observed) ** 2))


def in_bins(
    probabilities: np.ndarray, observed: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Queries of each of the 15 bins, by weight, and the sums of what was predicted and of what came."""
    weights = np.ones(len(probabilities)) if weights is None else weights
    bins = np.minimum((probabilities * NUM_BINS).astype(int), NUM_BINS - 1)
    sums = (weights, weights * probabilities, weights * observed)
    counts, predicted, came = (np.bincount(bins, values, minlength=NUM_BINS) for values in sums)
    return counts, predicted, came
