"""Single linkage by the bases that differ, of barcodes that are near by cosine."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from barcodemae.clustering import candidates
from barcodemae.clustering.candidates import Candidates
from barcodemae.clustering.copies import distinct
from barcodemae.clustering.differences import compare
from barcodemae.clustering.linkage import Linkage

BASES = 200


def changed(base, *changes):
    """Copies of a barcode, each with the next base of the alphabet at some coordinates."""
    bases = np.tile(np.asarray(base, np.int8), (len(changes), 1))
    for row, places in zip(bases, changes, strict=True):
        row[list(places)] = (row[list(places)] + 1) % 4
    return bases


def vectors_of(bases):
    """One-hot bases, centred: the cosine falls with the bases that differ."""
    one_hot = (bases[..., None] == np.arange(4)) - 0.25 * (bases >= 0)[..., None]
    vectors = one_hot.reshape(len(bases), -1).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def linkage_of(bases):
    return Linkage(vectors_of(bases), bases)


def test_pairs_have_the_share_of_the_letters_that_both_know():
    bases = changed(np.zeros(BASES), [], [0, 1, 2, 3])
    bases[1, 160:] = -1
    bases[0, :2] = -1
    pairs = compare(bases, np.array([0, 1]), np.array([[0, 1], [-1, 0]]))
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([0, 1], [1, 0])
    assert pairs.differences == pytest.approx(2 / 158)


def test_barcodes_that_share_too_few_letters_are_not_compared():
    bases = changed(np.zeros(BASES), [], [])
    bases[0, :50], bases[1, 149:] = -1, -1  # 99 bases are left
    assert not len(compare(bases, np.array([0]), np.array([[1]])).first)
    bases[1, 149] = 0
    assert len(compare(bases, np.array([0]), np.array([[1]])).first) == 1


def test_a_chain_of_neighbours_is_one_cluster():
    # 4 bases of 200 apart from one to the next, but for the last, 5 bases from the one before.
    bases = changed(np.zeros(BASES), [], range(4), range(8), range(13))
    assert linkage_of(bases).cut(0.02).tolist() == [0, 0, 0, 1]
    assert linkage_of(bases).cut(0.0249).tolist() == [0, 0, 0, 1]
    assert linkage_of(bases).cut(0.025).tolist() == [0, 0, 0, 0]


def test_joins_are_those_of_single_linkage():
    bases = changed(np.zeros(BASES), [], range(4), range(8), range(13))
    distances, num_left = linkage_of(bases).joins()
    assert distances == pytest.approx([0.02, 0.02, 0.025])
    assert num_left == 1


def test_barcodes_that_differ_in_nothing_that_both_know_join_at_zero():
    bases = changed(np.zeros(BASES), [], [])
    bases[1, 150:] = -1
    distances, num_left = linkage_of(bases).joins()
    assert (distances.tolist(), num_left) == ([0], 1)
    assert linkage_of(bases).cut(0).tolist() == [0, 0]


def test_one_barcode_is_one_cluster():
    linkage = linkage_of(np.zeros((1, BASES), np.int8))
    assert linkage.cut(0.02).tolist() == [0]
    assert linkage.joins()[1] == 1


def knots(n):
    """Two knots of `n` barcodes: 2 bases of 200 differ within each, and 6 from one to the other."""
    return changed(np.zeros(BASES), *([p] for p in range(4, 4 + n)), *([0, 1, 2, 3, p] for p in range(100, 100 + n)))


def test_relatives_hide_no_relatives():
    """Each barcode of a knot of 60 has its 50 candidates within its knot."""
    linkage = linkage_of(knots(60))
    assert linkage.joins()[1] == 2  # what the candidates alone would leave
    assert linkage.cut(0.03).tolist() == [0] * 120
    assert linkage.cut(0.029).tolist() == [0] * 60 + [1] * 60
    assert linkage.cut(0.009).max() == 119


def test_an_inverted_file_finds_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    families = [changed(rng.integers(0, 4, BASES), *rng.integers(0, BASES, (10, 2))) for _ in range(40)]
    exact = linkage_of(np.concatenate(families))
    monkeypatch.setattr(candidates, "EXACT_BARCODES", 100)
    asked = linkage_of(np.concatenate(families))
    assert asked.candidates.search["kind"].startswith("IVF")
    assert asked.cut(0.02).tolist() == exact.cut(0.02).tolist() == np.repeat(np.arange(40), 10).tolist()


def test_candidates_are_the_nearest_of_those_that_are_asked_for():
    angles = np.radians([0, 10, 25, 90])
    found = Candidates(np.stack([np.cos(angles), np.sin(angles)], axis=1)).of(np.array([0, 2]), among=np.array([1, 3]))
    assert found[:, :2].tolist() == [[1, 3], [1, 3]]
    assert (found[:, 2:] == -1).all()


def test_copies_are_found():
    bases = np.array([[0, 1], [2, -1], [0, 1], [1, 0], [2, -1]], np.int8)
    first, kinds = distinct(bases)
    assert first.tolist() == [0, 1, 3]
    assert kinds.tolist() == [0, 1, 0, 2, 1]


@given(
    st.lists(st.sets(st.integers(0, 11), max_size=8), min_size=1, max_size=30, unique_by=tuple),
    st.integers(0, 8),
)
def test_clusters_are_those_of_all_pairs(changes, most):
    """With fewer barcodes than candidates, it is plain single linkage."""
    bases, _ = np.unique(changed(np.zeros(BASES), *changes), axis=0, return_index=True)
    differing = (bases[:, None] != bases).sum(axis=2)
    _, expected = connected_components(differing <= most)
    found = linkage_of(bases).cut(most / BASES)
    assert len(set(zip(expected, found, strict=True))) == len(set(expected)) == len(set(found))
