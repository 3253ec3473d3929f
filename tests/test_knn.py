import numpy as np
import pytest
from evaluation_records import make_records

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.tasks.knn import genus_size_scores, knn_scores

KEYS = make_records(
    genus=["Aus", "Aus", "Bus", "Cus"],
    family=["Aidae", "Aidae", "Aidae", ""],
    order=["Diptera"] * 4,
    species=["Aus a", "Aus b", "Bus a", "Cus a"],
)
QUERIES = make_records(
    genus=["Aus", "Aus", "Bus", "Dus", ""],
    family=["Aidae", "Aidae", "Aidae", "Didae", ""],
    order=["Diptera", "Diptera", "Diptera", "Coleoptera", "Diptera"],
    species=["Aus x", "Aus x", "Bus x", "Dus x", ""],
)
NEIGHBOURS = np.array([0, 2, 2, 3, 1])


def test_scores_by_hand():
    scores = knn_scores(NEIGHBOURS, KEYS, QUERIES, ("genus", "family", "order"))
    assert (scores["n_keys"], scores["n_queries"], scores["n_answerable"]) == (4, 5, 3)
    # Genus: rows 0 to 2 can be answered; row 1 gets Bus. By species: Aus x 1/2, Bus x 1.
    assert scores["genus_accuracy"] == pytest.approx(2 / 3)
    assert scores["genus_accuracy_by_species"] == pytest.approx(3 / 4)
    # Family: Didae is not among the keys.
    assert scores["family_accuracy"] == 1
    # Order: four rows can be answered, all right.
    assert scores["order_accuracy"] == 1


def test_rows_of_unknown_species_are_species_of_their_own():
    keys = make_records(genus=["Aus", "Bus"])
    queries = make_records(genus=["Aus", "Aus", "Aus"], species=["Aus a", "", ""])
    scores = knn_scores(np.array([0, 1, 1]), keys, queries, ("genus",))
    assert scores["genus_accuracy_by_species"] == pytest.approx(1 / 3)


def test_a_rank_without_an_answerable_row_is_left_out_unless_it_is_asked_for():
    keys, queries = make_records(genus=["Aus"], family=[""]), make_records(genus=["Aus"], family=["Aidae"])
    assert "family_accuracy" not in knn_scores(np.array([0]), keys, queries, ("genus", "family"))
    with pytest.raises(ConfigurationError, match="queries of a family that stands among the keys"):
        knn_scores(np.array([0]), keys, queries, ("family", "genus"))


def test_genus_sizes_by_hand():
    small, large = genus_size_scores(
        np.array([0, 2, 2, 1, 4]),
        make_records(genus=["Aus", "Bus", "Bus", "Bus", "Cus"]),
        make_records(genus=["Aus", "Aus", "Bus", "Bus", "Dus"], species=["Aus x", "Aus y", "Bus x", "Bus x", "Dus x"]),
    )
    assert (small["n_keys"], small["n_answerable"], small["genus_accuracy"]) == ([1, 1], 2, 0.5)
    assert (large["n_keys"], large["n_answerable"], large["genus_accuracy"]) == ([3, 3], 2, 1.0)
