"""Probabilities from evidence: predicted probabilities agree with observed shares, and a lineage's never rise."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.data import RANKS
from barcodemae.errors import ConfigurationError
from barcodemae.library.calibration.fitting import Predictions
from barcodemae.library.calibration.guarantee import GROUPS, Guarantee, HeldOut
from barcodemae.library.calibration.named_queries import KNOWN, STRANGER
from barcodemae.library.calibration.probability import (
    FLAT,
    LENGTHS,
    MIN_PROBABILITY,
    NOVELTY,
    NUM_FEATURES,
    OWN,
    QUERIES,
    TARGETS,
    Calibration,
    OutdatedCalibrationError,
    bundled_priors,
    features,
    fit_weights,
    information,
    nearest_length,
)
from barcodemae.library.calibration.reliability import brier_score, draw_reliability, expected_calibration_error
from barcodemae.library.search.evidence import Vote
from helpers.plain_calibration import plain_calibration


def votes(identities, shares=None, margins=None, names=None, supports=None, gaps=None):
    n = len(identities)
    return Vote(
        np.zeros(n, int) if names is None else np.asarray(names),
        np.asarray(identities, np.float32),
        np.ones(n, np.float32) if shares is None else np.asarray(shares, np.float32),
        np.full(n, 0.1, np.float32) if margins is None else np.asarray(margins, np.float32),
        np.zeros(n, np.float32) if supports is None else np.asarray(supports, np.float32),
        np.zeros(n, np.float32) if gaps is None else np.asarray(gaps, np.float32),
    )


def drawn(n, seed=0):
    """Names that are right with the log odds 2 x - 3, where x is the nearness."""
    rng = np.random.default_rng(seed)
    evidence = features(votes(rng.uniform(0.5, 1, n)))
    return evidence, rng.random(n) < 1 / (1 + np.exp(3 - 2 * evidence[:, 0])), np.ones(n), False


def predicted(evidence, weights):
    return 1 / (1 + np.exp(-evidence @ weights))


def test_features_by_hand():
    found = features(votes([0.995, 0.2], shares=[1, 0.5], margins=[0.5, -0.1], supports=[0.2, -0.1], gaps=[0.3, -2]))
    np.testing.assert_allclose(found[0], [np.log(0.745 / 0.01), 1, 5, 2, 0.3, 1], rtol=1e-4)
    np.testing.assert_allclose(found[1], [np.log(0.01 / 0.805), 0.5, -1, -1, -2, 1], rtol=1e-4)  # no nearer than chance


def test_predicted_probabilities_agree_with_observed_shares():
    weights = fit_weights(*drawn(4000), FLAT)
    evidence, observed, *_ = drawn(4000, seed=1)
    assert expected_calibration_error(predicted(evidence, weights), observed) < 0.03
    assert weights[0] == pytest.approx(2, abs=0.2)


def test_weights_of_evidence_are_never_negative():
    evidence, observed, weights, _ = drawn(500)
    fitted = fit_weights(evidence, ~observed, weights, False, FLAT)
    assert (fitted[:-1] >= 0).all()


def test_queries_are_weighted():
    # Right in all of 900 and none of 100 queries that look the same; both sums of weights are equal: one in two.
    observed = np.arange(1000) < 900
    evidence = features(votes(np.full(1000, 0.8)))
    weights = fit_weights(evidence, observed, np.where(observed, 1, 9.0), False, FLAT)
    assert predicted(evidence, weights)[0] == pytest.approx(0.5, abs=0.01)


def test_prior_counts_as_fifty_queries():
    prior = bundled_priors()["genus"][-1]
    nothing = drawn(0)
    np.testing.assert_allclose(fit_weights(*nothing, prior), prior.weights, atol=1e-6)
    few, many = (fit_weights(*drawn(n), prior) for n in (5, 20_000))
    target = fit_weights(*drawn(20_000), FLAT)
    near, far = (np.abs(predicted(drawn(500)[0], one) - predicted(drawn(500)[0], target)).mean() for one in (many, few))
    assert near < 0.01 < far


def test_only_nearness():
    evidence, observed, weights, _ = drawn(500)
    assert fit_weights(evidence, observed, weights, True, FLAT)[1:-1].tolist() == [0] * 4


def test_information_by_hand():
    # One query with a probability of one half: 1/4 of the outer product of its features.
    evidence = np.array([[2.0, 1, 0, 0.5, 0, 1]])
    found = information(evidence, np.array([True]), np.array([7.0]), False, np.array([1.0, 0, 0, 0, 0, -2]))
    np.testing.assert_allclose(found - FLAT.information, evidence.T @ evidence / 4)


def test_priors_are_of_every_target_and_length():
    for target in TARGETS:
        assert len(bundled_priors()[target]) == len(LENGTHS)
        for prior in bundled_priors()[target]:
            assert (prior.weights[:-1] >= 0).all()
            np.testing.assert_allclose(prior.information, prior.information.T)
            assert (np.linalg.eigvalsh(prior.information) > 0).all()


SHARE, DIFFERENCE = st.floats(0, 1), st.floats(-0.5, 0.5)
ANY_VOTE = st.tuples(SHARE, SHARE, DIFFERENCE, st.integers(-1, 1), DIFFERENCE, st.floats(-9, 9))


@given(
    st.lists(ANY_VOTE, min_size=6, max_size=6),
    st.integers(100, 700),
    st.tuples(*[st.floats(0, 9)] * 5, st.floats(-9, 9)),
    st.integers(0, 10**6),
)
def test_probabilities_never_rise_down_a_lineage_and_are_never_certain(ranks, num_bases, weights, num_species):
    lineage = {rank: votes(*([value] for value in one)) for rank, one in zip(RANKS, ranks, strict=True)}
    found = plain_calibration(weights=weights, num_species=num_species)(lineage, np.array([num_bases]))
    down = np.array([found[rank][0] for rank in RANKS])
    assert (np.diff(down) <= 0).all()
    assert (down >= np.float32(MIN_PROBABILITY)).all()
    assert (down <= np.float32(1 - MIN_PROBABILITY)).all()
    if ranks[-1][3] >= 0:
        assert found["species"][0] + found[NOVELTY][0] <= 1 + 1e-4


def test_lineage_is_a_product_without_the_unnamed_ranks():
    calibration = plain_calibration(weights=(0, 0, 0, 0, 0, 1.0))  # each factor is 1 / (1 + 1/e)
    names = {rank: votes([0.9], names=[-1 if rank in ("class", "family") else 0]) for rank in RANKS}
    found = calibration(names, np.array([600]))
    factor = 1 / (1 + np.exp(-1))
    np.testing.assert_allclose([found[rank][0] for rank in RANKS], factor ** np.array([1, 1, 2, 2, 3, 4]), rtol=1e-5)


def test_no_probability_is_higher_than_the_queries_can_show():
    # Of 48 species and a prior of 50 queries, all right, one in a hundred of such names may be wrong.
    certain = {rank: votes([1.0], [1.0], [0.5]) for rank in RANKS}
    found = plain_calibration(weights=(9, 9, 9, 0, 0, 0), num_species=48)(certain, np.array([600]))
    np.testing.assert_allclose([found[rank][0] for rank in RANKS], 0.99)
    nothing = plain_calibration(weights=(0, 0, 0, 0, 0, -9), num_species=48)(certain, np.array([600]))
    assert nothing[NOVELTY][0] == pytest.approx(0.99)


def test_calibration_round_trip():
    rng = np.random.default_rng(0)
    held_out = tuple(HeldOut(5, -np.sort(-rng.random(3).astype(np.float32))) for _ in LENGTHS)
    weights = {target: rng.random((len(LENGTHS), NUM_FEATURES)) for target in TARGETS}
    numbers = {target: rng.integers(0, 99, len(LENGTHS)) for target in TARGETS}
    written = Calibration(weights, numbers, QUERIES, Guarantee(dict.fromkeys(GROUPS, held_out)), ("a note",))
    read = Calibration.from_json(json.loads(json.dumps(written.as_json())))
    evidence = {rank: votes(rng.random(50)) for rank in RANKS}
    num_bases = np.linspace(100, 658, 50).astype(int)
    for target, values in written(evidence, num_bases).items():
        np.testing.assert_array_equal(read(evidence, num_bases)[target], values)
    assert (read.by, read.notes) == (QUERIES, ("a note",))
    np.testing.assert_allclose(read.guarantee.groups[GROUPS[0]][0].wrong, held_out[0].wrong, atol=1e-6)


def test_calibration_of_an_earlier_version_is_distinguished():
    with pytest.raises(OutdatedCalibrationError):
        Calibration.from_json({"by": OWN, "lengths": list(LENGTHS), "probabilities": {}})
    with pytest.raises(OutdatedCalibrationError):
        Calibration.from_json(plain_calibration().as_json() | {"version": 2})
    with pytest.raises(ValueError, match="expected a calibration of version 3, got version 4"):
        Calibration.from_json(plain_calibration().as_json() | {"version": 4})


def test_negative_weight_of_evidence_is_an_error():
    data = plain_calibration().as_json()
    data["weights"]["genus"][0][0] = -1.0
    with pytest.raises(ValueError, match="expected weights of 0 or more"):
        Calibration.from_json(data)


def test_nearest_length():
    assert nearest_length(np.array([100, 161, 162, 245, 300, 424, 425, 658])).tolist() == [0, 0, 1, 2, 2, 2, 3, 3]


def test_minimum_confidence_by_hand():
    # With 59 queries and no wrong name, the bound is 1 - 0.05^(1/59) = 4.95 %; with one wrong name more than 5 %.
    wrong = np.array([0.9, 0.4], np.float32)
    assert HeldOut(59, wrong[:0]).min_confidence(0.05) == 0
    assert HeldOut(58, wrong[:0]).min_confidence(0.05) == np.inf
    assert HeldOut(59, wrong).min_confidence(0.05) == np.nextafter(np.float32(0.9), np.float32(1))
    # With 93 and one wrong name it is 4.997 %.
    assert HeldOut(93, wrong).min_confidence(0.05) == np.nextafter(np.float32(0.4), np.float32(1))
    assert HeldOut(92, wrong).min_confidence(0.05) == np.nextafter(np.float32(0.9), np.float32(1))


def test_guarantee_holds_for_other_queries():
    """In 200 draws of 300 held-out queries, the share of wrong names exceeds 5 % at most about one time in twenty."""
    rng = np.random.default_rng(0)
    exceeded = 0
    for _ in range(200):
        wrong = np.where(rng.random(300) < 0.3, rng.random(300), 0).astype(np.float32)
        found = HeldOut(300, -np.sort(-wrong[wrong > 0])).min_confidence(0.05)
        exceeded += 0.3 * (1 - min(found, 1)) > 0.05
    assert exceeded <= 20


def test_the_strictest_group_decides():
    lenient, strict = HeldOut(1000, np.zeros(0, np.float32)), HeldOut(1000, np.full(50, 0.9, np.float32))
    groups = {name: (lenient,) * 3 + (strict if name == GROUPS[1] else lenient,) for name in GROUPS}
    assert Guarantee(groups).min_confidences(0.02).tolist() == [0, 0, 0, np.nextafter(np.float32(0.9), np.float32(1))]


def test_too_few_held_out_queries_are_an_error():
    few = (HeldOut(12, np.zeros(0, np.float32)),) * len(LENGTHS)
    with pytest.raises(
        ConfigurationError, match="expected at least 149 held-out species in each group, got species in"
    ):
        Guarantee(dict.fromkeys(GROUPS, few)).min_confidences(0.02)


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


def test_plot_has_a_panel_for_each_rank_and_points_of_each_group():
    rng = np.random.default_rng(0)
    predicted = rng.random(200)
    depth = np.repeat([KNOWN, KNOWN - 1, STRANGER, 2], 50)
    found = Predictions(predicted, rng.random(200) < predicted, depth, np.ones(200), np.zeros(200, int))
    figure = draw_reliability({"genus": found, "species": found, NOVELTY: found.take(~found.is_new)})
    drawn = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in drawn] == ["genus", "species", "species not in the library"]
    assert [len(axes.containers) for axes in drawn] == [3, 1, 1]
    texts = [[text.get_text().partition(":")[0] for text in axes.texts] for axes in drawn]
    assert texts == [list(GROUPS), ["all queries"], ["all queries"]]


def test_points_of_the_plot_by_hand():
    # Eight queries at 0.9, of which six are right: Wilson's interval is 0.409 to 0.929. Four at 0.1 are too few.
    probabilities, observed = np.repeat([0.9, 0.1], [8, 4]), np.arange(12) < 6
    nothing = np.zeros(12, int)
    figure = draw_reliability({"genus": Predictions(probabilities, observed, nothing + KNOWN, np.ones(12), nothing)})
    ((points, _, (bars,)),) = figure.axes[0].containers
    assert points.get_xydata().tolist() == [[pytest.approx(90), pytest.approx(75)]]
    (bar,) = bars.get_segments()
    assert bar[:, 1] == pytest.approx([40.93, 92.85], abs=0.01)
