"""The exported encoder in onnxruntime, compared with the model in torch."""

import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
import torch
from transformers import AutoTokenizer

from barcodemae import BarcodeEmbedder
from barcodemae.checkpoints.files import weights_sha256
from barcodemae.checkpoints.loading import load_checkpoint, save_checkpoint
from barcodemae.cli.export import export
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.hub import onnx as onnx_export
from barcodemae.hub.onnx import export_onnx
from barcodemae.hub.onnx_parity import Parity, encode_in_batches, equal_neighbours, onnx_encoder, torch_encoder
from modeling_barcodemae import BarcodeMAEForPreTraining
from tokenization_barcodemae import place_barcodes, reverse_complement

ONNX_FILES = {"model.onnx", "model_quantized.onnx", "export.json"}


@pytest.fixture(scope="module")
def ours(checkpoint):
    return torch_encoder(load_checkpoint(checkpoint).model)


@pytest.fixture(scope="module")
def float32(exported):
    return onnx_encoder(exported / "onnx" / "model.onnx")


@pytest.fixture(scope="module")
def quantized(exported):
    return onnx_encoder(exported / "onnx" / "model_quantized.onnx")


def barcodes_of(sample, split, n):
    """n barcodes at equal distances in a split."""
    barcodes = sample.filter(pc.equal(sample["split"], split))["nucleotides"]
    return barcodes.take(np.linspace(0, len(barcodes) - 1, n).astype(int)).to_pylist()


def on_frame(checkpoint, barcodes):
    """Barcodes by slots, as they are passed to an ONNX file."""
    loaded = load_checkpoint(checkpoint)
    placed = place_barcodes(barcodes, loaded.frame, loaded.encoder.k)
    encoding = loaded.encoder(placed.nucleotides, starts=placed.starts, max_length=placed.num_slots)
    return {name: encoding[name] for name in ("input_ids", "attention_mask")}


def same_neighbours(exact, approximate, num_queries):
    """Share of the first rows with the same nearest neighbour, up to 1e-6, among the other rows by both embeddings."""
    exact, approximate = (
        rows.astype(np.float64) / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (exact, approximate)
    )
    similarity = exact[:num_queries] @ exact[num_queries:].T
    nearest = (approximate[:num_queries] @ approximate[num_queries:].T).argmax(1)
    return np.mean([row[column] >= row.max() - 1e-6 for row, column in zip(similarity, nearest, strict=True)])


def test_equal_neighbours_of_hand_made_vectors():
    exact = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    assert equal_neighbours(exact, exact * 3) == 1
    # By these vectors the first row is nearest to the third, and the third to the first.
    assert equal_neighbours(exact, exact[[0, 2, 1, 3]]) == 0
    # Three equal rows: each is as near to the one as to the other.
    assert equal_neighbours(np.ones((3, 2)), np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "tokens"), [(1, 1), (1, 9), (5, 1), (2, 3), (3, 164), (1, 512)])
def test_batches_of_any_size_length_and_mask(rows, tokens, ours, float32):
    rng = np.random.default_rng(rows * tokens)
    input_ids = rng.integers(0, 259, (rows, tokens))
    complete = np.ones_like(input_ids)
    padded = (np.arange(tokens) < rng.integers(1, tokens + 1, (rows, 1))).astype(np.int64)
    scattered = np.maximum(rng.integers(0, 2, (rows, tokens)), np.arange(tokens) == 0)
    for attention_mask in (complete, padded, scattered):
        encoding = {"input_ids": input_ids, "attention_mask": attention_mask}
        expected, got = ours(encoding), float32(encoding)
        assert got.hidden.shape == (rows, tokens, 32)
        assert got.pooled.shape == (rows, 32)
        attended = attention_mask == 1
        np.testing.assert_allclose(got.hidden[attended], expected.hidden[attended], atol=1e-4)
        np.testing.assert_allclose(got.pooled, expected.pooled, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["", "_tuned"])
