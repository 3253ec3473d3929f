"""One saved folder and two ways to load it, and the registration of the classes."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    BertModel,
)

from helpers.barred_imports import BARRED
from modeling_barcodemae import (
    BarcodeMAEConfig,
    BarcodeMAEForMaskedLM,
    BarcodeMAEForPreTraining,
    BarcodeMAEForSequenceClassification,
    BarcodeMAEForTokenClassification,
    BarcodeMAEModel,
)
from tokenization_barcodemae import build_kmer_tokenizer

AUTO_CLASSES = {
    AutoModel: BarcodeMAEModel,
    AutoModelForPreTraining: BarcodeMAEForPreTraining,
    AutoModelForMaskedLM: BarcodeMAEForMaskedLM,
    AutoModelForSequenceClassification: BarcodeMAEForSequenceClassification,
    AutoModelForTokenClassification: BarcodeMAEForTokenClassification,
}


@pytest.fixture
def config():
    return BarcodeMAEConfig(k=2, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)


@pytest.fixture
def folder(config, tmp_path):
    torch.manual_seed(0)
    BarcodeMAEForPreTraining(config).save_pretrained(tmp_path)
    build_kmer_tokenizer(config.k).save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("auto_class", "model_class"), AUTO_CLASSES.items())
def test_auto_classes_know_the_configuration(auto_class, model_class, config):
    assert type(auto_class.from_config(config)) is model_class


def test_registered_as_barcodemae_and_written_as_bert(config, folder):
    assert isinstance(AutoConfig.for_model("barcodemae", k=2), BarcodeMAEConfig)
    saved = json.loads((folder / "config.json").read_text())
    assert saved["model_type"] == "bert"
    assert set(saved["auto_map"]) == {"AutoConfig", *(auto_class.__name__ for auto_class in AUTO_CLASSES)}
    assert BarcodeMAEConfig.from_pretrained(folder).to_diff_dict() == saved
    # Registration does not change how other BERT models load.
    assert type(AutoConfig.from_pretrained(folder)) is BertConfig
    assert type(AutoModel.from_config(BertConfig(num_hidden_layers=1))) is BertModel


@pytest.mark.parametrize("model_class", AUTO_CLASSES.values())
def test_every_checkpoint_contains_the_complete_auto_map_and_its_code(model_class, config, tmp_path):
    model_class(config).save_pretrained(tmp_path)
    files = {file.name for file in tmp_path.iterdir()}
    assert files >= {"configuration_barcodemae.py", "masking_barcodemae.py", "modeling_barcodemae.py"}
    for auto_class, expected in AUTO_CLASSES.items():
        loaded = auto_class.from_pretrained(tmp_path, trust_remote_code=True)
        assert type(loaded).__name__ == expected.__name__


def test_folder_saved_again_from_remote_code_is_equal(folder, tmp_path):
    remote = AutoModelForPreTraining.from_pretrained(folder, trust_remote_code=True)
    again = tmp_path / "again"
    remote.save_pretrained(again)
    assert json.loads((again / "config.json").read_text()) == json.loads((folder / "config.json").read_text())
    assert type(AutoModel.from_pretrained(again, trust_remote_code=True)).__name__ == "BarcodeMAEModel"


FRESH_PROCESS = """
import torch
from transformers import AutoModel, AutoTokenizer, pipeline

folder = sys.argv[1]
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
batch = tokenizer(["ACGTACGTAC", "TTGGCC"], padding=True, return_tensors="pt")
ours = AutoModel.from_pretrained(folder, trust_remote_code=True)
bert = AutoModel.from_pretrained(folder, trust_remote_code=False)
assert (type(ours).__name__, type(bert).__name__) == ("BarcodeMAEModel", "BertModel")
with torch.no_grad():
    known = batch["attention_mask"].bool()
    assert torch.equal(ours(**batch).last_hidden_state[known], bert(**batch).last_hidden_state[known])
    print(ours(**batch).pooler_output.sum().item())
fill = pipeline("fill-mask", model=folder, trust_remote_code=True)
guesses = fill("ACGT[MASK]ACGT", top_k=16)
assert len({guess["token_str"] for guess in guesses}) == 16
assert abs(sum(guess["score"] for guess in guesses) - 1) < 1e-5
features = pipeline("feature-extraction", model=folder, trust_remote_code=True)("ACGTACGT", return_tensors=True)
assert features.shape == (1, 4, 16)
"""


def as_cached_from_the_hub(folder, home):
    """Copy a folder into the cache layout of the Hub client, which loaders treat differently."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = home / "hub" / "models--org--BarcodeMAE"
    shutil.copytree(folder, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    return "org/BarcodeMAE"


@pytest.mark.slow
@pytest.mark.parametrize("source", ["folder", "hub"])
def test_process_without_our_packages_loads_all_of_it(source, folder, tmp_path_factory):
    """Imports of our packages are barred, so that only the code in the checkpoint is used."""
    home = tmp_path_factory.mktemp("home")
    name = as_cached_from_the_hub(folder, home) if source == "hub" else str(folder)
    script = home / "load.py"
    script.write_text(BARRED + FRESH_PROCESS)
    done = subprocess.run(
        [sys.executable, str(script), name],
        cwd=home,
        env=os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ours = BarcodeMAEModel.from_pretrained(folder).eval()
    batch = build_kmer_tokenizer(2)(["ACGTACGTAC", "TTGGCC"], padding=True, return_tensors="pt")
    assert float(done.stdout) == pytest.approx(ours(**batch).pooler_output.sum().item(), abs=1e-6)
