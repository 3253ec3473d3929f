import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.tasks import novelty
from barcodemae.evaluation.tasks.novelty import novelty_scores


def names(n, num_species, prefix="s"):
    return np.array([f"{prefix}{row % num_species}" for row in range(n)])


def similarities_of_two_sides(num_known=300, num_novel=200, num_species=20):
    """On a coarse scale, so that many are equal; each species has a level of its own."""
    rng = np.random.default_rng(1)
    sides = []
    for n, mean in ((num_known, 0.8), (num_novel, 0.6)):
        level = rng.normal(mean, 0.1, num_species)[np.arange(n) % num_species]
        sides += [(level + rng.normal(0, 0.05, n)).round(2), names(n, num_species)]
    return sides


def test_by_hand():
    # Of 3 x 2 pairs, known is nearer in four, and one is a tie.
    known, novel = np.array([0.9, 0.8, 0.5]), np.array([0.5, 0.7])
    scores = novelty_scores(known, names(3, 1), novel, names(2, 1, "n"))
    assert (scores["n_known"], scores["n_novel"]) == (3, 2)
    assert scores["auroc"] == pytest.approx(4.5 / 6)
    assert scores["auroc_interval"] == [scores["auroc"]] * 2  # one species a side can only be drawn again
    # All three known ones are accepted, down to 0.5, and with them both novel ones.
    assert scores["novel_recognised"] == 0


def test_one_in_twenty_known_may_be_refused():
    known, novel = np.append(np.full(19, 0.9), 0.1), np.array([0.05, 0.1, 0.5, 0.9, 0.95])
    scores = novelty_scores(known, names(20, 20), novel, names(5, 5))
    assert scores["novel_recognised"] == pytest.approx(3 / 5)
    scores = novelty_scores(np.append(known, 0.1), names(21, 21), novel, names(5, 5))
    assert scores["novel_recognised"] == pytest.approx(1 / 5)


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=30),
    st.lists(st.integers(0, 6), min_size=1, max_size=30),
)
def test_auroc_equals_that_of_scikit_learn(known, novel):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(novelty, "NUM_RESAMPLES", 1)
        scores = novelty_scores(np.array(known), names(len(known), 3), np.array(novel), names(len(novel), 3))
    is_known = [1] * len(known) + [0] * len(novel)
    assert scores["auroc"] == pytest.approx(roc_auc_score(is_known, known + novel))


def test_an_independent_loop_over_drawn_species_gives_the_same_intervals():
    known, known_species, novel, novel_species = similarities_of_two_sides()
    rng = np.random.default_rng(2)
    is_known = np.repeat([1, 0], [len(known), len(novel)])
    auroc, recognised = [], []
    for _ in range(300):
        times = [rng.multinomial(20, np.full(20, 1 / 20))[np.arange(len(side)) % 20] for side in (known, novel)]
        auroc.append(roc_auc_score(is_known, np.append(known, novel), sample_weight=np.concatenate(times)))
        known_drawn = np.sort(np.repeat(known, times[0]))
        threshold = known_drawn[len(known_drawn) // 20]
        recognised.append(np.mean(np.repeat(novel, times[1]) < threshold))
    scores = novelty_scores(known, known_species, novel, novel_species)
    assert scores["auroc_interval"] == pytest.approx(np.quantile(auroc, [0.025, 0.975]), abs=0.025)
    assert scores["novel_recognised_interval"] == pytest.approx(np.quantile(recognised, [0.025, 0.975]), abs=0.05)
    low, high = scores["auroc_interval"]
    assert low < scores["auroc"] < high
    assert scores["auroc"] == pytest.approx(np.mean(auroc), abs=0.01)


def test_nothing_found_is_the_most_novel():
    scores = novelty_scores(np.array([0.1, 0.2]), names(2, 2), np.array([-np.inf, -np.inf]), names(2, 2))
    assert (scores["auroc"], scores["novel_recognised"]) == (1, 1)
    scores = novelty_scores(np.array([-np.inf, 0.2]), names(2, 2), np.array([-np.inf]), names(1, 1))
    assert (scores["auroc"], scores["novel_recognised"]) == (0.75, 0)


def test_only_the_order_of_similarities_counts():
    known, known_species, novel, novel_species = similarities_of_two_sides()
    plain = novelty_scores(known, known_species, novel, novel_species)
    assert novelty_scores(np.exp(9 * known), known_species, np.exp(9 * novel), novel_species) == plain


def test_the_seed_decides():
    sides = similarities_of_two_sides()
    assert novelty_scores(*sides, seed=1) == novelty_scores(*sides, seed=1)
    assert novelty_scores(*sides, seed=1)["auroc_interval"] != novelty_scores(*sides, seed=2)["auroc_interval"]


def test_an_empty_side_and_nan_are_refused():
    one, none = (np.array([0.5]), np.array(["a"])), (np.array([]), np.array([], str))
    with pytest.raises(ConfigurationError, match="barcodes of known species, got none"):
        novelty_scores(*none, *one)
    with pytest.raises(ConfigurationError, match="barcodes of novel species, got none"):
        novelty_scores(*one, *none)
    with pytest.raises(ConfigurationError, match="got NaN for 1 novel barcodes"):
        novelty_scores(*one, np.array([np.nan]), np.array(["b"]))