def test_embeddings_by_slots_equal_those_of_the_embedder(kind, request, sample):
    """Complete and truncated barcodes, unknown bases, the other strand."""
    model = request.getfixturevalue("tuned_checkpoint" if kind else "checkpoint")
    encode = onnx_encoder(request.getfixturevalue(f"exported{kind}") / "onnx" / "model.onnx")
    barcode = barcodes_of(sample, "test", 1)[0]
    barcodes = [
        barcode,
        *(barcode[cut:] for cut in (3, 4, 8, 12, 101)),
        barcode[:150],
        barcode[:300] + "NNNNN" + barcode[305:],
        reverse_complement(barcode[50:]),
        *barcodes_of(sample, "train", 20),
    ]
    embedder = BarcodeEmbedder.from_pretrained(model, device="cpu", dtype=torch.float32)
    expected = embedder.encode(barcodes)
    np.testing.assert_allclose(encode(on_frame(model, barcodes)).pooled, expected, atol=1e-5)
    for row in range(8):
        np.testing.assert_allclose(encode(on_frame(model, barcodes[row : row + 1])).pooled[0], expected[row], atol=1e-5)


@pytest.mark.slow
def test_graph_has_no_loop(exported, exported_tuned):
    """A loop over the tokens of each barcode would be many times slower than torch."""
    import onnx

    for folder in (exported, exported_tuned):
        for file in sorted((folder / "onnx").glob("*.onnx")):
            graph = onnx.load(file).graph
            assert not {"Loop", "Scan", "If", "SequenceInsert"} & {node.op_type for node in graph.node}


@pytest.mark.slow
def test_nearest_neighbours_stay_with_8_bit_weights(checkpoint, sample, ours, float32, quantized):
    """Queries of one split among the barcodes of another, which holds the same species."""
    num_queries = 300
    encoding = on_frame(checkpoint, barcodes_of(sample, "test", num_queries) + barcodes_of(sample, "train", 1200))
    exact, same, approximate = (encode_in_batches(encode, encoding).pooled for encode in (ours, float32, quantized))
    assert same_neighbours(exact, same, num_queries) == 1
    assert same_neighbours(exact, approximate, num_queries) >= 0.99
    # An index of float32 vectors can be searched with 8-bit ones.
    mixed = np.concatenate([approximate[:num_queries], exact[num_queries:]])
    assert same_neighbours(exact, mixed, num_queries) >= 0.99


@pytest.mark.slow
def test_embeddings_with_8_bit_weights_do_not_depend_on_the_batch(checkpoint, sample, quantized):
    encoding = on_frame(checkpoint, barcodes_of(sample, "test", 8))
    together = quantized(encoding).pooled
    for row in range(8):
        alone = quantized({name: values[row : row + 1] for name, values in encoding.items()}).pooled
        np.testing.assert_allclose(alone[0], together[row], atol=1e-5)


@pytest.mark.slow
def test_exported_files(checkpoint, exported):
    files = {str(file.relative_to(exported)) for file in exported.rglob("*") if file.is_file()}
    assert files == {f"onnx/{name}" for name in ONNX_FILES} | {"config.json", "tokenizer.json", "tokenizer_config.json"}
    config = json.loads((exported / "config.json").read_text())
    assert config["model_type"] == "bert"
    assert "auto_map" not in config
    assert (exported / "tokenizer.json").read_bytes() == (checkpoint / "tokenizer.json").read_bytes()
    tokenizer = AutoTokenizer.from_pretrained(exported, trust_remote_code=False)
    assert set(tokenizer("ACGT" * 9)) == {"input_ids", "attention_mask"}


