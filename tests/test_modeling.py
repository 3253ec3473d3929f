"""The model against hand-computed numbers, plain BERT, and an independent composition of the published one."""

import copy
import math

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel

from helpers.random_models import random_kmers, random_model
from modeling_barcodemae import (
    SIZES,
    BarcodeMAEConfig,
    BarcodeMAEForMaskedLM,
    BarcodeMAEForPreTraining,
    BarcodeMAEForSequenceClassification,
    BarcodeMAEForTokenClassification,
    BarcodeMAEModel,
)
from modeling_barcodemae.losses_barcodemae import log_odds, rank_cross_entropy

UNK, FIRST = 1, 2


@pytest.fixture
def config():
    return BarcodeMAEConfig(
        k=2,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=40,
        max_position_embeddings=32,
    )


class TestByHand:
    """Width 2, for which a layer norm leaves only signs; uniform attention; identity values; no feed-forward."""

    A, C = 2, 3

    @pytest.fixture
    def model(self):
        config = BarcodeMAEConfig(
            k=1, hidden_size=2, num_hidden_layers=1, num_attention_heads=1, intermediate_size=2, mask_ratio=0.25
        )
        model = BarcodeMAEForPreTraining(config).eval()
        identity = torch.eye(2)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.fill_(1.0 if "LayerNorm.weight" in name else 0.0)
            for bert in (model.bert, model.decoder.bert):
                attention = bert.encoder.layer[0].attention
                attention.self.value.weight.copy_(identity)
                attention.output.dense.weight.copy_(identity)
            model.bert.embeddings.word_embeddings.weight[self.A] = torch.tensor([1.0, 0.0])  # normed: (1, -1)
            model.bert.embeddings.word_embeddings.weight[self.C] = torch.tensor([0.0, 1.0])  # normed: (-1, 1)
            model.decoder.projection.weight.copy_(torch.tensor([[2.0, 0.0], [0.0, 0.0]]))
            model.decoder.projection.bias.copy_(torch.tensor([0.0, 1.0]))
            model.decoder.bert.embeddings.word_embeddings.weight[0] = torch.tensor([0.0, 3.0])
            model.decoder.head.weight[1, 1] = math.log(3.0)
        return model

    def test_loss(self, model):
        # Three A are kept: (1, -1), and their mean leaves them so. Projected (2, 1), normed (1, -1). The masked token
        # starts as (0, 3), normed (-1, 1); the mean over the four tokens is (0.5, -0.5); the sum (-0.5, 0.5) is
        # normed to (-1, 1). Logits of A, C, G, T: 0, log 3, 0, 0, so C has 3/6 and the others 1/6.
        noise = torch.tensor([[0.1, 0.2, 0.9, 0.3]])
        output = model(torch.tensor([[self.A, self.A, self.C, self.A]]), noise=noise)
        assert output.mask.tolist() == [[False, False, True, False]]
        torch.testing.assert_close(output.logits, torch.tensor([[[0.0, math.log(3.0), 0.0, 0.0]]]))
        assert output.labels.tolist() == [[1]]
        assert output.loss.item() == pytest.approx(math.log(2.0), abs=1e-6)

    def test_pooled(self, model):
        # A, A, C: attention adds (1/3, -1/3) to each, the norm leaves (1, -1), (1, -1), (-1, 1).
        output = model.bert(torch.tensor([[self.A, self.A, self.C]]))
        torch.testing.assert_close(output.pooler_output, torch.tensor([[1 / 3, -1 / 3]]))


