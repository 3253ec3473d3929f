"""Evidence computed by hand: comparison of bases, choice of voters, votes."""

import numpy as np
import pytest

from barcodemae.embedding.nearest import Hits
from barcodemae.library.search.evidence import VOTE_SCALE, Neighbours, choose_voters, vote
from barcodemae.library.search.marker import compare_bases
from barcodemae.library.settings import NUM_VOTERS


def test_bases_are_compared_where_both_are_known():
    query = np.array([0, 1, 2, 3, -1], np.int8)
    references = np.array([[0, 1, 2, 0, 0], [0, -1, -1, -1, 2], [-1, -1, -1, -1, -1]], np.int8)
    num_equal, num_shared = compare_bases(query, references)
    assert (num_equal.tolist(), num_shared.tolist()) == ([3, 1, 0], [4, 1, 0])


def test_identity_without_shared_bases_is_zero():
    hits = Hits(np.array([[0]]), np.array([[0.5]], np.float32))
    found = choose_voters(hits, np.array([[0, -1]], np.int8), np.array([[-1, 0]], np.int8).__getitem__)
    assert found.identities.tolist() == [[0]]


def test_voters_are_ordered_by_cosine_and_half_the_identity():
    bases_of = np.array([[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1]], np.int8)
    hits = Hits(np.array([[2, 1, 0]]), np.array([[0.9, 0.8, 0.6]], np.float32))
    found = choose_voters(hits, np.zeros((1, 4), np.int8), bases_of.__getitem__)
    # 0.9 + 0.25, 0.8 + 0.375, 0.6 + 0.5
    assert found.records.tolist() == [[1, 2, 0]]
    np.testing.assert_allclose(found.scores, [[1.175, 1.15, 1.1]], rtol=1e-6)
    np.testing.assert_allclose(found.identities, [[0.75, 0.5, 1]])


def test_missing_hit_does_not_vote():
    hits = Hits(np.array([[0, -1]]), np.array([[0.5, -np.inf]], np.float32))
    found = choose_voters(hits, np.zeros((1, 4), np.int8), np.zeros((1, 4), np.int8).__getitem__)
    assert found.scores.tolist() == [[1, -np.inf]]
    assert vote(found, np.array([7])).names.tolist() == [7]


def test_only_the_best_vote():
    hits = Hits(np.arange(30)[None], np.linspace(1, 0, 30, dtype=np.float32)[None])
    found = choose_voters(hits, np.zeros((1, 4), np.int8), np.zeros((30, 4), np.int8).__getitem__)
    assert found.records.tolist() == [list(range(NUM_VOTERS))]


def neighbours(scores, similarities=None, identities=None, records=None):
    scores = np.array([scores], np.float32)
    similarities = scores if similarities is None else np.array([similarities], np.float32)
    identities = scores if identities is None else np.array([identities], np.float32)
    records = np.arange(scores.shape[1])[None] if records is None else np.array([records])
    return Neighbours(records, similarities, identities, scores)


def test_several_near_references_outvote_the_nearest():
    below = 1 - VOTE_SCALE / 2  # each weighs exp(-1/2) = 0.61
    found = vote(neighbours([1, below, below], [0.9, 0.7, 0.8], [0.5, 0.6, 0.4]), np.array([3, 5, 5]))
    assert found.names.tolist() == [5]
    assert found.shares[0] == pytest.approx(2 * np.exp(-0.5) / (1 + 2 * np.exp(-0.5)))
    assert found.similarities[0] == pytest.approx(0.8)
    assert found.identities[0] == pytest.approx(0.6)
    assert found.margins[0] == pytest.approx(below - 1, abs=1e-6)


def test_distant_references_do_not_outvote_the_nearest():
    found = vote(neighbours([1, 0.8, 0.8, 0.8]), np.array([3, 5, 5, 5]))
    assert found.names.tolist() == [3]
    assert found.margins[0] == pytest.approx(0.2)


def test_nameless_references_have_no_vote():
    found = vote(neighbours([1, 0.9]), np.array([-1, 5]))
    assert (found.names.tolist(), found.shares.tolist()) == ([5], [1])
    assert found.margins[0] == 0.5  # there is no other name
    unnamed = vote(neighbours([1, 0.9]), np.array([-1, -1]))
    assert (unnamed.names.tolist(), unnamed.shares.tolist(), unnamed.margins.tolist()) == ([-1], [0], [0])


def test_nearest_reference_wins_a_tied_vote():
    assert vote(neighbours([1, 1]), np.array([9, 2])).names.tolist() == [9]


def test_vote_take_selects_rows():
    many = Neighbours(*(np.repeat(one, 3, axis=0) for one in vars(neighbours([1, 0.5])).values()))
    assert len(vote(many, np.array([1, 2])).take(np.array([0, 2])).names) == 2
