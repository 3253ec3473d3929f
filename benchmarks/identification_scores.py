"""How far names can be trusted, in figures. Part of `identification.py`."""

from typing import Any

import numpy as np

from barcodemae.evaluation.scores import draw_species, percentile_interval
from barcodemae.reference.calibrate import Foretold
from barcodemae.reference.reliability import brier_score, expected_calibration_error

PRECISION = 0.95
_NUM_RESAMPLES = 500


def coverage(confidence: np.ndarray, right: np.ndarray, weights: np.ndarray) -> float:
    """The largest share of queries that can be named, surest first, with 95 % of these names right.

    Args:
        confidence: `[n]`; queries of the same confidence are named together or not at all.
        right: bool `[n]`.
        weights: `[n]`, how much each query counts.
    """
    order = np.argsort(-confidence, kind="stable")
    named = np.cumsum(weights[order])
    precision = np.cumsum((weights * right)[order]) / named
    ends = np.append(confidence[order][1:] != confidence[order][:-1], True)
    good = np.flatnonzero(ends & (precision >= PRECISION))
    return float(named[good[-1]] / named[-1]) if len(good) else 0.0


def alike(is_new: np.ndarray) -> np.ndarray:
    """Weights with which queries of known and of new species count alike in sum, `[n]`."""
    counts = np.bincount(is_new.astype(int), minlength=2)
    return 1 / counts[is_new.astype(int)]


def probability_scores(found: Foretold, species: np.ndarray, seed: int) -> dict[str, Any]:
    """Of queries of one kind: what was foretold, what came, both errors, and the interval of the first.

    Args:
        found: `[n]`; each row counts alike here.
        species: `[n]`, what the bootstrap draws.
        seed: of the bootstrap.

    Returns:
        `foretold, came, calibration_error, calibration_error_interval, brier, n_rows`.
    """
    _, group = np.unique(species, return_inverse=True)
    drawn = draw_species(np.random.default_rng(seed), group.max() + 1, _NUM_RESAMPLES)
    errors = [expected_calibration_error(found.probabilities, found.happened, times[group]) for times in drawn]
    return {
        "foretold": float(found.probabilities.mean()),
        "came": float(found.happened.mean()),
        "calibration_error": expected_calibration_error(found.probabilities, found.happened),
        "calibration_error_interval": list(percentile_interval(np.array(errors))),
        "brier": brier_score(found.probabilities, found.happened),
        "n_rows": len(species),
    }