class TestEncoder:
    def test_equals_bert(self, config):
        model = random_model(BarcodeMAEModel, config)
        names = {field: getattr(config, field) for field in BertConfig().to_dict() if hasattr(config, field)}
        bert = BertModel(BertConfig(**(names | {"model_type": "bert"})), add_pooling_layer=False).eval()
        bert.load_state_dict(model.state_dict())  # with equal names
        ids, mask = random_kmers(config), torch.tensor([[1] * 12, [1] * 7 + [0] * 5, [0, 1] * 6])
        positions = torch.arange(12).flip(0).expand(3, -1)
        for given in ({}, {"attention_mask": mask}, {"attention_mask": mask, "position_ids": positions}):
            attended = given.get("attention_mask", torch.ones_like(ids)).bool()
            ours, theirs = model(ids, **given).last_hidden_state, bert(ids, **given).last_hidden_state
            assert torch.equal(ours[attended], theirs[attended])

    def test_pooler_is_the_mean_over_attended_tokens(self, config):
        model = random_model(BarcodeMAEModel, config)
        mask = torch.tensor([[1] * 12, [1] * 7 + [0] * 5, [0] * 12])
        output = model(random_kmers(config), attention_mask=mask)
        torch.testing.assert_close(output.pooler_output[0], output.last_hidden_state[0].mean(0))
        torch.testing.assert_close(output.pooler_output[1], output.last_hidden_state[1, :7].mean(0))
        assert output.pooler_output[2].abs().max() == 0

    def test_alone_equals_in_a_padded_batch(self, config):
        model = random_model(BarcodeMAEModel, config)
        ids = random_kmers(config)
        mask = torch.tensor([[1] * 12, [1] * 7 + [0] * 5, [1] * 4 + [0] * 8])
        together = model(ids.masked_fill(mask == 0, config.pad_token_id), attention_mask=mask).pooler_output
        for row, length in enumerate((12, 7, 4)):
            torch.testing.assert_close(together[row], model(ids[row : row + 1, :length]).pooler_output[0])

    def test_tuple_and_hidden_states(self, config):
        model = random_model(BarcodeMAEModel, config)
        hidden, pooled = model(random_kmers(config), return_dict=False)
        assert hidden.shape == (3, 12, 24)
        assert pooled.shape == (3, 24)
        assert len(model(random_kmers(config), output_hidden_states=True).hidden_states) == 3


class Published(nn.Module):
    """The published forward pass, composed from `transformers`' BERT as the reference describes it.

    Rows are ragged: fewer kept tokens than the longest row are filled with id 1 at position 0, unattended; the decoder
    sees every token at its own position, with one trained vector where a token was masked.
    """

    def __init__(self, model: BarcodeMAEForPreTraining):
        super().__init__()
        config = model.config
        self.encoder = BertModel(
            BertConfig(
                vocab_size=config.vocab_size,
                hidden_size=config.hidden_size,
                num_hidden_layers=config.num_hidden_layers,
                num_attention_heads=config.num_attention_heads,
                intermediate_size=config.intermediate_size,
                max_position_embeddings=config.max_position_embeddings,
                pad_token_id=config.pad_token_id,
            ),
            add_pooling_layer=False,
        )
        self.decoder = BertModel(
            BertConfig(
                vocab_size=1,
                hidden_size=config.decoder_hidden_size,
                num_hidden_layers=config.decoder_num_hidden_layers,
                num_attention_heads=config.decoder_num_attention_heads,
                intermediate_size=config.decoder_intermediate_size,
                max_position_embeddings=config.max_position_embeddings,
            ),
            add_pooling_layer=False,
        )
        self.encoder.load_state_dict(model.bert.state_dict())
        self.decoder.load_state_dict(model.decoder.bert.state_dict())
        self.projection, self.head = copy.deepcopy(model.decoder.projection), copy.deepcopy(model.decoder.head)
        self.mask_token = nn.Parameter(model.decoder.bert.embeddings.word_embeddings.weight[0].detach().clone())

    def forward(self, ids, attended, masked):
        kept = attended & ~masked
        width = int(kept.sum(1).max())
        kept_ids = torch.full((len(ids), width), UNK)
        kept_positions = torch.zeros(len(ids), width, dtype=torch.long)
        kept_attended = torch.zeros(len(ids), width, dtype=torch.long)
        for row in range(len(ids)):
            columns = kept[row].nonzero()[:, 0]
            kept_ids[row, : len(columns)] = ids[row, columns]
            kept_positions[row, : len(columns)] = columns
            kept_attended[row, : len(columns)] = 1
        encoded = self.encoder(kept_ids, attention_mask=kept_attended, position_ids=kept_positions).last_hidden_state
        projected = self.projection(encoded)
        rows = []
        for row in range(len(ids)):
            vectors = iter(projected[row])
            filler = torch.zeros_like(self.mask_token)
            rows.append(
                torch.stack(
                    [
                        self.mask_token if masked[row, column] else next(vectors) if kept[row, column] else filler
                        for column in range(ids.shape[1])
                    ]
                )
            )
        decoded = self.decoder(inputs_embeds=torch.stack(rows), attention_mask=attended.long()).last_hidden_state
        return nn.functional.cross_entropy(self.head(decoded)[masked], ids[masked] - FIRST)


