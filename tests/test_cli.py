"""The `barcodemae` command in a new process."""

import re
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from barcodemae import BarcodeEmbedder
from barcodemae.cli import VERBS
from barcodemae.cli.tokenizer import tokenizer
from barcodemae.errors import ConfigurationError
from helpers.fresh_process import run_barcodemae
from helpers.small_files import write_first_rows

EXTRAS = (
    "evaluate",
    "faiss",
    "jsonschema",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "parasail",
    "plotly",
    "sentence_transformers",
    "sklearn",
    "tensorboard",
    "umap",
)

# A module that is None in sys.modules can be neither imported nor found.
WITHOUT_EXTRAS = f"import sys; sys.modules.update(dict.fromkeys({EXTRAS})); from barcodemae.cli import main; main()"


def barcodemae_without_extras(*arguments):
    command = [sys.executable, "-c", WITHOUT_EXTRAS, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def fasta(sample, tmp_path):
    rows = sample.slice(0, 5).to_pylist()
    path = tmp_path / "queries.fasta"
    path.write_text("".join(f">{row['id']}\n{row['nucleotides']}\n" for row in rows))
    return path


def test_help_names_every_verb():
    done = run_barcodemae("--help")
    assert done.returncode == 0
    for verb in VERBS:
        assert f"\n  {verb} " in done.stdout


def test_help_of_a_verb_names_it():
    done = run_barcodemae("push", "--help")
    assert done.stdout.startswith("usage: barcodemae push FOLDER REPOSITORY [options]")


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("calibrate", "remove", "push")])
def test_every_verb_with_an_output_takes_it_by_o(verb):
    assert re.search(r"^  -o OUTPUT\w*, --output", run_barcodemae(verb, "--help").stdout, re.MULTILINE)


def test_help_works_without_extras():
    done = barcodemae_without_extras("--help")
    assert done.returncode == 0, done.stderr
    for verb in VERBS:
        assert f"\n  {verb} " in done.stdout


@pytest.mark.slow
def test_verbs_work_without_extras_or_say_what_they_need(checkpoint, fasta, sample, tmp_path):
    output = tmp_path / "vectors.npy"
    done = barcodemae_without_extras("embed", "--model", checkpoint, "--data", fasta, "--output", output)
    assert done.returncode == 0, done.stderr
    assert np.load(output).shape == (5, 32)
    records = tmp_path / "records.parquet"
    pq.write_table(sample.slice(0, 3000), records)
    done = barcodemae_without_extras("split", "--data", records, "--output", tmp_path / "split.parquet")
    assert done.returncode == 0, done.stderr
    (tmp_path / "results.json").write_text('{"schema_version": 3}')
    done = barcodemae_without_extras("leaderboard", "--results", tmp_path, "--output", tmp_path / "board.md")
    assert done.returncode == 2
    assert "pip install 'barcodemae[evaluate]'" in done.stderr
    assert not (tmp_path / "board.md").exists()
    library = tmp_path / "library"
    for verb, options in {"cluster": (), "index": (), "identify": ("--library", library)}.items():
        done = barcodemae_without_extras(verb, fasta, *options, "--output", library)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"error: {verb}: FAISS is not installed: pip install 'barcodemae[identify]'\n"
    assert not library.exists()


@pytest.mark.slow
def test_embed_writes_ids_and_vectors(checkpoint, fasta, sample, tmp_path):
    parquet, npy = tmp_path / "out" / "vectors.parquet", tmp_path / "vectors.npy"
    for output in (parquet, npy):
        done = run_barcodemae("embed", "--model", checkpoint, "--data", fasta, "--output", output)
        assert done.returncode == 0, done.stderr
        assert f"5 embeddings of dimension 32 are in {output}" in done.stdout
    table = pq.read_table(parquet)
    assert table["id"].to_pylist() == sample["id"].slice(0, 5).to_pylist()
    expected = BarcodeEmbedder.from_pretrained(checkpoint).encode(sample["nucleotides"].slice(0, 5).to_pylist())
    np.testing.assert_allclose(np.array(table["embedding"].to_pylist()), expected, atol=1e-6)
    np.testing.assert_array_equal(np.load(npy), np.array(table["embedding"].to_pylist(), np.float32))


