"""Weights in several files, as transformers writes those of a large model: read, exported and published like one."""

import json
import shutil

import numpy as np
import pytest
from transformers import AutoModel, AutoModelForPreTraining

from barcodemae import BarcodeEmbedder, BaseMapEmbedder
from barcodemae.checkpoints.files import WEIGHTS_FILE, WEIGHTS_INDEX_FILE, weights_files, weights_sha256
from barcodemae.checkpoints.loading import load_checkpoint
from barcodemae.errors import CheckpointError
from barcodemae.hub.card import render_card
from barcodemae.hub.onnx import export_onnx
from barcodemae.hub.publication import assemble


@pytest.fixture(scope="module")
def sharded(tuned_checkpoint, tmp_path_factory):
    folder = shutil.copytree(tuned_checkpoint, tmp_path_factory.mktemp("sharded") / "run")
    (folder / WEIGHTS_FILE).unlink()
    model = AutoModelForPreTraining.from_pretrained(tuned_checkpoint, trust_remote_code=True)
    model.save_pretrained(folder, max_shard_size="50KB")
    assert len(weights_files(folder)) > 2
    return folder


@pytest.fixture
def copied(sharded, tmp_path):
    return shutil.copytree(sharded, tmp_path / "copied")


@pytest.mark.parametrize("engine", [BarcodeEmbedder, BaseMapEmbedder])
def test_vectors_are_the_same(engine, sharded, tuned_checkpoint, full_length_barcodes):
    found, expected = (
        engine.from_pretrained(one).encode(full_length_barcodes[:3]) for one in (sharded, tuned_checkpoint)
    )
    np.testing.assert_array_equal(found, expected)


def test_the_card_counts_all_weights(sharded, tuned_checkpoint):
    def told(folder):
        return next(line for line in render_card(folder, "org/name").splitlines() if line.startswith("| encoder"))

    assert told(sharded) == told(tuned_checkpoint)


def test_all_weights_are_loaded(sharded, tuned_checkpoint):
    found, expected = (load_checkpoint(one).model.state_dict() for one in (sharded, tuned_checkpoint))
    assert all((found[name] == value).all() for name, value in expected.items())


def test_what_is_published_loads(sharded, tmp_path):
    (tmp_path / "out").mkdir()
    assemble(sharded, "org/name", tmp_path / "out")
    names = {file.name for file in weights_files(tmp_path / "out")}
    assert names == {file.name for file in weights_files(sharded)}
    assert (tmp_path / "out" / WEIGHTS_INDEX_FILE).is_file()
    assert weights_sha256(tmp_path / "out") == weights_sha256(sharded)
    _, loading = AutoModel.from_pretrained(tmp_path / "out", trust_remote_code=True, output_loading_info=True)
    assert not loading["missing_keys"]


@pytest.mark.slow
def test_it_is_exported(sharded, tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    assert export_onnx(sharded, tmp_path).float32_max_difference < 1e-4


def test_other_weights_have_another_checksum(copied):
    before = weights_sha256(copied)
    shard = weights_files(copied)[0]
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    assert weights_sha256(copied) != before


def test_a_missing_shard_is_named(copied):
    shard = weights_files(copied)[1]
    shard.unlink()
    for load in (load_checkpoint, BaseMapEmbedder.from_pretrained, weights_sha256):
        with pytest.raises(CheckpointError, match=f"expected the shard {shard.name}"):
            load(copied)


@pytest.mark.parametrize("name", ["../model-00001-of-00002.safetensors", "other.safetensors", "/etc/passwd", 5])
def test_an_index_leads_nowhere_else(name, copied):
    index = json.loads((copied / WEIGHTS_INDEX_FILE).read_text())
    index["weight_map"]["bert.embeddings.word_embeddings.weight"] = name
    (copied / WEIGHTS_INDEX_FILE).write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="expected the shard"):
        load_checkpoint(copied)


@pytest.mark.parametrize("content", ["{}", "[]", "{", '{"weight_map": 3}'])
def test_an_index_that_is_none(content, copied):
    (copied / WEIGHTS_INDEX_FILE).write_text(content)
    with pytest.raises(CheckpointError):
        load_checkpoint(copied)


def test_one_file_goes_before_shards(copied, tuned_checkpoint):
    """As transformers has it."""
    shutil.copyfile(tuned_checkpoint / WEIGHTS_FILE, copied / WEIGHTS_FILE)
    assert weights_files(copied) == [copied / WEIGHTS_FILE]
    assert weights_sha256(copied) == weights_sha256(tuned_checkpoint)
