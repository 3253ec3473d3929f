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
from barcodemae.training.taxon_targets import HierarchicalSmoothing, class_weights
from modeling_barcodemae import BarcodeMAEModel
from modeling_barcodemae.losses_barcodemae import log_odds, rank_cross_entropy
from tokenization_barcodemae import KmerEncoder, ReferenceFrame


class Scores(torch.nn.Module):
    """A model that returns the given scores."""

    def __init__(self, scores):
        super().__init__()
        self.scores = torch.tensor(scores)

    def forward(self, labels):
        loss = rank_cross_entropy(self.scores, labels, [2, 3])
        return type("Output", (), {"logits": self.scores, "loss": loss})


class BarcodeScores(torch.nn.Module):
    """A model of genera and species that gives log-odds of the given scores, as a classifier of ranks does."""

    def __init__(self, scores):
        super().__init__()
        self.scores = torch.tensor(scores)

    def forward(self, labels):
        loss = rank_cross_entropy(self.scores, labels, [2, 3])
        logits = torch.cat([log_odds(part) for part in self.scores.split([2, 3], dim=1)], dim=1)
        return type("Output", (), {"logits": logits, "loss": loss})


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


class TestSoftTargets:
    # Genera 0 and 1, species 0 and 1 of genus 0, 2 of genus 1; genus 0 has three records of species 0 and one of 1.
    TAXA = np.array([[0, 0], [0, 0], [0, 0], [0, 1], [1, 2], [1, -1], [-1, 2]])

    def smoothing(self, uniform, by_rank, ranks=("genus", "species"), taxa=TAXA):
        counts = [int(column.max()) + 1 for column in taxa.T]
        return HierarchicalSmoothing.from_taxa(ranks, counts, taxa, uniform, by_rank)

    def test_targets_by_hand(self):
        found = self.smoothing(0.1, 0.2)(np.array([[0, 1], [1, 2], [-1, 2], [1, -1]]))
        expected = [
            # Of 0.2, the species of genus 0 get 3/4 and 1/4; the species itself has 0.7 without it.
            [0.9, 0.1, 0.05 + 0.15, 0.7 + 0.05, 0.05],
            [0.1, 0.9, 0.05, 0.05, 0.7 + 0.2],
            [0, 0, 0.05, 0.05, 0.9],
            [0.1, 0.9, 0, 0, 0],
        ]
        np.testing.assert_allclose(found, expected, atol=1e-6)

    def test_order_of_ranks_does_not_matter(self):
        swapped = self.smoothing(0.1, 0.2, ("species", "genus"), self.TAXA[:, ::-1])
        found = swapped(np.array([[1, 0]]))
        np.testing.assert_allclose(found, [[0.2, 0.75, 0.05, 0.9, 0.1]], atol=1e-6)

    def test_every_higher_rank_gives_a_part(self):
        taxa = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]])
        found = self.smoothing(0, 0.1, ("family", "genus", "species"), taxa)(taxa[:1])
        expected = [[1, 0], [0.9 + 0.1 * 2 / 3, 0.1 / 3, 0], [0.8 + 0.1 / 3 + 0.05, 0.1 / 3 + 0.05, 0.1 / 3, 0]]
        np.testing.assert_allclose(found, [np.concatenate(expected)], atol=1e-6)

    def test_class_weights_by_hand(self):
        # Three records of the first and one of the second taxon: equal weights of taxa are 1/3 and 1, scaled by 4/2.
        taxa = np.array([0, 0, 0, 1, -1])
        np.testing.assert_allclose(class_weights(taxa, 2, 1), [2 / 3, 2])
        np.testing.assert_allclose(class_weights(taxa, 2, 0), [1, 1])
        halfway = class_weights(taxa, 2, 0.5)
        assert halfway[1] / halfway[0] == pytest.approx(3**0.5, rel=1e-5)
        assert 3 * halfway[0] + halfway[1] == pytest.approx(4, rel=1e-6)

    @staticmethod
    def loss_of(objective, scores, records):
        model = BarcodeScores(scores)
        batch = objective.arrays({}, records, 0)
        return objective.sums(model, {name: torch.from_numpy(values) for name, values in batch.items()})

    def test_loss_by_hand(self):
        scores = np.array([[2.0, 1, 0, 0, 5], [0, 3, 1, 0, 0]], np.float32)
        names = {"genus": ["Aus", "Bus"], "species": ["Aus a", "Aus b", "Bus a"]}
        weights = [np.array([0.5, 2], np.float32), np.array([1, 1, 3], np.float32)]
        objective = Classification(names, self.TAXA, self.TAXA, self.smoothing(0.1, 0.2), weights)
        records = np.array([3, 5])
        found = self.loss_of(objective, scores, records)
        log_p = [np.log(np.exp(part) / np.exp(part).sum(1, keepdims=True)) for part in np.split(scores, [2], axis=1)]
        first = 0.5 * ([0.9, 0.1] @ log_p[0][0]) + 1 * (np.array([0.2, 0.75, 0.05]) @ log_p[1][0])
        second = 2 * ([0.1, 0.9] @ log_p[0][1])
        assert float(found["loss"]) == pytest.approx(-first - second, rel=1e-5)
        assert int(found["count"]) == 3
        assert int(found["accuracy"]) == 2

    def test_weights_of_one_give_the_plain_loss(self):
        scores = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
        names = {"genus": ["Aus", "Bus"], "species": ["Aus a", "Aus b", "Bus a"]}
        plain = Classification(names, self.TAXA, self.TAXA)
        weighted = Classification(names, self.TAXA, self.TAXA, None, [np.ones(2, np.float32), np.ones(3, np.float32)])
        rows = np.arange(7)
        expected, found = (self.loss_of(one, scores, rows) for one in (plain, weighted))
        assert float(found["loss"]) == pytest.approx(float(expected["loss"]), rel=1e-5)
        assert set(weighted.arrays({}, rows, -1)) == {"taxa"}

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"label_smoothing": 0.1}, "--label-smoothing 0.1: expected --objective classification, got mae"),
            ({"objective": "classification", "class_weighting": 2.0}, "--class-weighting 2.0: expected 0 to 1"),
            (
                {
                    "objective": "classification",
                    "label_smoothing": 0.2,
                    "rank_smoothing": 0.4,
                    "ranks": ["a", "b", "c"],
                },
                "got 1 for others at the lowest of 3 ranks",
            ),
        ],
    )
    def test_refused_options(self, options, expected):
        with pytest.raises(ConfigurationError, match=expected):
            ModelArguments(**options)

    def test_training_with_all_of_them(self, checkpoint, tmp_path):
        model = ModelArguments(
            objective="classification",
            init_from=str(checkpoint),
            ranks=["order", "genus", "species"],
            label_smoothing=0.02,
            rank_smoothing=0.05,
            class_weighting=0.5,
        )
        loop = LoopArguments(output_dir=str(tmp_path / "run"), epochs=1, batch_size=64, log_every=5, report_to="none")
        folder = pretrain(model, DataArguments(train_splits=["train"]), loop)
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        losses = [line["loss"] for line in lines if "loss" in line]
        assert np.isfinite(losses).all()
        assert losses[-1] < losses[0]


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
