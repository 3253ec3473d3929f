"""Single linkage by the bases that differ, of barcodes that are near by cosine."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from barcodemae.clustering import candidates
from barcodemae.clustering.candidates import Candidates
from barcodemae.clustering.linkage import Linkage, compare_pairs
from barcodemae.library.search.comparison import BasesOnFrame
from barcodemae.library.search.marker import dereplicate

BASES = 200
COMPARISON = BasesOnFrame(BASES)


def changed(base, *changes):
    """Copies of a barcode, each with the next base of the alphabet at some coordinates."""
    bases = np.tile(np.asarray(base, np.int8), (len(changes), 1))
    for row, columns in zip(bases, changes, strict=True):
        row[list(columns)] = (row[list(columns)] + 1) % 4
    return bases


def vectors_of(bases):
    """One-hot bases, centred: the cosine falls with the bases that differ."""
    one_hot = (bases[..., None] == np.arange(4)) - 0.25 * (bases >= 0)[..., None]
    vectors = one_hot.reshape(len(bases), -1).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def linkage_of(bases):
    return Linkage(vectors_of(bases), bases, COMPARISON)


def test_difference_is_the_share_of_bases_known_in_both():
    bases = changed(np.zeros(BASES), [], [0, 1, 2, 3])
    bases[1, 160:] = -1
    bases[0, :2] = -1
    pairs = compare_pairs(bases, np.array([0, 1]), np.array([[0, 1], [-1, 0]]), COMPARISON)
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([0, 1], [1, 0])
    assert pairs.differences == pytest.approx(2 / 158)


def test_barcodes_that_share_too_few_bases_are_not_compared():
    bases = changed(np.zeros(BASES), [], [])
    bases[0, :50], bases[1, 149:] = -1, -1  # 99 bases are left
    assert not len(compare_pairs(bases, np.array([0]), np.array([[1]]), COMPARISON).first)
    bases[1, 149] = 0
    assert len(compare_pairs(bases, np.array([0]), np.array([[1]]), COMPARISON).first) == 1


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


def test_barcodes_with_equal_shared_bases_join_at_zero():
    bases = changed(np.zeros(BASES), [], [])
    bases[1, 150:] = -1
    distances, num_left = linkage_of(bases).joins()
    assert (distances.tolist(), num_left) == ([0], 1)
    assert linkage_of(bases).cut(0).tolist() == [0, 0]


def test_one_barcode_is_one_cluster():
    linkage = linkage_of(np.zeros((1, BASES), np.int8))
    assert linkage.cut(0.02).tolist() == [0]
    assert linkage.joins()[1] == 1


def two_groups(n):
    """Two groups of `n` barcodes: 2 bases of 200 differ within each, and 6 between the two."""
    return changed(np.zeros(BASES), *([p] for p in range(4, 4 + n)), *([0, 1, 2, 3, p] for p in range(100, 100 + n)))


def test_relatives_do_not_hide_relatives():
    """Each barcode of a group of 60 has its 50 candidates within its group."""
    linkage = linkage_of(two_groups(60))
    assert linkage.joins()[1] == 2  # what the candidates alone would leave
    assert linkage.cut(0.03).tolist() == [0] * 120
    assert linkage.cut(0.029).tolist() == [0] * 60 + [1] * 60
    assert linkage.cut(0.009).max() == 119


def test_inverted_file_finds_the_same_clusters(monkeypatch):
    rng = np.random.default_rng(0)
    families = [changed(rng.integers(0, 4, BASES), *rng.integers(0, BASES, (10, 2))) for _ in range(40)]
    exact = linkage_of(np.concatenate(families))
    monkeypatch.setattr(candidates, "MAX_EXACT_BARCODES", 100)
    approximate = linkage_of(np.concatenate(families))
    assert approximate.candidates.search["kind"].startswith("IVF")
    assert approximate.cut(0.02).tolist() == exact.cut(0.02).tolist() == np.repeat(np.arange(40), 10).tolist()


def test_candidates_are_the_nearest_among_the_given_rows():
    angles = np.radians([0, 10, 25, 90])
    found = Candidates(np.stack([np.cos(angles), np.sin(angles)], axis=1)).nearest(
        np.array([0, 2]), among=np.array([1, 3])
    )
    assert found[:, :2].tolist() == [[1, 3], [1, 3]]
    assert (found[:, 2:] == -1).all()


def test_copies_are_found():
    bases = np.array([[0, 1], [2, -1], [0, 1], [1, 0], [2, -1]], np.int8)
    first, unique = dereplicate(bases)
    assert first.tolist() == [0, 1, 3]
    assert unique.tolist() == [0, 1, 0, 2, 1]


@given(
    st.lists(st.sets(st.integers(0, 11), max_size=8), min_size=1, max_size=30, unique_by=tuple),
    st.integers(0, 8),
)
def test_clusters_are_those_of_all_pairs(changes, num_different):
    """With fewer barcodes than candidates, it is plain single linkage."""
    bases, _ = np.unique(changed(np.zeros(BASES), *changes), axis=0, return_index=True)
    differing = (bases[:, None] != bases).sum(axis=2)
    _, expected = connected_components(differing <= num_different)
    found = linkage_of(bases).cut(num_different / BASES)
    assert len(set(zip(expected, found, strict=True))) == len(set(expected)) == len(set(found))


def test_short_barcode_joins_its_nearest_long_one_and_links_no_clusters():
    bases = changed(np.zeros(600), [], range(300, 330), [], [0], range(300, 330))
    bases[2, 200:] = -1  # equal to both long ones in the bases that it has
    bases[3, 220:] = -1
    bases[4, :250] = -1
    assert linkage_of(bases).cut(0.02).tolist() == [0, 1, 0, 0, 1]


def test_short_barcodes_that_are_near_no_long_one_are_clustered_among_themselves():
    bases = changed(np.zeros(600), [], range(0, 600, 5), range(0, 600, 5))
    bases[1:, 200:] = -1
    assert linkage_of(bases).cut(0.02).tolist() == [0, 1, 1]
