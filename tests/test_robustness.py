from collections import Counter

import numpy as np
import pytest

from barcodemae.embedding.nearest import Hits, nearest_by_cosine
from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.baselines.linear_maps import KmerCounts
from barcodemae.evaluation.tasks import robustness
from barcodemae.evaluation.tasks.robustness import CHANGES, perturb, robustness_scores
from helpers.evaluation_records import make_records

NUM_ENTRIES = 1 + sum(len(amounts) for _, amounts in CHANGES.values())


def records_of(num_genera, num_each, seed=0, **columns):
    """Barcodes of 500 bases; those of a genus differ in a twentieth of them."""
    rng = np.random.default_rng(seed)
    genera = rng.choice(list("ACGT"), (num_genera, 500))
    ancestors = ["".join(bases) for bases in np.repeat(genera, num_each, axis=0)]
    names = np.repeat([f"G{number}" for number in range(num_genera)], num_each).tolist()
    return make_records(
        nucleotides=perturb(ancestors, np.arange(len(ancestors)), "substitutions", 0.05, seed), genus=names, **columns
    )


def search_by_kmers(keys):
    counts = KmerCounts(4)
    vectors = counts.embed(keys["nucleotides"].to_pylist())
    return lambda sequences: nearest_by_cosine(vectors, counts.embed(sequences))


class Remembers:
    """A search that always finds the first key, and remembers what it was asked."""

    def __init__(self, row=0):
        self.row = row
        self.calls = []

    def __call__(self, sequences):
        self.calls.append(sequences)
        return Hits(np.full((len(sequences), 1), self.row), np.ones((len(sequences), 1), np.float32))


def test_little_damage_does_little_and_much_does_more():
    records = records_of(8, 6)
    odd = np.arange(48) % 2 == 1
    keys, queries = records.filter(odd), records.filter(~odd)
    entries = robustness_scores(search_by_kmers(keys), keys, queries)
    found = {(entry["change"], entry["amount"]): entry["genus_accuracy"] for entry in entries}
    assert next(iter(found)) == ("unchanged", None)
    assert len(found) == NUM_ENTRIES
    assert found["unchanged", None] == 1
    assert found["shifted_frame", 1] == 1
    # Counts of 4-mers have a strand.
    assert found["reverse_complement", None] < found["substitutions", 0.01]
    for entry in entries:
        low, high = entry["genus_accuracy_interval"]
        assert 0 <= low <= entry["genus_accuracy"] <= high <= 1
        assert entry["n_answerable"] == 24


def test_one_call_asks_all_and_unchanged_queries_come_first():
    queries, search = records_of(2, 3), Remembers()
    robustness_scores(search, queries, queries)
    (asked,) = search.calls
    assert len(asked) == NUM_ENTRIES * 6
    sequences = queries["nucleotides"].to_pylist()
    assert asked[:6] == sequences
    assert asked[6:12] == perturb(sequences, np.arange(6), "substitutions", 0.01)


def test_queries_that_cannot_be_answered_are_not_asked():
    keys = make_records(genus=["Aus"])
    queries = make_records(nucleotides=["AAAA", "CCCC", "GGGG"], genus=["", "Bus", "Aus"], species=["", "B b", "A a"])
    search = Remembers()
    entries = robustness_scores(search, keys, queries)
    assert search.calls[0][0] == "GGGG"
    assert {entry["n_answerable"] for entry in entries} == {1}
    # The number of the record, not of the question, decides what becomes of it.
    assert search.calls[0][1:2] == perturb(["GGGG"], np.array([2]), "substitutions", 0.01)


def test_no_hit_is_a_wrong_answer():
    queries = records_of(1, 3)
    assert {entry["genus_accuracy"] for entry in robustness_scores(Remembers(-1), queries, queries)} == {0}


def test_a_draw_of_queries_is_spread_over_species(monkeypatch):
    monkeypatch.setattr(robustness, "CHANGES", {})
    species = ["A a"] * 30 + ["A b"] * 2 + ["A c"]
    sequences = [f"{'ACGT'[row % 4] * (row + 5)}" for row in range(33)]
    of = dict(zip(sequences, species, strict=True))
    queries = make_records(nucleotides=sequences, genus=["A"] * 33, species=species)

    def drawn(seed, n):
        search = Remembers()
        entries = robustness_scores(search, queries, queries, seed, num_queries=n)
        assert entries[0]["n_answerable"] == min(n, 33)
        return search.calls[0][: min(n, 33)]

    assert Counter(of[one] for one in drawn(0, 3)) == {"A a": 1, "A b": 1, "A c": 1}
    assert Counter(of[one] for one in drawn(0, 8)) == {"A a": 5, "A b": 2, "A c": 1}
    assert drawn(0, 100) == sequences
    assert drawn(1, 8) == drawn(1, 8)
    assert drawn(1, 8) != drawn(2, 8)


def test_no_answerable_query_is_refused():
    with pytest.raises(ConfigurationError, match="queries of a genus that occurs among the references, got none"):
        robustness_scores(Remembers(), make_records(genus=["Aus"]), make_records(genus=["Bus"]))
