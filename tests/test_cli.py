"""The `barcodemae` command, in a process of its own."""

import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from barcodemae import BarcodeEmbedder
from barcodemae.cli import VERBS


def barcodemae(*arguments):
    command = [sys.executable, "-m", "barcodemae.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def fasta(sample, tmp_path):
    rows = sample.slice(0, 5).to_pylist()
    path = tmp_path / "queries.fasta"
    path.write_text("".join(f">{row['id']}\n{row['nucleotides']}\n" for row in rows))
    return path


def test_help_names_every_verb():
    done = barcodemae("--help")
    assert done.returncode == 0
    for verb in VERBS:
        assert f"\n  {verb} " in done.stdout


def test_help_of_a_verb_names_it():
    done = barcodemae("push", "--help")
    assert done.stdout.startswith("usage: barcodemae push CHECKPOINT REPOSITORY [--option value ...]")


def test_the_command_needs_no_extra():
    extras = {"evaluate", "matplotlib", "onnx", "onnxruntime", "sentence_transformers", "umap"}
    code = f"import sys, barcodemae.cli; assert not {extras} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_embed_writes_ids_and_vectors(checkpoint, fasta, sample, tmp_path):
    parquet, npy = tmp_path / "out" / "vectors.parquet", tmp_path / "vectors.npy"
    for output in (parquet, npy):
        done = barcodemae("embed", "--model", checkpoint, "--data", fasta, "--output", output)
        assert done.returncode == 0, done.stderr
        assert f"5 vectors of 32 numbers are in {output}" in done.stdout
    table = pq.read_table(parquet)
    assert table["id"].to_pylist() == sample["id"].slice(0, 5).to_pylist()
    expected = BarcodeEmbedder.from_pretrained(checkpoint).encode(sample["nucleotides"].slice(0, 5).to_pylist())
    np.testing.assert_allclose(np.array(table["embedding"].to_pylist()), expected, rtol=0.02, atol=0.02)
    np.testing.assert_array_equal(np.load(npy), np.array(table["embedding"].to_pylist(), np.float32))


@pytest.mark.slow
def test_bad_input_is_one_line_and_nothing_is_written(checkpoint, fasta, tmp_path):
    output = tmp_path / "vectors.npy"
    fasta.write_text(fasta.read_text() + ">bad\nNNNNNN\n")
    cases = {
        "record 'bad': expected DNA": ("--model", checkpoint, "--data", fasta, "--output", output),
        "no checkpoint could be loaded": ("--model", tmp_path / "gone", "--data", fasta, "--output", output),
        "expected a name that ends with": ("--model", checkpoint, "--data", fasta, "--output", "vectors.txt"),
    }
    for message, arguments in cases.items():
        done = barcodemae("embed", *arguments)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count("error: ") == 1
        assert not output.exists()
    assert barcodemae("embed", *cases["record 'bad': expected DNA"], "--on_error", "skip").returncode == 0
    assert np.load(output).shape == (5, 32)


def test_unknown_verb():
    done = barcodemae("sing")
    assert done.returncode == 2
    assert done.stderr == f"error: expected one of {', '.join(VERBS)}, got sing\n"