@pytest.mark.parametrize("by_chance", [False, True])
@pytest.mark.parametrize("decoder_hidden_size", [24, 36])
def test_forward_and_gradients_equal_the_published_composition(config, by_chance, decoder_hidden_size):
    config = BarcodeMAEConfig(
        **(config.to_dict() | {"mask_by_chance": by_chance, "decoder_hidden_size": decoder_hidden_size})
    )
    model = random_model(BarcodeMAEForPreTraining, config)
    ids, attention_mask = random_kmers(config), torch.tensor([[1] * 12, [1] * 9 + [0] * 3, [1] * 12])
    noise = torch.rand(3, 12, generator=torch.Generator().manual_seed(1))
    output = model(ids, attention_mask=attention_mask, noise=noise)
    published = Published(model).eval()
    loss = published(ids, attention_mask.bool(), output.mask)
    assert output.loss.item() == pytest.approx(loss.item(), abs=1e-5)

    output.loss.backward()
    loss.backward()
    theirs = {f"bert.{name}": parameter.grad for name, parameter in published.encoder.named_parameters()}
    theirs |= {f"decoder.bert.{name}": parameter.grad for name, parameter in published.decoder.named_parameters()}
    theirs |= {
        f"decoder.projection.{name}": parameter.grad for name, parameter in published.projection.named_parameters()
    }
    theirs |= {f"decoder.head.{name}": parameter.grad for name, parameter in published.head.named_parameters()}
    theirs["decoder.bert.embeddings.word_embeddings.weight"] = published.mask_token.grad[None]
    ours = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert ours.keys() == theirs.keys()
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-4, atol=1e-5, msg=name)


