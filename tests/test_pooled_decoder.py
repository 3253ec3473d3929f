"""The decoder of the pooled vector: loss by hand, initialisation, checkpoints and training."""

import itertools
import math
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, BertModel

from barcodemae.training.arguments import DataArguments, LoopArguments, ModelArguments
from barcodemae.training.dataset import load_training_data
from barcodemae.training.model import build_model, choose_start
from barcodemae.training.objectives import MaskedReconstruction
from barcodemae.training.pretrain import pretrain
from barcodemae.training.targets import OwnBases, OwnKmers
from helpers.random_models import random_kmers, random_model
from helpers.small_files import write_first_rows
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEForMaskedLM, BarcodeMAEForPreTraining, BarcodeMAEModel
from tokenization_barcodemae import KmerEncoder, ReferenceFrame

POOLED = {"token_decoder_weight": 0.0, "pooled_decoder_weight": 1.0}
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
A, C, G, T, PAD = 2, 3, 4, 5, 6  # ids of 1-mers


@pytest.fixture
def config():
    return BarcodeMAEConfig(k=2, **SMALL, **POOLED, pooled_decoder_coordinates=24)


def build(config, seed=0):
    return random_model(BarcodeMAEForPreTraining, config, seed)


class TestByHand:
    """Coordinates 0 to 3, a bias of log frequencies, and weights of zero."""

    @pytest.fixture
    def model(self):
        config = BarcodeMAEConfig(k=1, **SMALL, **POOLED, pooled_decoder_coordinates=4)
        model = BarcodeMAEForPreTraining(config).eval()
        with torch.no_grad():
            model.pooled_decoder.linear.weight.zero_()
            assert not model.pooled_decoder.output.weight.any()
            # Frequencies of A, C, G, T: 1/2 1/4 1/8 1/8 at the first two coordinates, 1/4 each at the others.
            model.pooled_decoder.linear.bias.copy_(torch.tensor([4.0, 2, 1, 1, 4, 2, 1, 1] + [1.0] * 8).log())
        return model

    def test_loss_is_the_mean_over_all_known_bases_kept_and_masked(self, model):
        output = model(torch.tensor([[A, C, G, T]]))
        assert output.mask.sum() == 2
        assert output.pooled_labels.tolist() == [[0, 1, 2, 3]]
        assert output.logits is None
        assert output.loss.item() == pytest.approx((math.log(2) + 3 * math.log(4)) / 4)

    def test_positions_are_coordinates_and_bases_outside_are_ignored(self, model):
        output = model(torch.tensor([[G, T, A]]), position_ids=torch.tensor([[1, 2, 9]]))
        assert output.pooled_labels.tolist() == [[-100, 2, 3, -100]]
        assert output.loss.item() == pytest.approx((math.log(8) + math.log(4)) / 2)

    def test_unknown_absent_and_padded_tokens_have_no_bases(self, model):
        output = model(torch.tensor([[A, 1, C, PAD]]), attention_mask=torch.tensor([[1, 1, 0, 0]]))
        assert output.pooled_labels.tolist() == [[0, -100, -100, -100]]

    def test_given_bases_replace_those_of_the_tokens(self, model):
        bases = torch.tensor([[1, -1, 3, -1]], dtype=torch.int8)
        output = model(torch.tensor([[A, A, A, A]]), pooled_labels=bases)
        assert output.pooled_labels.tolist() == [[1, -100, 3, -100]]
        assert output.loss.item() == pytest.approx(math.log(4))

    def test_loss_without_known_bases_is_0(self, model):
        assert model(torch.tensor([[A, A]]), pooled_labels=torch.full((1, 4), -1)).loss == 0


