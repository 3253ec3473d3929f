"""The files of a Hub repository, and those that are never published."""

import json
import shutil
from pathlib import Path

import pytest

from barcodemae.checkpoints.loading import save_checkpoint
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.hub.publication import assemble
from modeling_barcodemae import (
    BarcodeMAEConfig,
    BarcodeMAEForMaskedTokenPreTraining,
    BarcodeMAEForPreTraining,
    BarcodeMAEForSequenceClassification,
)
from tokenization_barcodemae import train_bpe_tokenizer

ALWAYS = {
    "1_Pooling/config.json",
    "README.md",
    "config.json",
    "config_sentence_transformers.json",
    "configuration_barcodemae.py",
    "handler.py",
    "masking_barcodemae.py",
    "model.safetensors",
    "modeling_barcodemae.py",
    "modules.json",
    "auxiliary_barcodemae.py",
    "companions_barcodemae.py",
    "losses_barcodemae.py",
    "pooled_decoder_barcodemae.py",
    "soft_targets_barcodemae.py",
    "tokens_barcodemae.py",
    "reference_frame.safetensors",
    "barcode_tokenizer.py",
    "indels.py",
    "reference_frame.py",
    "sequences.py",
    "requirements.txt",
    "sentence_bert_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
}


@pytest.fixture
def run(checkpoint, tmp_path):
    """The checkpoint in a folder as training leaves it."""
    folder = shutil.copytree(checkpoint, tmp_path / "run")
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 8.3, "epoch": 0.1, "barcodes_per_second": 40}\n')
    (folder / "run.yaml").write_text("data: [/home/someone/barcodes.parquet]\n")
    (folder / "state").mkdir()
    (folder / "state" / "last.pt").write_bytes(b"state")
    (folder / "tensorboard").mkdir()
    (folder / "tensorboard" / "events.out.tfevents.1.host").write_bytes(b"events")
    return folder


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    return folder


def names(folder):
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_published_and_unpublished_files(run, repository):
    (run / "onnx").mkdir()
    (run / "onnx" / "model.onnx").write_bytes(b"onnx")
    (run / "notes.txt").write_text("mine")
    assemble(run, "org/BarcodeMAE", repository)
    modules = {name for name in names(repository) if name.startswith("tokenization_barcodemae/")}
    tokenization = Path(__file__).parent.parent / "tokenization"
    assert modules == {f"tokenization_barcodemae/{file.name}" for file in tokenization.glob("*.py")}
    assert names(repository) - modules == ALWAYS | {"metrics.jsonl", "onnx/model.onnx"}
    for name in ("config.json", "model.safetensors", "metrics.jsonl"):
        assert (repository / name).read_bytes() == (run / name).read_bytes()


def test_requirements_are_the_imports_of_the_handler(run, repository):
    assemble(run, "org/BarcodeMAE", repository)
    requirements = (repository / "requirements.txt").read_text().splitlines()
    required = {line.partition(">=")[0] for line in requirements}
    assert required == {"transformers", "tokenizers", "safetensors", "numpy", "scipy", "pyarrow"}


@pytest.mark.parametrize(
    "name", ["modules.json", "1_Pooling/config.json", "model.safetensors", "reference_frame.safetensors"]
)
def test_incomplete_checkpoint_is_refused(run, repository, name):
    (run / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        assemble(run, "org/BarcodeMAE", repository)


def test_onnx_files_of_other_weights_are_refused(run, repository):
    (run / "onnx").mkdir()
    described = run / "onnx" / "export.json"
    described.write_text(json.dumps({"weights_sha256": "0" * 64}))
    with pytest.raises(CheckpointError, match=r"export\.json: made from other weights"):
        assemble(run, "org/BarcodeMAE", repository)


@pytest.mark.parametrize(
    ("secret", "found"),
    [
        ("{home}/data/barcodes.parquet", "home folder"),
        ("{checkpoint}/barcodes.parquet", "path of the checkpoint"),
        ("hf_abcdefghijklmnopqrstuvwxyzABCDEFGH", "looks like a Hub token"),
        ("{token}", "your Hub token"),
    ],
)
def test_tokens_and_paths_are_never_published(run, repository, monkeypatch, secret, found):
    monkeypatch.setenv("HF_TOKEN", "a-token-of-mine")
    monkeypatch.setenv("HOME", "/homes/jane")
    secret = secret.format(home="/homes/jane", checkpoint=run.parent, token="a-token-of-mine")
    line = {"step": 2, "loss": 8.1, "epoch": 0.2, "barcodes_per_second": 40, "note": secret}
    with (run / "metrics.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")
    with pytest.raises(ConfigurationError, match=f"metrics.jsonl: .*{found}"):
        assemble(run, "org/BarcodeMAE", repository)


@pytest.mark.parametrize("kind", ["mlm", "classification", "bpe"])
def test_other_kinds_of_models_are_refused(kind, repository, tmp_path, full_length_barcodes):
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    tokenizer = None
    if kind == "mlm":
        model = BarcodeMAEForMaskedTokenPreTraining(BarcodeMAEConfig(k=3, objective="mlm", **size))
    elif kind == "classification":
        model = BarcodeMAEForSequenceClassification(BarcodeMAEConfig(k=3, label_ranks={"genus": 2}, **size))
    else:
        tokenizer = train_bpe_tokenizer(full_length_barcodes[:20], 128)
        model = BarcodeMAEForPreTraining(BarcodeMAEConfig(k=1, vocab_size=128, **size))
    save_checkpoint(tmp_path / "other", model, None, tokenizer)
    with pytest.raises(CheckpointError, match="expected a masked autoencoder of k-mers"):
        assemble(tmp_path / "other", "org/name", repository)
    assert not any(repository.iterdir())