class TestPreTraining:
    def test_special_tokens_padding_and_unattended_tokens_are_never_kept_or_masked(self, config):
        model = random_model(BarcodeMAEForPreTraining, config)
        ids = random_kmers(config)
        ids[0, 3], ids[1, 10:], ids[2, 0] = UNK, config.pad_token_id, 0
        mask = torch.ones_like(ids)
        mask[2, 5] = 0
        hidden = (ids < FIRST) | (ids == config.pad_token_id) | (mask == 0)
        noise = torch.rand(3, 12)
        first = model(ids, attention_mask=mask, noise=noise)
        assert not (first.mask & hidden).any()
        other = torch.where(hidden & (ids >= FIRST) & (ids != config.pad_token_id), FIRST, ids)
        assert torch.equal(first.loss, model(other, attention_mask=mask, noise=noise).loss)

    def test_tokens_may_be_in_any_order_with_their_positions(self, config):
        model = random_model(BarcodeMAEForPreTraining, config)
        ids, noise, order = random_kmers(config), torch.rand(3, 12), torch.randperm(12)
        shuffled = model(ids[:, order], position_ids=order.expand(3, -1), noise=noise[:, order])
        torch.testing.assert_close(model(ids, noise=noise).loss, shuffled.loss)

    def test_alone_equals_in_a_padded_batch(self, config):
        config.mask_by_chance = True
        model = random_model(BarcodeMAEForPreTraining, config)
        ids, mask = random_kmers(config), torch.tensor([[1] * 12, [1] * 7 + [0] * 5, [1] * 4 + [0] * 8])
        noise = torch.rand(3, 12)
        together = model(ids, attention_mask=mask, noise=noise, num_items_in_batch=1).loss
        alone = [
            model(ids[i : i + 1, :n], noise=noise[i : i + 1, :n], num_items_in_batch=1).loss
            for i, n in enumerate((12, 7, 4))
        ]
        torch.testing.assert_close(together, torch.stack(alone).sum())

    def test_rows_without_known_tokens(self, config):
        model = random_model(BarcodeMAEForPreTraining, config).train()
        ids = random_kmers(config)
        ids[1] = UNK
        output = model(ids, noise=torch.rand(3, 12))
        output.loss.backward()
        assert not output.mask[1].any()
        assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())

    def test_equal_noise_gives_equal_masks(self, config):
        model, ids = random_model(BarcodeMAEForPreTraining, config), random_kmers(config)
        noise = torch.rand(3, 12)
        assert torch.equal(model(ids, noise=noise).mask, model(ids, noise=noise).mask)
        assert not all(torch.equal(model(ids).mask, model(ids).mask) for _ in range(5))

    def test_every_parameter_is_trained(self, config):
        model = random_model(BarcodeMAEForPreTraining, config)
        model(random_kmers(config)).loss.backward()
        assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
        assert model.decoder.bert.embeddings.word_embeddings.weight.grad.abs().max() > 0

    def test_decoder_of_other_dimensions(self, config):
        options = {"decoder_hidden_size": 16, "decoder_num_hidden_layers": 1}
        options |= {"decoder_num_attention_heads": 4, "decoder_intermediate_size": 20}
        model = random_model(BarcodeMAEForPreTraining, BarcodeMAEConfig(**(config.to_dict() | options)))
        assert len(model.decoder.bert.encoder.layer) == 1
        assert model(random_kmers(config)).logits.shape == (3, 6, 16)


class TestMaskedLM:
    def test_predicts_unknown_tokens_and_retains_known_ones(self, config):
        model = random_model(BarcodeMAEForMaskedLM, config)
        ids = random_kmers(config)
        ids[0, 3], ids[0, 5], ids[1, 0], ids[2, 8:] = 0, UNK, UNK, config.pad_token_id
        mask = (ids != config.pad_token_id).long()
        logits = model(ids, attention_mask=mask).logits
        assert logits.shape == (3, 12, config.vocab_size)
        filled, unknown = logits.argmax(-1), ids < FIRST
        assert torch.equal(filled[~unknown], ids[~unknown])
        assert (filled[unknown] >= FIRST).all()
        chances = logits[unknown].softmax(-1)
        assert chances[:, [0, UNK, config.pad_token_id]].max() == 0

    def test_equals_pretraining_under_the_same_mask(self, config):
        config.mask_by_chance = True
        pretraining = random_model(BarcodeMAEForPreTraining, config)
        imputing = BarcodeMAEForMaskedLM(config).eval()
        imputing.load_state_dict(pretraining.state_dict())
        ids = random_kmers(config)
        output = pretraining(ids)
        labels = ids.masked_fill(~output.mask, -100)
        imputed = imputing(ids.masked_fill(output.mask, 0), labels=labels)
        torch.testing.assert_close(imputed.loss, output.loss)

    def test_batch_without_unknown_and_without_known_tokens(self, config):
        model = random_model(BarcodeMAEForMaskedLM, config)
        ids = random_kmers(config)
        assert torch.equal(model(ids).logits.argmax(-1), ids)
        ids[1] = 0
        assert torch.isfinite(model(ids).logits).all()


