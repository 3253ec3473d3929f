"""The checkpoints that come with the package, and the tools that write them."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from transformers import AutoModel

from barcodemae import BarcodeEmbedder, checkpoints
from barcodemae.checkpoints import DEFAULT, MANIFEST_FILE, shipped_checkpoints, shipped_folder
from barcodemae.checkpoints.files import FRAME_FILE, WEIGHTS_FILE, weights_sha256
from barcodemae.checkpoints.loading import load_checkpoint
from barcodemae.cli.embed import embed
from barcodemae.embedding.engines import is_kmer_map
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.hub.card import render_card
from barcodemae.provenance import sha256
from helpers.small_files import write_first_rows
from helpers.tools import tool

ROOT = Path(__file__).parent.parent
REPOSITORY = "ORG/small"

NETWORKS = [name for name in shipped_checkpoints() if not is_kmer_map(name)]

each = pytest.mark.parametrize("name", shipped_checkpoints())


halving, shipping = tool("halve_checkpoint"), tool("ship_checkpoint")


def files_in(folder):
    return {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}


def precisions(folder):
    with safe_open(folder / WEIGHTS_FILE, "numpy") as weights:
        return {weights.get_slice(name).get_dtype() for name in weights.keys()}  # noqa: SIM118


# Shipped checkpoints


def test_default_is_shipped():
    assert DEFAULT in shipped_checkpoints()


def test_manifest_has_size_and_checksum_of_every_file():
    manifest = json.loads((shipped_folder(DEFAULT).parent / MANIFEST_FILE).read_text())
    assert sorted(manifest) == shipped_checkpoints()
    for name, recorded in manifest.items():
        found = files_in(shipped_folder(name))
        assert {
            file: {"bytes": path.stat().st_size, "sha256": sha256(path)} for file, path in found.items()
        } == recorded


def test_weights_are_in_half_precision_and_small():
    assert {precision for name in NETWORKS for precision in precisions(shipped_folder(name))} == {"F16"}
    weights = [file for name in shipped_checkpoints() for file in shipped_folder(name).glob("*.safetensors")]
    assert sum(file.stat().st_size for file in weights) <= 24 * 2**20


@each
@pytest.mark.parametrize("pattern", ["**/*.json", "*.jsonl"])
def test_no_file_contains_an_absolute_path(name, pattern):
    for file in shipped_folder(name).glob(pattern):
        assert not re.search(r'"/\w', file.read_text(encoding="utf-8")), file


@each
def test_weights_are_found_by_name(name):
    assert weights_sha256(name) == sha256(shipped_folder(name) / WEIGHTS_FILE)


@pytest.fixture(scope="module")
def relatives(sample):
    """For each of 100 genera, a barcode of a species of the training split and one of an unseen species: two tables."""
    named = sample.to_pandas().query("genus != ''")
    references, queries = (
        named[named["split"] == split].drop_duplicates("genus") for split in ("train", "test_unseen")
    )
    genera = sorted(set(references["genus"]) & set(queries["genus"]))[:100]
    return [table[table["genus"].isin(genera)] for table in (references, queries)]


@pytest.mark.parametrize("name", NETWORKS)
def test_genus_accuracy_is_far_above_chance(name, relatives):
    embedder = BarcodeEmbedder.from_pretrained(name)
    assert embedder.frame is not None
    found, expected = (table["genus"].to_numpy() for table in relatives)

    def accuracy(one):
        references, queries = (
            one.encode(table["nucleotides"].tolist(), normalize_embeddings=True) for table in relatives
        )
        assert references.shape == queries.shape == (100, one.dimension)
        return (found[(queries @ references.T).argmax(axis=1)] == expected).mean()

    # Chance is 1 in 100, but on the frame random weights find far more than that.
    assert accuracy(embedder) > max(0.1, accuracy(BarcodeEmbedder.untrained_like(embedder)))


@pytest.fixture
def tried(monkeypatch):
    """Attempts to use the network, which fail."""
    attempts = []

    def refuse(*arguments, **options):
        attempts.append(arguments)
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return attempts


def test_default_needs_no_network(tried, full_length_barcodes):
    embedder = BarcodeEmbedder.from_pretrained(dtype=torch.float32)
    named = BarcodeEmbedder.from_pretrained(DEFAULT, dtype=torch.float32)
    found, expected = (one.encode(full_length_barcodes[:4]) for one in (embedder, named))
    np.testing.assert_array_equal(found, expected)
    assert not tried


# Names


@pytest.fixture
def shipped_root(tmp_path, monkeypatch):
    """An empty folder of shipped checkpoints."""
    folder = tmp_path / "shipped_root"
    folder.mkdir()
    monkeypatch.setattr(checkpoints, "_FOLDER", folder)
    return folder


@pytest.fixture
def shipped(checkpoint, shipped_root):
    """A folder of two shipped checkpoints with k = 4, one of them the default."""
    for name in (DEFAULT, "another"):
        shutil.copytree(checkpoint, shipped_root / name)
    return shipped_root


def test_folders_with_checkpoints_are_names(shipped):
    (shipped / "__pycache__").mkdir()
    assert shipped_checkpoints() == ["another", DEFAULT]
    assert shipped_folder("another") == shipped / "another"


@pytest.mark.parametrize("load", [shipped_folder, load_checkpoint, BarcodeEmbedder.from_pretrained])
def test_unknown_name_is_an_error_with_the_known_names(load, shipped, tried):
    with pytest.raises(
        CheckpointError, match=rf"^nano: expected .* that comes with the package \(another, {DEFAULT}\)$"
    ):
        load("nano")
    assert not tried


def test_default_is_an_error_if_nothing_is_shipped(shipped_root):
    with pytest.raises(CheckpointError, match=rf"^{DEFAULT}: expected .* package \(there is none\)$"):
        BarcodeEmbedder.from_pretrained()


def test_folder_has_precedence_over_a_shipped_name(shipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert weights_sha256(DEFAULT) == sha256(shipped / DEFAULT / WEIGHTS_FILE)
    copy = shutil.copytree(shipped / DEFAULT, tmp_path / DEFAULT)
    (copy / FRAME_FILE).unlink()
    with pytest.raises(CheckpointError, match="expected the reference frame that it was trained with, found none"):
        BarcodeEmbedder.from_pretrained(DEFAULT)
    assert BarcodeEmbedder.from_pretrained().frame is not None
    (copy / WEIGHTS_FILE).unlink()
    with pytest.raises(CheckpointError, match="found none"):
        weights_sha256(DEFAULT)


@pytest.mark.parametrize("model", [[], ["--model", "another"]])
def test_command_embeds_with_a_shipped_checkpoint(model, shipped, sample, tmp_path, tried):
    data = write_first_rows(sample, tmp_path / "few.tsv", train=3)
    embed(["--data", str(data), "--output", str(tmp_path / "few.npy"), *model])
    assert np.load(tmp_path / "few.npy").shape == (3, 32)
    assert not tried


# The tools


@pytest.fixture(scope="module")
def halved(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("halved") / "run"
    halving.halve(checkpoint, folder)
    return folder


@pytest.fixture
def run(halved, tmp_path):
    """The halved checkpoint with the files of training and evaluation."""
    folder = shutil.copytree(halved, tmp_path / "run")
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 8.3, "epoch": 0.1, "barcodes_per_second": 40}\n')
    (folder / "run.yaml").write_text("data: [/home/someone/barcodes.parquet]\n")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"onnx")
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "accuracy.png").write_bytes(b"plot")
    (folder / "evaluation" / "report.md").write_text("![accuracy](accuracy.png)")
    return folder


def test_the_encoder_alone_embeds_alike(checkpoint, tmp_path, full_length_barcodes):
    halving.halve(checkpoint, tmp_path / "all")
    halving.halve(checkpoint, tmp_path / "encoder", encoder_only=True)
    names = load_file(tmp_path / "encoder" / WEIGHTS_FILE).keys()
    assert names == {name for name in load_file(tmp_path / "all" / WEIGHTS_FILE) if name.startswith("bert.")}
    found, expected = (
        BarcodeEmbedder.from_pretrained(tmp_path / name).encode(full_length_barcodes[:4]) for name in ("encoder", "all")
    )
    np.testing.assert_array_equal(found, expected)


def test_halved_weights_are_rounded(checkpoint, halved):
    full, half = load_file(checkpoint / WEIGHTS_FILE), load_file(halved / WEIGHTS_FILE)
    assert full.keys() == half.keys()
    for name, values in full.items():
        assert half[name].dtype == np.float16
        np.testing.assert_array_equal(half[name], values.astype(np.float16))
    others = files_in(checkpoint).keys() - {WEIGHTS_FILE}
    assert files_in(halved).keys() - {WEIGHTS_FILE} == others
    assert all((halved / name).read_bytes() == (checkpoint / name).read_bytes() for name in others)


def test_halved_weights_load_as_float32(halved):
    assert load_checkpoint(halved).model.dtype == torch.float32
    assert AutoModel.from_pretrained(halved, trust_remote_code=False).dtype == torch.float32


def test_files_made_from_full_weights_are_not_copied(run, tmp_path):
    halving.halve(run, tmp_path / "again")
    assert files_in(run).keys() - files_in(tmp_path / "again").keys() == {
        "evaluation/accuracy.png",
        "evaluation/report.md",
        "onnx/model.onnx",
        "run.yaml",
    }


def test_weight_too_large_for_half_precision_is_refused(run, tmp_path):
    weights = {name: values.astype(np.float32) for name, values in load_file(run / WEIGHTS_FILE).items()}
    weights["bert.embeddings.word_embeddings.weight"][2, 1] = 70_000
    save_file(weights, run / WEIGHTS_FILE, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"^bert\.embeddings\.word_embeddings\.weight: .* got 7e\+04$"):
        halving.halve(run, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_halving_needs_an_empty_folder_outside_of_the_checkpoint(run, tmp_path):
    with pytest.raises(ConfigurationError, match="expected an empty folder"):
        halving.halve(run, run / "evaluation")
    with pytest.raises(ConfigurationError, match="expected a folder outside of"):
        halving.halve(run, run / "halved")
    with pytest.raises(CheckpointError, match="expected the folder of a checkpoint"):
        halving.halve(tmp_path / "gone", tmp_path / "again")


def test_shipping_copies_all_but_code_and_plots(run, shipped_root):
    shipping.ship(run, "small", REPOSITORY)
    left_out = {"run.yaml", "onnx/model.onnx", "evaluation/report.md"}
    copied = {name for name in files_in(run) if not name.endswith(".py")} - left_out
    found = files_in(shipped_root / "small")
    references = {
        "configuration_barcodemae.py": "modeling_barcodemae",
        "modeling_barcodemae.py": "modeling_barcodemae",
        "barcode_tokenizer.py": "tokenization_barcodemae",
    }
    assert found.keys() == copied | references.keys() | {"README.md"}
    for name, package in references.items():
        assert f"import {package}" in found[name].read_text()
    assert all(found[name].read_bytes() == (run / name).read_bytes() for name in copied)
    assert files_in(shipped_root).keys() == {f"small/{name}" for name in found} | {MANIFEST_FILE}
    assert found["README.md"].read_text() == render_card(shipped_root / "small", REPOSITORY)
    assert "onnx" not in found["README.md"].read_text()


def test_shipped_checkpoint_equals_its_run(run, shipped_root, full_length_barcodes):
    shipping.ship(run, "small", REPOSITORY)
    assert weights_sha256("small") == weights_sha256(run)
    found, expected = (
        BarcodeEmbedder.from_pretrained(name, dtype=torch.float32).encode(full_length_barcodes[:4])
        for name in ("small", run)
    )
    np.testing.assert_array_equal(found, expected)


def test_shipping_again_replaces_one_checkpoint_only(run, shipped_root):
    for name in ("one", "two"):
        shipping.ship(run, name, REPOSITORY)
    before = json.loads((shipped_root / MANIFEST_FILE).read_text())
    assert before["one"][WEIGHTS_FILE] == {"bytes": (run / WEIGHTS_FILE).stat().st_size, "sha256": weights_sha256(run)}
    (run / "metrics.jsonl").unlink()
    shipping.ship(run, "one", REPOSITORY)
    manifest = json.loads((shipped_root / MANIFEST_FILE).read_text())
    assert before["one"].keys() - manifest["one"].keys() == {"metrics.jsonl"}
    assert manifest["two"] == before["two"]
    assert files_in(shipped_root / "one").keys() == manifest["one"].keys()


def refused(message, run, shipped_root, error=CheckpointError, name="small"):
    before = {name: file.read_bytes() for name, file in files_in(shipped_root).items()}
    with pytest.raises(error, match=message):
        shipping.ship(run, name, REPOSITORY)
    assert {name: file.read_bytes() for name, file in files_in(shipped_root).items()} == before


def test_weights_in_full_precision_are_refused(checkpoint, shipped):
    refused("expected weights in half precision, got others", checkpoint, shipped)


def test_results_of_the_full_weights_are_refused(checkpoint, run, shipped):
    results = {"provenance": {"weights_sha256": weights_sha256(checkpoint)}}
    (run / "evaluation" / "results.json").write_text(json.dumps(results))
    refused("made from other weights", run, shipped)


def test_name_that_is_a_path_is_refused(run, shipped):
    refused("expected a name of letters", run, shipped, ConfigurationError, "../small")


def test_total_size_of_weights_is_limited(run, shipped_root, monkeypatch):
    one = sum(file.stat().st_size for file in run.glob("*.safetensors"))
    monkeypatch.setattr(shipping, "MAX_BYTES", 2 * one)
    for name in ("one", "two", "two"):
        shipping.ship(run, name, REPOSITORY)
    refused("expected at most .* MiB of weights", run, shipped_root, ConfigurationError, "three")


# From an installed wheel


SCRIPT = """
import socket
import sys
from pathlib import Path

