"""The plot of a calibration: how often came what was predicted."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from barcodemae.library.calibration.fitting import Predictions
from barcodemae.library.calibration.reliability import expected_calibration_error, in_bins
from barcodemae.plotting import BLUE, GREY, ORANGE, PlainFigure


def draw_reliability(found: Mapping[str, Predictions]) -> Figure:
    """A panel for each rank, and for novelty: how often came what was predicted, for known and new species apart.

    Args:
        found: as `predict_others` gives it.
    """
    num_columns = 4
    num_rows = -(-len(found) // num_columns)
    figure = PlainFigure(figsize=(3 * num_columns, 3.2 * num_rows), layout="constrained")
    grid = figure.subplots(num_rows, num_columns, squeeze=False).ravel()
    for axes, (what, one) in zip(grid, found.items(), strict=False):
        axes.plot([0, 1], [0, 1], color=GREY, lw=1)
        for name, rows, colour, marker in (
            ("all", np.ones(len(one.weights), bool), GREY, "_"),
            ("known species", ~one.is_new, BLUE, "o"),
            ("new species", one.is_new, ORANGE, "s"),
        ):
            kind = one.take(rows)
            if not len(kind.weights):
                continue
            told = (kind.probabilities, kind.observed, kind.weights)
            counts, predicted, came = in_bins(*told)
            there = counts > 0
            axes.scatter(
                predicted[there] / counts[there],
                came[there] / counts[there],
                15 + 200 * counts[there] / counts.sum(),
                color=colour,
                marker=marker,
                alpha=0.7,
                label=f"{name}, error {expected_calibration_error(*told):.1%}",
            )
        axes.set(title=what, xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="predicted", ylabel="came")
        axes.legend(fontsize=7, frameon=False, loc="center", markerscale=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[len(found) :]:
        axes.set_axis_off()
    return figure
