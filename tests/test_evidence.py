"""Evidence computed by hand: comparison of bases, choice of voters, votes."""

import numpy as np
import pytest

from barcodemae.embedding.nearest import Hits
from barcodemae.library.search.comparison import BasesOnFrame
from barcodemae.library.search.evidence import VOTE_SCALE, Neighbours, choose_voters, nearness, vote
from barcodemae.library.settings import NUM_VOTERS


def test_bases_are_compared_where_both_are_known():
    query = np.array([0, 1, 2, 3, -1], np.int8)
    references = np.array([[0, 1, 2, 0, 0], [0, -1, -1, -1, 2], [-1, -1, -1, -1, -1]], np.int8)
    num_equal, num_shared = BasesOnFrame(5).compare(query, references)
    assert (num_equal.tolist(), num_shared.tolist()) == ([3, 1, 0], [4, 1, 0])


def test_identity_without_shared_bases_is_zero():
    hits = Hits(np.array([[0]]), np.array([[0.5]], np.float32))
    found = choose_voters(hits, np.array([[0, -1]], np.int8), np.array([[-1, 0]], np.int8).__getitem__, BasesOnFrame(2))
    assert found.identities.tolist() == [[0]]


def test_voters_are_ordered_by_cosine_and_half_the_identity():
    bases_of = np.array([[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1]], np.int8)
    hits = Hits(np.array([[2, 1, 0]]), np.array([[0.9, 0.8, 0.6]], np.float32))
    found = choose_voters(hits, np.zeros((1, 4), np.int8), bases_of.__getitem__, BasesOnFrame(4))
    # 0.9 + 0.25, 0.8 + 0.375, 0.6 + 0.5
    assert found.records.tolist() == [[1, 2, 0]]
    np.testing.assert_allclose(found.scores, [[1.175, 1.15, 1.1]], rtol=1e-6)
    np.testing.assert_allclose(found.identities, [[0.75, 0.5, 1]])


def test_missing_hit_does_not_vote():
    hits = Hits(np.array([[0, -1]]), np.array([[0.5, -np.inf]], np.float32))
    found = choose_voters(hits, np.zeros((1, 4), np.int8), np.zeros((1, 4), np.int8).__getitem__, BasesOnFrame(4))
    assert found.scores.tolist() == [[1, -np.inf]]
    assert species_vote(found, [7]).names.tolist() == [7]


def test_only_the_best_vote():
    hits = Hits(np.arange(30)[None], np.linspace(1, 0, 30, dtype=np.float32)[None])
    found = choose_voters(hits, np.zeros((1, 4), np.int8), np.zeros((30, 4), np.int8).__getitem__, BasesOnFrame(4))
    assert found.records.tolist() == [list(range(30))]
    assert found.voters().records.tolist() == [list(range(NUM_VOTERS))]
    # The 20 others, of another name, have no share of the votes, but the best of them is evidence against the name.
    votes = species_vote(found, np.arange(30) >= NUM_VOTERS)
    assert (votes.names.tolist(), votes.shares.tolist()) == ([0], [1])
    assert votes.margins[0] == pytest.approx(NUM_VOTERS / 29, abs=1e-6)


def species_vote(found, names):
    return vote(found, {"species": np.array(names, int)})["species"]


def neighbours(scores, similarities=None, identities=None, records=None, among=None):
    scores = np.array([scores], np.float32)
    similarities = scores if similarities is None else np.array([similarities], np.float32)
    identities = scores if identities is None else np.array([identities], np.float32)
    records = np.arange(scores.shape[1])[None] if records is None else np.array([records])
    return Neighbours(records, similarities, identities, scores, np.zeros_like(scores) if among is None else among)


def test_several_near_references_outvote_the_nearest():
    below = 1 - VOTE_SCALE / 2  # each weighs exp(-1/2) = 0.61
    found = species_vote(neighbours([1, below, below], [0.9, 0.7, 0.8], [0.5, 0.6, 0.4]), [3, 5, 5])
    assert found.names.tolist() == [5]
    assert found.shares[0] == pytest.approx(2 * np.exp(-0.5) / (1 + 2 * np.exp(-0.5)))
    assert found.identities[0] == pytest.approx(0.6)
    assert found.margins[0] == pytest.approx(below - 1, abs=1e-6)


def test_distant_references_do_not_outvote_the_nearest():
    found = species_vote(neighbours([1, 0.8, 0.8, 0.8]), [3, 5, 5, 5])
    assert found.names.tolist() == [3]
    assert found.margins[0] == pytest.approx(0.2)


