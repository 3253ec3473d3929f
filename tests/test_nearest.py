"""Nearest neighbours by cosine."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from barcodemae.embedding import nearest
from barcodemae.embedding.nearest import nearest_by_cosine


@pytest.mark.parametrize("dimensions", [4, 64])
def test_neighbours_equal_those_of_scikit_learn(dimensions):
    rng = np.random.default_rng(dimensions)
    references = rng.normal(size=(500, dimensions)).astype(np.float32)
    queries = rng.normal(size=(300, dimensions)).astype(np.float32)
    genera = rng.integers(0, 200, 500)
    reference = KNeighborsClassifier(1, metric="cosine").fit(references, genera)
    np.testing.assert_array_equal(genera[nearest_by_cosine(references, queries).rows[:, 0]], reference.predict(queries))


def test_small_blocks_give_the_same_results(monkeypatch):
    rng = np.random.default_rng(0)
    references, queries = rng.normal(size=(2, 101, 16)).astype(np.float32)
    expected = nearest_by_cosine(references, queries).rows[:, 0]
    monkeypatch.setattr(nearest, "_BLOCK_BYTES", 4 * len(references) * 7)
    np.testing.assert_array_equal(nearest_by_cosine(references, queries).rows[:, 0], expected)


def test_first_of_equal_references_is_found():
    # Four ones among ten numbers: length 2, so that cosines are exact.
    distinct = np.array([np.isin(range(10), four) for four in combinations(range(10), 4)], np.float32)
    references = np.concatenate([distinct, 4 * distinct[::-1], distinct])
    np.testing.assert_array_equal(nearest_by_cosine(references, 2 * distinct).rows[:, 0], np.arange(len(distinct)))


def test_vector_of_length_zero_has_cosine_zero():
    references = np.array([[0, 0], [1, 1]], np.float32)
    np.testing.assert_array_equal(
        nearest_by_cosine(references, np.array([[2, 2], [-1, -1], [0, 0]])).rows[:, 0], [1, 0, 0]
    )


def test_no_queries_and_no_references():
    assert nearest_by_cosine(np.ones((3, 2)), np.ones((0, 2))).rows.shape == (0, 1)
    with pytest.raises(ValueError, match="expected 1 references"):
        nearest_by_cosine(np.ones((0, 2)), np.ones((3, 2)))


@pytest.mark.parametrize("num_neighbours", [2, 7, 50])
def test_more_neighbours_equal_those_of_scikit_learn(num_neighbours):
    rng = np.random.default_rng(num_neighbours)
    references, queries = rng.normal(size=(2, 50, 8)).astype(np.float32)
    distances, rows = NearestNeighbors(n_neighbors=num_neighbours, metric="cosine").fit(references).kneighbors(queries)
    hits = nearest_by_cosine(references, queries, num_neighbours)
    np.testing.assert_array_equal(hits.rows, rows)
    np.testing.assert_allclose(hits.similarities, 1 - distances, atol=1e-6)


def test_equal_references_are_in_their_order():
    references = np.array([[0, 1], [1, 0], [1, 0], [1, 0]], np.float32)
    hits = nearest_by_cosine(references, np.array([[3, 0]], np.float32), 3)
    np.testing.assert_array_equal(hits.rows, [[1, 2, 3]])


def test_nonfinite_vectors_are_refused():
    with pytest.raises(ValueError, match="NaN or infinity in 1 of them"):
        nearest_by_cosine(np.ones((3, 2)), np.array([[1, 2], [np.nan, 1]]))
