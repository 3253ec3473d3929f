"""Which task asks what of which records, by hand."""

import numpy as np
import pytest

from barcodemae.evaluation import protocol
from barcodemae.evaluation.benchmark import Benchmark
from barcodemae.evaluation.catalogue import FINE_TUNING, TASKS, WeightedVote
from barcodemae.evaluation.methods import MethodOutput, Vectors, run_searcher
from barcodemae.evaluation.protocol import score
from helpers.evaluation_hits import make_hits
from helpers.evaluation_records import make_records

BENCHMARK = Benchmark(
    train=make_records(
        nucleotides=["AACC", "AAGG", "CCGG", "CCTT"],
        genus=["Aus", "Aus", "Bus", "Bus"],
        species=["Aus a", "Aus b", "Bus a", ""],
    ),
    seen=make_records(genus=["Aus", "Bus", "Bus"], species=["Aus a", "Bus a", ""]),
    unseen=make_records(nucleotides=["AAGG", "CCGG"], genus=["Aus", "Bus"], species=["Aus x", "Bus x"]),
)
SEEN = make_hits([[0], [0], [2]], [[1.0], [0.9], [0.2]])
UNSEEN = make_hits([[1], [0]], [[0.1], [0.95]])


class EqualReferences:
    """Finds a key that is equal to the query, or nothing."""

    def search(self, keys, queries, num_neighbours=1):
        return make_hits([[keys.index(query) if query in keys else -1] for query in queries])


def output(search=None, extra=None, vectors=None):
    return MethodOutput(search, SEEN, UNSEEN, extra, vectors)


@pytest.fixture
def recorded(monkeypatch):
    """Tasks that tell their names alone; those that ran, in their order."""
    ran = []

    def stand_in(name):
        def run(output, benchmark, seed):
            ran.append(name)
            return {"genus_accuracy": 0.5, "bin_ami": 1.0, "seed": seed}

        return run

    monkeypatch.setattr(protocol, "_RUN", {name: stand_in(name) for name in protocol._RUN})
    return ran


def test_tasks_run_in_one_order_however_they_are_asked(recorded):
    vectors = Vectors(*np.zeros((3, 1, 1), np.float32))
    scores = score(output(vectors=vectors), BENCHMARK, list(TASKS)[::-1], seed=5)
    assert recorded == [task for task in TASKS if task != FINE_TUNING]
    assert scores["novelty"]["seed"] == 5
    assert scores["harmonic_mean"] == pytest.approx(2 / 3)


def test_what_asks_for_vectors_passes_over_a_searcher(recorded):
    scores = score(output(), BENCHMARK, TASKS)
    assert recorded == ["knn", "novelty", "robustness"]
    assert set(scores) == {*recorded, "harmonic_mean"}
    assert scores["harmonic_mean"] is None


def test_tasks_that_are_not_asked_do_not_run(recorded):
    assert score(output(), BENCHMARK, ["novelty", "fine_tuning"])["harmonic_mean"] is None
    assert recorded == ["novelty"]


@pytest.mark.parametrize(("bin_ami", "expected"), [(None, None), (-0.1, 0), (0.25, 0.25)])
def test_the_harmonic_mean_of_what_could_be_measured(bin_ami, expected, monkeypatch):
    monkeypatch.setitem(protocol._RUN, "knn", lambda *asked: {"genus_accuracy": 0.25})
    monkeypatch.setitem(protocol._RUN, "clustering", lambda *asked: {"bin_ami": bin_ami})
    vectors = Vectors(*np.zeros((3, 1, 1), np.float32))
    assert score(output(vectors=vectors), BENCHMARK, ["knn", "clustering"])["harmonic_mean"] == expected


def test_nearest_keys_are_asked_in_both_worlds():
    knn = score(output(), BENCHMARK, ["knn"])["knn"]
    # Unseen: Aus by Aus b, Bus by Aus a. Seen: Aus a rightly, Bus a by Aus a; the third is of unknown species.
    assert knn["genus_accuracy"] == 0.5
    assert "species_accuracy" not in knn
    assert (knn["seen_species"]["n_answerable"], knn["seen_species"]["species_accuracy"]) == (2, 0.5)
    assert knn["seen_species"]["genus_accuracy"] == pytest.approx(2 / 3)
    assert [entry["n_references"] for entry in knn["by_genus_size"]] == [[2, 2]]
    assert knn["confusions"] == []  # no family is known


