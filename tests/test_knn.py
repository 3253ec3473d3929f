from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.tasks.knn import assigned_taxa, deciding_references, knn_scores, softmax_weights
from helpers.evaluation_hits import make_hits
from helpers.evaluation_records import make_records

KEYS = make_records(
    genus=["Aus", "Aus", "Bus", "Cus"],
    family=["Aidae", "Aidae", "Bidae", ""],
    order=["Diptera"] * 3 + ["Coleoptera"],
    species=["Aus a", "Aus b", "Bus a", "Cus a"],
)
QUERIES = make_records(
    genus=["Aus", "Aus", "Bus", "Dus", ""],
    family=["Aidae", "Aidae", "Bidae", "Didae", ""],
    order=["Diptera", "Diptera", "Diptera", "Coleoptera", "Diptera"],
    species=["Aus x", "Aus x", "Bus x", "Dus x", ""],
)
HITS = make_hits([[0], [2], [2], [3], [1]])


def test_scores_by_hand():
    scores = knn_scores(HITS, KEYS, QUERIES, ("genus", "family", "order"))
    assert (scores["n_references"], scores["n_queries"], scores["n_neighbours"], scores["n_answerable"]) == (4, 5, 1, 3)
    assert scores["n_answerable_by_rank"] == {"genus": 3, "family": 3, "order": 5}
    assert scores["n_taxa_by_rank"] == {"genus": 3, "family": 2, "order": 2}
    # Genus: rows 0 to 2 can be answered; row 1 gets Bus. By species: Aus x 1/2, Bus x 1.
    assert scores["genus_accuracy"] == pytest.approx(2 / 3)
    assert scores["genus_accuracy_by_species"] == pytest.approx(3 / 4)
    assert scores["family_accuracy"] == pytest.approx(2 / 3)
    assert scores["order_accuracy"] == 1


def test_a_query_for_which_nothing_was_found_is_answered_wrongly():
    hits = make_hits([[-1], [0], [2], [-1], [1]])
    scores = knn_scores(hits, KEYS, QUERIES, ("genus",))
    assert scores["n_without_hit"] == 2
    assert scores["genus_accuracy"] == pytest.approx(2 / 3)


def test_closed_world_asks_for_the_species_first():
    queries = make_records(genus=["Aus", "Bus"], species=["Aus b", "Bus z"])
    scores = knn_scores(make_hits([[0], [2]]), KEYS, queries, ("species", "genus"))
    assert (scores["n_answerable"], scores["species_accuracy"], scores["genus_accuracy"]) == (1, 0, 1)


def test_rows_of_unknown_species_are_species_of_their_own():
    keys = make_records(genus=["Aus", "Bus"])
    queries = make_records(genus=["Aus", "Aus", "Aus"], species=["Aus a", "", ""])
    scores = knn_scores(make_hits([[0], [1], [1]]), keys, queries, ("genus",))
    assert scores["genus_accuracy_by_species"] == pytest.approx(1 / 3)


def test_a_rank_that_cannot_be_asked_is_counted_and_has_no_accuracy():
    keys = make_records(genus=["Aus", "Bus"], family=["", ""], phylum=["Arthropoda"] * 2)
    queries = make_records(genus=["Aus"], family=["Aidae"], phylum=["Arthropoda"])
    scores = knn_scores(make_hits([[0]]), keys, queries, ("genus", "family", "phylum"))
    assert scores["n_answerable_by_rank"] == {"genus": 1, "family": 0, "phylum": 1}
    assert scores["n_taxa_by_rank"] == {"genus": 2, "family": 0, "phylum": 1}
    assert "family_accuracy" not in scores
    assert "phylum_accuracy" not in scores


def test_a_headline_that_cannot_be_asked_is_refused():
    queries = make_records(genus=["Aus"], family=["Aidae"], phylum=["Arthropoda"])
    keys = make_records(genus=["Aus", "Bus"], family=["", ""], phylum=["Arthropoda"] * 2)
    with pytest.raises(ConfigurationError, match="queries of a family that occurs among the references, got none"):
        knn_scores(make_hits([[0]]), keys, queries, ("family", "genus"))
    with pytest.raises(ConfigurationError, match="at least two taxa at the rank phylum, got one"):
        knn_scores(make_hits([[0]]), keys, queries, ("phylum",))


@pytest.mark.parametrize(
    ("rows", "answer"),
    [
        ([0, 2, 3], 0),  # Aus, Bus, Cus: a tie of three, the nearest
        ([2, 0, 1], 0),  # Aus twice: its nearest reference
        ([2, 3, 0, 1, 2], 2),  # Bus and Aus twice each: Bus is nearer
        ([-1, -1, 3], 3),
        ([-1, -1], -1),
    ],
)
def test_the_majority_answers_and_the_nearest_of_a_tie(rows, answer):
    genera = np.array(KEYS["genus"].to_pylist())
    assert deciding_references(np.array([rows]), genera).tolist() == [answer]