class TestKmersByHand:
    """1-mers with frequencies 1/2, 1/4, 1/8, 1/8, and weights of zero."""

    @pytest.fixture
    def model(self):
        model = BarcodeMAEForPreTraining(BarcodeMAEConfig(k=1, **SMALL, **POOLED, pooled_target="kmers")).eval()
        with torch.no_grad():
            model.pooled_decoder.linear.weight.zero_()
        model.pooled_decoder.set_counts(torch.tensor([[3.0, 1, 0, 0]]))
        return model

    def test_loss_is_the_mean_over_all_known_kmers(self, model):
        output = model(torch.tensor([[A, C, 1, A, T, PAD]]))
        assert output.pooled_labels.tolist() == [[[2, 1, 0, 1]]]
        assert output.pooled_logits.shape == (1, 1, 4)
        assert output.loss.item() == pytest.approx((2 * math.log(2) + math.log(4) + math.log(8)) / 4)

    def test_order_and_position_do_not_matter(self, model):
        first, second = (
            model(torch.tensor([ids]), position_ids=torch.tensor([positions])).pooled_labels
            for ids, positions in (([A, C, T], [0, 1, 2]), ([T, C, A], [7, 3, 900 % 512]))
        )
        assert torch.equal(first, second)

    def test_given_counts_replace_those_of_the_tokens(self, model):
        output = model(torch.tensor([[A, A]]), pooled_labels=torch.tensor([[[0, 0, 5, 0]]], dtype=torch.uint8))
        assert output.loss.item() == pytest.approx(math.log(8))

    def test_loss_without_known_kmers_is_0(self, model):
        assert model(torch.tensor([[1, 1]])).loss == 0

    def test_accuracy_is_the_share_of_kmers_among_the_most_probable_ones(self, model):
        objective = MaskedReconstruction(0, 0.5)
        # Both barcodes have two distinct ones, and A and C are the two most probable ones.
        counts = torch.tensor([[[1.0, 0, 2, 0]], [[0, 2, 0, 4]]])
        sums = objective.sums(model, {"input_ids": torch.tensor([[A, A], [A, A]]), "pooled_labels": counts})
        assert (sums["count"], sums["accuracy"]) == (9, 1 + 2)


def test_bases_of_kmers(config):
    # With k = 2, AC is 1, GT is 2 * 4 + 3, and ids begin with 2.
    output = build(config)(torch.tensor([[2 + 1, 2 + 11]]), position_ids=torch.tensor([[0, 3]]))
    assert output.pooled_labels[0, :8].tolist() == [0, 1, -100, -100, -100, -100, 2, 3]


def test_gradient_passes_only_through_the_mean_over_kept_tokens(config):
    """The gradient of the encoder equals that of the pooled vector."""
    model, ids, noise = build(config), random_kmers(config), torch.rand(3, 12)
    seen = {}
    handle = model.pooled_decoder.register_forward_hook(lambda _, inputs, output: seen.update(pooled=inputs[0]))
    output = model(ids, noise=noise)
    handle.remove()
    for row in range(3):
        kept = (~output.mask[row]).nonzero()[:, 0]
        alone = model.bert(ids[row : row + 1, kept], position_ids=kept[None]).pooler_output[0]
        torch.testing.assert_close(seen["pooled"][row], alone, atol=1e-5, rtol=1e-4)
    (through,) = torch.autograd.grad(output.loss, seen["pooled"], retain_graph=True)
    total = torch.autograd.grad(output.loss, list(model.bert.encoder.parameters()), retain_graph=True)
    pooled = torch.autograd.grad(seen["pooled"], list(model.bert.encoder.parameters()), grad_outputs=through)
    assert all(torch.equal(first, second) for first, second in zip(total, pooled, strict=True))
    assert max(gradient.abs().max() for gradient in total) > 0


def test_ragged_rows_are_pooled_over_their_own_kept_tokens(config):
    model, ids = build(config), random_kmers(config)
    mask = torch.tensor([[1] * 12, [1] * 7 + [0] * 5, [1] * 3 + [0] * 9])
    noise = torch.rand(3, 12)
    together = model(ids, attention_mask=mask, noise=noise, num_kept=2)
    for row, length in enumerate((12, 7, 3)):
        alone = model(ids[row : row + 1, :length], noise=noise[row : row + 1, :length], num_kept=2)
        torch.testing.assert_close(together.pooled_logits[row], alone.pooled_logits[0])


def test_both_decoders_are_a_weighted_sum():
    settings = {"k": 2, **SMALL, "pooled_decoder_coordinates": 24, "mask_ratio": 0.25}
    both = build(BarcodeMAEConfig(**settings, token_decoder_weight=0.5, pooled_decoder_weight=2.0))
    ids, noise, losses = random_kmers(both.config), torch.rand(3, 12), []
    for weights in ({}, POOLED):
        single = build(BarcodeMAEConfig(**settings, **weights))
        single.load_state_dict(both.state_dict(), strict=False)
        losses.append(single(ids, noise=noise).loss)
    # Nine of twelve tokens are kept: the loss is over a quarter of the tokens, and over all bases, two per token.
    torch.testing.assert_close(both(ids, noise=noise).loss, 0.5 * losses[0] + 2.0 * losses[1])


