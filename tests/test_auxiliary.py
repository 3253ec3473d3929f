"""Auxiliary objectives on taxa: losses by hand, gradients, warm-up, and what is refused."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import binary_cross_entropy_with_logits, cosine_similarity, softplus

from barcodemae.errors import ConfigurationError
from barcodemae.training.arguments import DataArguments, LoopArguments, ModelArguments
from barcodemae.training.dataset import load_training_data
from barcodemae.training.model import build_model, choose_start
from barcodemae.training.objectives import MaskedReconstruction
from barcodemae.training.pretrain import pretrain
from barcodemae.training.taxa import AuxiliaryTaxa
from helpers.small_files import write_named_rows
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEForPreTraining
from modeling_barcodemae.auxiliary_barcodemae import AUXILIARY_HEADS
from tokenization_barcodemae import KmerEncoder, ReferenceFrame

SMALL = {"hidden_size": 2, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 4}
OBJECTIVES = list(AUXILIARY_HEADS)


def build_head(name):
    torch.manual_seed(0)
    config = BarcodeMAEConfig(k=2, **SMALL, auxiliary_objective=name, num_auxiliary_taxa=3)
    return AUXILIARY_HEADS[name](config).eval()


def at_angles(*degrees):
    """Vectors of different lengths in the plane."""
    angles = torch.tensor(degrees).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=1) * torch.arange(1, len(degrees) + 1)[:, None]


class TestByHand:
    def test_cross_entropy(self):
        head = build_head("cross-entropy")
        with torch.no_grad():
            head.classifier.weight.zero_()
            head.classifier.bias.copy_(torch.tensor([2.0, 1.0, 1.0]).log())
        pooled = torch.randn(4, 2)
        assert head(pooled, torch.tensor([0, 1, -1, 2])).item() == pytest.approx((math.log(2) + 2 * math.log(4)) / 3)
        assert head(pooled, torch.full((4,), -1)).item() == 0

    def test_same_taxon_is_a_network_on_both_embeddings(self):
        head, pooled, taxa = build_head("same-taxon"), torch.randn(5, 2), [0, 0, 1, -1, 0]
        losses = {True: [], False: []}
        for i in range(5):
            for j in range(5):
                if i != j and min(taxa[i], taxa[j]) >= 0:
                    weight = torch.cat([head.first.weight, head.second.weight], dim=1)
                    hidden = (weight @ torch.cat([pooled[i], pooled[j]]) + head.first.bias).relu()
                    is_same = taxa[i] == taxa[j]
                    loss = binary_cross_entropy_with_logits(head.output(hidden)[0], torch.tensor(float(is_same)))
                    losses[is_same].append(loss.item())
        assert (len(losses[True]), len(losses[False])) == (6, 6)
        expected = (np.mean(losses[True]) + np.mean(losses[False])) / 2
        assert head(pooled, torch.tensor(taxa)).item() == pytest.approx(expected)

    def test_triplets_are_of_the_farthest_relative_and_the_nearest_other(self):
        # Taxa at 0, 10, 30 degrees; 40 and 90; and one alone at 100. A barcode without a name, at 5, has no part.
        taxa = torch.tensor([0, 0, 0, 1, 1, 2, -1])
        pooled = at_angles(0, 10, 30, 40, 90, 100, 5)
        loss = build_head("triplet")(pooled, taxa)
        # Angle to the farthest of its taxon and to the nearest of another, for each of the first five.
        angles = [(30, 40), (20, 30), (30, 10), (50, 10), (50, 10)]
        cosines = [[math.cos(math.radians(angle)) for angle in pair] for pair in angles]
        expected = [math.log1p(math.exp(other - relative)) for relative, other in cosines]
        assert loss.item() == pytest.approx(np.mean(expected), rel=1e-5)

    @pytest.mark.parametrize("name", ["same-taxon", "triplet"])
    @pytest.mark.parametrize("taxa", [[-1, -1, -1], [0, -1, -1]])
    def test_no_pairs(self, name, taxa):
        head, pooled = build_head(name), torch.randn(3, 2, requires_grad=True)
        loss = head(pooled, torch.tensor(taxa))
        assert loss.item() == 0
        loss.backward()
        assert not pooled.grad.any()

    def test_only_pairs_of_one_kind_have_no_triplet(self):
        head, pooled = build_head("triplet"), torch.randn(3, 2)
        assert head(pooled, torch.tensor([0, 0, 0])) == head(pooled, torch.tensor([0, 1, 2])) == 0

    def test_identical_barcodes_have_finite_gradients(self):
        pooled = torch.ones(4, 2, requires_grad=True)
        loss = build_head("triplet")(pooled, torch.tensor([0, 0, 1, 1]))
        loss.backward()
        assert loss.item() == pytest.approx(math.log(2))
        assert pooled.grad.isfinite().all()

    def test_triplets_by_brute_force(self):
        torch.manual_seed(1)
        pooled, taxa = torch.randn(12, 2), torch.randint(-1, 3, (12,))
        losses = []
        for i in (taxa >= 0).nonzero()[:, 0]:
            distances = 1 - cosine_similarity(pooled[i][None], pooled)
            same = (taxa == taxa[i]) & (torch.arange(12) != i)
            other = (taxa >= 0) & (taxa != taxa[i])
            if same.any() and other.any():
                losses.append(softplus(distances[same].max() - distances[other].min()))
        torch.testing.assert_close(build_head("triplet")(pooled, taxa), torch.stack(losses).mean())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradient_equals_finite_differences(name):
    head, taxa = build_head(name).double(), torch.tensor([0, 0, 1, 1, 2, -1])
    pooled = at_angles(0, 13, 29, 47, 90, 5).double().requires_grad_()
    if name == "triplet":  # computed in single precision
        (gradient,) = torch.autograd.grad(head(pooled, taxa), pooled)
        change = torch.zeros_like(pooled)
        change[1, 0] = 1e-2
        difference = (head(pooled + change, taxa) - head(pooled - change, taxa)) / 2e-2
        assert gradient[1, 0].item() == pytest.approx(difference.item(), rel=0.05)
    else:
        weights = dict(head.named_parameters())

        def loss(pooled):
            return torch.func.functional_call(head, weights, (pooled, taxa)).double()

        assert torch.autograd.gradcheck(loss, (pooled,), eps=1e-3, atol=1e-3, rtol=1e-2)


class TestModel:
    @pytest.fixture(params=["mean", "cls"])
    def pooling(self, request):
        return request.param

    def build(self, pooling, name, **settings):
        torch.manual_seed(0)
        size = SMALL | {"hidden_size": 8, "num_attention_heads": 2}
        config = BarcodeMAEConfig(
            k=2, **size, pooling=pooling, auxiliary_objective=name, num_auxiliary_taxa=3, **settings
        )
        return BarcodeMAEForPreTraining(config).eval()

    @pytest.mark.parametrize("name", OBJECTIVES)
    def test_weighted_loss_on_the_pooled_vector_is_added(self, name, pooling):
        model = self.build(pooling, name)
        ids, noise, taxa = torch.randint(2, 18, (6, 12)), torch.rand(6, 12), torch.tensor([0, 0, 1, 1, 2, -1])
        plain = model(ids, noise=noise)
        both = model(ids, noise=noise, taxa=taxa, auxiliary_weight=0.25)
        kept = [(~row).nonzero()[:, 0] for row in plain.mask]
        pooled = [
            model.bert(row[None, at], position_ids=at[None], for_decoder=True).pooler_output
            for row, at in zip(ids, kept, strict=True)
        ]
        torch.testing.assert_close(both.auxiliary_loss, model.auxiliary_head(torch.cat(pooled), taxa))
        torch.testing.assert_close(both.loss, plain.loss + 0.25 * both.auxiliary_loss)
        assert plain.auxiliary_loss is None
        assert both.auxiliary_loss > 0
        without = model(ids, noise=noise, taxa=taxa, auxiliary_weight=0.0)
        assert without.loss == plain.loss

    @pytest.mark.parametrize("name", OBJECTIVES)
    def test_every_parameter_has_a_gradient_in_every_batch(self, name, pooling):
        """Also without weight and without names, because processes wait for each other's gradients."""
        model = self.build(pooling, name)
        model(torch.randint(2, 18, (2, 12)), taxa=torch.tensor([-1, -1]), auxiliary_weight=0.0).loss.backward()
        assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []

    def test_beside_the_pooled_decoder(self):
        model = self.build("cls", "triplet", pooled_decoder_weight=1.0, token_decoder_weight=0.0)
        ids, noise, taxa = torch.randint(2, 18, (4, 12)), torch.rand(4, 12), torch.tensor([0, 0, 1, 1])
        plain, both = model(ids, noise=noise), model(ids, noise=noise, taxa=taxa)
        torch.testing.assert_close(both.loss, plain.loss + 0.1 * both.auxiliary_loss)


