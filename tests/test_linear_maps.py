from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from barcodemae.embedding.nearest import nearest_by_cosine
from barcodemae.embedding.singular import singular_vectors
from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.baselines import linear_maps
from barcodemae.evaluation.baselines.linear_maps import FrameLDA, FrameSVD, KmerCounts, KmerLDA
from tokenization_barcodemae import ReferenceFrame, reverse_complement

LENGTH = 60
NOT_USED = np.array([])


@pytest.fixture(scope="module")
def barcodes():
    """Five genera of twelve barcodes: a common ancestor, ten changes per genus, two more per barcode."""
    rng = np.random.default_rng(0)

    def changed(bases, n):
        bases = bases.copy()
        positions = rng.choice(LENGTH, n, replace=False)
        bases[positions] = rng.choice(list("ACGT"), n)
        return bases

    ancestor = rng.choice(list("ACGT"), LENGTH)
    genera = [changed(ancestor, 10) for _ in range(5)]
    return ["".join(changed(genus, 2)) for genus in genera for _ in range(12)], np.repeat(list("ABCDE"), 12)


@pytest.fixture(scope="module")
def frame(barcodes):
    bases = np.array([list(sequence) for sequence in barcodes[0]])
    profile = (bases[..., None] == np.array(list("ACGT"))).mean(axis=0)
    return ReferenceFrame(profile, min_score=0.0)


def one_hot(sequences):
    return np.array([[[found == base for base in "ACGT"] for found in one] for one in sequences], float)


@given(st.lists(st.text("ACGTacgtuNRY-", max_size=40), max_size=5), st.integers(1, 4))
def test_kmer_counts_equal_those_of_a_plain_loop(sequences, k):
    expected = np.zeros((len(sequences), 4**k))
    kmers = ["".join(bases) for bases in product("ACGT", repeat=k)]
    for row, sequence in enumerate(sequences):
        text = sequence.upper().replace("U", "T").replace("-", "")
        counts = Counter(text[position : position + k] for position in range(len(text) - k + 1))
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
    baseline = FrameSVD(frame, num_dimensions=10)
    baseline.fit(sequences, NOT_USED)
    matrix = one_hot(sequences).reshape(len(sequences), -1)
    left, values, _ = np.linalg.svd(matrix - matrix.mean(axis=0), full_matrices=False)
    expected = left[:, :10] * values[:10]
    found = baseline.embed(sequences)
    assert found.dtype == np.float32
    # Singular vectors have no sign of their own.
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4)


def test_a_strand_or_a_gap_makes_no_difference(frame, barcodes):
    sequences, _ = barcodes
    baseline = FrameSVD(frame, num_dimensions=10)
    baseline.fit(sequences, NOT_USED)
    plain = baseline.embed(sequences)
    np.testing.assert_array_equal(baseline.embed([reverse_complement(one) for one in sequences]), plain)
    np.testing.assert_array_equal(baseline.embed([f"{one[:20]}-{one[20:]}".lower() for one in sequences]), plain)


def test_what_a_barcode_lacks_counts_as_the_mean(frame, barcodes):
    sequences, _ = barcodes
    baseline = FrameSVD(frame, num_dimensions=10)
    baseline.fit(sequences, NOT_USED)
    centred = one_hot(sequences) - one_hot(sequences).mean(axis=0)
    _, _, vectors = np.linalg.svd(centred.reshape(len(sequences), -1), full_matrices=False)
    centred[:, 40:] = 0
    centred[:, 7] = 0
    cut = baseline.embed([f"{one[:7]}N{one[8:40]}" for one in sequences])
    expected = centred.reshape(len(sequences), -1) @ vectors[:10].T
    np.testing.assert_allclose(np.abs(cut), np.abs(expected), atol=1e-4)


def test_the_mean_of_a_column_is_that_of_the_barcodes_that_have_it(frame, barcodes):
    sequences, _ = barcodes
    short = [one if row % 3 else one[:40] for row, one in enumerate(sequences)]
    baseline = FrameSVD(frame, num_dimensions=10)
    baseline.fit(short, NOT_USED)
    # Then every column sums to 0 over the barcodes, known or not.
    np.testing.assert_allclose(baseline.embed(short).sum(axis=0), 0, atol=1e-3)