def test_prefixes_have_the_weight_of_the_complete_vector(config):
    prefixes = [4, 8]
    model = build(BarcodeMAEConfig(**(config.to_dict() | {"pooled_decoder_prefixes": prefixes})))
    noise, pooled = torch.rand(3, 12), []
    handle = model.pooled_decoder.register_forward_hook(lambda _, inputs, output: pooled.append(inputs[0]))
    output = model(random_kmers(model.config), noise=noise)
    handle.remove()
    losses = []
    for given, length in zip(pooled, (16, *prefixes), strict=True):
        assert torch.equal(given[:, :length], pooled[0][:, :length])
        assert not given[:, length:].any()
        scores = model.pooled_decoder(given)[output.pooled_labels >= 0]
        losses.append(torch.nn.functional.cross_entropy(scores, output.pooled_labels[output.pooled_labels >= 0]))
    torch.testing.assert_close(output.loss, torch.stack(losses).mean())


class TestInitialisation:
    def test_output_of_the_hidden_layer_is_0_and_other_weights_are_as_usual(self):
        torch.manual_seed(0)
        decoder = BarcodeMAEForPreTraining(BarcodeMAEConfig(k=2, **SMALL, **POOLED)).pooled_decoder
        assert decoder.output.weight.abs().max() == 0
        assert decoder.linear.weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert decoder.hidden.weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert decoder.hidden.weight.shape == (64, 16)

    def test_bias_is_the_log_frequency_of_bases(self, config):
        model = BarcodeMAEForPreTraining(config)
        counts = torch.zeros(24, 4)
        counts[0] = torch.tensor([4, 0, 1, 3])
        model.pooled_decoder.set_counts(counts)
        bias = model.pooled_decoder.linear.bias.reshape(24, 4)
        torch.testing.assert_close(bias[0], torch.tensor([5 / 12, 1 / 12, 2 / 12, 4 / 12]).log())
        torch.testing.assert_close(bias[1:], torch.full((23, 4), 0.25).log())

    def test_model_without_pooled_decoder_is_unchanged(self):
        config = BarcodeMAEConfig(k=2, **SMALL)
        model = BarcodeMAEForPreTraining(config)
        assert model.pooled_decoder is None
        assert not any("pooled" in name for name in model.state_dict())
        assert model(random_kmers(model.config)).pooled_logits is None


