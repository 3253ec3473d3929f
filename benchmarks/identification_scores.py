"""Coverage and calibration of assignments. Part of `identification.py`."""

from typing import Any

import numpy as np

from barcodemae.evaluation.scores import draw_species, percentile_interval
from barcodemae.library.calibration.fitting import Predictions
from barcodemae.library.calibration.reliability import brier_score, expected_calibration_error

PRECISION = 0.95
_NUM_RESAMPLES = 500


def coverage(confidence: np.ndarray, correct: np.ndarray, weights: np.ndarray) -> float:
    """The largest share of queries that can be assigned, most confident first, with an accuracy of 95 %.

    Args:
        confidence: `[n]`; queries of the same confidence are assigned together or not at all.
        correct: bool `[n]`.
        weights: `[n]`, how much each query counts.
    """
    order = np.argsort(-confidence, kind="stable")
    assigned = np.cumsum(weights[order])
    precision = np.cumsum((weights * correct)[order]) / assigned
    ends = np.append(confidence[order][1:] != confidence[order][:-1], True)
    good = np.flatnonzero(ends & (precision >= PRECISION))
    return float(assigned[good[-1]] / assigned[-1]) if len(good) else 0.0


def balanced_weights(is_new: np.ndarray) -> np.ndarray:
    """Weights that give the queries of known and of new species equal sums, `[n]`."""
    counts = np.bincount(is_new.astype(int), minlength=2)
    return 1 / counts[is_new.astype(int)]


def probability_scores(found: Predictions, species: np.ndarray, seed: int) -> dict[str, Any]:
    """For queries of one kind: mean prediction, observed share, both errors, and the interval of the first.

    Args:
        found: `[n]`; each row has equal weight.
        species: `[n]`, resampled by the bootstrap.
        seed: random seed of the bootstrap.

    Returns:
        `predicted, observed, calibration_error, calibration_error_interval, brier, num_rows`.
    """
    _, group = np.unique(species, return_inverse=True)
    drawn = draw_species(np.random.default_rng(seed), group.max() + 1, _NUM_RESAMPLES)
    errors = [expected_calibration_error(found.probabilities, found.observed, times[group]) for times in drawn]
    return {
        "predicted": float(found.probabilities.mean()),
        "observed": float(found.observed.mean()),
        "calibration_error": expected_calibration_error(found.probabilities, found.observed),
        "calibration_error_interval": list(percentile_interval(np.array(errors))),
        "brier": brier_score(found.probabilities, found.observed),
        "n_rows": len(species),
    }
