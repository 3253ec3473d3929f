import gzip
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.baselines.compressor import CompressionDistance


@pytest.fixture(scope="module")
def barcodes(sample):
    return sample["nucleotides"].to_pylist()


def compressed(text, known=b""):
    compressor = zlib.compressobj(6, wbits=-15, zdict=known)
    return len(compressor.compress(text) + compressor.flush())


def test_similarities_are_those_of_the_published_formula(barcodes):
    keys, queries = barcodes[:40], barcodes[40:45]
    hits = CompressionDistance().search(keys, queries, num_neighbours=40)
    for row, query in enumerate(queries):
        sizes = np.array([compressed(key.encode()) for key in keys])
        alone = compressed(query.encode())
        both = alone + np.array([compressed(key.encode(), query.encode()) for key in keys])
        distances = (both - np.minimum(sizes, alone)) / np.maximum(sizes, alone)
        np.testing.assert_array_equal(hits.rows[row], sorted(range(40), key=lambda key: distances[key]))
        np.testing.assert_allclose(hits.similarities[row], 1 - np.sort(distances), rtol=1e-6)


def test_a_preset_dictionary_stands_for_the_text_before(barcodes):
    # The size of two texts in one, as the literature has it, differs by what the coder says of its tables.
    keys, query = barcodes[::100], barcodes[1]
    together = [len(gzip.compress((query + key).encode(), 6)) for key in keys]
    apart = [compressed(query.encode()) + compressed(key.encode(), query.encode()) for key in keys]
    assert np.corrcoef(together, apart)[0, 1] > 0.9


@given(st.text("ACGT", min_size=30, max_size=80), st.integers(0, 3))
def test_a_barcode_is_nearest_to_itself_among_others(barcode, position):
    rng = np.random.default_rng(0)
    keys = ["".join(rng.choice(list("ACGT"), 80)) for _ in range(3)]
    keys.insert(position, barcode)
    assert CompressionDistance().search(keys, [barcode]).rows == position


def test_case_gaps_and_rna_make_no_difference(barcodes):
    keys = barcodes[:20]
    written = [f"--{key[:100].lower()}-{key[100:]}".replace("T", "U") for key in barcodes[20:24]]
    plain = CompressionDistance().search(keys, barcodes[20:24], 3)
    np.testing.assert_array_equal(CompressionDistance().search(keys, written, 3).rows, plain.rows)


def test_of_equal_keys_the_first_is_taken(barcodes):
    keys = [barcodes[0], barcodes[9], barcodes[0], barcodes[9]]
    np.testing.assert_array_equal(CompressionDistance().search(keys, [barcodes[9]], 2).rows, [[1, 3]])


def test_empty_barcodes_are_no_trouble(barcodes):
    hits = CompressionDistance().search(["", barcodes[0]], [barcodes[0], ""])
    np.testing.assert_array_equal(hits.rows[:, 0], [1, 0])
    assert np.isfinite(hits.similarities).all()
    assert CompressionDistance().search(["ACGT"], []).rows.shape == (0, 1)


def test_too_many_pairs_are_refused():
    searcher = CompressionDistance(max_pairs=12)
    assert searcher.search(["ACGT"] * 4, ["ACGT"] * 3).rows.shape == (3, 1)
    with pytest.raises(ConfigurationError, match=r"at most 12 pairs .* got 4 x 5: sample 3 of the queries"):
        searcher.search(["ACGT"] * 4, ["ACGT"] * 5)


def test_fewer_keys_than_neighbours_are_refused():
    with pytest.raises(ConfigurationError, match="expected 3 references or more, got 2"):
        CompressionDistance().search(["ACGT"] * 2, ["ACGT"], 3)
    with pytest.raises(ConfigurationError, match="expected 1 references or more, got 0"):
        CompressionDistance().search([], ["ACGT"])
