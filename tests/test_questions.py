import numpy as np
import pytest

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.tasks.questions import check_embeddings, species_questions
from barcodemae.evaluation.tasks.sampling import draw_per_taxon
from helpers.evaluation_records import make_records

TRAIN = make_records(species=["Aus a", "", "Bus b"])
QUERIES = make_records(species=["Bus b", "Cus c", ""])
POINTS = np.arange(6, dtype=np.float32).reshape(3, 2)


def test_only_what_can_be_asked_is_kept():
    asked = species_questions(POINTS, TRAIN, POINTS + 6, QUERIES)
    np.testing.assert_array_equal(asked.train, [[0, 1], [4, 5]])
    np.testing.assert_array_equal(asked.queries, [[6, 7]])
    assert (asked.taxa.tolist(), asked.answers.tolist()) == (["Aus a", "Bus b"], ["Bus b"])
    assert asked.counts == {"n_train": 2, "n_queries": 3, "n_answerable": 1}


def test_no_answerable_query_and_one_species_are_refused():
    with pytest.raises(ConfigurationError, match="species that stands in the train split, got none"):
        species_questions(POINTS, TRAIN, POINTS, make_records(species=["Cus c", "", ""]))
    with pytest.raises(ConfigurationError, match="two species or more in the train split to tell apart, got one"):
        species_questions(POINTS, make_records(species=["Bus b", "", "Bus b"]), POINTS, QUERIES)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite_are_refused(value):
    spoilt = POINTS.copy()
    spoilt[1, 0] = value
    for train, queries in ((spoilt, POINTS), (POINTS, spoilt)):
        with pytest.raises(ConfigurationError, match="NaN or infinity in 1 of 3"):
            species_questions(train, TRAIN, queries, QUERIES)


def test_large_numbers_are_finite():
    check_embeddings(np.full((2, 1000), np.finfo(np.float32).max))


def test_a_draw_takes_as_many_as_there_are_and_no_more():
    taxa = np.array(["b", "a", "b", "b", "c", "b"])
    rows = draw_per_taxon(taxa, 2, seed=0)
    assert taxa[rows].tolist() == ["a", "b", "b", "c"]
    assert len(set(rows)) == 4


def test_a_draw_depends_on_its_seed_and_smaller_ones_are_parts_of_larger_ones():
    taxa = np.repeat(["a", "b"], 50)
    draws = [draw_per_taxon(taxa, n, seed=3) for n in (5, 10)]
    assert set(draws[0]) < set(draws[1])
    np.testing.assert_array_equal(draw_per_taxon(taxa, 5, seed=3), draws[0])
    assert set(draw_per_taxon(taxa, 5, seed=4)) != set(draws[0])


def test_every_barcode_of_a_taxon_is_drawn_as_often():
    drawn = np.concatenate([draw_per_taxon(np.array(["a"] * 4 + ["b"]), 1, (0, draw)) for draw in range(2000)])
    np.testing.assert_allclose(np.bincount(drawn) / 2000, [0.25, 0.25, 0.25, 0.25, 1], atol=0.04)
