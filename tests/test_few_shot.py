import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import pairwise_distances_argmin
from sklearn.preprocessing import normalize

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.tasks.few_shot import few_shot_scores, nearest_mean
from helpers.evaluation_records import make_records


def clouds(num_rows, spread=0.1, seed=0, dimensions=12):
    """Points about one centre per species, `num_rows` of each, and their species."""
    centres = np.random.default_rng(1).normal(size=(len(num_rows), dimensions))
    rng = np.random.default_rng(seed)
    species = np.repeat([f"Apis b{number:02}" for number in range(len(num_rows))], num_rows)
    points = np.repeat(centres, num_rows, axis=0) + spread * rng.normal(size=(len(species), dimensions))
    return points.astype(np.float32), species


def scores_of(train, queries, seed=0):
    tables = [make_records(species=species.tolist()) for _, species in (train, queries)]
    return few_shot_scores(train[0], tables[0], queries[0], tables[1], seed=seed)


def test_the_nearest_mean_by_hand():
    support = np.array([[2, 0], [2, 0], [-2, 3], [-2, -3]], np.float32) + 5
    taxa = np.array(list("aabb"))
    # Centred on (5, 5) and at unit length, the means are (1, 0) and (-0.55, 0): what lies right of 0.22 is a.
    queries = np.array([[9, 1], [1, 9], [-9, 1]], np.float32) + 5
    assert nearest_mean(support, taxa, queries).tolist() == ["a", "b", "b"]


def test_nearest_means_equal_those_of_a_direct_computation():
    support, taxa = clouds([3, 5, 2, 4], spread=1)
    queries = np.random.default_rng(5).normal(size=(200, 12)).astype(np.float32)
    unit = normalize(support - support.mean(axis=0))
    means = np.stack([unit[taxa == name].mean(axis=0) for name in np.unique(taxa)])
    expected = np.unique(taxa)[pairwise_distances_argmin(normalize(queries - support.mean(axis=0)), means)]
    np.testing.assert_array_equal(nearest_mean(support, taxa, queries), expected)


@given(st.sampled_from([0.25, 1, 8]), st.integers(-3, 3))
def test_shift_and_scale_change_nothing(scale, shift):
    support, taxa = clouds([3, 3, 3], spread=0.3)
    queries, _ = clouds([5, 5, 5], spread=0.3, seed=2)
    moved = nearest_mean(scale * support + shift, taxa, scale * queries + shift)
    np.testing.assert_array_equal(moved, nearest_mean(support, taxa, queries))


def test_vectors_that_are_all_the_same_are_given_the_first_name():
    ones = np.ones((4, 3), np.float32)
    assert set(nearest_mean(ones, np.array(list("abab")), ones)) == {"a"}


def test_every_entry_is_about_the_species_that_have_enough_for_the_last():
    # 22 species have 5 barcodes or more, only three have 10; species 00 and 01 have 2, 02 has one.
    train = clouds([2, 2, 1] + [5] * 19 + [10] * 3)
    queries = clouds([1] * 25, seed=7)
    entries = scores_of(train, queries)
    assert [entry["shots"] for entry in entries] == [1, 2, 5]
    assert {(entry["n_species"], entry["n_queries"], entry["n_seeds"]) for entry in entries} == {(22, 22, 10)}
    assert all(entry["species_accuracy"] == 1 for entry in entries)


def test_few_species_are_asked_with_one_barcode_each():
    (entry,) = scores_of(clouds([1, 3]), clouds([4, 4], seed=7))
    assert (entry["shots"], entry["n_species"], entry["n_queries"], entry["species_accuracy"]) == (1, 2, 8, 1)


def test_more_barcodes_help_where_species_are_scattered():
    entries = scores_of(clouds([12] * 30, spread=0.9), clouds([6] * 30, spread=0.9, seed=3))
    accuracies = [entry["species_accuracy"] for entry in entries]
    assert accuracies == sorted(accuracies)
    assert accuracies[-1] - accuracies[0] > 0.1
    for entry in entries:
        low, high = entry["species_accuracy_interval"]
        assert low < entry["species_accuracy"] < high
        # Each species has as many queries, so both means are one.
        assert entry["species_accuracy_by_species"] == pytest.approx(entry["species_accuracy"])


def test_the_same_seed_gives_the_same_scores_and_another_one_others():
    data = clouds([12] * 20, spread=0.9), clouds([6] * 20, spread=0.9, seed=3)
    assert scores_of(*data, seed=4) == scores_of(*data, seed=4)
    assert scores_of(*data, seed=4) != scores_of(*data, seed=5)


def test_queries_of_species_with_too_few_barcodes_are_refused():
    train = clouds([1] + [2] * 20)
    queries = clouds([3] + [0] * 20, seed=7)
    with pytest.raises(ConfigurationError, match="queries of species with 2 barcodes in train, got none"):
        scores_of(train, queries)
