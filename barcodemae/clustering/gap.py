"""The barcode gap: a threshold between distances within species and among them, found without a label.

Barcodes of one species join at small distances, species of one genus at larger ones, and few in between. As the
threshold grows, clusters join at a rate, d log(clusters) / d log(threshold); the gap is where this rate is lowest
between two higher peaks.
"""

import numpy as np

from barcodemae.errors import ConfigurationError

# Width of the Gaussian that smooths the rate, in log(distance).
BANDWIDTH = 0.3

# Rounding of float32 cosines lies far below, one base of 658 above, also as the cosine of a centred embedding.
_SMALLEST_DISTANCE = 1e-4
_STEP = 0.02


def join_rate(distances: np.ndarray, num_left: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """How fast clusters join as the threshold grows.

    Args:
        distances: `[joins]` of single linkage, rising.
        num_left: clusters after the last join.

    Returns:
        Thresholds `[m]`, and -d log(clusters) / d log(threshold) at each `[m]`.

    Raises:
        ConfigurationError: no two barcodes lie apart.
    """
    num_clusters = len(distances) + num_left - np.arange(len(distances))  # before each join
    apart = distances >= _SMALLEST_DISTANCE
    if not apart.any():
        raise ConfigurationError("expected barcodes that differ, to find a gap between them, got none")
    places = np.log(distances[apart])
    steps = np.log(num_clusters / (num_clusters - 1))[apart]
    grid = np.arange(places.min(), places.max() + _STEP, _STEP)
    rate = np.zeros(len(grid))
    for place, step in zip(*_summed(places, steps), strict=True):
        rate += step * np.exp(-(((grid - place) / BANDWIDTH) ** 2) / 2)
    return np.exp(grid), rate / (BANDWIDTH * np.sqrt(2 * np.pi))


def gap_threshold(distances: np.ndarray, num_left: int = 1) -> float:
    """The distance at the bottom of the deepest valley of `join_rate`.

    The depth of a valley is counted from the lower one of the highest peaks at its two sides.

    Args:
        distances: `[joins]` of single linkage, rising.
        num_left: clusters after the last join.

    Raises:
        ConfigurationError: the rate has one peak only.
    """
    thresholds, rate = join_rate(distances, num_left)
    highest_before = np.maximum.accumulate(rate)
    highest_after = np.maximum.accumulate(rate[::-1])[::-1]
    depth = np.minimum(highest_before, highest_after) - rate
    if depth.max() <= 0:
        raise ConfigurationError("expected a gap between the distances within and among clusters, found none")
    return float(thresholds[depth.argmax()])


def _summed(places: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each place once, with the sum of its steps: bases that differ can be counted, so that many joins are at one."""
    unique, row = np.unique(places, return_inverse=True)
    return unique, np.bincount(row, steps)
