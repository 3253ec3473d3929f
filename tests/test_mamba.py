"""Mamba-2 as a causal model: its loss written out, padding, and a checkpoint that is plain `transformers`."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, Mamba2ForCausalLM, Mamba2Model

from barcodemae.errors import ConfigurationError
from barcodemae.training.arguments import DataArguments, ModelArguments
from barcodemae.training.mamba import CausalMamba2, mamba2_config
from barcodemae.training.model import choose_start
from helpers.small_files import write_first_rows
from tokenization_barcodemae import KmerEncoder

ROOT = Path(__file__).parent.parent
SIZE = {"hidden_size": 32, "num_hidden_layers": 2}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return CausalMamba2(mamba2_config(SIZE, KmerEncoder(3))).eval()


@pytest.fixture(scope="module")
def batch():
    ids = torch.randint(2, 66, (3, 10), generator=torch.Generator().manual_seed(1))
    attended = torch.arange(10)[None] < torch.tensor([[10], [7], [1]])
    return {"input_ids": ids.masked_fill(~attended, 66), "attention_mask": attended.long()}


def test_loss_equals_that_of_transformers(model, batch):
    plain = Mamba2ForCausalLM(model.config).eval()
    plain.load_state_dict(model.state_dict())
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    torch.testing.assert_close(model(**batch).loss, plain(**batch, labels=labels).loss)
    assert len(model(**batch).labels) == 9 + 6


def test_padding_does_not_change_the_loss(model, batch):
    alone = {name: values[1:2, :7] for name, values in batch.items()}
    torch.testing.assert_close(model(**alone).logits, model(**batch).logits[9:])


def test_it_requires_a_causal_objective_without_frame():
    for objective, frame in (("mae", "none"), ("causal", "coi")):
        with pytest.raises(ConfigurationError, match="expected --objective causal and --frame none"):
            choose_start(ModelArguments(backbone="mamba2", objective=objective), DataArguments(frame=frame))


@pytest.mark.slow
def test_trained_model_loads_with_plain_transformers(sample, tmp_path):
    data = write_first_rows(sample, tmp_path / "few.tsv", pretrain=20, val=5)
    words = ["--size", "micro", "--k", "3", "--objective", "causal", "--backbone", "mamba2", "--frame", "none"]
    words += ["--data", data, "--epochs", "0.1", "--batch-size", "4", "--report-to", "none", "--output-dir", tmp_path]
    done = subprocess.run(
        [sys.executable, "tests/helpers/micro_train.py", *map(str, words)], cwd=ROOT, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    assert isinstance(AutoModel.from_pretrained(tmp_path), Mamba2Model)
    assert isinstance(AutoModelForCausalLM.from_pretrained(tmp_path), Mamba2ForCausalLM)
    assert (
        AutoTokenizer.from_pretrained(tmp_path)("ACGACG")["input_ids"]
        == KmerEncoder(3)(["ACGACG"])["input_ids"][0].tolist()
    )