class TestCheckpoint:
    def test_round_trip(self, config, tmp_path):
        model = build(config)
        model.save_pretrained(tmp_path)
        loaded, report = BarcodeMAEForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
        assert not report["missing_keys"]
        assert not report["unexpected_keys"]
        ids, noise = random_kmers(config), torch.rand(3, 12)
        torch.testing.assert_close(loaded.eval()(ids, noise=noise).loss, model(ids, noise=noise).loss)

    def test_encoder_loads_without_the_decoder(self, config, tmp_path):
        model = build(config)
        model.save_pretrained(tmp_path)
        expected = model.bert(random_kmers(config)).last_hidden_state
        for remote in (True, False):
            loaded = AutoModel.from_pretrained(tmp_path, trust_remote_code=remote).eval()
            assert type(loaded).__name__ == ("BarcodeMAEModel" if remote else "BertModel")
            assert isinstance(loaded, BertModel)
            assert not any("decoder." in name for name in loaded.state_dict())
            assert torch.equal(loaded(random_kmers(config)).last_hidden_state, expected)
        _, report = BarcodeMAEModel.from_pretrained(tmp_path, output_loading_info=True)
        assert not report["unexpected_keys"]

    def test_masked_lm_predicts_the_bases(self, config, tmp_path):
        """With k = 2, the score of a k-mer is the sum of the log probabilities of its two bases."""
        pretrained = build(config)
        pretrained.save_pretrained(tmp_path)
        model, report = BarcodeMAEForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
        assert not report["missing_keys"]
        assert model.decoder is None
        ids = random_kmers(config)[:1, :8]
        ids[0, 5] = 1
        found = model.eval()(ids).logits[0, 5, 2:18]
        kept = torch.tensor([[0, 1, 2, 3, 4, 6, 7]])
        pooled = pretrained.bert(ids[:, kept[0]], position_ids=kept, for_decoder=True).pooler_output
        first, second = pretrained.pooled_decoder(pooled)[0, 10:12].log_softmax(-1)
        torch.testing.assert_close(found, (first[:, None] + second).flatten())

    def test_masked_lm_outside_the_coordinates_knows_nothing(self, config):
        model = random_model(BarcodeMAEForMaskedLM, config, 0)
        ids = random_kmers(config)[:1, :3]
        ids[0, 2] = 0
        output = model(ids, position_ids=torch.tensor([[0, 1, 40]])).logits[0, 2, 2:18]
        torch.testing.assert_close(output, torch.full((16,), -math.log(16)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"token_decoder_weight": 0.0}, "one of them more than 0; got 0.0 and 0.0"),
        ({"pooled_decoder_weight": -1.0}, "must be 0 or more"),
        ({"pooled_decoder_weight": 1.0, "objective": "causal"}, "expects objective mae; got causal"),
        ({"pooled_decoder_weight": 1.0, "objective": "mlm"}, "expects objective mae; got mlm"),
        ({"pooled_decoder_coordinates": 0}, "must be 1 or more; got 0"),
        ({"pooled_target": "spectra"}, "must be bases or kmers; got spectra"),
        ({"pooled_target": "kmers", "vocab_size": 300}, "expects tokens that are k-mers; got 297 tokens with k = 2"),
        ({"pooled_decoder_prefixes": [8]}, "expects pooled_decoder_weight above 0"),
        ({"pooled_decoder_weight": 1.0, "pooled_decoder_prefixes": [8, 16]}, "exclusive; got \\[8, 16\\]"),
    ],
)
def test_contradictory_values_are_refused(options, message):
    with pytest.raises(Exception, match=message):
        BarcodeMAEConfig(k=2, **SMALL, **options)


