import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.tasks import compression
from barcodemae.evaluation.tasks.compression import compression_scores, int8_scale, nearest_by_hamming, round_to_int8
from helpers.evaluation_records import make_records

WIDTH = 40


@pytest.fixture(scope="module")
def benchmark():
    """Twelve genera, two species each: 240 references, 120 queries."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(12, WIDTH))
    numbers = np.arange(360) % 12
    vectors = (centres[numbers] + rng.normal(0, 2, (360, WIDTH)) + 1).astype(np.float32)
    genera = [f"G{number}" for number in numbers]
    records = make_records(genus=genera, species=[f"{genus} {row % 2}" for row, genus in enumerate(genera)])
    return vectors[:240], records.slice(0, 240), vectors[240:], records.slice(240)


def accuracy(keys, queries, benchmark):
    genera = [records["genus"].to_pylist() for records in (benchmark[1], benchmark[3])]
    return KNeighborsClassifier(1, metric="cosine", algorithm="brute").fit(keys, genera[0]).score(queries, genera[1])


def test_forms_their_sizes_and_parity_with_scikit_learn(benchmark):
    train, _, vectors, _ = benchmark
    entries = compression_scores(*benchmark)
    found = {(one["form"], one["dimensions"]): (one["bytes"], one["genus_accuracy"]) for one in entries}
    assert list(found) == [
        ("float32", 40),
        *[(form, dimensions) for form in ("first", "pca") for dimensions in (32, 16, 8)],
        ("int8", 40),
        ("bits", 40),
    ]
    assert found["float32", 40] == (160, accuracy(train, vectors, benchmark))
    assert found["first", 16] == (64, accuracy(train[:, :16], vectors[:, :16], benchmark))
    pca = PCA(8).fit(train)
    assert found["pca", 8] == (32, accuracy(pca.transform(train), pca.transform(vectors), benchmark))
    assert found["int8", 40][0] == 40
    assert found["int8", 40][1] == pytest.approx(found["float32", 40][1], abs=0.03)
    assert found["bits", 40][0] == 5
    assert 0.3 < found["bits", 40][1] < found["float32", 40][1]
    for one in entries:
        low, high = one["genus_accuracy_interval"]
        assert one["n_answerable"] == 120
        assert low <= one["genus_accuracy"] <= high


def test_only_answerable_queries_count(benchmark):
    train, keys, vectors, _ = benchmark
    queries = make_records(genus=["G0"] * 3 + ["Aus"] * 60 + [""] * 57, species=["x"] * 120)
    assert {one["n_answerable"] for one in compression_scores(train, keys, vectors, queries)} == {3}


def test_no_more_components_than_keys(benchmark):
    train, keys, vectors, queries = benchmark
    entries = compression_scores(train[:20], keys.slice(0, 20), vectors, queries)
    assert [one["dimensions"] for one in entries if one["form"] == "pca"] == [16, 8]


def test_narrow_vectors_are_not_cut():
    records = make_records(genus=["Aus", "Bus"], species=["A a", "B b"])
    vectors = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    entries = compression_scores(vectors, records, vectors, records)
    assert [(one["form"], one["bytes"], one["genus_accuracy"]) for one in entries] == [
        ("float32", 12, 1.0),
        ("int8", 3, 1.0),
        ("bits", 1, 1.0),
    ]


def test_int8_by_hand():
    train = np.array([[-254, 1, 0], [100, 0.5, 0]], np.float32)
    scale = int8_scale(train)
    np.testing.assert_allclose(scale, [2, 1 / 127, 1], rtol=1e-6)
    found = round_to_int8(np.array([[-254, 0.5, 0], [11.1, -5, 300]], np.float32), scale)
    assert found.dtype == np.int8
    # 0.5 lies between 63 and 64; what is beyond the references' largest value is cut off.
    np.testing.assert_array_equal(found, [[-127, 64, 0], [6, -127, 127]])


def test_int8_is_off_by_half_a_step_at_most():
    train = np.random.default_rng(1).normal(size=(100, 7)).astype(np.float32) * np.arange(1, 8, dtype=np.float32)
    scale = int8_scale(train)
    assert (np.abs(round_to_int8(train, scale) * scale - train) <= 0.5001 * scale).all()


@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 20), st.integers(0, 999))
def test_hamming_neighbours_equal_those_of_a_plain_loop(num_bits, num_references, num_queries, seed):
    rng = np.random.default_rng(seed)
    keys, queries = rng.random((num_references, num_bits)) < 0.5, rng.random((num_queries, num_bits)) < 0.5
    expected = [int(np.argmin([np.sum(query != key) for key in keys])) for query in queries]
    assert nearest_by_hamming(keys, queries).tolist() == expected


def test_blocks_of_queries_change_nothing(monkeypatch):
    rng = np.random.default_rng(2)
    keys, queries = rng.random((30, 9)) < 0.5, rng.random((50, 9)) < 0.5
    whole = nearest_by_hamming(keys, queries)
    monkeypatch.setattr(compression, "_BLOCK_BYTES", 4 * 30 * 7)
    np.testing.assert_array_equal(nearest_by_hamming(keys, queries), whole)


def test_bits_are_what_lies_above_the_mean_of_the_keys(monkeypatch):
    records = make_records(genus=["Aus", "Bus"], species=["A a", "B b"])
    train = np.array([[10, 2], [12, 1]], np.float32)
    asked = []
    monkeypatch.setattr(compression, "nearest_by_hamming", lambda *bits: asked.extend(bits) or np.array([0, 0]))
    compression_scores(train, records, np.array([[11, 9], [11.1, 1.5]], np.float32), records)
    np.testing.assert_array_equal(asked[0], [[False, True], [True, False]])
    np.testing.assert_array_equal(asked[1], [[False, True], [True, False]])


def test_what_cannot_be_scored_is_refused(benchmark):
    train, keys, vectors, _ = benchmark
    with pytest.raises(ConfigurationError, match="queries of a genus that occurs among the references, got none"):
        compression_scores(train, keys, vectors, make_records(genus=["Aus"] * 120))
    broken = train.copy()
    broken[3, 2] = np.nan
    with pytest.raises(ConfigurationError, match="NaN or infinity in 1 of 240"):
        compression_scores(broken, keys, vectors, benchmark[3])
    with pytest.raises(ConfigurationError, match="NaN or infinity in 1 of 120"):
        compression_scores(train, keys, broken[:120], benchmark[3])
