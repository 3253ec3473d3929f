import numpy as np
import pytest

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.tasks import bin_clustering
from barcodemae.evaluation.tasks.bin_clustering import clustering_scores, reduce_dimensions, rows_with_bin
from helpers.evaluation_records import make_records


def directions(num_bins, num_rows, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(num_bins, 30))
    return (np.repeat(centres, num_rows, axis=0) + 0.02 * rng.normal(size=(num_bins * num_rows, 30))).astype(np.float32)


def names(prefix, num_bins, num_rows):
    return [f"{prefix}{number}" for number in range(num_bins) for _ in range(num_rows)]


def test_bins_far_apart_are_found():
    records = make_records(bin=names("BOLD:", 12, 10), species=names("Apis b", 12, 10))
    scores = clustering_scores(directions(12, 10), records)
    assert (scores["n_rows"], scores["n_bins"], scores["n_clusters"]) == (120, 12, 12)
    assert scores["bin_ami"] == pytest.approx(1)


def test_vectors_without_meaning_give_about_nothing():
    rng = np.random.default_rng(0)
    records = make_records(bin=names("BOLD:", 10, 12), species=names("Apis b", 10, 12))
    assert abs(clustering_scores(rng.normal(size=(120, 30)).astype(np.float32), records)["bin_ami"]) < 0.15


def test_rows_without_a_bin_take_no_part_and_unknown_species_add_no_cluster():
    records = make_records(bin=["", *names("BOLD:", 3, 10)], species=["Apis b9", *names("Apis b", 2, 10), *[""] * 10])
    vectors = np.concatenate([np.ones((1, 30), np.float32), directions(3, 10)])
    scores = clustering_scores(vectors, records)
    assert (scores["n_rows"], scores["n_bins"], scores["n_clusters"]) == (30, 3, 2)


def test_the_same_points_give_the_same_projection():
    points = directions(5, 8)
    np.testing.assert_array_equal(reduce_dimensions(points), reduce_dimensions(points))


@pytest.mark.parametrize(("n", "dimensions"), [(4, 2), (5, 3), (20, 18), (52, 50), (60, 50)])
def test_few_points_get_few_dimensions(n, dimensions):
    assert reduce_dimensions(directions(n, 1)).shape == (n, dimensions)
    assert reduce_dimensions(directions(n, 1), 2).shape == (n, 2)


@pytest.mark.parametrize("n", [2, 3, 4, 7])
def test_a_handful_of_rows(n):
    records = make_records(bin=names("BOLD:", n, 1), species=names("Apis b", n, 1))
    assert clustering_scores(directions(n, 1), records)["bin_ami"] == pytest.approx(1)


@pytest.mark.parametrize("bins", [[], ["BOLD:1"], ["BOLD:1", ""], ["BOLD:1"] * 6])
def test_fewer_than_two_bins_leave_nothing_to_score(bins):
    records = make_records(bin=bins, species=["Apis b1"] * len(bins))
    assert clustering_scores(np.ones((len(bins), 4), np.float32), records)["bin_ami"] is None


def test_many_rows_are_drawn_from_and_both_numbers_told(monkeypatch):
    monkeypatch.setattr(bin_clustering, "MAX_ROWS", 30)
    records = make_records(bin=[*names("BOLD:", 3, 20), ""], species=[*names("Apis b", 3, 20), ""])
    scores = clustering_scores(directions(61, 1), records)
    assert (scores["n_rows"], scores["n_rows_used"]) == (60, 30)


def test_the_draw_depends_on_its_seed_alone_and_keeps_the_order():
    records = make_records(bin=[*names("BOLD:", 50, 2), ""])
    rows = rows_with_bin(records, 10, seed=1)
    assert (len(rows), rows.max() < 100) == (10, True)
    np.testing.assert_array_equal(rows, np.unique(rows))
    np.testing.assert_array_equal(rows_with_bin(records, 10, seed=1), rows)
    assert rows_with_bin(records, 10, seed=2).tolist() != rows.tolist()
    np.testing.assert_array_equal(rows_with_bin(records, 100), np.arange(100))


def test_vectors_that_are_not_finite_are_refused():
    with pytest.raises(ConfigurationError, match="NaN or infinity in 2 of 2"):
        clustering_scores(np.full((2, 3), np.nan), make_records(bin=["BOLD:1", "BOLD:2"]))
