"""Probabilities from evidence: predicted probabilities agree with observed shares."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.library.calibration.fitting import Predictions
from barcodemae.library.calibration.probability import (
    LENGTHS,
    NOVELTY,
    OWN,
    QUERIES,
    TARGETS,
    Calibration,
    Probability,
    fit_probability,
    nearest_length,
)
from barcodemae.library.calibration.reliability import brier_score, draw_reliability, expected_calibration_error
from barcodemae.library.search.evidence import Vote


def votes(similarities, identities=None, shares=None):
    n = len(similarities)
    identities = np.full(n, 0.9) if identities is None else identities
    return Vote(np.zeros(n, int), *(np.asarray(one, np.float32) for one in (
        similarities, identities, np.ones(n) if shares is None else shares, np.full(n, 0.1)
    )))  # fmt: skip


def drawn(n, seed=0):
    """Names that are right more often with a larger cosine: at 0.4 never, at 0.9 always."""
    rng = np.random.default_rng(seed)
    similarities = rng.uniform(0.3, 1, n)
    return votes(similarities), rng.random(n) < np.clip((similarities - 0.4) * 2, 0, 1), np.ones(n)


def test_predicted_probabilities_agree_with_observed_shares():
    probability = fit_probability(*drawn(4000))
    vote, observed, _ = drawn(4000, seed=1)
    predicted = probability(vote)
    assert expected_calibration_error(predicted, observed) < 0.03
    assert np.abs(predicted - np.clip((vote.similarities - 0.4) * 2, 0, 1)).mean() < 0.05


def test_probability_increases_with_evidence():
    probability = fit_probability(*drawn(500))
    assert (np.diff(probability(votes(np.linspace(0, 1, 50)))) > 0).all()


def test_queries_are_weighted():
    # Right in all of 900 and none of 100 queries that look the same; both sums of weights are equal: one in two.
    observed = np.arange(1000) < 900
    evidence = votes(np.full(1000, 0.8))
    assert fit_probability(evidence, observed, np.where(observed, 1, 9))(evidence)[0] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("observed", [True, False])
def test_event_that_always_or_never_occurred(observed):
    evidence = votes(np.linspace(0, 1, 60))
    probability = fit_probability(evidence, np.full(60, observed), np.ones(60))
    np.testing.assert_allclose(probability(evidence), observed, atol=1e-6)


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=1, max_size=20))
def test_probability_is_between_0_and_1(values):
    found = PROBABILITY(votes(*np.array(values).T))
    assert ((found >= 0) & (found <= 1)).all()


PROBABILITY = fit_probability(*drawn(200))


def test_calibration_round_trip():
    each = (PROBABILITY, *(fit_probability(*drawn(300, seed)) for seed in range(1, len(LENGTHS))))
    written = Calibration(dict.fromkeys(TARGETS, each), QUERIES)
    read = Calibration.from_json(json.loads(json.dumps(written.as_json())))
    evidence = drawn(50, seed=2)[0]
    num_bases = np.linspace(100, 658, 50).astype(int)
    for what in TARGETS:
        found = read(what, evidence, num_bases)
        np.testing.assert_array_equal(found, written(what, evidence, num_bases))
        np.testing.assert_array_equal(found[:3], each[0](evidence)[:3])
        np.testing.assert_array_equal(found[-3:], each[-1](evidence)[-3:])
    assert read.by == QUERIES
    with pytest.raises(KeyError):
        Calibration.from_json({"by": OWN, "lengths": list(LENGTHS), "probabilities": {}})


def test_nearest_length():
    assert nearest_length(np.array([100, 161, 162, 245, 300, 424, 425, 658])).tolist() == [0, 0, 1, 2, 2, 2, 3, 3]


def test_probabilities_between_knots_are_interpolated():
    half = Probability(np.array([1.0, 0, 0, 0, 0]), np.array([[-1e9, 0.0], [1e9, 1.0]]))
    logistic = 1 / (1 + np.exp(np.log(1.01 - np.float32([0.2, 0.8]))))  # of the sum, which is -log(1.01 - cosine)
    np.testing.assert_allclose(half(votes([0.2, 0.8])), 0.95 * 0.5 + 0.05 * logistic, atol=1e-6)


def test_calibration_error_by_hand():
    # Two of 15 bins have queries: 0.1 is predicted for four, of which one is observed; 0.9 for one, which is observed.
    error = expected_calibration_error(np.array([0.1, 0.1, 0.1, 0.1, 0.9]), np.array([True, False, False, False, True]))
    assert error == pytest.approx((4 * 0.15 + 0.1) / 5)


def test_query_of_weight_2_counts_twice():
    predicted, observed = np.array([0.1, 0.1, 0.9]), np.array([True, False, True])
    twice = expected_calibration_error(np.append(predicted, 0.1), np.append(observed, False))
    assert expected_calibration_error(predicted, observed, np.array([1.0, 2.0, 1.0])) == pytest.approx(twice)


def test_brier_score_by_hand():
    assert brier_score(np.array([0.9, 0.2]), np.array([True, True])) == pytest.approx((0.01 + 0.64) / 2)


def test_plot_has_a_panel_for_each_rank_and_points_of_known_and_new_species():
    rng = np.random.default_rng(0)
    predicted = rng.random(200)
    found = Predictions(predicted, rng.random(200) < predicted, np.arange(200) < 100, np.ones(200), np.zeros(200, int))
    figure = draw_reliability({"genus": found, "species": found, NOVELTY: found.take(~found.is_new)})
    drawn = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in drawn] == ["genus", "species", "species not in the library"]
    assert [len(axes.containers) for axes in drawn] == [2, 1, 1]
    texts = [[text.get_text().partition(":")[0] for text in axes.texts] for axes in drawn]
    assert texts == [["known species", "new species"], ["all queries"], ["all queries"]]


def test_points_of_the_plot_by_hand():
    # Eight queries at 0.9, of which six are right: Wilson's interval is 0.409 to 0.929. Four at 0.1 are too few.
    probabilities, observed = np.repeat([0.9, 0.1], [8, 4]), np.arange(12) < 6
    nothing = np.zeros(12, int)
    figure = draw_reliability({"genus": Predictions(probabilities, observed, nothing > 0, np.ones(12), nothing)})
    ((points, _, (bars,)),) = figure.axes[0].containers
    assert points.get_xydata().tolist() == [[pytest.approx(90), pytest.approx(75)]]
    (bar,) = bars.get_segments()
    assert bar[:, 1] == pytest.approx([40.93, 92.85], abs=0.01)
