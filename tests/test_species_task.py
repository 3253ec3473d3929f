import numpy as np
import pytest

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.benchmark import draw_per_taxon
from barcodemae.evaluation.tasks.probes import species_task
from barcodemae.evaluation.vector_cache import check_finite
from helpers.evaluation_records import make_records

TRAIN = make_records(species=["Aus a", "", "Bus b"])
QUERIES = make_records(species=["Bus b", "Cus c", ""])
POINTS = np.arange(6, dtype=np.float32).reshape(3, 2)


def test_only_known_species_of_train_are_kept():
    task = species_task(POINTS, TRAIN, POINTS + 6, QUERIES)
    np.testing.assert_array_equal(task.train, [[0, 1], [4, 5]])
    np.testing.assert_array_equal(task.queries, [[6, 7]])
    assert (task.taxa.tolist(), task.true.tolist()) == (["Aus a", "Bus b"], ["Bus b"])
    assert task.counts == {"n_train": 2, "n_queries": 3, "n_answerable": 1}


def test_no_answerable_query_and_one_species_are_refused():
    with pytest.raises(ConfigurationError, match="queries of a species of the train split, got none"):
        species_task(POINTS, TRAIN, POINTS, make_records(species=["Cus c", "", ""]))
    with pytest.raises(ConfigurationError, match="at least two species in the train split, got one"):
        species_task(POINTS, make_records(species=["Bus b", "", "Bus b"]), POINTS, QUERIES)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite_are_refused(value):
    spoilt = POINTS.copy()
    spoilt[1, 0] = value
    for train, queries in ((spoilt, POINTS), (POINTS, spoilt)):
        with pytest.raises(ConfigurationError, match="NaN or infinity in 1 of 3"):
            species_task(train, TRAIN, queries, QUERIES)


def test_large_numbers_are_finite():
    check_finite(np.full((2, 1000), np.finfo(np.float32).max))


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
