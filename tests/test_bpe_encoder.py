"""Byte-pair encoding of many barcodes: the ids of the tokenizer, and training models on them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from transformers import AutoTokenizer

from barcodemae.embedding import BarcodeEmbedder
from barcodemae.errors import ConfigurationError
from barcodemae.training.arguments import ModelArguments
from barcodemae.training.model import load_tokenizer
from helpers.small_files import write_first_rows
from tokenization_barcodemae import BpeEncoder, build_kmer_tokenizer, encoder_for, train_bpe_tokenizer

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def tokenizer(full_length_barcodes):
    return train_bpe_tokenizer(full_length_barcodes[:50], 160)


@pytest.fixture(scope="module")
def encoder(tokenizer):
    return BpeEncoder(tokenizer)


def test_ids_equal_those_of_the_tokenizer(tokenizer, encoder, full_length_barcodes):
    texts = [full_length_barcodes[60], full_length_barcodes[61][:40], "ACGTNNACG", "acgu-acgt", ""]
    expected = tokenizer(texts, padding=True, return_tensors="np")
    for sequences in (texts, pa.array(texts), pa.array(texts, pa.large_string())):
        found = encoder(sequences)
        np.testing.assert_array_equal(found["input_ids"], expected["input_ids"])
        np.testing.assert_array_equal(found["attention_mask"], expected["attention_mask"])
        np.testing.assert_array_equal(found["position_ids"][0], np.arange(found["input_ids"].shape[1]))


def test_offsets_skip_bases_and_max_length_limits_tokens(tokenizer, encoder, full_length_barcodes):
    text = full_length_barcodes[60]
    found = encoder([text, text], offsets=np.array([0, 5]), max_length=7)["input_ids"]
    np.testing.assert_array_equal(found, [tokenizer(text)["input_ids"][:7], tokenizer(text[5:])["input_ids"][:7]])


def test_empty_input(encoder):
    assert encoder([])["input_ids"].shape == encoder([""])["input_ids"][:0].shape == (0, 0)


def test_starts_are_refused(encoder):
    with pytest.raises(ValueError, match="no slots"):
        encoder(["ACGT"], starts=np.array([0]))


def test_encoder_for_a_saved_tokenizer(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    again = encoder_for(AutoTokenizer.from_pretrained(tmp_path))
    assert isinstance(again, BpeEncoder)
    assert again.name == BpeEncoder(tokenizer).name
    assert encoder_for(build_kmer_tokenizer(4)).name == "4-mers"


def test_other_byte_pairs_have_another_name(encoder, full_length_barcodes):
    assert BpeEncoder(train_bpe_tokenizer(full_length_barcodes[50:], 160)).name != encoder.name


def test_folder_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="expected kmer, or the folder of a byte-pair encoding"):
        load_tokenizer(ModelArguments(tokenizer=str(tmp_path)))


def test_kmer_tokenizer_is_refused(tmp_path):
    build_kmer_tokenizer(3).save_pretrained(tmp_path)
    with pytest.raises(ConfigurationError, match="expected a byte-pair encoding, got WordLevel"):
        load_tokenizer(ModelArguments(tokenizer=str(tmp_path)))


@pytest.mark.slow
def test_from_barcodes_to_tokens_to_a_model_of_each_objective(sample, tmp_path, full_length_barcodes):
    data = write_first_rows(sample, tmp_path / "few.tsv", pretrain=40, val=10)
    command = [
        "-m",
        "barcodemae",
        "tokenizer",
        "--data",
        data,
        "--output",
        tmp_path / "words",
        "--vocab-size",
        "160",
    ]
    run(*command)
    for objective in ("mae", "mlm", "causal"):
        options = ["--tokenizer", tmp_path / "words", "--data", data, "--epochs", "1", "--report-to", "none"]
        folder = tmp_path / objective
        size = ["--size", "micro", "--objective", objective, "--output-dir", folder]
        assert "expected --frame none" in run("tests/helpers/micro_train.py", *size, *options, code=2)
        run("tests/helpers/micro_train.py", *size, *options, "--frame", "none")
        embedder = BarcodeEmbedder.from_pretrained(folder)
        assert embedder.encode(full_length_barcodes[:3]).shape == (3, 32)


def run(*words, code=0):
    done = subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stderr