def test_classification_learns(config):
    config.num_labels = 3
    model = BarcodeMAEForSequenceClassification(config)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    ids, labels = random_kmers(config), torch.tensor([0, 1, 2])
    for _ in range(30):
        loss = model(ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert model.eval()(ids).logits.argmax(-1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("precision", ["fp32", "bf16 autocast", "bf16"])
def test_trains_in(precision, config):
    torch.manual_seed(0)
    model = BarcodeMAEForPreTraining(config)
    if precision == "bf16":
        model = model.to(torch.bfloat16)
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    ids, losses = random_kmers(config, rows=8), []
    for _ in range(30):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16 autocast"):
            loss = model(ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_eager_and_sdpa_agree(config):
    model = random_model(BarcodeMAEForPreTraining, config)
    noise, ids = torch.rand(3, 12), random_kmers(config)
    losses = []
    for implementation in ("eager", "sdpa"):
        model.set_attn_implementation(implementation)
        assert model.decoder.bert.config._attn_implementation == implementation
        losses.append(model(ids, noise=noise).loss)
    torch.testing.assert_close(*losses)


def test_gradient_checkpointing_gives_equal_gradients(config):
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    model = random_model(BarcodeMAEForPreTraining, config).train()
    noise, ids = torch.rand(3, 12), random_kmers(config)
    gradients = []
    for enable in (False, True):
        if enable:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        model.zero_grad()
        model(ids, noise=noise).loss.backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    assert model.is_gradient_checkpointing
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed)


def test_compiles_without_graph_breaks(config):
    model = random_model(BarcodeMAEForPreTraining, config)
    noise, ids = torch.rand(3, 12), random_kmers(config)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(ids, noise=noise, num_kept=6).loss, model(ids, noise=noise).loss)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "kind",
    [BarcodeMAEModel, BarcodeMAEForPreTraining, BarcodeMAEForMaskedLM, BarcodeMAEForSequenceClassification],
)
def test_saves_and_loads(kind, dtype, config, tmp_path):
    model = random_model(kind, config).to(dtype)
    model.save_pretrained(tmp_path)
    loaded, report = kind.from_pretrained(tmp_path, dtype="auto", output_loading_info=True)
    assert loaded.dtype == dtype
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items())
    assert loaded.config.to_diff_dict() == model.config.to_diff_dict()


def test_initial_statistics_of_every_parameter():
    torch.manual_seed(0)
    model = BarcodeMAEForPreTraining(BarcodeMAEConfig(**SIZES["tiny"]))
    for name, parameter in model.named_parameters():
        if name == "decoder.bert.embeddings.word_embeddings.weight" or name.endswith("bias"):
            assert parameter.abs().max() == 0, name
        elif "LayerNorm" in name:
            assert (parameter == 1).all(), name
        else:
            assert parameter.mean().item() == pytest.approx(0, abs=0.02 * 5 / math.sqrt(parameter.numel())), name
            assert parameter.std().item() == pytest.approx(0.02, rel=0.1), name
    pad_row = model.bert.embeddings.word_embeddings.weight[model.config.pad_token_id]
    assert pad_row.abs().max() == 0


class TestConfiguration:
    def test_published_vocabulary_and_balanced_decoder(self):
        config = BarcodeMAEConfig()
        assert (config.vocab_size, config.pad_token_id, config.num_targets) == (4099, 4098, 4096)
        assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (6, 768, 6)
        assert (config.decoder_num_hidden_layers, config.decoder_hidden_size) == (6, 768)
        assert BarcodeMAEConfig(k=3, hidden_size=12).decoder_hidden_size == 12

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"hidden_size": 100, "num_attention_heads": 6}, "hidden_size must be a multiple"),
            ({"decoder_hidden_size": 100}, "decoder_hidden_size must be a multiple"),
            ({"mask_ratio": 1.0}, "mask_ratio must lie between 0 and 1"),
        ],
    )
    def test_contradictory_values_are_refused(self, options, message):
        with pytest.raises(Exception, match=message):
            BarcodeMAEConfig(**options)

    def test_every_size_can_be_built(self):
        for size in SIZES.values():
            assert BarcodeMAEConfig(**size).hidden_size == size["hidden_size"]