def test_a_neighbour_of_unknown_taxon_has_no_vote():
    families = make_hits([[3, 3, 0], [3, 3, 3]])
    assert assigned_taxa(families, KEYS, "family").tolist() == ["Aidae", ""]


@given(st.lists(st.lists(st.integers(-1, 5), min_size=4, max_size=4), min_size=1, max_size=6))
def test_votes_equal_those_counted_one_by_one(rows):
    taxa = np.array(["a", "a", "b", "b", "c", ""])
    found = deciding_references(np.array(rows), taxa)
    for row, answer in zip(rows, found.tolist(), strict=True):
        voters = [key for key in row if key >= 0 and taxa[key]]
        # Counter keeps the order of first sight, and most_common that order among equals.
        winner = Counter(taxa[key] for key in voters).most_common(1)
        expected = next(key for key in voters if taxa[key] == winner[0][0]) if voters else -1
        assert answer == expected


def test_weights_are_the_softmax_of_similarities():
    similarities = np.array([[0.9, 0.8], [1.0, -np.inf], [-np.inf, -np.inf]], np.float32)
    weights = softmax_weights(similarities, temperature=0.1)
    # exp(-0.1 / 0.1) = 0.3679; 1 / 1.3679 = 0.7311.
    assert weights == pytest.approx(np.array([[0.7311, 0.2689], [1, 0], [0, 0]]), abs=1e-4)


def test_weights_of_a_very_small_temperature_are_finite():
    assert softmax_weights(np.array([[1.0, 0.5]]), temperature=1e-300).tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("temperature", "genus"),
    [
        (None, "Bus"),  # two votes against one
        (0.02, "Bus"),  # each Bus has the weight exp(-0.01 / 0.02) = 0.607 of Aus: 1.213 against 1
        (0.01, "Aus"),  # exp(-1) = 0.368: 0.736 against 1
        (100.0, "Bus"),  # nearly equal weights
    ],
)
def test_temperature_decides_between_one_near_and_two_farther_neighbours(temperature, genus):
    references = make_records(genus=["Aus", "Bus", "Bus"])
    hits = make_hits([[0, 1, 2]], [[0.95, 0.94, 0.94]])
    assert assigned_taxa(hits, references, "genus", temperature).tolist() == [genus]


def test_weighted_votes_of_one_taxon_are_added():
    # Cus: 0.3; Aus: 0.25 + 0.15; Bus: 0.2 + 0.1. Without the last two, Cus has most.
    genera = np.array(["Cus", "Aus", "Bus", "Aus", "Bus", ""])
    weights = np.array([[0.3, 0.25, 0.2, 0.15, 0.1]])
    assert deciding_references(np.array([[0, 1, 2, 3, 4]]), genera, weights).tolist() == [1]
    assert deciding_references(np.array([[0, 1, 2, 5, 5]]), genera, weights).tolist() == [0]


def test_neighbour_whose_weight_is_rounded_to_zero_still_has_a_vote():
    references = make_records(genus=["", "Aus"])
    hits = make_hits([[0, 1]], [[1.0, -1.0]])
    assert assigned_taxa(hits, references, "genus", 1e-4).tolist() == ["Aus"]


def test_weighted_scores_by_hand():
    references = make_records(genus=["Aus", "Bus", "Bus"], species=["Aus a", "Bus a", "Bus b"])
    queries = make_records(genus=["Bus", "Aus", "Aus"], species=["Bus x", "Aus x", "Aus y"])
    hits = make_hits([[0, 1, 2]] * 3, [[0.95, 0.94, 0.94], [0.95, 0.94, 0.94], [0.99, 0.94, 0.94]])
    scores = knn_scores(hits, references, queries, ("genus",), temperature=0.02)
    # The first two are Bus, by 1.213 against 1; the third is Aus: exp(-0.05 / 0.02) = 0.082.
    assert scores["genus_accuracy"] == pytest.approx(2 / 3)
    assert (scores["n_neighbours"], scores["n_answerable"]) == (3, 3)


@given(
    st.lists(st.lists(st.integers(-1, 5), min_size=4, max_size=4), min_size=1, max_size=6),
    st.lists(st.floats(-1, 1, width=32), min_size=4, max_size=4),
)
def test_one_neighbour_and_equal_weights_are_the_plain_vote(rows, similarities):
    taxa = np.array(["a", "a", "b", "b", "c", ""])
    found = np.array(rows)
    equal = softmax_weights(np.full(found.shape, similarities[0], np.float32), 0.02)
    assert np.array_equal(deciding_references(found, taxa, equal), deciding_references(found, taxa))
    single = softmax_weights(np.tile(similarities, (len(found), 1))[:, :1], 0.02)
    assert np.array_equal(deciding_references(found[:, :1], taxa, single), deciding_references(found[:, :1], taxa))
