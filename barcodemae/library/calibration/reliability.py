"""How well probabilities agree with what was observed: scores, and the reliability diagram."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from barcodemae.library.calibration.fitting import Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_BINS = 15

_NUM_COLUMNS = 4


def expected_calibration_error(
    probabilities: np.ndarray, observed: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Mean difference of predicted probability and observed share, over 15 bins of equal width (Guo et al. 2017).

    Args:
        probabilities: `[n]`, 0 to 1.
        observed: bool `[n]`.
        weights: `[n]`, of the queries; by default equal.
    """
    counts, predicted_sums, observed_sums = _bin_sums(probabilities, observed, weights)
    return float(np.abs(predicted_sums - observed_sums).sum() / counts.sum())


def brier_score(probabilities: np.ndarray, observed: np.ndarray) -> float:
    """Mean squared difference of predicted probability and observation (Brier 1950)."""
    return float(np.mean((probabilities - observed) ** 2))


def draw_reliability(predictions: Mapping[str, Predictions]) -> "Figure":
    """Plot observed shares against predicted probabilities, for queries of known and of new species.

    Args:
        predictions: as from `predict_others`; there is a panel for each.
    """
    from barcodemae.plotting import BLUE, GREY, ORANGE, PlainFigure  # slow to import: matplotlib

    num_rows = -(-len(predictions) // _NUM_COLUMNS)
    figure = PlainFigure(figsize=(3 * _NUM_COLUMNS, 3.2 * num_rows), layout="constrained")
    panels = figure.subplots(num_rows, _NUM_COLUMNS, squeeze=False).ravel()
    for axes, (target, found) in zip(panels, predictions.items(), strict=False):
        axes.plot([0, 1], [0, 1], color=GREY, lw=1)
        for name, rows, colour, marker in (
            ("all", np.ones(len(found.weights), bool), GREY, "_"),
            ("known species", ~found.is_new, BLUE, "o"),
            ("new species", found.is_new, ORANGE, "s"),
        ):
            group = found.take(rows)
            if not len(group.weights):
                continue
            counts, predicted_sums, observed_sums = _bin_sums(group.probabilities, group.observed, group.weights)
            error = expected_calibration_error(group.probabilities, group.observed, group.weights)
            has_queries = counts > 0
            axes.scatter(
                predicted_sums[has_queries] / counts[has_queries],
                observed_sums[has_queries] / counts[has_queries],
                15 + 200 * counts[has_queries] / counts.sum(),
                color=colour,
                marker=marker,
                alpha=0.7,
                label=f"{name}, error {error:.1%}",
            )
        axes.set(title=target, xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="predicted", ylabel="observed")
        axes.legend(fontsize=7, frameon=False, loc="center", markerscale=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[len(predictions) :]:
        axes.set_axis_off()
    return figure


def _bin_sums(
    probabilities: np.ndarray, observed: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums of weights, of predicted probabilities and of observations in each of the 15 bins."""
    weights = np.ones(len(probabilities)) if weights is None else weights
    bins = np.minimum((probabilities * NUM_BINS).astype(int), NUM_BINS - 1)
    sums = (weights, weights * probabilities, weights * observed)
    counts, predicted_sums, observed_sums = (np.bincount(bins, values, minlength=NUM_BINS) for values in sums)
    return counts, predicted_sums, observed_sums