tried = []

def refuse(*arguments, **options):
    tried.append(arguments)
    raise OSError("no network")

socket.getaddrinfo = socket.socket.connect = refuse

import numpy as np
import torch

from barcodemae import BarcodeEmbedder

folder, output, *barcodes = sys.argv[1:]
np.save(output, BarcodeEmbedder.from_pretrained(dtype=torch.float32).encode(barcodes))
ours = ("barcodemae", "modeling_barcodemae", "tokenization_barcodemae")
modules = [module for name, module in sys.modules.items() if name.split(".")[0] in ours]
assert modules and all(Path(module.__file__).is_relative_to(folder) for module in modules)
assert not tried, tried
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Folder of an unpacked wheel outside of the checkout."""
    source, wheels, folder = (tmp_path_factory.mktemp(name) for name in ("source", "wheels", "installed"))
    # Built from a copy: setuptools writes next to the source, and uses the remains of earlier builds.
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, source / name)
    for name in ("barcodemae", "modeling_barcodemae", "tokenization", "model_cards"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([*build, str(wheels), str(source)], check=True)
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def fresh(installed, tmp_path):
    """Run Python with the wheel as the installed package, an empty HF_HOME and an empty working directory."""
    (tmp_path / "work").mkdir()
    others = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    environment = others | {"PYTHONPATH": str(installed), "HF_HOME": str(tmp_path / "home")}

    def run_python(*arguments, **more):
        command = [sys.executable, *map(str, arguments)]
        options = {"capture_output": True, "text": True, "check": False, "cwd": tmp_path / "work"}
        return subprocess.run(command, env=environment | more, **options)

    return run_python


@pytest.mark.slow
def test_wheel_contains_every_shipped_file(installed):
    shipped_root = shipped_folder(DEFAULT).parent
    expected = {name: file.read_bytes() for name, file in files_in(shipped_root).items() if "__pycache__" not in name}
    found = {name: file.read_bytes() for name, file in files_in(installed / "barcodemae" / "checkpoints").items()}
    assert found == expected


@pytest.mark.slow
def test_installed_wheel_embeds_the_sample_offline(fresh, sample, tmp_path):
    command = ("-m", "barcodemae", "embed", "--data", "sample", "--output", "x.npy")
    done = fresh(*command, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    vectors = np.load(tmp_path / "work" / "x.npy")
    assert vectors.shape == (len(sample), BarcodeEmbedder.from_pretrained().dimension)
    assert np.isfinite(vectors).all()


@pytest.mark.slow
@pytest.mark.parametrize("offline", [{}, {"HF_HUB_OFFLINE": "1"}])
def test_installed_wheel_has_the_default_and_uses_no_network(offline, fresh, installed, full_length_barcodes, tmp_path):
    output, barcodes = tmp_path / "vectors.npy", full_length_barcodes[:3]
    done = fresh("-c", SCRIPT, installed, output, *barcodes, **offline)
    assert done.returncode == 0, done.stderr
    expected = BarcodeEmbedder.from_pretrained(dtype=torch.float32).encode(barcodes)
    np.testing.assert_allclose(np.load(output), expected, rtol=0, atol=1e-5)
