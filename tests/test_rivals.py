from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.rivals import kmers
from barcodemae.evaluation.rivals.frame_maps import FrameLDA, FrameSVD
from barcodemae.evaluation.rivals.kmers import KmerCounts, KmerLDA
from barcodemae.vectors.nearest import nearest_by_cosine
from barcodemae.vectors.singular import singular_vectors
from tokenization_barcodemae import ReferenceFrame, reverse_complement

LENGTH = 60
NOT_USED = np.array([])


@pytest.fixture(scope="module")
def barcodes():
    """Five genera of twelve barcodes: a common ancestor, ten changes per genus, two more per barcode."""
    rng = np.random.default_rng(0)

    def changed(letters, n):
        letters = letters.copy()
        places = rng.choice(LENGTH, n, replace=False)
        letters[places] = rng.choice(list("ACGT"), n)
        return letters

    ancestor = rng.choice(list("ACGT"), LENGTH)
    genera = [changed(ancestor, 10) for _ in range(5)]
    return ["".join(changed(genus, 2)) for genus in genera for _ in range(12)], np.repeat(list("ABCDE"), 12)


@pytest.fixture(scope="module")
def frame(barcodes):
    letters = np.array([list(sequence) for sequence in barcodes[0]])
    profile = (letters[..., None] == np.array(list("ACGT"))).mean(axis=0)
    return ReferenceFrame(profile, min_score=0.0)


def one_hot(sequences):
    return np.array([[[letter == base for base in "ACGT"] for letter in one] for one in sequences], float)


@given(st.lists(st.text("ACGTacgtuNRY-", max_size=40), max_size=5), st.integers(1, 4))
def test_kmer_counts_equal_those_of_a_plain_loop(sequences, k):
    expected = np.zeros((len(sequences), 4**k))
    kmers = ["".join(letters) for letters in product("ACGT", repeat=k)]
    for row, sequence in enumerate(sequences):
        text = sequence.upper().replace("U", "T").replace("-", "")
        counts = Counter(text[place : place + k] for place in range(len(text) - k + 1))
        expected[row] = [counts[kmer] for kmer in kmers]
    found = KmerCounts(k).embed(sequences)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_kmer_counts_by_hand():
    # AC, CA, AC; the N breaks CN and NA; then AA.
    (counts,) = KmerCounts(2).embed(["ACACNAA"])
    assert {index: int(counts[index]) for index in np.flatnonzero(counts)} == {0b0000: 1, 0b0001: 2, 0b0100: 1}


def test_frame_svd_equals_the_svd_of_the_centred_matrix(frame, barcodes):
    sequences, _ = barcodes
    rival = FrameSVD(frame, n_dimensions=10)
    rival.fit(sequences, NOT_USED)
    matrix = one_hot(sequences).reshape(len(sequences), -1)
    left, values, _ = np.linalg.svd(matrix - matrix.mean(axis=0), full_matrices=False)
    expected = left[:, :10] * values[:10]
    found = rival.embed(sequences)
    assert found.dtype == np.float32
    # Singular vectors have no sign of their own.
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4)


def test_a_strand_or_a_gap_makes_no_difference(frame, barcodes):
    sequences, _ = barcodes
    rival = FrameSVD(frame, n_dimensions=10)
    rival.fit(sequences, NOT_USED)
    plain = rival.embed(sequences)
    np.testing.assert_array_equal(rival.embed([reverse_complement(one) for one in sequences]), plain)
    np.testing.assert_array_equal(rival.embed([f"{one[:20]}-{one[20:]}".lower() for one in sequences]), plain)


def test_what_a_barcode_lacks_counts_as_the_mean(frame, barcodes):
    sequences, _ = barcodes
    rival = FrameSVD(frame, n_dimensions=10)
    rival.fit(sequences, NOT_USED)
    centred = one_hot(sequences) - one_hot(sequences).mean(axis=0)
    _, _, vectors = np.linalg.svd(centred.reshape(len(sequences), -1), full_matrices=False)
    centred[:, 40:] = 0
    centred[:, 7] = 0
    cut = rival.embed([f"{one[:7]}N{one[8:40]}" for one in sequences])
    expected = centred.reshape(len(sequences), -1) @ vectors[:10].T
    np.testing.assert_allclose(np.abs(cut), np.abs(expected), atol=1e-4)


def test_the_mean_of_a_column_is_that_of_the_barcodes_that_have_it(frame, barcodes):
    sequences, _ = barcodes
    short = [one if row % 3 else one[:40] for row, one in enumerate(sequences)]
    rival = FrameSVD(frame, n_dimensions=10)
    rival.fit(short, NOT_USED)
    # Then every column sums to 0 over the barcodes, known or not.
    np.testing.assert_allclose(rival.embed(short).sum(axis=0), 0, atol=1e-3)


