"""The barcode gap, from the distances at which clusters join."""

import numpy as np
import pytest

from barcodemae.clustering.gap import BANDWIDTH, gap_threshold, join_rate
from barcodemae.errors import ConfigurationError


def test_rate_of_simultaneous_joins():
    thresholds, rate = join_rate(np.array([0.01, 0.01, 0.01]))
    # 4 clusters become 1 at once: log 4, under a Gaussian whose highest point is 1 / (bandwidth * sqrt(2 pi)).
    assert thresholds[0] == pytest.approx(0.01)
    assert rate[0] == pytest.approx(np.log(4) / (BANDWIDTH * np.sqrt(2 * np.pi)))


def test_threshold_is_midway_between_equal_peaks():
    # 4 clusters become 2 at 0.001, and 1 at 0.1: log 2 twice, so that the valley is at the geometric mean, 0.01.
    assert gap_threshold(np.array([0.001, 0.001, 0.1])) == pytest.approx(0.01, rel=0.02)


def test_threshold_is_nearer_to_the_lower_peak():
    # log 2 of rate at 0.001, and log 100 at 0.1.
    distances = np.array([0.001] * 100 + [0.1] * 99)
    assert 0.001 < gap_threshold(distances) < 0.01


def test_threshold_scales_with_the_distances():
    distances = np.sort(np.concatenate([np.geomspace(0.001, 0.003, 50), np.geomspace(0.05, 0.2, 30)]))
    assert 0.003 < gap_threshold(distances) < 0.05
    assert gap_threshold(3 * distances) == pytest.approx(3 * gap_threshold(distances), rel=0.01)


def test_equal_barcodes_do_not_move_the_gap():
    assert gap_threshold(np.array([0, 1e-7, 0.001, 0.001, 0.1])) == gap_threshold(np.array([0.001, 0.001, 0.1]))


def test_no_gap_is_an_error():
    with pytest.raises(ConfigurationError, match="found none"):
        gap_threshold(np.full(10, 0.01))
    with pytest.raises(ConfigurationError, match="that differ"):
        gap_threshold(np.zeros(10))


def test_clusters_that_never_join_are_counted_at_each_join():
    _, rate = join_rate(np.array([0.01]), num_left=4)
    # 5 clusters become 4.
    assert rate[0] == pytest.approx(np.log(5 / 4) / (BANDWIDTH * np.sqrt(2 * np.pi)))
