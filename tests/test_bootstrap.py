import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.evaluation import scores
from barcodemae.evaluation.scores import draw_species, percentile_interval, species_bootstrap


def test_all_right_or_all_wrong_leaves_no_doubt():
    species = np.array(["a", "a", "b"])
    assert species_bootstrap(np.array([True] * 3), species) == ((1.0, 1.0), (1.0, 1.0))
    assert species_bootstrap(np.array([False] * 3), species) == ((0.0, 0.0), (0.0, 0.0))


def test_one_species_can_only_be_drawn_again():
    intervals = species_bootstrap(np.array([True, False, False, False]), np.array(["a"] * 4))
    assert intervals == ((0.25, 0.25), (0.25, 0.25))


def test_two_species_by_hand():
    # A quarter of the draws is a twice, a quarter b twice: all right, and none.
    intervals = species_bootstrap(np.array([True, True, True, False]), np.array(["a", "a", "a", "b"]))
    assert intervals == ((0.0, 1.0), (0.0, 1.0))


def test_many_equal_species_agree_with_the_normal_approximation():
    rng = np.random.default_rng(1)
    shares = rng.random(400)
    right = (rng.random((400, 50)) < shares[:, None]).ravel()
    intervals = species_bootstrap(right, np.repeat(np.arange(400).astype(str), 50))
    by_species = right.reshape(400, 50).mean(axis=1)
    error = 1.96 * by_species.std() / 20
    for low, high in intervals:
        assert low == pytest.approx(right.mean() - error, abs=0.005)
        assert high == pytest.approx(right.mean() + error, abs=0.005)


def test_an_independent_loop_over_drawn_species_gives_the_same_intervals():
    rng = np.random.default_rng(2)
    species = rng.choice([f"s{i}" for i in range(30)], 500, p=rng.dirichlet(np.ones(30)))
    right = rng.random(500) < 0.2 + 0.6 * (species < "s2")
    rows = {name: right[species == name] for name in np.unique(species)}
    plain, by_species = [], []
    for _ in range(4000):
        drawn = [rows[name] for name in rng.choice(list(rows), len(rows))]
        plain.append(np.concatenate(drawn).mean())
        by_species.append(np.mean([one.mean() for one in drawn]))
    intervals = species_bootstrap(right, species)
    assert intervals.plain == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=0.02)
    assert intervals.by_species == pytest.approx(np.quantile(by_species, [0.025, 0.975]), abs=0.02)


def test_species_that_stand_or_fall_together_widen_the_interval():
    right = np.repeat([True, False] * 10, 100)
    low, high = species_bootstrap(right, np.repeat(np.arange(20).astype(str), 100)).plain
    alone_low, alone_high = species_bootstrap(right, np.arange(2000).astype(str)).plain
    assert high - low > 5 * (alone_high - alone_low)


def test_the_seed_decides():
    rng = np.random.default_rng(3)
    right, species = rng.random(200) < 0.5, rng.integers(0, 40, 200).astype(str)
    assert species_bootstrap(right, species, seed=1) == species_bootstrap(right, species, seed=1)
    assert species_bootstrap(right, species, seed=1) != species_bootstrap(right, species, seed=2)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcdef")), min_size=1, max_size=30))
def test_intervals_are_ordered_shares(rows):
    right, species = map(np.array, zip(*rows, strict=True))
    for low, high in species_bootstrap(right, species):
        assert 0 <= low <= high <= 1 + 1e-12


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="at least one row"):
        species_bootstrap(np.array([], bool), np.array([], str))


def test_blocks_of_resamples_change_nothing(monkeypatch):
    rng = np.random.default_rng(4)
    right, species = rng.random(200) < 0.5, rng.integers(0, 40, 200).astype(str)
    whole = species_bootstrap(right, species)
    monkeypatch.setattr(scores, "_BLOCK_BYTES", 8 * 40 * 7)
    # A product of matrices of another height may round its last digit otherwise.
    np.testing.assert_allclose(species_bootstrap(right, species), whole, rtol=1e-12)


def test_a_difference_of_two_models_mirrors_when_they_change_places():
    rng = np.random.default_rng(5)
    difference, species = rng.integers(-1, 2, 300), rng.integers(0, 40, 300).astype(str)
    there, back = species_bootstrap(difference, species), species_bootstrap(-difference, species)
    for (low, high), (back_low, back_high) in zip(there, back, strict=True):
        assert (low, high) == pytest.approx((-back_high, -back_low))


def test_species_are_drawn_evenly_and_with_replacement():
    times = draw_species(np.random.default_rng(0), 10, 4000)
    assert (times.sum(axis=1) == 10).all()
    assert times.mean(axis=0) == pytest.approx(np.ones(10), abs=0.07)
    assert (times == 0).mean() == pytest.approx(0.9**10, abs=0.02)


def test_the_middle_95_percent():
    assert percentile_interval(np.arange(1001)) == pytest.approx((25, 975))
