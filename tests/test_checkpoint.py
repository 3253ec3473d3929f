"""Saving and loading of checkpoints, and errors of damaged ones."""

import json
import shutil

import pytest
import torch
from transformers import AutoTokenizer

from barcodemae.checkpoints.files import FRAME_FILE
from barcodemae.checkpoints.loading import load_checkpoint, save_checkpoint
from barcodemae.errors import CheckpointError
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEForPreTraining, BarcodeMAEModel
from tokenization_barcodemae import ReferenceFrame, build_kmer_tokenizer


@pytest.fixture
def copy(checkpoint, tmp_path):
    return shutil.copytree(checkpoint, tmp_path / "copy")


def test_round_trip(checkpoint):
    loaded = load_checkpoint(checkpoint)
    saved = BarcodeMAEForPreTraining.from_pretrained(checkpoint).bert.state_dict()
    assert all(torch.equal(value, saved[name]) for name, value in loaded.model.state_dict().items())
    assert loaded.encoder.k == 4
    assert (loaded.frame.profile == ReferenceFrame.coi().profile).all()
    assert len(AutoTokenizer.from_pretrained(checkpoint)) == loaded.model.config.vocab_size


def test_files_are_replaced_and_no_others_are_left(copy):
    (copy / "notes.txt").write_text("mine")
    before = {file.name for file in copy.iterdir()}
    save_checkpoint(copy, BarcodeMAEForPreTraining.from_pretrained(copy), ReferenceFrame.coi())
    assert {file.name for file in copy.iterdir()} == before


def test_frame_is_optional(checkpoint, copy):
    assert load_checkpoint(checkpoint, use_frame=False).frame is None
    save_checkpoint(copy / "another", load_checkpoint(copy).model, None)
    assert load_checkpoint(copy / "another").frame is None


def test_missing_or_exchanged_frame_is_an_error(copy):
    another = ReferenceFrame(ReferenceFrame.coi().profile[1:], 10)
    another.save(copy / FRAME_FILE)
    with pytest.raises(CheckpointError, match="expected the reference frame that it was trained with, found another"):
        load_checkpoint(copy)
    (copy / FRAME_FILE).unlink()
    with pytest.raises(CheckpointError, match="expected the reference frame that it was trained with, found none"):
        load_checkpoint(copy)
    assert load_checkpoint(copy, use_frame=False).frame is None


def edit_config(folder, **values):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: shutil.rmtree(folder), "expected a folder, ORG/NAME"),
        (lambda folder: (folder / "config.json").unlink(), "no checkpoint could be loaded"),
        (lambda folder: (folder / "config.json").write_text("{"), "no checkpoint could be loaded"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no checkpoint could be loaded"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"broken"), "no checkpoint could be loaded"),
        (lambda folder: (folder / FRAME_FILE).write_bytes(b"broken"), "no checkpoint could be loaded"),
        (lambda folder: edit_config(folder, num_attention_heads=5), "must be a multiple"),
        (lambda folder: edit_config(folder, num_hidden_layers=3), "expected all weights of the encoder"),
        (lambda folder: edit_config(folder, k=3), "expected a tokenizer of 259 tokens with k = 3"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "no checkpoint could be loaded"),
    ],
)
def test_damaged_checkpoint_is_an_error(copy, damage, message):
    damage(copy)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(copy)
    assert str(caught.value).startswith(str(copy))


def test_kmers_with_n_as_tokens(tmp_path):
    tokenizer = build_kmer_tokenizer(2, with_n=True)
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    model = BarcodeMAEModel(BarcodeMAEConfig(k=2, vocab_size=len(tokenizer), **size))
    save_checkpoint(tmp_path, model, None, tokenizer)
    kmers = load_checkpoint(tmp_path).encoder
    assert kmers(["ANAC"])["input_ids"].tolist() == [tokenizer("ANAC")["input_ids"]]


def test_checkpoint_of_an_encoder_only(checkpoint, tmp_path):
    save_checkpoint(tmp_path, BarcodeMAEModel.from_pretrained(checkpoint), None)
    assert load_checkpoint(tmp_path).model.config.k == 4
