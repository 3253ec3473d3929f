import numpy as np
import pytest

from barcodemae.evaluation.tasks.knn import genus_size_scores, order_scores, similarity_scores, sister_confusions
from helpers.evaluation_hits import make_hits
from helpers.evaluation_records import make_records

KEYS = make_records(genus=["Aus", "Bus"])


def test_genus_sizes_by_hand():
    small, large = genus_size_scores(
        make_hits([[0], [2], [2], [1], [4]]),
        make_records(genus=["Aus", "Bus", "Bus", "Bus", "Cus"]),
        make_records(genus=["Aus", "Aus", "Bus", "Bus", "Dus"], species=["Aus x", "Aus y", "Bus x", "Bus x", "Dus x"]),
    )
    assert (small["n_references"], small["n_answerable"], small["genus_accuracy"]) == ([1, 1], 2, 0.5)
    assert (large["n_references"], large["n_answerable"], large["genus_accuracy"]) == ([3, 3], 2, 1.0)


def test_similarity_classes_by_hand():
    # Ten queries, two in each class; the far ones are wrong. The eleventh has an unknown genus.
    hits = make_hits([[1]] * 4 + [[0]] * 7, [[position / 10] for position in range(11)])
    entries = similarity_scores(hits, KEYS, make_records(genus=["Aus"] * 10 + [""]))
    assert [entry["n_answerable"] for entry in entries] == [2] * 5
    assert [entry["genus_accuracy"] for entry in entries] == [0, 0, 1, 1, 1]
    np.testing.assert_allclose(
        [entry["similarity"] for entry in entries], [[n / 10, n / 10 + 0.1] for n in (0, 2, 4, 6, 8)]
    )


def test_equal_similarities_stay_together_and_queries_without_a_hit_are_in_no_class():
    hits = make_hits([[-1], [0], [1], [0], [0], [1]], [[-np.inf], [0.5], [1], [1], [1], [1]])
    far, near = similarity_scores(hits, KEYS, make_records(genus=["Aus"] * 6))
    assert (far["similarity"], far["n_answerable"], far["genus_accuracy"]) == ([0.5, 0.5], 1, 1)
    assert (near["similarity"], near["n_answerable"], near["genus_accuracy"]) == ([1, 1], 4, 0.5)


def test_no_hit_at_all_leaves_no_classes():
    assert similarity_scores(make_hits([[-1]]), KEYS, make_records(genus=["Aus"])) == []


def test_orders_come_with_the_most_queries_first():
    queries = make_records(
        genus=["Aus", "Aus", "Aus", "Bus", "Dus"], order=["Diptera", "", "Diptera", "Acari", "Acari"]
    )
    entries = order_scores(make_hits([[0], [0], [1], [1], [0]]), KEYS, queries)
    assert [(entry["taxon"], entry["n_answerable"], entry["genus_accuracy"]) for entry in entries] == [
        ("Diptera", 2, 0.5),
        ("", 1, 1),
        ("Acari", 1, 1),
    ]


def test_sisters_are_of_one_family():
    keys = make_records(genus=["Aus", "Bus", "Cus", "Eus"], family=["Aidae", "Aidae", "Cidae", ""])
    queries = make_records(
        genus=["Aus", "Aus", "Bus", "Aus", "Aus", "Aus", "Zus", "Eus", "Cus"],
        family=["Aidae"] * 7 + ["", "Cidae"],
    )
    # Bus twice, Aus for Bus, another family, the right one, nothing, an unknown genus, no family, the right one.
    hits = make_hits([[1], [1], [0], [2], [0], [-1], [0], [3], [2]])
    assert sister_confusions(hits, keys, queries) == [
        {"genus": "Aus", "predicted": "Bus", "family": "Aidae", "n": 2},
        {"genus": "Bus", "predicted": "Aus", "family": "Aidae", "n": 1},
    ]


@pytest.mark.parametrize("breakdown", [genus_size_scores, similarity_scores, order_scores, sister_confusions])
def test_more_neighbours_vote_in_every_breakdown(breakdown):
    keys = make_records(genus=["Aus", "Bus", "Bus"], family=["Aidae"] * 3)
    queries = make_records(genus=["Aus", "Bus"], family=["Aidae"] * 2)
    (entry,) = breakdown(make_hits([[0, 1, 2]]), keys, queries.slice(0, 1))
    assert entry.get("genus_accuracy", 0) == 0
    assert entry.get("predicted", "Bus") == "Bus"
