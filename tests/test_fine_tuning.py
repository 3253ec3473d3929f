"""Classification as an objective of the one loop: its sums by hand, and the way from a checkpoint to names."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from barcodemae.data import read_records, sample_path
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.evaluation.benchmark import build_benchmark
from barcodemae.evaluation.tasks.fine_tuning import classify, fine_tune, fine_tuning_scores
from barcodemae.training.arguments import DataArguments, LoopArguments, ModelArguments
from barcodemae.training.dataset import load_training_data
from barcodemae.training.model import build_model, choose_start
from barcodemae.training.objectives import Classification
from barcodemae.training.pretrain import pretrain
from modeling_barcodemae import BarcodeMAEModel
from modeling_barcodemae.losses_barcodemae import rank_cross_entropy
from tokenization_barcodemae import KmerEncoder, ReferenceFrame


class Scores(torch.nn.Module):
    """A model that returns the given scores."""

    def __init__(self, scores):
        super().__init__()
        self.scores = torch.tensor(scores)

    def forward(self, labels):
        loss = rank_cross_entropy(self.scores, labels, [2, 3])
        return type("Output", (), {"logits": self.scores, "loss": loss})


def test_sums_by_hand():
    objective = Classification({"genus": ["Aus", "Bus"], "species": ["Aus a", "Aus b", "Bus a"]}, None, None)
    zero = np.zeros(2), np.zeros(3)
    scores = np.array([[2.0, 1, 0, 0, 5], [0, 3, 1, 0, 0], [9, 0, *zero[1]]], np.float32).tolist()
    taxa = torch.tensor([[0, 2], [0, -1], [-1, -1]])
    sums = objective.sums(Scores(scores), {"taxa": taxa})
    # Known: genus and species of the first barcode, genus of the second; the second is wrong.
    assert (int(sums["count"]), int(sums["accuracy"])) == (3, 2)
    expected = (
        np.log(1 + np.exp(-1.0))
        + np.log(np.exp([0, 0, 5.0]).sum()) - 5
        + np.log(1 + np.exp(3.0))
    )  # fmt: skip
    assert float(sums["loss"]) == pytest.approx(expected, rel=1e-5)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    args = DataArguments(train_splits=["train"], cache_dir=str(tmp_path_factory.mktemp("cache")))
    return load_training_data(args, ReferenceFrame.coi(), KmerEncoder(4), seed=0)


def test_taxa_are_those_of_training(stored):
    training, validation = stored
    objective = Classification.from_barcodes(["genus", "species"], training.barcodes, validation.barcodes)
    train = read_records(sample_path()).to_pandas()
    train = train[train.split == "train"]
    assert objective.names["genus"] == sorted(set(train.genus) - {""})
    assert objective.training.shape == (len(training), 2)
    assert objective.validation.max() < len(objective.names["species"])
    labels = objective.labels()
    assert labels[0] == f"g:{objective.names['genus'][0]}"
    assert labels[-1] == f"s:{objective.names['species'][-1]}"
    rows = np.array([3, 0])
    np.testing.assert_array_equal(objective.arrays({}, rows, 0)["taxa"], objective.training[rows])
    np.testing.assert_array_equal(objective.arrays({}, rows, -1)["taxa"], objective.validation[rows])


def test_bad_ranks_are_refused(stored):
    barcodes = stored[0].barcodes
    with pytest.raises(ConfigurationError, match=r"expected any of phylum, .*, got tribe"):
        Classification.from_barcodes(["tribe"], barcodes, barcodes)
    with pytest.raises(ConfigurationError, match="--ranks phylum: expected training records of two taxa"):
        Classification.from_barcodes(["phylum"], barcodes, barcodes)


def test_missing_checkpoint(tmp_path):
    model = ModelArguments(objective="classification", init_from=str(tmp_path / "nowhere"))
    with pytest.raises(CheckpointError, match="nowhere"):
        pretrain(model, DataArguments(), LoopArguments(output_dir=str(tmp_path / "run")))


@pytest.mark.parametrize(
    "others", [{"size": "small"}, {"k": 4}, {"tokenizer": "folder"}, {"backbone": "mamba2", "objective": "causal"}]
)
def test_options_that_the_checkpoint_determines_are_refused(others, checkpoint):
    with pytest.raises(ConfigurationError, match="not allowed with --init-from"):
        choose_start(ModelArguments(init_from=str(checkpoint), **others), DataArguments())


def test_step_without_any_name_is_not_a_failure(checkpoint, sample, tmp_path):
    """With a batch size of 1, the step of a record without a name has a count of 0."""
    table = sample.to_pandas()
    named = table[(table.split == "train") & (table.species != "")].head(6)
    nameless = table[(table.split == "pretrain") & (table.genus == "")].head(3)
    path = tmp_path / "few.tsv"
    rows = [(row.id, row.nucleotides, row.genus) for part in (named, nameless) for row in part.itertuples()]
    path.write_text("id\tnucleotides\tgenus\n" + "".join("\t".join(row) + "\n" for row in rows))
    model = ModelArguments(objective="classification", init_from=str(checkpoint), ranks=["genus"])
    loop = LoopArguments(output_dir=str(tmp_path / "run"), epochs=1, batch_size=1, log_every=1, report_to="none")
    folder = pretrain(model, DataArguments(data=[str(path)]), loop)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "skipped_steps" in line]
    assert len(steps) == 9
    assert sum("loss" in line for line in steps) == 6
    assert steps[-1]["skipped_steps"] == 0


def test_training_starts_with_the_encoder_of_the_checkpoint(checkpoint, tmp_path, stored):
    args = ModelArguments(objective="classification", init_from=str(checkpoint), dropout=0.0)
    start = choose_start(args, DataArguments())
    model, objective = build_model(start, args, *stored, seed=0)
    assert (start.encoder.k, start.config.hidden_size) == (4, 32)
    torch.testing.assert_close(model.bert.state_dict(), BarcodeMAEModel.from_pretrained(checkpoint).state_dict())
    assert model.config.num_labels == sum(map(len, objective.names.values()))


@pytest.mark.slow
def test_from_a_checkpoint_to_names(checkpoint, tmp_path):
    folder = fine_tune(str(checkpoint), str(sample_path()), tmp_path / "run", epochs=2)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0]
    origin = json.loads((folder / "training.json").read_text())
    assert origin["init_from"]["name"] == checkpoint.name
    assert "training" not in origin["init_from"]  # the checkpoint has no training.json
    assert str(checkpoint) not in (folder / "training.json").read_text()

    benchmark = build_benchmark(read_records(sample_path()))
    scores = fine_tuning_scores(folder, benchmark.train, benchmark.seen, benchmark.unseen)
    assert 0 <= scores["species_accuracy"] <= 1
    assert scores["unseen"]["n_answerable"] > 0
    barcodes = benchmark.seen["nucleotides"].to_pylist()[:5]
    names = classify(folder, [*barcodes, "NNNN"])
    assert set(names) == {"genus", "species"}
    assert set(names["species"][:5]) <= set(benchmark.train["species"].to_pylist())
    assert names["species"][5] == ""
    # The saved model also loads without this package.
    model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)
    assert model.config.id2label[0].startswith("g:")

    written = (folder / "model.safetensors").stat().st_mtime_ns
    fine_tune(str(checkpoint), str(sample_path()), folder, epochs=2)
    assert (folder / "model.safetensors").stat().st_mtime_ns == written  # a finished run is used as it is