@pytest.mark.parametrize(("n_barcodes", "dimensions"), [(2, 2), (20, 12)])
def test_no_more_dimensions_than_barcodes_or_columns(n_barcodes, dimensions):
    rival = FrameSVD(ReferenceFrame(np.full((3, 4), 0.25), min_score=0.0))
    rival.fit(["ACG", "ACT"] * (n_barcodes // 2), NOT_USED)
    assert rival.embed(["ACG"]).shape == (1, dimensions)


def test_no_barcodes_give_no_vectors(frame, barcodes):
    rival = FrameSVD(frame, n_dimensions=10)
    rival.fit(barcodes[0], NOT_USED)
    assert rival.embed([]).shape == (0, 10)
    assert KmerCounts(3).embed([]).shape == (0, 64)


def test_frame_lda_is_the_discriminant_analysis_of_the_svd(frame, barcodes):
    sequences, genera = barcodes
    svd, lda = FrameSVD(frame, 10), FrameLDA(frame, 10, n_discriminants=3, shrinkage=0.3)
    svd.fit(sequences, genera)
    lda.fit(sequences, genera)
    coordinates = svd.embed(sequences)
    reference = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.3).fit(coordinates, genera)
    found = lda.embed(sequences)
    assert found.shape == (60, 3)
    np.testing.assert_allclose(np.abs(found), np.abs(reference.transform(coordinates)[:, :3]), rtol=1e-3, atol=1e-3)


def test_frame_lda_brings_a_genus_together(frame, barcodes):
    sequences, genera = barcodes

    def scatter(rival):
        rival.fit(sequences, genera)
        vectors = rival.embed(sequences)
        centres = np.stack([vectors[genera == genus].mean(axis=0) for genus in "ABCDE"])
        within = vectors - np.repeat(centres, 12, axis=0)
        return np.square(within).sum() / np.square(vectors - vectors.mean(axis=0)).sum()

    assert scatter(FrameLDA(frame, 20)) < 0.5 * scatter(FrameSVD(frame, 20))


@pytest.mark.filterwarnings("error")
def test_a_genus_of_one_barcode_is_no_trouble(frame, barcodes):
    sequences, genera = barcodes
    lda = FrameLDA(frame, 10)
    lda.fit([*sequences, sequences[0]], np.append(genera, "F"))
    assert np.isfinite(lda.embed(sequences)).all()


@pytest.mark.parametrize("genera", [["A", "A", "A"], ["A", "B", "C"]])
def test_genera_that_cannot_be_told_apart_are_refused(frame, barcodes, genera):
    for rival in (FrameLDA(frame, 10), KmerLDA(2, 10)):
        with pytest.raises(ConfigurationError, match="discriminant analysis expects"):
            rival.fit(barcodes[0][:3], np.array(genera))


def test_singular_vectors_of_blocks_are_those_of_the_whole():
    matrix = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    _, _, expected = np.linalg.svd(matrix)
    found = singular_vectors(np.split(matrix, [20, 30]), 5)
    np.testing.assert_allclose(np.abs(found), np.abs(expected[:5].T), atol=1e-4)
    assert singular_vectors([matrix[:3]], 5).shape == (8, 3)


def test_kmer_lda_equals_that_of_scikit_learn(barcodes, monkeypatch):
    sequences, genera = barcodes
    monkeypatch.setattr(kmers, "_BLOCK_ROWS", 7)
    rival = KmerLDA(3, n_dimensions=20, n_discriminants=3, shrinkage=0.3)
    rival.fit(sequences, genera)
    coordinates = PCA(20, svd_solver="full").fit_transform(np.sqrt(KmerCounts(3).embed(sequences)))
    reference = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.3).fit(coordinates, genera)
    found = rival.embed(sequences)
    assert found.dtype == np.float32
    assert found.shape == (60, 3)
    np.testing.assert_allclose(np.abs(found), np.abs(reference.transform(coordinates)[:, :3]), rtol=1e-2, atol=1e-2)


def test_kmer_lda_knows_what_it_was_not_fitted_to(barcodes):
    sequences, genera = barcodes
    rival = KmerLDA(4, 20)
    rival.fit(sequences[::2], genera[::2])
    neighbours = nearest_by_cosine(rival.embed(sequences[::2]), rival.embed(sequences[1::2])).rows[:, 0]
    assert (genera[::2][neighbours] == genera[1::2]).mean() > 0.9