@pytest.mark.slow
def test_export_records_parity_and_weights(checkpoint, exported):
    description = json.loads((exported / "onnx" / "export.json").read_text())
    assert description["weights_sha256"] == weights_sha256(checkpoint)
    assert description["weights_sha256"] == hashlib.sha256((checkpoint / "model.safetensors").read_bytes()).hexdigest()
    assert set(description["versions"]) == {"python", "torch", "transformers", "onnx", "onnxscript", "onnxruntime"}
    assert 0 < description["parity"]["float32_max_difference"] < 1e-4
    assert description["parity"]["quantized_equal_neighbours"] >= 0.99


@pytest.mark.slow
def test_graph_is_one_file_of_the_recorded_opset_without_paths(exported):
    import onnx

    opset = json.loads((exported / "onnx" / "export.json").read_text())["opset"]
    for file in (exported / "onnx" / "model.onnx", exported / "onnx" / "model_quantized.onnx"):
        model = onnx.load(file, load_external_data=False)
        onnx.checker.check_model(file)
        assert {entry.version for entry in model.opset_import if entry.domain == ""} == {opset}
        assert [value.name for value in model.graph.input] == ["input_ids", "attention_mask"]
        assert [value.name for value in model.graph.output] == ["last_hidden_state", "pooler_output"]
        assert not any(onnx.external_data_helper.uses_external_data(tensor) for tensor in model.graph.initializer)
        for path in (Path.home(), Path.cwd(), Path(sys.prefix), Path(onnx_export.__file__).parent):
            assert str(path).encode() + b"/" not in file.read_bytes()


@pytest.mark.slow
def test_export_into_the_checkpoint_adds_one_folder(checkpoint, tmp_path, capfd):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoint, folder)
    before = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    export([str(folder), str(folder)])
    printed = capfd.readouterr()
    assert len(printed.out.splitlines()) == 3
    assert f"The files are in {folder}/onnx" in printed.out
    assert "Warning" not in printed.err
    assert {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()} == before
    assert {file.name for file in (folder / "onnx").iterdir()} == ONNX_FILES
    assert load_checkpoint(folder).frame is not None


@pytest.mark.slow
def test_export_without_frame(checkpoint, tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    save_checkpoint(tmp_path / "no_frame", BarcodeMAEForPreTraining.from_pretrained(checkpoint), None)
    parity = export_onnx(tmp_path / "no_frame", tmp_path / "out")
    assert parity.barcodes == 128
    assert parity.float32_max_difference < 1e-4


@pytest.mark.parametrize("difference", [2e-4, float("nan")])
def test_differing_model_is_not_written(difference, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: name)
    monkeypatch.setattr(onnx_export, "_write_float32", lambda model, file: file.write_bytes(b"float32"))
    monkeypatch.setattr(onnx_export, "_write_quantized", lambda source, file: file.write_bytes(b"8 bits"))
    monkeypatch.setattr(onnx_export, "measure_parity", lambda *files: Parity(128, difference, 1.0))
    with pytest.raises(CheckpointError, match=r"differ by at most 0\.0001 from the checkpoint, got (2\.0e-04|nan)"):
        export_onnx(checkpoint, tmp_path / "out")
    assert not any((tmp_path / "out").rglob("*"))


def test_missing_package_is_named_with_its_extra(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(ConfigurationError, match=r"the package onnxscript.*pip install 'barcodemae\[onnx\]'"):
        export_onnx(checkpoint, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_file_instead_of_folder(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: name)
    (tmp_path / "out").write_text("")
    with pytest.raises(ConfigurationError, match="out: expected a folder, got a file"):
        export_onnx(checkpoint, tmp_path / "out")


def test_folder_of_another_checkpoint_is_refused(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: name)
    (tmp_path / "model.safetensors").write_text("another's")
    with pytest.raises(
        ConfigurationError, match=r"expected a new folder or another one, as this one has a model\.safetensors"
    ):
        export_onnx(checkpoint, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


def test_missing_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: name)
    with pytest.raises(CheckpointError, match="expected a folder, ORG/NAME"):
        export_onnx(tmp_path / "gone", tmp_path / "out")
    assert not (tmp_path / "out").exists()
