"""Vectors and nearest references of a small benchmark, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.benchmark import Benchmark
from barcodemae.evaluation.methods import run_representation, run_searcher
from helpers.evaluation_hits import make_hits
from helpers.evaluation_records import make_records

BENCHMARK = Benchmark(
    train=make_records(nucleotides=["AA", "CC", "AC"], genus=["Aus", "Cus", "Bus"]),
    seen=make_records(nucleotides=["AAAA"]),
    unseen=make_records(nucleotides=["CCCCA", "AAC"]),
    extra=make_records(nucleotides=["CA"]),
)


class Bases:
    """Vectors (number of A, number of C), NaN where there is an N; remembers what it was given."""

    def __init__(self):
        self.fitted = None
        self.asked = []

    def fit(self, sequences, genera):
        self.fitted = (sequences, genera.tolist())

    def embed(self, sequences):
        self.asked += sequences
        counts = np.array([[one.count("A"), one.count("C")] for one in sequences], np.float32)
        counts[["N" in one for one in sequences]] = np.nan
        return counts


class KnownBases(Bases):
    def identity(self):
        return {"bases": "AC"}


class FirstReferences:
    """Finds the first references, whatever is asked; remembers what it was given."""

    def __init__(self):
        self.asked = []

    def search(self, keys, queries, num_neighbours=1):
        self.asked.append((keys, queries, num_neighbours))
        return make_hits([list(range(num_neighbours))] * len(queries))


def test_vectors_and_nearest_keys_by_hand():
    bases = Bases()
    output = run_representation(bases, BENCHMARK, num_neighbours=2)
    assert bases.fitted == (["AA", "CC", "AC"], ["Aus", "Cus", "Bus"])
    assert output.vectors.train.tolist() == [[2, 0], [0, 2], [1, 1]]
    assert output.vectors.extra.tolist() == [[1, 1]]
    assert output.seen.rows.tolist() == [[0, 2]]
    assert output.unseen.rows.tolist() == [[1, 2], [2, 0]]
    np.testing.assert_allclose(output.unseen.similarities[0], [4 / 17**0.5, 5 / 34**0.5], rtol=1e-6)
    assert output.extra.rows.tolist() == [[2, 0]]
    assert output.search(["C", "A"]).rows.tolist() == [[1, 2], [0, 2]]


def test_without_extra_queries_there_are_none():
    for make, method in ((run_representation, Bases()), (run_searcher, FirstReferences())):
        assert make(method, replace(BENCHMARK, extra=None)).extra is None


def test_cached_vectors_are_not_computed_again(tmp_path):
    first = run_representation(KnownBases(), BENCHMARK, cache=tmp_path)
    bases = KnownBases()
    again = run_representation(bases, BENCHMARK, cache=tmp_path)
    assert bases.asked == []
    for table in ("train", "seen", "unseen", "extra"):
        np.testing.assert_array_equal(getattr(again.vectors, table), getattr(first.vectors, table))
        np.testing.assert_array_equal(
            getattr(first.vectors, table), getattr(run_representation(Bases(), BENCHMARK).vectors, table)
        )


def test_vectors_of_what_learns_here_are_not_kept(tmp_path):
    run_representation(Bases(), BENCHMARK, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("table", ["train", "unseen", "extra"])
@pytest.mark.parametrize("bases", [Bases, KnownBases])
def test_vectors_that_are_not_finite_are_refused(bases, table, tmp_path):
    benchmark = replace(BENCHMARK, **{table: make_records(nucleotides=["AC", "AN"], genus=["Aus", "Bus"])})
    with pytest.raises(ConfigurationError, match="NaN or infinity in 1 of 2"):
        run_representation(bases(), benchmark, cache=tmp_path)


def test_nothing_is_found_for_a_later_query_that_cannot_be_read():
    hits = run_representation(Bases(), BENCHMARK, num_neighbours=2).search(["CN", "C"])
    assert hits.rows.tolist() == [[-1, -1], [1, 2]]
    assert hits.similarities[0].tolist() == [-np.inf, -np.inf]


@pytest.mark.parametrize(("make", "method"), [(run_representation, Bases()), (run_searcher, FirstReferences())])
def test_more_neighbours_than_keys_are_refused_before_anything_is_computed(make, method):
    with pytest.raises(ConfigurationError, match="expected at most 3 neighbours, the rows of train, got 4"):
        make(method, BENCHMARK, 4)
    assert method.asked == []


def test_a_searcher_is_asked_for_every_table():
    searcher = FirstReferences()
    output = run_searcher(searcher, BENCHMARK, num_neighbours=2)
    keys = ["AA", "CC", "AC"]
    assert searcher.asked == [(keys, ["AAAA"], 2), (keys, ["CCCCA", "AAC"], 2), (keys, ["CA"], 2)]
    assert output.vectors is None
    assert output.unseen.rows.tolist() == [[0, 1], [0, 1]]
    assert output.search(["C"]).rows.tolist() == [[0, 1]]
    assert searcher.asked[-1] == (keys, ["C"], 2)
