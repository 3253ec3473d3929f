"""How well probabilities agree with what was observed: scores, and the reliability diagram."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from barcodemae.library.calibration.fitting import Predictions
from barcodemae.library.calibration.probability import NOVELTY

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_BINS = 15

_NUM_COLUMNS = 4
_NUM_TENTHS, _MIN_QUERIES = 10, 5
_Z = 1.96  # of a normal distribution, for 95 %
_TOGETHER = ("species", NOVELTY)


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
    """Plot accuracy against confidence in tenths of the scale, with 95 % intervals, for each group of queries.

    The intervals are those of Wilson 1927, for as many queries as the weights are worth (Kish 1965); tenths with fewer
    than five are left out. Whether a species is in the library, and that of a query whose species is not, follow from
    its group, so these panels have all groups together.

    Args:
        predictions: as from `predict_others`; there is a panel for each.
    """
    # Slow to import: matplotlib.
    from barcodemae.plotting import BLACK, BLUE, GREY, PURPLE, VERMILION, PlainFigure, finish, marker

    num_rows = -(-len(predictions) // _NUM_COLUMNS)
    num_columns = min(len(predictions), _NUM_COLUMNS)
    figure = PlainFigure(figsize=(3.2 * num_columns, 0.6 + 3.8 * num_rows), layout="constrained")
    figure.suptitle(
        "Names on the grey line are right as often as their confidence says.\n"
        f"Each point is a tenth of the scale with {_MIN_QUERIES} queries or more; bars are 95 % intervals. "
        "Error: expected calibration error.",
        fontsize=10,
    )
    panels = figure.subplots(num_rows, num_columns, squeeze=False).ravel()
    for axes, (target, found) in zip(panels, predictions.items(), strict=False):
        axes.plot([0, 100], [0, 100], color=GREY, lw=1, zorder=0)
        is_together = target in _TOGETHER
        groups = {"all queries": np.ones(len(found.weights), bool)} if is_together else found.groups
        series = [(name, found.take(rows)) for name, rows in groups.items() if rows.any()]
        colours = (BLACK,) if is_together else (BLUE, VERMILION, PURPLE)
        for number, ((name, group), colour) in enumerate(zip(series, colours, strict=False)):
            predicted, observed, below, above = 100 * _shares(group)
            axes.errorbar(
                predicted, observed, (below, above), fmt=marker(number), color=colour, markersize=5, lw=1, capsize=2
            )
            error = expected_calibration_error(group.probabilities, group.observed, group.weights)
            text = f"{name}: {len(group.weights):,}, error {100 * error:.1f} points"
            height = 1.02 + 0.07 * (len(series) - 1 - number)
            axes.text(0.5, height, text, color=colour, fontsize=8, ha="center", va="bottom", transform=axes.transAxes)
        if target == NOVELTY:
            title = "species not in the library"
            labels = {"xlabel": "novelty, %", "ylabel": "not in the library, %"}
        else:
            title, labels = target, {"xlabel": "confidence, %", "ylabel": "right, %"}
        axes.set_title(title, pad=8 + 14 * len(series))
        axes.set(xlim=(-3, 104), ylim=(-3, 104), aspect="equal", **labels)
        finish(axes)
    for axes in panels[len(predictions) :]:
        axes.set_axis_off()
    return figure


def _shares(found: Predictions) -> np.ndarray:
    """By tenth of the scale: mean prediction, observed share, and the lengths of its interval below and above
    `[4, tenths with enough queries]`."""
    tenths = np.minimum((found.probabilities * _NUM_TENTHS).astype(int), _NUM_TENTHS - 1)
    squares, *sums = (
        np.bincount(tenths, values)
        for values in (
            found.weights**2,
            found.weights,
            found.weights * found.probabilities,
            found.weights * found.observed,
        )
    )
    num_queries = sums[0] ** 2 / np.maximum(squares, 1e-300)
    is_shown = num_queries >= _MIN_QUERIES
    n, counts = num_queries[is_shown], sums[0][is_shown]
    predicted, observed = sums[1][is_shown] / counts, sums[2][is_shown] / counts
    centre = (observed + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(observed * (1 - observed) / n + _Z**2 / (4 * n**2))
    below, above = observed - (centre - half), centre + half - observed
    return np.stack([predicted, observed, np.maximum(below, 0), np.maximum(above, 0)])


def _bin_sums(
    probabilities: np.ndarray, observed: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums of weights, of predicted probabilities and of observations in each of the 15 bins."""
    weights = np.ones(len(probabilities)) if weights is None else weights
    bins = np.minimum((probabilities * NUM_BINS).astype(int), NUM_BINS - 1)
    sums = (weights, weights * probabilities, weights * observed)
    counts, predicted_sums, observed_sums = (np.bincount(bins, values, minlength=NUM_BINS) for values in sums)
    return counts, predicted_sums, observed_sums
