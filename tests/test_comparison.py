from itertools import product

import numpy as np
import pyarrow as pa
import pytest

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation import scores as scores_module
from barcodemae.evaluation.assignments import compare_assignments
from barcodemae.evaluation.scores import paired_comparison, species_bootstrap

P_VALUES = ("p_value", "p_value_by_species")


def two_models(seed, num_species, shift=0.0):
    """Right and wrong answers of two models that are about as good, each better on species of its own."""
    rng = np.random.default_rng(seed)
    num_rows = 1 + np.floor(5 * rng.pareto(1.5, num_species)).clip(0, 100).astype(int)
    shares = rng.beta(4, 2, num_species)
    species = np.repeat(np.arange(num_species), num_rows)
    own = rng.normal(0, 0.2, (2, num_species)) + np.array([[shift], [0]])
    chances = np.clip(shares + own, 0, 1)
    right = rng.random((2, len(species))) < chances[:, species]
    return right[0], right[1], species.astype(str)


def test_by_hand():
    model, baseline = np.array([1, 1, 1, 0], bool), np.array([0, 0, 1, 1], bool)
    scores = paired_comparison(model, baseline, np.array(["a", "a", "a", "b"]))
    assert (scores["n_species"], scores["n_rows"]) == (2, 4)
    assert scores["difference"] == pytest.approx(1 / 4)
    assert scores["difference_by_species"] == pytest.approx((2 / 3 - 1) / 2)
    assert scores["interval"] == [-1, pytest.approx(2 / 3)]
    # Sums of species 2 and -1: of +-2 +-1, all four are 1 or more. Means 2/3 and -1: all four are 1/3 or more.
    assert [scores[name] for name in P_VALUES] == [1, 1]


def test_the_p_value_equals_that_of_all_exchanges():
    model, baseline, species = two_models(3, 9, shift=0.15)
    totals = np.array([(model.astype(int) - baseline)[species == name].sum() for name in np.unique(species)])
    every = np.abs([np.dot(signs, totals) for signs in product([-1, 1], repeat=9)])
    exact = np.mean(every >= abs(totals.sum()))
    assert 0 < exact < 0.9
    assert paired_comparison(model, baseline, species)["p_value"] == pytest.approx(exact, abs=0.03)


def test_the_interval_is_of_a_bootstrap_of_the_difference():
    model, baseline, species = two_models(1, 30)
    scores = paired_comparison(model, baseline, species, seed=5)
    assert scores["difference"] == pytest.approx(model.mean() - baseline.mean())
    expected = species_bootstrap(model.astype(int) - baseline.astype(int), species, seed=5)
    assert scores["interval"] == list(expected.plain)
    assert scores["interval_by_species"] == list(expected.by_species)


def test_equal_answers_leave_nothing_to_tell_apart():
    model, _, species = two_models(1, 30)
    scores = paired_comparison(model, model, species)
    assert (scores["difference"], scores["interval"], scores["p_value"]) == (0, [0, 0], 1)


def test_p_is_never_zero():
    n = 400
    scores = paired_comparison(np.ones(n, bool), np.zeros(n, bool), np.arange(n).astype(str))
    assert [scores[name] for name in P_VALUES] == [1 / 2001, 1 / 2001]


@pytest.mark.parametrize("num_species", [12, 100])
def test_p_values_of_equal_models_are_about_uniform(num_species, monkeypatch):
    monkeypatch.setattr(scores_module, "NUM_RESAMPLES", 300)
    runs = [paired_comparison(*two_models(seed, num_species)) for seed in range(300)]
    for name in P_VALUES:
        p = np.array([scores[name] for scores in runs])
        for level in (0.05, 0.2, 0.5):
            error = 3 * np.sqrt(level * (1 - level) / len(p))
            assert level - error - 0.03 < np.mean(p <= level) < level + error


def test_a_better_model_is_recognised():
    runs = [paired_comparison(*two_models(seed, 100, shift=0.3)) for seed in range(20)]
    assert np.mean([scores["p_value_by_species"] < 0.05 for scores in runs]) > 0.9
    assert all(scores["difference"] > 0 for scores in runs)


def test_rows_that_stand_or_fall_together_are_no_evidence():
    # The model is right on a species of 1,000 rows where the baseline is wrong, and the reverse on one of 10.
    model, species = np.repeat([True, False], [1000, 10]), np.repeat(["a", "b"], [1000, 10])
    assert paired_comparison(model, ~model, species)["p_value"] > 0.9


def test_shares_of_several_seeds_are_taken():
    species = np.array(["a", "b"])
    scores = paired_comparison(np.array([0.5, 1.0]), np.array([0.0, 0.75]), species)
    assert scores["difference"] == pytest.approx(0.375)


def test_the_seed_decides_and_blocks_change_nothing(monkeypatch):
    models = two_models(2, 50)
    first = paired_comparison(*models, seed=1)
    assert paired_comparison(*models, seed=2)["interval"] != first["interval"]
    monkeypatch.setattr(scores_module, "_BLOCK_BYTES", 8 * 50 * 7)
    assert [paired_comparison(*models, seed=1)[name] for name in P_VALUES] == [first[name] for name in P_VALUES]


def test_no_rows_are_refused():
    with pytest.raises(ConfigurationError, match="barcodes that both models assigned, got none"):
        paired_comparison(np.array([], bool), np.array([], bool), np.array([], str))


RESULTS = pa.table(
    {
        "id": ["1", "2", "3", "3"],
        "species": ["Aus a", "Aus a", "Bus b", ""],
        "genus": ["Aus", "Aus", "Bus", "Cus"],
        "tiny": ["Aus", "Aus", "Cus", "Cus"],
        "kmer_6": ["Bus", "Aus", "Bus", "Aus"],
    }
)


def test_two_columns_of_one_table():
    scores = compare_assignments(RESULTS, "tiny", RESULTS, "kmer_6")
    assert (scores["n_rows"], scores["n_species"]) == (4, 3)
    assert scores["difference"] == pytest.approx(1 / 4)
    # Species Aus a 1/2, Bus b -1, and the row of unknown species 1.
    assert scores["difference_by_species"] == pytest.approx(1 / 6)


def test_two_tables_in_another_order():
    other = RESULTS.take([2, 0, 3, 1]).rename_columns({"kmer_6": "blast"}).drop_columns("tiny")
    other = other.set_column(0, "id", other["id"].cast(pa.large_string()))
    assert compare_assignments(RESULTS, "tiny", other, "blast") == compare_assignments(
        RESULTS, "tiny", RESULTS, "kmer_6"
    )


def test_other_barcodes_are_refused():
    with pytest.raises(ConfigurationError, match="got 4 and 3 rows; 3 ids are in both"):
        compare_assignments(RESULTS, "tiny", RESULTS.slice(0, 3), "kmer_6")
    relabelled = RESULTS.set_column(2, "genus", pa.array(["Aus", "Aus", "Dus", "Cus"]))
    with pytest.raises(ConfigurationError, match="the same barcodes with the same labels"):
        compare_assignments(RESULTS, "tiny", relabelled, "kmer_6")


def test_a_missing_column_is_named():
    with pytest.raises(ConfigurationError, match="expected the columns blast, got id, species, genus, tiny, kmer_6"):
        compare_assignments(RESULTS, "tiny", RESULTS, "blast")
