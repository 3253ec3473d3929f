"""Overlapping k-mers of many sequences, and the profile that recognises a marker of uneven length."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenization_barcodemae import KmerProfile, read_kmers, reverse_complement, reverse_complement_ids


def one_by_one(sequence, k):
    """The id at each base, computed from the text of each k-mer."""
    ids = []
    for begin in range(len(sequence)):
        kmer = sequence[begin : begin + k]
        is_known = len(kmer) == k and set(kmer) <= set("ACGT")
        ids.append(int("".join(str("ACGT".index(base)) for base in kmer), 4) if is_known else -1)
    return ids


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ACGTNR", max_size=20), max_size=9), st.integers(1, 12))
def test_kmers_are_those_of_each_sequence(sequences, k):
    found = [np.zeros(0, int)] + [block.ids for block in read_kmers(sequences, k, num_rows=4)]
    assert np.concatenate(found).tolist() == [number for sequence in sequences for number in one_by_one(sequence, k)]


def test_kmers_of_soft_masked_rna_with_gaps():
    (block,) = read_kmers(["ac-gu", "ACGT"], 3)
    assert block.ids.tolist() == [6, 27, -1, -1] * 2
    assert block.sums(block.ids >= 0).tolist() == [2, 2]


@pytest.mark.parametrize("k", [0, 13])
def test_k_out_of_range(k):
    with pytest.raises(ValueError, match=f"k {k}: expected 1 to 12"):
        next(read_kmers(["ACGT"], k))


def test_ids_of_the_reverse_complement():
    sequence = "ACCGTATTGCA"
    (forward,), (reverse,) = read_kmers([sequence], 4), read_kmers([reverse_complement(sequence)], 4)
    known = forward.ids[forward.ids >= 0]
    assert reverse_complement_ids(4)[known].tolist() == reverse.ids[reverse.ids >= 0][::-1].tolist()


@pytest.fixture(scope="module")
def marker():
    """Sequences of one marker: three conserved parts, and variable parts of uneven length between them."""
    rng = random.Random(0)
    conserved = ["".join(rng.choices("ACGT", k=60)) for _ in range(3)]

    def one():
        between = ["".join(rng.choices("ACGT", k=rng.randint(20, 90))) for _ in range(2)]
        return conserved[0] + between[0] + conserved[1] + between[1] + conserved[2]

    return [one() for _ in range(300)]


@pytest.fixture(scope="module")
def profile(marker):
    turned = [reverse_complement(text) if row % 10 == 0 else text for row, text in enumerate(marker[:200])]
    return KmerProfile.from_sequences(turned, marker="made up")


def test_strand_and_marker_of_new_sequences_are_found(marker, profile):
    new = marker[200:]
    both = [*new, *map(reverse_complement, new)]
    scores = profile.score(both)
    assert scores.strand.tolist() == [1] * 100 + [-1] * 100
    assert profile.accepts(scores).all()
    np.testing.assert_allclose(scores.score[:100], scores.score[100:], rtol=1e-5)


def test_other_dna_is_refused(profile):
    rng = random.Random(1)
    others = ["".join(rng.choices("ACGT", k=rng.randint(100, 900))) for _ in range(1000)]
    assert profile.accepts(profile.score(others)).mean() <= 0.005
    assert abs(profile.score(others).score.mean()) < 0.5


def test_sequence_without_a_kmer_is_refused(profile):
    scores = profile.score(["", "N" * 50, "ACGTAC"])
    assert np.isneginf(scores.score).all()
    assert not profile.accepts(scores).any()


def test_profile_is_saved_and_loaded(profile, marker, tmp_path):
    profile.save(tmp_path / "profile.safetensors")
    loaded = KmerProfile.load(tmp_path / "profile.safetensors")
    assert (loaded.marker, loaded.k, loaded.checksum()) == ("made up", 8, profile.checksum())
    assert loaded.score(marker).score.tolist() == profile.score(marker).score.tolist()


def test_file_that_is_not_a_profile(tmp_path):
    file = tmp_path / "profile.safetensors"
    file.write_bytes(b"no tensors")
    with pytest.raises(ValueError, match=r"profile\.safetensors: expected a k-mer profile in safetensors format"):
        KmerProfile.load(file)


def test_sequences_too_short_for_a_profile():
    with pytest.raises(ValueError, match="expected sequences with 8 known bases or more, got none"):
        KmerProfile.from_sequences(["ACGT", "NNNNNNNNNNNN"])


def test_weights_of_the_wrong_number():
    with pytest.raises(ValueError, match=r"expected one weight for each k-mer, 4\*\*k, not \[5\]"):
        KmerProfile(np.zeros(5), 0, 1)