def test_extra_queries_are_asked_by_nearest_keys_alone():
    benchmark = Benchmark(BENCHMARK.train, BENCHMARK.seen, BENCHMARK.unseen, make_records(genus=["Bus", "Dus"]))
    asked = output(extra=make_hits([[3], [0]]))
    knn = score(asked, benchmark, ["knn"])["extra_queries"]["knn"]
    assert (knn["n_queries"], knn["n_answerable"], knn["genus_accuracy"]) == (2, 1, 1)
    assert "extra_queries" not in score(asked, benchmark, ["novelty"])


def test_only_species_of_train_are_known_ones():
    novelty = score(output(), BENCHMARK, ["novelty"])["novelty"]
    # Known: 1.0 and 0.9; novel: 0.1 and 0.95. Of four pairs, three are in order.
    assert (novelty["n_known"], novelty["n_novel"], novelty["auroc"]) == (2, 2, 0.75)


def test_damaged_queries_are_searched_again():
    entries = score(run_searcher(EqualReferences(), BENCHMARK), BENCHMARK, ["robustness"])["robustness"]
    accuracy = {(entry["change"], entry["amount"]): entry["genus_accuracy"] for entry in entries}
    assert accuracy["unchanged", None] == 1
    assert accuracy["mini_barcode", 100] == 1  # they are shorter than that
    assert accuracy["shifted_frame", 1] == 0
    # AAGG becomes CCTT, which is Bus; CCGG is its own reverse complement.
    assert accuracy["reverse_complement", None] == 0.5


def test_a_searcher_is_asked_fewer_damaged_queries(monkeypatch):
    n = 150
    unseen = make_records(nucleotides=["AAGG"] * n, genus=["Aus"] * n, species=[f"Aus {i}" for i in range(n)])
    benchmark = Benchmark(BENCHMARK.train, BENCHMARK.seen, unseen)
    found = run_searcher(EqualReferences(), benchmark)
    with_vectors = MethodOutput(found.search, found.seen, found.unseen, None, Vectors(*np.zeros((3, 1, 1), np.float32)))
    for one, expected in ((found, 100), (with_vectors, n)):
        assert {entry["n_answerable"] for entry in score(one, benchmark, ["robustness"])["robustness"]} == {expected}


def test_weighted_vote_searches_its_own_neighbours():
    # Cosines of the first query: 0.96, 0.8 and 0.6; of the second: 0.6, 0.8 and 0.96; the last reference is far away.
    train = np.array([[0.96, 0.28], [0.8, 0.6], [0.6, 0.8], [-1, 0]], np.float32)
    queries = np.array([[1, 0], [0.352, 0.936]], np.float32)
    vectors = Vectors(train, queries[[0, 1, 1]], queries)
    scores = score(output(vectors=vectors), BENCHMARK, ["knn"], weighted_vote=WeightedVote(3, temperature=0.5))
    weighted = scores["weighted_knn"]
    # Genera of the references: Aus, Aus, Bus, Bus. For both queries Aus has two of three votes, and more weight.
    assert (weighted["n_neighbours"], weighted["temperature"], weighted["genus_accuracy"]) == (3, 0.5, 0.5)
    # With a small temperature, the nearest decides: Aus and Bus.
    near = score(output(vectors=vectors), BENCHMARK, ["knn"], weighted_vote=WeightedVote(3, temperature=0.02))
    assert near["weighted_knn"]["genus_accuracy"] == 1
    assert near["weighted_knn"]["seen_species"]["species_accuracy"] == 1  # Aus a and Bus a
    assert near["knn"] == scores["knn"] == score(output(), BENCHMARK, ["knn"])["knn"]


def test_weighted_vote_needs_vectors_and_the_task():
    assert "weighted_knn" not in score(output(), BENCHMARK, ["knn"], weighted_vote=WeightedVote(3))
    vectors = Vectors(*np.ones((3, 4, 2), np.float32))
    assert "weighted_knn" not in score(output(vectors=vectors), BENCHMARK, ["novelty"], weighted_vote=WeightedVote(3))
