"""The barcode gap: a threshold between distances within species and between species, found without labels.

Barcodes of one species join at small distances, species of one genus at larger ones, and few in between. As the
threshold grows, clusters join at a rate, -d log(clusters) / d log(threshold); the gap is where this rate is lowest
between two higher peaks.
"""

import numpy as np

from barcodemae.errors import ConfigurationError

# Width of the Gaussian that smooths the rate, in log(distance).
BANDWIDTH = 0.3

# The rounding of float32 cosines is far below, one base of 658 above, also as the cosine of a centred embedding.
_MIN_DISTANCE = 1e-4
_STEP = 0.02


def join_rate(distances: np.ndarray, num_left: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The rate at which clusters join as the threshold grows.

    Args:
        distances: `[joins]`, those at which single linkage joins clusters, ascending.
        num_left: number of clusters after the last join.

    Returns:
        Thresholds `[m]`, and -d log(clusters) / d log(threshold) at each of them `[m]`.

    Raises:
        ConfigurationError: all barcodes are the same.
    """
    num_clusters = len(distances) + num_left - np.arange(len(distances))  # before each join
    apart = distances >= _MIN_DISTANCE
    if not apart.any():
        raise ConfigurationError("expected barcodes that differ, to find a gap between them, got none")
    steps = np.log(num_clusters / (num_clusters - 1))[apart]
    # Distances are ratios of small integers, so that many joins share one.
    centres, row = np.unique(np.log(distances[apart]), return_inverse=True)
    grid = np.arange(centres.min(), centres.max() + _STEP, _STEP)
    rate = np.zeros(len(grid))
    for centre, step in zip(centres, np.bincount(row, steps), strict=True):
        rate += step * np.exp(-(((grid - centre) / BANDWIDTH) ** 2) / 2)
    return np.exp(grid), rate / (BANDWIDTH * np.sqrt(2 * np.pi))


def gap_threshold(distances: np.ndarray, num_left: int = 1) -> float:
    """The distance at the bottom of the deepest valley of `join_rate`.

    The depth of a valley is measured from the lower of the two peaks beside it, each the highest on its side.

    Args:
        distances: `[joins]`, those at which single linkage joins clusters, ascending.
        num_left: number of clusters after the last join.

    Raises:
        ConfigurationError: all barcodes are the same, or the rate has only one peak.
    """
    thresholds, rate = join_rate(distances, num_left)
    highest_before = np.maximum.accumulate(rate)
    highest_after = np.maximum.accumulate(rate[::-1])[::-1]
    depth = np.minimum(highest_before, highest_after) - rate
    if depth.max() <= 0:
        raise ConfigurationError("expected a gap between the distances within and among clusters, found none")
    return float(thresholds[depth.argmax()])


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
    from matplotlib.ticker import LogLocator, NullLocator  # slow to import

    from barcodemae.plotting import BLUE, GREY, VERMILION, PlainFigure, finish, png

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