class TestRanks:
    """A classifier of two orders and three families."""

    logits = torch.tensor([[2.0, 0, 1, 0, 0], [0, 0, 0, 3, 0]])

    def test_loss_by_hand(self):
        labels = torch.tensor([[0, 2], [-100, 1]])
        expected = [math.log1p(math.exp(-2)), math.log(math.e + 2), math.log(2 + math.exp(3)) - 3]
        assert rank_cross_entropy(self.logits, labels, [2, 3]).item() == pytest.approx(sum(expected) / 3, abs=1e-6)

    def test_batch_without_names_has_loss_0(self):
        logits = self.logits.clone().requires_grad_()
        loss = rank_cross_entropy(logits, torch.full((2, 2), -100), [2, 3])
        loss.backward()
        assert loss.item() == 0
        assert not logits.grad.any()

    def test_model_takes_a_label_for_each_rank(self):
        size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
        config = BarcodeMAEConfig(k=2, label_ranks={"order": 2, "family": 3}, num_labels=5, **size)
        model = BarcodeMAEForSequenceClassification(config).eval()
        ids, labels = torch.tensor([[3, 4, 5], [6, 7, 8]]), torch.tensor([[0, 2], [1, -100]])
        outputs = model(ids, labels=labels)
        scores = model.classifier(model.bert(ids).pooler_output)
        torch.testing.assert_close(outputs.loss, rank_cross_entropy(scores, labels, [2, 3]))
        # As pipelines apply it: the sigmoid of a logit is the probability within its rank.
        probabilities = torch.cat([rank_scores.softmax(1) for rank_scores in scores.split([2, 3], 1)], 1)
        torch.testing.assert_close(outputs.logits.sigmoid(), probabilities)
        assert model.config.problem_type == "multi_label_classification"

    def test_log_odds_by_hand_and_with_probability_1(self):
        found = log_odds(torch.tensor([[0.0, 2.0], [200.0, -200.0]]))
        torch.testing.assert_close(found[0], torch.tensor([-2.0, 2.0]))
        assert found.isfinite().all()

    def test_numbers_of_labels_at_ranks_must_add_up(self):
        config = BarcodeMAEConfig(k=2, label_ranks={"order": 2, "family": 3}, num_labels=6)
        with pytest.raises(ValueError, match=r"number of labels of each rank, 6 in sum; got \[2, 3\]"):
            BarcodeMAEForSequenceClassification(config)