@pytest.mark.parametrize(("num_barcodes", "dimensions"), [(2, 2), (20, 12)])
def test_no_more_dimensions_than_barcodes_or_columns(num_barcodes, dimensions):
    baseline = FrameSVD(ReferenceFrame(np.full((3, 4), 0.25), min_score=0.0))
    baseline.fit(["ACG", "ACT"] * (num_barcodes // 2), NOT_USED)
    pair = baseline.embed(["ACG", "ACT"])
    assert pair.shape == (2, dimensions)
    # All that differs is in the first dimension: the barcodes differ in two columns of the one-hot matrix.
    np.testing.assert_allclose(np.abs(pair[0] - pair[1]), [2**0.5] + [0] * (dimensions - 1), atol=1e-5)


def test_no_barcodes_give_no_vectors(frame, barcodes):
    baseline = FrameSVD(frame, num_dimensions=10)
    baseline.fit(barcodes[0], NOT_USED)
    assert baseline.embed([]).shape == (0, 10)
    assert KmerCounts(3).embed([]).shape == (0, 64)


def test_frame_lda_is_the_discriminant_analysis_of_the_svd(frame, barcodes):
    sequences, genera = barcodes
    svd, lda = FrameSVD(frame, 10), FrameLDA(frame, 10, num_discriminants=3, shrinkage=0.3)
    svd.fit(sequences, genera)
    lda.fit(sequences, genera)
    coordinates = svd.embed(sequences)
    reference = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.3).fit(coordinates, genera)
    found = lda.embed(sequences)
    assert found.shape == (60, 3)
    np.testing.assert_allclose(np.abs(found), np.abs(reference.transform(coordinates)[:, :3]), rtol=1e-3, atol=1e-3)


def test_frame_lda_brings_a_genus_together(frame, barcodes):
    sequences, genera = barcodes

    def scatter(baseline):
        baseline.fit(sequences, genera)
        vectors = baseline.embed(sequences)
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
    for baseline in (FrameLDA(frame, 10), KmerLDA(2, 10)):
        with pytest.raises(ConfigurationError, match="discriminant analysis expects"):
            baseline.fit(barcodes[0][:3], np.array(genera))


def test_singular_vectors_of_blocks_are_those_of_the_whole():
    matrix = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    _, _, expected = np.linalg.svd(matrix)
    found = singular_vectors(np.split(matrix, [20, 30]), 5)
    np.testing.assert_allclose(np.abs(found), np.abs(expected[:5].T), atol=1e-4)
    assert singular_vectors([matrix[:3]], 5).shape == (8, 3)


def test_kmer_lda_equals_that_of_scikit_learn(barcodes, monkeypatch):
    sequences, genera = barcodes
    monkeypatch.setattr(linear_maps, "_BLOCK_ROWS", 7)
    baseline = KmerLDA(3, num_dimensions=20, num_discriminants=3, shrinkage=0.3)
    baseline.fit(sequences, genera)
    coordinates = PCA(20, svd_solver="full").fit_transform(np.sqrt(KmerCounts(3).embed(sequences)))
    reference = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.3).fit(coordinates, genera)
    found = baseline.embed(sequences)
    assert found.dtype == np.float32
    assert found.shape == (60, 3)
    np.testing.assert_allclose(np.abs(found), np.abs(reference.transform(coordinates)[:, :3]), rtol=1e-2, atol=1e-2)


def test_kmer_lda_knows_what_it_was_not_fitted_to(barcodes):
    sequences, genera = barcodes
    baseline = KmerLDA(4, 20)
    baseline.fit(sequences[::2], genera[::2])
    neighbours = nearest_by_cosine(baseline.embed(sequences[::2]), baseline.embed(sequences[1::2])).rows[:, 0]
    assert (genera[::2][neighbours] == genera[1::2]).mean() > 0.9