class TestTraining:
    @pytest.fixture
    def file(self, sample, tmp_path):
        return str(write_first_rows(sample, tmp_path / "small.tsv", pretrain=40, train=10, val=12))

    def load(self, file, frame=True):
        return load_training_data(
            DataArguments(data=[file]), ReferenceFrame.coi() if frame else None, KmerEncoder(6), seed=0
        )

    def test_targets_are_the_complete_barcode_at_its_coordinates(self, file):
        training, validation = self.load(file)
        own = OwnBases(training.barcodes, validation.barcodes, 660)
        records = np.arange(20)
        found, taken = own(records, 3), training.barcodes.take(records)
        for row, text in enumerate(taken.nucleotides.to_pylist()):
            for coordinate in range(660):
                index = coordinate - taken.starts[row]
                base = text[index] if 0 <= index < len(text) else "-"
                assert found[row, coordinate] == "ACGT".find(base), (row, coordinate)
        assert np.array_equal(found, own(records, 7))
        assert not np.array_equal(found[:12], own(np.arange(12), -1))

    def test_without_a_frame_coordinates_are_counted_from_the_first_base(self, file):
        training, validation = self.load(file, frame=False)
        found = OwnBases(training.barcodes, validation.barcodes, 8)(np.arange(5), 0)
        texts = training.barcodes.take(np.arange(5)).nucleotides.to_pylist()
        assert found.tolist() == [["ACGT".find(base) for base in text[:8]] for text in texts]

    def test_counts(self, file):
        training, validation = self.load(file)
        counts = OwnBases(training.barcodes, validation.barcodes, 660).count()
        bases = OwnBases(training.barcodes, validation.barcodes, 660)(np.arange(len(training)), 0)
        assert counts.sum(1).tolist() == (bases >= 0).sum(0).tolist()
        assert counts[300].tolist() == [(bases[:, 300] == base).sum() for base in range(4)]

    def test_kmers_are_all_overlapping_ones_of_the_complete_barcode(self, file):
        training, validation = self.load(file, frame=False)
        own = OwnKmers(training.barcodes, validation.barcodes, 3)
        found = own(np.arange(5), 0)
        for row, text in enumerate(training.barcodes.take(np.arange(5)).nucleotides.to_pylist()):
            for index, kmer in enumerate(map("".join, itertools.product("ACGT", repeat=3))):
                assert found[row, 0, index] == sum(text[i : i + 3] == kmer for i in range(len(text)))
        assert np.array_equal(own.count(), own(np.arange(len(training)), 0).sum(axis=0))
        assert not np.array_equal(found, own(np.arange(5), -1))

    def test_objective_of_kmers_equals_the_loss_of_the_model(self, file):
        args = ModelArguments(size="nano", dropout=0.0, pooled_target="kmers", **POOLED)
        training, validation = self.load(file, frame=False)
        start = choose_start(args, DataArguments(data=[file], frame="none"))
        model, objective = build_model(start, args, training, validation, seed=0)
        arrays = training.arrays(np.arange(6), 0, objective)
        batch = {name: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for name, v in arrays.items()}
        sums, output = objective.sums(model, batch), model(**batch)
        assert sums["count"] == arrays["pooled_labels"].sum() > 2000
        torch.testing.assert_close(sums["loss"] / sums["count"], output.loss)
        assert output.loss < math.log(4096)

    @pytest.mark.parametrize("frame", ["coi", "none"])
    def test_objective_equals_the_loss_of_the_model(self, file, frame):
        args = ModelArguments(size="nano", token_decoder_weight=0.0, pooled_decoder_weight=1.0, dropout=0.0)
        data_args = DataArguments(data=[file], frame=frame)
        training, validation = self.load(file, frame == "coi")
        model, objective = build_model(choose_start(args, data_args), args, training, validation, seed=0)
        assert isinstance(objective, MaskedReconstruction)
        arrays = training.arrays(np.arange(6), 0, objective)
        batch = {name: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for name, v in arrays.items()}
        sums, output = objective.sums(model, batch), model(**batch)
        known = output.pooled_labels >= 0
        assert sums["count"] == known.sum() == sum(min(660, len(one)) for one in self.texts(training, 6))
        torch.testing.assert_close(sums["loss"] / sums["count"], output.loss)
        assert sums["accuracy"] == ((output.pooled_logits.argmax(-1) == output.pooled_labels) & known).sum()
        # Initialised with the frequencies, it is better than chance before any step.
        assert output.loss < math.log(4)

    def texts(self, training, count):
        taken = training.barcodes.take(np.arange(count))
        texts = taken.nucleotides.to_pylist()
        ends = [
            text[: 660 - start][-start if start < 0 else 0 :] for text, start in zip(texts, taken.starts, strict=True)
        ]
        return ["".join(base for base in text if base in "ACGT") for text in ends]

    @pytest.mark.slow
    def test_resumed_run_is_equal_and_another_run_starts_from_its_decoder(self, file, tmp_path):
        data = DataArguments(data=[file], cache_dir=str(tmp_path / "cache"))
        model = ModelArguments(size="nano", pooled_decoder_weight=1.0, token_decoder_weight=0.0)
        options = {"epochs": 1, "batch_size": 8, "save_every": 3, "report_to": "none", "mixed_precision": "no"}
        complete = pretrain(model, data, LoopArguments(output_dir=str(tmp_path / "a"), save_total_limit=9, **options))
        weights = load_file(complete / "model.safetensors")
        assert {name.partition(".")[0] for name in weights} == {"bert", "pooled_decoder"}

        stopped = tmp_path / "b"
        (stopped / "state").mkdir(parents=True)
        (state,) = (complete / "state").glob("step-00000003-*.pt")
        shutil.copy(state, stopped / "state")
        shutil.copy(complete / "metrics.jsonl", stopped)
        resumed = pretrain(model, data, LoopArguments(output_dir=str(stopped), resume=True, **options))
        again = load_file(resumed / "model.safetensors")
        assert all(torch.equal(value, again[name]) for name, value in weights.items())

        still = options | {"epochs": 1e-9, "learning_rate": 0.0}
        model = ModelArguments(init_from=str(complete), pooled_decoder_weight=1.0, token_decoder_weight=0.0)
        begun = load_file(
            pretrain(model, data, LoopArguments(output_dir=str(tmp_path / "c"), **still)) / "model.safetensors"
        )
        assert all(torch.equal(value, begun[name]) for name, value in weights.items())
