"""The inverted file: equal vectors are in one list, and no list is empty."""

import numpy as np
import pytest

from barcodemae.library.search import indexing
from barcodemae.library.search.indexing import learn_index
from barcodemae.library.search.inverted_file import MIN_PROBED, InvertedFile, Lists, learn_lists


def unit(*shape, seed=0):
    vectors = np.random.default_rng(seed).normal(size=shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float16)


def copies(num_distinct, n, dimension=24):
    """Vectors of which most are equal to others, and the number of the distinct one that each equals."""
    which = np.random.default_rng(1).integers(num_distinct, size=n)
    return unit(num_distinct, dimension)[which], which


def learnt(vectors, num_lists=20, is_coded=False):
    return learn_lists(vectors, lambda distinct: num_lists, 64, is_coded, seed=0)


def search_in_batches(index, queries, num_hits, size):
    return np.concatenate([index.search(queries[i : i + size], num_hits)[1] for i in range(0, len(queries), size)])


@pytest.mark.parametrize("num_distinct", [1, 2, 3, 20, 200])
def test_copies_are_found_however_many_there_are(num_distinct):
    vectors, which = copies(num_distinct, 3000)
    _, index, described = learn_index(vectors)
    assert described["recall"] >= 0.995
    queries = unit(num_distinct, 24).astype(np.float32)
    for size in (1, 7, 200):
        found = search_in_batches(index, queries, 5, size)
        assert (which[found] == np.arange(num_distinct)[:, None]).all()


def test_equal_vectors_are_in_one_list_and_none_is_empty():
    vectors, which = copies(200, 3000)
    lists = learnt(vectors, num_lists=28)
    assert len({*zip(which.tolist(), lists.list_of.tolist(), strict=True)}) == len(np.unique(which))
    assert set(lists.list_of.tolist()) == set(range(len(lists.centroids)))


def test_more_lists_are_searched_if_they_have_too_few_vectors():
    vectors = unit(500, 8)
    index = InvertedFile(learnt(vectors, num_lists=100), np.arange(500), lambda rows: vectors[rows], MIN_PROBED)
    similarities, rows = index.search(vectors[:50].astype(np.float32), 400)
    assert (rows >= 0).all()
    assert (np.diff(similarities, axis=1) <= 0).all()
    assert all(len(set(row)) == 400 for row in rows.tolist())
    assert (index.search(vectors[:2].astype(np.float32), 600)[1] >= 0).sum(axis=1).tolist() == [500, 500]


def test_index_of_some_vectors_has_only_their_lists():
    vectors = unit(500, 8)
    lists = learnt(vectors, num_lists=50)
    rows = np.flatnonzero(lists.list_of < 3)
    index = InvertedFile(lists, rows, lambda these: vectors[these], nprobe=1)
    assert index.num_lists == 3
    assert set(index.search(vectors.astype(np.float32), len(rows))[1].ravel().tolist()) == set(rows.tolist())


@pytest.mark.parametrize("dimension", [3, 16, 300])
def test_dimension_need_not_be_that_of_a_register(dimension):
    vectors = unit(400, dimension)
    index = InvertedFile(learnt(vectors), np.arange(400), lambda rows: vectors[rows], nprobe=20)
    similarities, _ = index.search(vectors[:50].astype(np.float32), 3)
    cosines = vectors[:50].astype(np.float32) @ vectors.astype(np.float32).T
    np.testing.assert_allclose(similarities, -np.sort(-cosines, axis=1)[:, :3], atol=1e-3)


def test_similarities_are_those_of_the_vectors():
    vectors = unit(400, 16)
    index = InvertedFile(learnt(vectors), np.arange(400), lambda rows: vectors[rows], nprobe=20)
    similarities, rows = index.search(vectors.astype(np.float32), 400)
    expected = vectors.astype(np.float32) @ vectors.astype(np.float32).T
    np.testing.assert_allclose(similarities, np.take_along_axis(expected, rows, axis=1), atol=1e-5)


def test_search_among_some_rows():
    vectors = unit(400, 16)
    index = InvertedFile(learnt(vectors), np.arange(400), lambda rows: vectors[rows], nprobe=20)
    found = index.search(vectors.astype(np.float32), 30, among=np.arange(100, 130))[1]
    assert np.sort(found, axis=1).tolist() == [list(range(100, 130))] * 400


@pytest.mark.parametrize("is_coded", [False, True])
def test_lists_round_trip(is_coded, tmp_path):
    vectors = unit(1000, 16)
    lists = learnt(vectors, is_coded=is_coded)
    lists.save(tmp_path / "lists")
    again = Lists.load(tmp_path / "lists", 1000, 16)
    first, second = (InvertedFile(used, np.arange(1000), lambda rows: vectors[rows], 4) for used in (lists, again))
    queries = unit(20, 16, seed=1).astype(np.float32)
    for one, other in zip(first.search(queries, 10), second.search(queries, 10), strict=True):
        np.testing.assert_array_equal(one, other)


def test_nearest_are_found_by_codes(monkeypatch):
    monkeypatch.setattr(indexing, "MAX_UNCODED_RECORDS", 1000)
    monkeypatch.setattr(indexing, "NUM_CANDIDATES", 20)  # with so few vectors, some lists have fewer than fifty
    vectors = unit(12_000, 8)
    _, index, described = learn_index(vectors)
    assert index.is_coded
    assert described["kind"].endswith(",PQ4")
    assert described["recall"] >= 0.99
    estimates, rows = index.search(vectors[:100].astype(np.float32), 4)
    np.testing.assert_allclose(estimates[:, 0], 1, atol=0.05)
    assert (rows == np.arange(100)[:, None]).any(axis=1).all()


def test_vectors_of_an_odd_number_of_dimensions_have_no_codes(monkeypatch):
    monkeypatch.setattr(indexing, "MAX_UNCODED_RECORDS", 1000)
    assert not learn_index(unit(2000, 15))[1].is_coded
