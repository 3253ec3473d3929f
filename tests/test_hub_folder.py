"""Shipped checkpoints load by the Auto classes and sentence-transformers, in place and exported as Hub folders."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

from barcodemae import BarcodeEmbedder
from barcodemae.checkpoints import is_shipped, shipped_checkpoints, shipped_folder
from barcodemae.cli.export import export
from barcodemae.embedding.engines import is_kmer_map
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.hub.publication import write_hub_folder

# With "bar", none of the package's modules can be imported, as if it were not installed.
LOAD = """
import json, sys

folder, barcodes, bar = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3] == "bar"
if bar:
    for name in ("barcodemae", "modeling_barcodemae", "tokenization_barcodemae"):
        sys.modules[name] = None
from transformers import AutoModel, AutoTokenizer

model = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
vectors = [model(**tokenizer(barcodes, padding=True, return_tensors="pt")).pooler_output.tolist()]
try:
    from sentence_transformers import SentenceTransformer
except ImportError:
    pass
else:
    vectors.append(SentenceTransformer(folder, trust_remote_code=True, device="cpu").encode(barcodes).tolist())
print(json.dumps(vectors))
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written") / "mine"
    export([shipped_checkpoints()[0], str(folder), "--format", "hub"])
    return folder


def load_in_a_fresh_process(folder, barcodes, home, bar):
    environment = os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", LOAD, str(folder), json.dumps(barcodes), "bar" if bar else ""]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=home)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in shipped_checkpoints() if not is_kmer_map(name)])
def test_shipped_folder_loads(name, full_length_barcodes, tmp_path):
    barcodes = full_length_barcodes[:3]
    expected = BarcodeEmbedder.from_pretrained(name).encode(barcodes)
    for vectors in load_in_a_fresh_process(shipped_folder(name), barcodes, tmp_path, bar=False):
        np.testing.assert_allclose(vectors, expected, atol=1e-5)


@pytest.mark.slow
def test_exported_folder_loads_without_the_package(written, full_length_barcodes, tmp_path):
    barcodes = full_length_barcodes[:3]
    expected = BarcodeEmbedder.from_pretrained(shipped_checkpoints()[0]).encode(barcodes)
    for vectors in load_in_a_fresh_process(written, barcodes, tmp_path, bar=True):
        np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_model_of_a_shipped_folder_can_be_saved(full_length_barcodes, tmp_path):
    """The code itself is saved, not a reference to it."""
    name = shipped_checkpoints()[0]
    model = AutoModel.from_pretrained(shipped_folder(name), trust_remote_code=True)
    model.save_pretrained(tmp_path)
    code = (tmp_path / "modeling_barcodemae.py").read_text()
    assert "class BarcodeMAEModel(" in code
    batch = AutoTokenizer.from_pretrained(shipped_folder(name))(full_length_barcodes[:2], return_tensors="pt")
    again = AutoModel.from_pretrained(tmp_path, trust_remote_code=True)
    assert torch.equal(again(**batch).pooler_output, model(**batch).pooler_output)


def test_decoder_is_shipped():
    model, loading = AutoModelForMaskedLM.from_pretrained(
        shipped_folder(shipped_checkpoints()[0]), trust_remote_code=True, output_loading_info=True
    )
    assert type(model).__name__ == "BarcodeMAEForMaskedLM"
    assert not loading["missing_keys"]


def test_card_names_the_folder(written):
    assert "# mine" in (written / "README.md").read_text()
    assert "ORG/mine" in (written / "README.md").read_text()


def test_checkpoint_of_a_run_is_exported(checkpoint, tmp_path):
    write_hub_folder(checkpoint, tmp_path / "out", "somebody/else")
    assert "somebody/else" in (tmp_path / "out" / "README.md").read_text()
    assert (tmp_path / "out" / "handler.py").is_file()


def test_used_folder_is_not_overwritten(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(ConfigurationError, match="expected a new or an empty folder"):
            write_hub_folder(shipped_checkpoints()[0], path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_missing_checkpoint_leaves_no_folder(tmp_path):
    with pytest.raises(CheckpointError, match="expected the folder of a checkpoint"):
        write_hub_folder(tmp_path / "gone", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_is_shipped(checkpoint):
    assert all(is_shipped(shipped_folder(name)) for name in shipped_checkpoints())
    assert not is_shipped(checkpoint)
