"""The `[CLS]` token: what the encoder reads, positions, decoders, checkpoints, and what is refused."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, BertModel

from barcodemae import BarcodeEmbedder
from barcodemae.checkpoints.loading import load_checkpoint, save_checkpoint
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.training.arguments import DataArguments, ModelArguments
from barcodemae.training.model import choose_start
from helpers.random_models import random_kmers, random_model
from modeling_barcodemae import (
    BarcodeMAEConfig,
    BarcodeMAEForMaskedLM,
    BarcodeMAEForPreTraining,
    BarcodeMAEModel,
)
from tokenization_barcodemae import ReferenceFrame

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
PAD = 18  # of 2-mers


def config(**settings):
    return BarcodeMAEConfig(k=2, pooling="cls", **SMALL, **settings)


def build(kind=BarcodeMAEModel, **settings):
    return random_model(kind, config(**settings))


def barcodes(rows=3, tokens=12):
    return random_kmers(config(), rows, tokens)


class TestEncoder:
    def test_embedding_is_berts_output_at_a_token_of_type_1_and_position_0(self):
        """A plain `BertModel` whose vocabulary has one more token, `[CLS]`, gives the same."""
        model, ids = build(), barcodes()
        bert = BertModel(BarcodeMAEConfig(k=2, vocab_size=20, pad_token_id=PAD, **SMALL), add_pooling_layer=False)
        weights = model.state_dict()
        words = "embeddings.word_embeddings.weight"
        weights[words] = torch.cat([weights[words], weights.pop("cls_embedding.weight")])
        bert.load_state_dict(weights)
        positions = torch.arange(12).expand(3, -1) + 5
        expected = bert.eval()(
            torch.cat([torch.full((3, 1), 19), ids], dim=1),
            position_ids=torch.cat([torch.zeros(3, 1, dtype=torch.long), positions], dim=1),
            token_type_ids=torch.tensor([[1] + [0] * 12] * 3),
        ).last_hidden_state
        output = model(ids, position_ids=positions)
        torch.testing.assert_close(output.pooler_output, expected[:, 0])
        plain = model(ids, position_ids=positions, for_decoder=True)
        torch.testing.assert_close(plain.last_hidden_state, expected)
        torch.testing.assert_close(plain.pooler_output, expected[:, 0])

    def test_mean_of_the_last_hidden_state_is_the_embedding(self):
        ids = barcodes()
        ids[1, 8:], ids[2, 3] = PAD, 1
        output = build()(ids)
        torch.testing.assert_close(output.last_hidden_state.mean(1), output.pooler_output)
        # Only by a shift: differences between known tokens are those of BERT.
        plain = build()(ids[:1], for_decoder=True).last_hidden_state[0, 1:]
        shifted = output.last_hidden_state[0]
        torch.testing.assert_close(shifted - shifted[:1], plain - plain[:1])

    def test_padding_and_unknown_tokens_do_not_matter(self):
        model, ids = build(), barcodes(1)
        expected = model(ids).pooler_output
        right = torch.cat([ids, torch.full((1, 3), PAD)], dim=1)
        left = torch.cat([torch.full((1, 3), PAD), ids], dim=1)
        unknown = torch.cat([ids, torch.ones(1, 2, dtype=torch.long)], dim=1)
        for padded in (right, left, unknown):
            torch.testing.assert_close(model(padded).pooler_output, expected)

    def test_barcode_without_known_tokens_is_0(self):
        ids = barcodes(2)
        ids[1] = 1
        output = build()(ids)
        assert not output.pooler_output[1].any()
        assert not output.last_hidden_state[1].any()
        assert output.pooler_output[0].any()

    def test_embeddings_in_place_of_ids(self):
        model, ids = build(), barcodes()
        embedded = model(inputs_embeds=model.embeddings.word_embeddings(ids)).pooler_output
        torch.testing.assert_close(embedded, model(ids).pooler_output)

    def test_all_positions_remain_usable(self):
        model = build(max_position_embeddings=12)
        assert model(barcodes()).pooler_output.isfinite().all()
        with pytest.raises(RuntimeError, match="expected at most 12 tokens, got 13"):
            model(barcodes(tokens=13))

    def test_tuned_model_maps_the_output_at_cls(self):
        model = build(embedding_size=8, frame_slots=12)
        with torch.no_grad():
            model.projection_head.bases.weight.zero_()
        ids = barcodes()
        cls = model(ids, for_decoder=True).pooler_output
        torch.testing.assert_close(model(ids).pooler_output, model.projection_head.network(cls))


class TestPretraining:
    @pytest.mark.parametrize("mask", [False, True])
    def test_gradients_reach_cls_and_every_other_parameter(self, mask):
        model, ids = build(BarcodeMAEForPreTraining), barcodes()
        attention = torch.tensor([[1] * 12, [1] * 7 + [0] * 5, [1] * 9 + [0] * 3]) if mask else None
        output = model(ids, attention_mask=attention, noise=torch.rand(3, 12))
        output.loss.backward()
        assert output.logits.shape[1] >= 4
        assert model.bert.cls_embedding.weight.grad.abs().max() > 0
        assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []

    def test_ragged_rows_equal_single_ones(self):
        model, ids = build(BarcodeMAEForPreTraining, mask_by_chance=True), barcodes()
        mask = torch.tensor([[1] * 12, [1] * 7 + [0] * 5, [1] * 3 + [0] * 9])
        noise = torch.rand(3, 12, generator=torch.Generator().manual_seed(1))
        together = model(ids, attention_mask=mask, noise=noise)
        losses = torch.nn.functional.cross_entropy(
            together.logits.flatten(0, 1), together.labels.flatten(), reduction="none"
        ).view_as(together.labels)
        for row, length in enumerate((12, 7, 3)):
            alone = model(ids[row : row + 1, :length], noise=noise[row : row + 1, :length])
            counted = together.labels[row] >= 0
            torch.testing.assert_close(losses[row][counted].mean(), alone.loss)

    def test_pooled_decoder_reads_cls(self):
        model = build(BarcodeMAEForPreTraining, token_decoder_weight=0.0, pooled_decoder_weight=1.0)
        seen = []
        model.pooled_decoder.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0]))
        ids, noise = barcodes(1), torch.rand(1, 12)
        kept = (~model(ids, noise=noise).mask[0]).nonzero()[:, 0]
        alone = model.bert(ids[:, kept], position_ids=kept[None], for_decoder=True).last_hidden_state[:, 0]
        torch.testing.assert_close(seen[0], alone)

    def test_decoder_sees_cls(self):
        model, ids, noise = build(BarcodeMAEForPreTraining), barcodes(), torch.rand(3, 12)
        before = model(ids, noise=noise).logits

        def change_cls(_, inputs, output):
            output.last_hidden_state[:, 0] += 1.0

        model.bert.register_forward_hook(change_cls)
        with torch.no_grad():
            after = model(ids, noise=noise).logits
        assert (after - before).abs().max() > 1e-3


class TestCheckpoint:
    @pytest.fixture
    def folder(self, tmp_path):
        model = build(BarcodeMAEForPreTraining, auxiliary_objective="same-taxon")
        save_checkpoint(tmp_path / "cls", model, None)
        return tmp_path / "cls"

    def test_loads_only_with_the_code_of_the_model(self, folder):
        assert json.loads((folder / "config.json").read_text())["model_type"] == "barcodemae"
        expected = build(BarcodeMAEForPreTraining, auxiliary_objective="same-taxon").bert(barcodes()).pooler_output
        loaded = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()
        assert torch.equal(loaded(barcodes()).pooler_output, expected)
        assert not any("auxiliary" in name for name in loaded.state_dict())
        _, report = BarcodeMAEModel.from_pretrained(folder, output_loading_info=True)
        assert not report["unexpected_keys"]
        assert not report["missing_keys"]

    def test_model_without_cls_is_plain_bert(self, tmp_path):
        torch.manual_seed(0)
        model = BarcodeMAEForPreTraining(BarcodeMAEConfig(k=2, **SMALL)).eval()
        model.save_pretrained(tmp_path)
        assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "bert"
        bert = AutoModel.from_pretrained(tmp_path, add_pooling_layer=False)
        assert type(bert) is BertModel
        assert list(bert.state_dict()) == list(model.bert.state_dict())
        assert torch.equal(bert.eval()(barcodes()).last_hidden_state, model.bert(barcodes()).last_hidden_state)

    def test_masked_kmers_are_predicted(self, folder):
        ids = barcodes()
        ids[:, 4] = 0
        model = BarcodeMAEForMaskedLM.from_pretrained(folder).eval()
        completed = model(ids).logits.argmax(-1)
        assert (completed[:, 4] >= 2).all()
        assert torch.equal(completed[:, :4], ids[:, :4])

    def test_embedder_and_export_agree(self, folder):
        texts = ["ACGTACGTTAGC", "TTGACCA", "ACGTNACG"]
        embedder = BarcodeEmbedder.from_pretrained(folder)
        tokenizer = load_checkpoint(folder).tokenizer
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        with torch.no_grad():
            direct = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()(**batch)
        np.testing.assert_allclose(embedder.encode(texts), direct.pooler_output.numpy(), atol=1e-5)
        np.testing.assert_allclose(embedder.encode(texts), direct.last_hidden_state.mean(1).numpy(), atol=1e-5)

    @pytest.mark.parametrize("pooling", ["mean", "cls"])
    def test_weights_and_configuration_must_agree(self, folder, pooling):
        settings = json.loads((folder / "config.json").read_text())
        if pooling == "mean":
            (folder / "config.json").write_text(json.dumps(settings | {"pooling": "mean"}))
        else:
            weights = load_file(folder / "model.safetensors")
            del weights["bert.cls_embedding.weight"]
            save_file(weights, folder / "model.safetensors", {"format": "pt"})
        found = "with" if pooling == "mean" else "without"
        message = f"expected weights that agree with the configuration's pooling {pooling}, got weights {found} a"
        for kind in (BarcodeMAEModel, BarcodeMAEForPreTraining):
            with pytest.raises(ValueError, match=message):
                kind.from_pretrained(folder)
        with pytest.raises(CheckpointError, match=message) as raised:
            load_checkpoint(folder)
        assert "\n" not in str(raised.value)

    def test_training_starts_from_it(self, folder):
        start = choose_start(ModelArguments(init_from=str(folder)), DataArguments(frame="none"))
        assert start.config.pooling == "cls"
        assert start.config.auxiliary_objective == "none"
        with pytest.raises(ConfigurationError, match="--pooling cls: not allowed with --init-from"):
            choose_start(ModelArguments(init_from=str(folder), pooling="cls"), DataArguments(frame="none"))
        with pytest.raises(ConfigurationError, match="pooling cls expects objective mae"):
            choose_start(ModelArguments(init_from=str(folder), objective="causal"), DataArguments(frame="none"))


@pytest.mark.parametrize("objective", ["mlm", "causal"])
def test_other_objectives_have_no_cls(objective):
    with pytest.raises(Exception, match=f"pooling cls expects objective mae .*; got {objective}"):
        config(objective=objective)
    with pytest.raises(ConfigurationError, match=f"--pooling cls: expected --objective mae, got {objective}"):
        ModelArguments(pooling="cls", objective=objective)


def test_unknown_pooling():
    with pytest.raises(Exception, match="pooling must be mean or cls; got maximum"):
        BarcodeMAEConfig(k=2, **SMALL, pooling="maximum")


def test_slots_of_the_frame_do_not_shift():
    """A barcode on the frame and the same one unaligned differ only by the positions of their k-mers."""
    torch.manual_seed(0)
    frame = ReferenceFrame.coi()
    model = BarcodeMAEModel(BarcodeMAEConfig(pooling="cls", **SMALL)).eval()
    slots = torch.arange(20)[None]
    ids = torch.randint(2, 4098, (1, 20))
    assert frame.slots(6) <= model.config.max_position_embeddings
    torch.testing.assert_close(model(ids, position_ids=slots).pooler_output, model(ids).pooler_output)
    shifted = model(ids, position_ids=slots + 1).pooler_output
    assert (shifted - model(ids).pooler_output).abs().max() > 1e-4