def test_nameless_references_have_no_vote():
    found = species_vote(neighbours([1, 0.9]), [-1, 5])
    assert (found.names.tolist(), found.shares.tolist()) == ([5], [1])
    assert found.margins[0] == 0.5  # there is no other name
    unnamed = species_vote(neighbours([1, 0.9]), [-1, -1])
    assert (unnamed.names.tolist(), unnamed.shares.tolist(), unnamed.margins.tolist()) == ([-1], [0], [0])


def test_nearest_reference_wins_a_tied_vote():
    assert species_vote(neighbours([1, 1]), [9, 2]).names.tolist() == [9]


def test_names_are_of_one_lineage():
    # The two references of genus 1 have the most votes together, but family 8 has more than family 7.
    names = {"family": np.array([7, 8, 8, 7]), "genus": np.array([1, 2, 3, 1]), "species": np.array([4, -1, 5, 4])}
    found = vote(neighbours([1, 1, 1, 0.99]), names)
    assert [found[rank].names.tolist() for rank in names] == [[8], [2], [-1]]
    below = np.exp(-0.01 / VOTE_SCALE)
    assert found["genus"].shares[0] == pytest.approx(1 / (3 + below))  # of all votes, in the lineage or not


def test_a_reference_without_a_name_contradicts_no_lineage():
    names = {"family": np.array([-1, 8]), "genus": np.array([2, -1]), "species": np.array([-1, -1])}
    found = vote(neighbours([1, 0.99]), names)
    assert [found[rank].names.tolist() for rank in names] == [[8], [2], [-1]]


def test_support_is_the_margin_without_the_nearest_species():
    # Genus 1 has the nearest species, 4, and another one, 5, that is nearer than the best species of genus 2.
    names = {"genus": np.array([1, 1, 1, 2]), "species": np.array([4, 4, 5, 6])}
    found = vote(neighbours([1, 0.9, 0.8, 0.5]), names)
    assert found["genus"].margins[0] == pytest.approx(0.5)
    assert found["genus"].supports[0] == pytest.approx(0.3)
    assert found["species"].supports.tolist() == [0]
    # A mislabelled reference: the other references are of genus 2. Other species of genus 1 are beyond the last one.
    alone = vote(neighbours([1, 0.8, 0.7, 0.6]), {"genus": np.array([1, 2, 2, 2]), "species": np.array([4, 6, 6, 7])})
    assert alone["genus"].names.tolist() == [1]
    assert alone["genus"].supports[0] == pytest.approx(-0.2)


@pytest.mark.parametrize("species", [[4, 4, 4], [-1, 4, 5]])
def test_without_another_species_nothing_supports_or_contradicts(species):
    names = {"genus": np.array([1, 1, 1]), "species": np.array(species)}
    assert vote(neighbours([1, 0.8, 0.6]), names)["genus"].supports.tolist() == [0]


def test_gap_is_what_a_query_is_nearer_than_the_references_to_each_other():
    among = np.array([[0, 0.99, 0.98, 0.5]], np.float32)
    found = neighbours([1, 0.9, 0.8, 0.7], identities=[0.95, 0.95, 0.94, 0.9], among=among)
    gap = np.mean([nearness(0.95) - nearness(0.99), nearness(0.94) - nearness(0.98)])
    assert species_vote(found, [4, 4, 4, 5]).gaps[0] == pytest.approx(gap, rel=1e-5)
    # One reference of the species, or the nearest one of another: unknown.
    assert species_vote(found, [4, 5, 6, 7]).gaps.tolist() == [0]
    near = neighbours([1, 0.99, 0.99], identities=[0.95, 0.95, 0.94], among=among[:, :3])
    assert (species_vote(near, [5, 4, 4]).names.tolist(), species_vote(near, [5, 4, 4]).gaps.tolist()) == ([4], [0])


def test_best_reference_is_compared_with_the_others_that_vote():
    bases_of = np.array([[0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 1]], np.int8)
    hits = Hits(np.array([[0, 1, 2]]), np.array([[0.5, 0.5, 0.5]], np.float32))
    found = choose_voters(hits, np.zeros((1, 4), np.int8), bases_of.__getitem__, BasesOnFrame(4))
    assert found.records.tolist() == [[1, 2, 0]]
    np.testing.assert_allclose(found.among_identities, [[0, 0.75, 0.5]])


def test_vote_take_selects_rows():
    many = Neighbours(*(np.repeat(one, 3, axis=0) for one in vars(neighbours([1, 0.5])).values()))
    assert len(species_vote(many, [1, 2]).take(np.array([0, 2])).names) == 2
