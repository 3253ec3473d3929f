import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation import vector_cache
from barcodemae.evaluation.vector_cache import cached_vectors, texts_sha256

BARCODES = ["ACGT" * length for length in range(1, 11)]
KEY = {"model": "lengths", "settings": {"power": 2}}


class Lengths:
    """Vectors (length, length squared) of barcodes; remembers which it was asked for."""

    def __init__(self, stop_before=None):
        self.asked = []
        self.stop_before = stop_before

    def __call__(self, sequences):
        if self.stop_before in sequences:
            raise KeyboardInterrupt
        self.asked += sequences
        return np.array([[len(one), len(one) ** 2] for one in sequences], np.float32)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(vector_cache, "_BLOCK_ROWS", 3)


@pytest.fixture
def kept(tmp_path):
    """The cache with the vectors in it, and their folder."""
    cached_vectors(tmp_path, KEY, BARCODES, Lengths())
    (folder,) = [one for one in tmp_path.iterdir() if one.is_dir()]
    return tmp_path, folder


def test_vectors_are_computed_once(tmp_path):
    lengths = Lengths()
    first = cached_vectors(tmp_path / "new" / "cache", KEY, BARCODES, lengths)
    again = cached_vectors(tmp_path / "new" / "cache", KEY, BARCODES, lengths)
    assert lengths.asked == BARCODES
    for vectors in (first, again):
        np.testing.assert_array_equal(vectors, Lengths()(BARCODES))
        assert isinstance(vectors, np.memmap)
        assert vectors.dtype == np.float32
        with pytest.raises(ValueError, match="read-only"):
            vectors[0] = 0


@pytest.mark.parametrize(
    ("key", "barcodes"),
    [
        ({**KEY, "settings": {"power": 3}}, BARCODES),
        (KEY, BARCODES[::-1]),
        (KEY, BARCODES[:-1]),
        (KEY, [*BARCODES[:-1], BARCODES[-1] + "A"]),
    ],
)
def test_another_key_or_other_barcodes_are_computed_anew(kept, key, barcodes):
    lengths = Lengths()
    vectors = cached_vectors(kept[0], key, barcodes, lengths)
    assert lengths.asked == barcodes
    np.testing.assert_array_equal(vectors, Lengths()(barcodes))


def test_where_a_text_ends_counts():
    assert texts_sha256(["AC", "GT"]) != texts_sha256(["ACG", "T"])
    assert texts_sha256([]) != texts_sha256([""])


def test_finished_blocks_outlive_an_interruption(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        cached_vectors(tmp_path, KEY, BARCODES, Lengths(stop_before=BARCODES[7]))
    lengths = Lengths()
    np.testing.assert_array_equal(cached_vectors(tmp_path, KEY, BARCODES, lengths), Lengths()(BARCODES))
    assert lengths.asked == BARCODES[6:]


@pytest.mark.parametrize("num_bytes", [1, 10, 60])
def test_a_line_that_was_cut_short_costs_its_block_alone(tmp_path, num_bytes):
    with pytest.raises(KeyboardInterrupt):
        cached_vectors(tmp_path, KEY, BARCODES, Lengths(stop_before=BARCODES[7]))
    (lines,) = tmp_path.glob("*.partial/blocks.jsonl")
    lines.write_bytes(lines.read_bytes()[:-num_bytes])
    lengths = Lengths()
    cached_vectors(tmp_path, KEY, BARCODES, lengths)
    # Without its line break alone, a line is whole.
    assert lengths.asked == BARCODES[6 if num_bytes == 1 else 3 :]
    cached_vectors(tmp_path, KEY, BARCODES, lengths)
    assert len(lengths.asked) <= 7


def test_a_damaged_block_is_computed_again_alone(kept, caplog):
    cache, folder = kept
    content = bytearray((folder / "vectors.npy").read_bytes())
    content[-5 * 8] ^= 1  # eight bytes a row: the fifth row from the end, of the second block
    (folder / "vectors.npy").write_bytes(content)
    lengths = Lengths()
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(cached_vectors(cache, KEY, BARCODES, lengths), Lengths()(BARCODES))
    assert "is damaged" in caplog.text
    assert lengths.asked == BARCODES[3:6]
    cached_vectors(cache, KEY, BARCODES, lengths)
    assert lengths.asked == BARCODES[3:6]


@pytest.mark.parametrize("file", ["vectors.npy", "blocks.jsonl"])
@pytest.mark.parametrize("content", [None, b"", b"something else\n", b'{"key": 1}\n[0, "abc"]\n'])
def test_what_is_no_longer_there_or_foreign_is_computed_anew(kept, file, content):
    cache, folder = kept
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    lengths = Lengths()
    np.testing.assert_array_equal(cached_vectors(cache, KEY, BARCODES, lengths), Lengths()(BARCODES))
    assert lengths.asked == BARCODES


def test_an_array_of_another_shape_or_of_objects_is_not_taken(kept):
    cache, folder = kept
    for foreign in (np.zeros((4, 2), np.float32), np.zeros((10, 2)), np.array([[None]] * 10)):
        np.save(folder / "vectors.npy", foreign)
        lengths = Lengths()
        np.testing.assert_array_equal(cached_vectors(cache, KEY, BARCODES, lengths), Lengths()(BARCODES))
        assert lengths.asked == BARCODES


def test_input_that_cannot_be_kept(tmp_path):
    with pytest.raises(ConfigurationError, match="expected barcodes to embed, got none"):
        cached_vectors(tmp_path, KEY, [], Lengths())
    with pytest.raises(ConfigurationError, match="NaN or infinity in 1 of 3"):
        cached_vectors(tmp_path, KEY, BARCODES, lambda some: np.array([[1.0], [np.nan], [3]]))
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="file: expected a folder to write to, got: File exists"):
        cached_vectors(tmp_path / "file", KEY, BARCODES, Lengths())


def test_an_error_of_the_model_stays_what_it_is(tmp_path):
    def fail(sequences):
        raise OSError("out of luck")

    with pytest.raises(OSError, match="out of luck"):
        cached_vectors(tmp_path, KEY, BARCODES, fail)


@pytest.mark.slow
def test_a_killed_process_loses_the_block_it_was_at(tmp_path):
    script = tmp_path / "embed.py"
    script.write_text(
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "import test_vector_cache as tests\n"
        "tests.vector_cache._BLOCK_ROWS = 3\n"
        "def embed(sequences):\n"
        "    if tests.BARCODES[7] in sequences:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return tests.Lengths()(sequences)\n"
        "tests.cached_vectors(Path(sys.argv[1]), tests.KEY, tests.BARCODES, embed)\n"
    )
    command = [sys.executable, script, tmp_path / "cache"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)}, timeout=120)
    assert done.returncode == -signal.SIGKILL
    lengths = Lengths()
    np.testing.assert_array_equal(cached_vectors(tmp_path / "cache", KEY, BARCODES, lengths), Lengths()(BARCODES))
    assert lengths.asked == BARCODES[6:]
