"""From evidence to probability: foretold as often as it comes."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.data import RANKS
from barcodemae.errors import ConfigurationError
from barcodemae.reference.calibrate import expected_calibration_error
from barcodemae.reference.calibration import Calibration, Probability, fit_probability
from barcodemae.reference.evidence import Vote


def votes(similarities, identities=None, shares=None):
    n = len(similarities)
    identities = np.full(n, 0.9) if identities is None else identities
    return Vote(np.zeros(n, int), *(np.asarray(one, np.float32) for one in (
        similarities, identities, np.ones(n) if shares is None else shares, np.full(n, 0.1)
    )))  # fmt: skip


def drawn(n, seed=0):
    """Names that are right the more often, the larger the cosine: at 0.4 never, at 0.9 always."""
    rng = np.random.default_rng(seed)
    similarities = rng.uniform(0.3, 1, n)
    return votes(similarities), rng.random(n) < np.clip((similarities - 0.4) * 2, 0, 1), rng.random(n) < 0.5


def test_what_is_foretold_comes():
    probability = fit_probability(*drawn(4000))
    vote, happened, _ = drawn(4000, seed=1)
    foretold = probability(vote)
    assert expected_calibration_error(foretold, happened) < 0.03
    assert np.abs(foretold - np.clip((vote.similarities - 0.4) * 2, 0, 1)).mean() < 0.05


def test_more_evidence_is_never_less_likely():
    probability = fit_probability(*drawn(500))
    assert (np.diff(probability(votes(np.linspace(0, 1, 50)))) >= 0).all()


def test_both_kinds_count_alike_however_many_there_are():
    # Right in all of 900 known and none of 100 new queries that look the same: one in two.
    is_new = np.arange(1000) >= 900
    evidence = votes(np.full(1000, 0.8))
    assert fit_probability(evidence, ~is_new, is_new)(evidence)[0] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("happened", [True, False])
def test_what_always_or_never_happened(happened):
    evidence = votes(np.linspace(0, 1, 60))
    probability = fit_probability(evidence, np.full(60, happened), np.zeros(60, bool))
    assert (probability(evidence) == happened).all()


def test_too_few_queries_are_refused():
    vote, happened, is_new = drawn(49)
    with pytest.raises(ConfigurationError, match="expected 50 named queries or more to calibrate, got 49"):
        fit_probability(vote, happened, is_new)


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=1, max_size=20))
def test_any_evidence_gives_a_probability(values):
    found = PROBABILITY(votes(*np.array(values).T))
    assert ((found >= 0) & (found <= 1)).all()


PROBABILITY = fit_probability(*drawn(200))


def test_a_calibration_is_what_was_written():
    written = Calibration(dict.fromkeys(RANKS, PROBABILITY), fit_probability(*drawn(300)))
    read = Calibration.from_json(json.loads(json.dumps(written.as_json())))
    evidence = drawn(50, seed=2)[0]
    for rank in RANKS:
        np.testing.assert_array_equal(read.ranks[rank](evidence), written.ranks[rank](evidence))
    np.testing.assert_array_equal(read.novelty(evidence), written.novelty(evidence))
    with pytest.raises(KeyError):
        Calibration.from_json({"ranks": {}})


def test_probabilities_lie_between_knots():
    half = Probability(np.array([1.0, 0, 0, 0, 0]), np.array([[-1e9, 0.0], [1e9, 1.0]]))
    np.testing.assert_allclose(half(votes([0.2, 0.8])), 0.5, atol=1e-6)


def test_calibration_error_by_hand():
    # Two bins of 15 hold queries: 0.1 foretold of four, of which one came; 0.9 of one, which came.
    error = expected_calibration_error(np.array([0.1, 0.1, 0.1, 0.1, 0.9]), np.array([True, False, False, False, True]))
    assert error == pytest.approx((4 * 0.15 + 0.1) / 5)
