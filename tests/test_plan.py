"""`--dry-run` measures real steps and leaves no files."""

import pytest
import torch
import yaml
from accelerate import Accelerator

from barcodemae.training.arguments import DataArguments, LoopArguments
from barcodemae.training.dataset import load_training_data
from barcodemae.training.objectives import MaskedReconstruction
from barcodemae.training.plan import Costs, describe_plan, measure_costs
from helpers.small_files import write_first_rows
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEForPreTraining
from tokenization_barcodemae import KmerEncoder, ReferenceFrame


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return BarcodeMAEForPreTraining(BarcodeMAEConfig(k=4, **size))


@pytest.fixture(scope="module")
def small_file(sample, tmp_path_factory):
    return str(write_first_rows(sample, tmp_path_factory.mktemp("data") / "small.tsv", pretrain=100, val=20))


@pytest.fixture(scope="module")
def data(small_file):
    return load_training_data(DataArguments(data=[small_file]), ReferenceFrame.coi(), KmerEncoder(4), seed=0)


def options(folder, **others):
    return LoopArguments(**({"output_dir": str(folder), "batch_size": 16, "epochs": 10, "eval_every": 30} | others))


def test_costs_are_measured_and_nothing_is_written(model, data, tmp_path):
    args = options(tmp_path / "run")
    before = [parameter.detach().clone() for parameter in model.parameters()]
    costs = measure_costs(Accelerator(cpu=True), model, MaskedReconstruction(0, 0.5), *data, args)
    assert costs.step_seconds > 0
    assert costs.validation_seconds > 0
    weights = 4 * model.num_parameters()
    # Weights and the two moments of AdamW for each, all in the memory of this process.
    assert costs.state_bytes > 3 * weights
    assert costs.peak_bytes > costs.state_bytes
    assert list(tmp_path.iterdir()) == []
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))


def test_without_validation_records_validation_costs_nothing(model, small_file, tmp_path):
    training, nothing = load_training_data(
        DataArguments(data=[small_file], val_split="nowhere"), None, KmerEncoder(4), seed=0
    )
    assert len(nothing) == 0
    objective = MaskedReconstruction(0, 0.5)
    costs = measure_costs(Accelerator(cpu=True), model, objective, training, nothing, options(tmp_path))
    assert costs.validation_seconds == 0


def test_text(model, data, tmp_path):
    training, validation = data
    # 100 records in steps of 16 are 7 steps per epoch, so 70; validated after 30, 60 and 70. 70 * 100 s + 3 * 200 s.
    costs = Costs(step_seconds=100, validation_seconds=200, peak_bytes=3 * 2**29, state_bytes=5 * 2**20)
    settings = {"size": "tiny", "data": ["one.tsv", "two.tsv"], "decoder_layers": None}
    text = describe_plan(settings, options(tmp_path), Accelerator(cpu=True), model, training, validation, costs)
    head, _, rest = text.partition("\n\n")
    assert yaml.safe_load(head) == settings
    for line in (
        f"- {training.report}",
        "- training: 100 records; validation: 20",
        f"- parameters: {model.num_parameters():,}, of which {model.bert.num_parameters():,} in the encoder",
        "- steps: 70 of 16 records, 7 per epoch; validations: 3",
        "- step: 100.000 s, 0.2 barcodes/s",
        "- validation: 200.0 s",
        "- peak memory per process: 1.50 GiB",
        "- saved state: 5 MiB on disk; the last 2 are retained",
        "- estimated duration of the complete run: 2:06:40",
    ):
        assert line in rest.splitlines()