def test_weight_is_0_in_the_first_epochs_and_validation_has_no_taxa():
    auxiliary = AuxiliaryTaxa(np.array([3, -1, 5]), 0.1, warmup_epochs=2)
    records = np.array([2, 0])
    assert [auxiliary(records, epoch)["auxiliary_weight"] for epoch in range(4)] == [0.0, 0.0, 0.1, 0.1]
    assert auxiliary(records, 0)["taxa"].tolist() == [5, 3]
    assert auxiliary(records, -1) == {}


@pytest.fixture
def file(sample, tmp_path):
    return str(write_named_rows(sample, tmp_path / "small.tsv", train=60, val=12))


def load(file):
    return load_training_data(DataArguments(data=[file]), ReferenceFrame.coi(), KmerEncoder(6), seed=0)


class TestTraining:
    @pytest.mark.parametrize("name", OBJECTIVES)
    def test_objective_equals_the_loss_of_the_model(self, file, name):
        args = ModelArguments(size="nano", auxiliary=name, auxiliary_rank="family", auxiliary_warmup_epochs=1)
        training, validation = load(file)
        start = choose_start(args, DataArguments(data=[file]))
        model, objective = build_model(start, args, training, validation, seed=0)
        model.eval()
        assert isinstance(objective, MaskedReconstruction)
        names, taxa = training.barcodes.taxa("family")
        assert start.config.num_auxiliary_taxa == len(names)
        for epoch, weight in ((0, 0.0), (1, 0.1)):
            arrays = training.arrays(np.arange(20), epoch, objective)
            assert np.array_equal(arrays["taxa"], taxa[:20])
            batch = {name: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for name, v in arrays.items()}
            sums, output = objective.sums(model, batch), model(**batch)
            torch.testing.assert_close(sums["loss"] / sums["count"], output.loss)
            torch.testing.assert_close(sums["auxiliary_loss"] / sums["count"], output.auxiliary_loss)
            del batch["taxa"]
            torch.testing.assert_close(output.loss, model(**batch).loss + weight * output.auxiliary_loss)
        assert "taxa" not in validation.arrays(np.arange(5), -1, objective)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"auxiliary_rank": "tribe"}, "--auxiliary-rank: expected any of .*, got tribe"),
            ({"auxiliary_rank": "class"}, "--auxiliary-rank class: expected .* of two taxa or more, got .'Insecta'"),
            ({"auxiliary_rank": "species"}, "--auxiliary-rank species: expected .* two taxa or more, got no names"),
        ],
    )
    def test_missing_labels(self, file, options, message):
        args = ModelArguments(size="nano", auxiliary="triplet", **options)
        start = choose_start(args, DataArguments(data=[file]))
        with pytest.raises(ConfigurationError, match=message):
            build_model(start, args, *load(file), seed=0)

    @pytest.mark.parametrize("name", ["same-taxon", "triplet"])
    def test_no_two_records_of_a_taxon(self, name, file, tmp_path):
        header, *lines = Path(file).read_text().splitlines()
        lines = [line.rsplit("\t", 1)[0] + f"\tGenus{i}" for i, line in enumerate(lines)]
        (tmp_path / "alone.tsv").write_text("\n".join([header, *lines]))
        args = ModelArguments(size="nano", auxiliary=name)
        start = choose_start(args, DataArguments(data=[str(tmp_path / "alone.tsv")]))
        message = f"--auxiliary {name}: expected a genus with two training records or more, got none"
        with pytest.raises(ConfigurationError, match=message):
            build_model(start, args, *load(str(tmp_path / "alone.tsv")), seed=0)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"auxiliary": "triplet", "objective": "mlm"}, "--auxiliary triplet: expected --objective mae, got mlm"),
            ({"auxiliary": "triplet", "objective": "classification"}, "expected --objective mae, got classification"),
            ({"auxiliary": "triplet", "auxiliary_weight": 0.0}, "expected above 0, and 0 or more, got 0.0 and 5"),
            ({"auxiliary": "triplet", "auxiliary_warmup_epochs": -1}, "got 0.1 and -1"),
        ],
    )
    def test_contradictory_options(self, options, message):
        with pytest.raises(ConfigurationError, match=message):
            ModelArguments(**options)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"auxiliary_objective": "pairs"}, "must be one of none, cross-entropy, same-taxon, triplet; got pairs"),
            ({"auxiliary_objective": "triplet", "objective": "causal"}, "expects objective mae; got causal"),
            ({"auxiliary_objective": "cross-entropy"}, "expects num_auxiliary_taxa of 2 or more; got 0"),
        ],
    )
    def test_contradictory_configuration(self, settings, message):
        with pytest.raises(Exception, match=message):
            BarcodeMAEConfig(k=2, **SMALL, **settings)

    @pytest.mark.slow
    def test_complete_run_and_continuation(self, file, tmp_path):
        data = DataArguments(data=[file], cache_dir=str(tmp_path / "cache"))
        model = ModelArguments(
            size="nano", pooling="cls", auxiliary="cross-entropy", auxiliary_rank="family", auxiliary_warmup_epochs=0
        )
        options = {"batch_size": 8, "taxa_per_batch": 2, "barcodes_per_taxon": 3, "report_to": "none"}
        options |= {"mixed_precision": "no", "epochs": 0.2, "log_every": 1}
        folder = pretrain(model, data, LoopArguments(output_dir=str(tmp_path / "a"), **options))
        weights = load_file(folder / "model.safetensors")
        assert {name.partition(".")[0] for name in weights} == {"bert", "decoder", "auxiliary_head"}
        # The next run has its own objective and keeps the encoder.
        model = ModelArguments(init_from=str(folder), auxiliary="triplet", auxiliary_rank="family")
        still = options | {"epochs": 1e-9, "learning_rate": 0.0}
        folder = pretrain(model, data, LoopArguments(output_dir=str(tmp_path / "b"), **still))
        again = load_file(folder / "model.safetensors")
        assert {name.partition(".")[0] for name in again} == {"bert", "decoder"}
        assert all(torch.equal(value, weights[name]) for name, value in again.items())