@pytest.mark.slow
def test_bad_input_is_one_line_and_nothing_is_written(checkpoint, fasta, tmp_path):
    output = tmp_path / "vectors.npy"
    fasta.write_text(fasta.read_text() + ">bad\nNNNNNN\n")
    cases = {
        "record 'bad': expected DNA": ("--model", checkpoint, "--data", fasta, "--output", output),
        "expected a folder, ORG/NAME on the Hub": ("--model", tmp_path / "gone", "--data", fasta, "--output", output),
        "expected a name that ends with": ("--model", checkpoint, "--data", fasta, "--output", "vectors.txt"),
    }
    for message, arguments in cases.items():
        done = run_barcodemae("embed", *arguments)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count("error: ") == 1
        assert not output.exists()
    assert run_barcodemae("embed", *cases["record 'bad': expected DNA"], "--on-error", "skip").returncode == 0
    assert np.load(output).shape == (5, 32)


def test_unknown_verb():
    done = run_barcodemae("sing")
    assert done.returncode == 2
    assert done.stderr == f"error: expected one of {', '.join(VERBS)}, got sing\n"


def test_tokenizer_learns_from_the_training_splits(sample, tmp_path, capsys):
    data = write_first_rows(sample, tmp_path / "barcodes.tsv", train=30, pretrain=10, test=20)
    output = tmp_path / "bpe"
    tokenizer(["--data", str(data), "--output", str(output), "--vocab-size", "128"])
    assert f"A tokenizer of 128 tokens, learnt from 40 barcodes, is in {output}." in capsys.readouterr().out
    assert len(AutoTokenizer.from_pretrained(output)) == 128
    tokenizer(["--data", str(data), "--output", str(output), "--vocab-size", "128", "--splits", "test"])
    assert "learnt from 20 barcodes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--vocab-size", "100"], "--vocab-size 100: vocab_size must be 128 to 4096"),
        (["--vocab-size", "4096"], "--vocab-size 4096: expected DNA for 4096 tokens"),
        (["--splits", "validation"], "--splits validation: expected barcodes of these splits, got none"),
    ],
)
def test_tokenizer_that_cannot_be_learnt(options, message, sample, tmp_path):
    data = write_first_rows(sample, tmp_path / "barcodes.tsv", train=5)
    with pytest.raises(ConfigurationError, match=message):
        tokenizer(["--data", str(data), "--output", str(tmp_path / "bpe"), *options])
    assert not (tmp_path / "bpe").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("push", "nowhere", "org/x"),
        ("identify", "nowhere.fasta", "--library", "library", "-o", "names.tsv"),
        ("index", "nowhere.fasta", "-o", "library"),
        ("cluster", "nowhere.fasta", "-o", "clusters.tsv"),
        ("embed", "nowhere.fasta", "-o", "vectors.npy"),
        ("embed", "sample", "-o", "vectors.npy", "--model", "nowhere"),
        ("tune", "nowhere", "-o", "tuned", "--data", "sample"),
        ("export", "nowhere", "-o", "exported"),
        ("evaluate", "no/where/at/all", "-o", "evaluation"),
        ("train", "--data", "nowhere.fasta"),
        ("train", "--init-from", "nowhere"),
        ("split", "nowhere.tsv", "-o", "split.parquet"),
        ("tokenizer", "nowhere.tsv", "-o", "words"),
    ],
    ids=" ".join,
)
def test_a_wrong_path_is_reported_before_torch_is_imported(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "barcodemae", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (message,) = (line for line in done.stderr.splitlines() if not line.startswith("import time:"))
    assert message.startswith("error: no")
    assert not re.search(r"\| +(torch|transformers)$", done.stderr, re.MULTILINE)
    assert not list(tmp_path.iterdir())
