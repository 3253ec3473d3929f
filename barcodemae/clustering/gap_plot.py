"""The barcode gap as a figure."""

import numpy as np
from matplotlib.ticker import LogLocator, NullLocator

from barcodemae.clustering.gap import join_rate
from barcodemae.plotting import BLUE, GREY, VERMILION, PlainFigure, finish, png


def draw_gap(distances: np.ndarray, num_left: int, threshold: float, gap: float | None) -> bytes:
    """Plot the rate at which clusters join against the threshold, with the threshold used and the gap.

    Args:
        distances: `[joins]`, shares of bases at which single linkage joins clusters, ascending.
        num_left: number of clusters after the last join.
        threshold: the one used.
        gap: the automatic threshold; None where there is no gap.

    Returns:
        A PNG file.

    Raises:
        ConfigurationError: all barcodes are the same.
    """
    thresholds, rate = join_rate(distances, num_left)
    figure = PlainFigure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(100 * thresholds, rate, color=BLUE)
    axes.axvline(100 * threshold, color=VERMILION, label=f"threshold used: {threshold:.1%}")
    if gap is not None:
        axes.axvline(100 * gap, color=GREY, linestyle="--", label=f"barcode gap: {gap:.1%}")
    axes.set_xscale("log")
    axes.set_xlabel("bases that differ (%)")
    axes.set_ylabel("rate at which clusters join")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.legend(frameon=False)
    finish(axes)
    return png(figure)