class TestInputsOfHubUsers:
    """With any attention mask, and with padding on either side."""

    @pytest.fixture(params=["untuned", "tuned"])
    def model(self, request, config):
        head = {"embedding_size": 7, "frame_slots": 20, "encoder_stride": 3} if request.param == "tuned" else {}
        return random_model(
            BarcodeMAEModel, BarcodeMAEConfig(**(config.to_dict() | head | {"model_type": "barcodemae"}))
        )

    def test_unknown_tokens_and_padding_are_ignored(self, model, config):
        ids = random_kmers(config, tokens=9)
        positions = torch.arange(9)[None].repeat(3, 1)
        pad = torch.full((3, 2), config.pad_token_id)
        ids[0, 3] = ids[1, 0] = UNK
        ids[2, 4] = 0  # [MASK]
        for row in range(3):
            known = ids[row] >= FIRST
            alone = model(ids[row : row + 1, known], position_ids=positions[row : row + 1, known]).pooler_output
            for mask in (None, torch.ones(3, 11)):
                outputs = model(torch.cat([ids, pad], 1), mask)
                torch.testing.assert_close(outputs.pooler_output[row : row + 1], alone)
                # The mean is the same over the tokenizer's mask, in which [UNK] is attended, and over all tokens.
                torch.testing.assert_close(outputs.last_hidden_state[row].mean(0, keepdim=True), alone)
                torch.testing.assert_close(outputs.last_hidden_state[row, :9].mean(0, keepdim=True), alone)

    def test_padding_on_the_left_does_not_shift_positions(self, model, config):
        ids = random_kmers(config, tokens=9)
        pad = torch.full((3, 4), config.pad_token_id)
        left, right = (model(torch.cat(parts, 1)).pooler_output for parts in ((pad, ids), (ids, pad)))
        torch.testing.assert_close(left, right)

    def test_too_many_tokens(self, model, config):
        with pytest.raises(RuntimeError, match="expected at most 32 tokens, got 33"):
            model(random_kmers(config, tokens=33))

    def test_a_batch_without_tokens(self, model, config):
        outputs = model(torch.zeros(2, 0), torch.zeros(2, 0))  # like tensors of empty lists
        assert outputs.last_hidden_state.shape == (2, 0, config.hidden_size if model.projection_head is None else 7)
        assert not outputs.pooler_output.any()

    def test_gradient_without_known_tokens_is_finite(self, model, config):
        ids = torch.cat([random_kmers(config, rows=1, tokens=5), torch.full((1, 5), UNK)])
        model(ids).pooler_output.sum().backward()
        assert not any(weight.grad.isnan().any() for weight in model.parameters() if weight.grad is not None)

    def test_vocabulary_cannot_be_resized(self, model, config):
        assert model.resize_token_embeddings(config.vocab_size) is model.get_input_embeddings()
        with pytest.raises(ValueError, match="can't be resized; got 20"):
            model.resize_token_embeddings(20)

    def test_embeddings_of_tokens_take_gradients(self, config):
        model = random_model(BarcodeMAEModel, config)
        ids, mask = random_kmers(config), torch.tensor([[1] * 12, [1] * 7 + [0] * 5, [0, 1] * 6])
        embedded = model.get_input_embeddings()(ids).detach().requires_grad_()
        pooled = model(inputs_embeds=embedded, attention_mask=mask).pooler_output
        torch.testing.assert_close(pooled, model(ids, mask).pooler_output)
        pooled.sum().backward()
        assert embedded.grad.abs().sum(2).ne(0).equal(mask.bool())

    def test_published_models_attend_to_unknown_tokens(self, config):
        model = random_model(BarcodeMAEModel, config)
        ids = random_kmers(config)
        ids[0, 3] = UNK
        left_out = model(ids).pooler_output
        model.config.attends_unknown = True
        found = model(ids)
        assert not torch.allclose(found.pooler_output[0], left_out[0])
        torch.testing.assert_close(found.pooler_output, found.last_hidden_state.mean(1))


class TestLossesOfTrainer:
    def test_loss_counts_only_predicted_tokens(self, config):
        model = random_model(BarcodeMAEForMaskedLM, config)
        ids = random_kmers(config)
        labels = ids.clone()  # like a collator that also labels known tokens
        masked = ids.clone()
        masked[:, 2:5] = 0
        labels[0, 2] = UNK
        labels[1, 2] = -100
        outputs = model(masked, labels=labels)
        counted = masked.eq(0) & labels.ge(FIRST)
        scores = outputs.logits[counted][:, FIRST:-1]
        expected = nn.functional.cross_entropy(scores, labels[counted] - FIRST)
        torch.testing.assert_close(outputs.loss, expected)

    def test_loss_without_labels_is_0(self, config):
        model = random_model(BarcodeMAEForMaskedLM, config)
        ids = random_kmers(config)
        assert model(ids, labels=ids).loss.item() == 0

    def test_tokens_are_classified(self, config):
        model = random_model(
            BarcodeMAEForTokenClassification, BarcodeMAEConfig(**(config.to_dict() | {"num_labels": 4}))
        )
        ids, labels = random_kmers(config), torch.arange(36).reshape(3, 12) % 4
        labels[0, 3:] = -100
        outputs = model(ids, labels=labels)
        assert outputs.logits.shape == (3, 12, 4)
        expected = nn.functional.cross_entropy(outputs.logits.flatten(0, 1), labels.flatten())
        torch.testing.assert_close(outputs.loss, expected)
