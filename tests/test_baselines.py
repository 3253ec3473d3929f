"""BERT-style and causal pretraining: against `transformers`' own classes, and by what each position may see."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForPreTraining, BertForTokenClassification, BertModel

from barcodemae.checkpoints.loading import save_checkpoint
from barcodemae.embedding import BarcodeEmbedder
from modeling_barcodemae import (
    BarcodeMAEConfig,
    BarcodeMAEForCausalPreTraining,
    BarcodeMAEForMaskedTokenPreTraining,
    BarcodeMAEForPreTraining,
)
from modeling_barcodemae.configuration_barcodemae import FIRST_KMER_ID, MASK_ID
from tokenization_barcodemae import KmerEncoder, ReferenceFrame

SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
CLASSES = {"mlm": BarcodeMAEForMaskedTokenPreTraining, "causal": BarcodeMAEForCausalPreTraining}


def build(objective):
    torch.manual_seed(3)
    return CLASSES[objective](BarcodeMAEConfig(k=3, objective=objective, **SIZE)).eval()


def batch_of(config, rows=4, tokens=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(FIRST_KMER_ID, config.pad_token_id, (rows, tokens), generator=generator)
    lengths = torch.tensor([tokens, tokens - 3, tokens, 2])[:rows]
    attended = torch.arange(tokens)[None] < lengths[:, None]
    return {
        "input_ids": ids.masked_fill(~attended, config.pad_token_id),
        "attention_mask": attended.long(),
        "noise": torch.rand(ids.shape, generator=generator),
    }


def test_masked_tokens_equal_bert_with_a_token_classifier():
    """BarcodeBERT is `BertForTokenClassification` whose input has `[MASK]` at the positions that count."""
    model = build("mlm")
    batch = batch_of(model.config)
    found = model(**batch)
    config = model.config
    bert = BertForTokenClassification(
        type(config).__base__(**(config.to_dict() | {"num_labels": config.num_targets}))
    ).eval()
    renamed = {name.replace("head.", "classifier."): value for name, value in model.state_dict().items()}
    bert.load_state_dict(renamed)  # raises unless all names agree
    masked = batch["input_ids"].masked_fill(found.mask, MASK_ID)
    labels = (batch["input_ids"] - FIRST_KMER_ID).masked_fill(~found.mask, -100)
    expected = bert(input_ids=masked, attention_mask=batch["attention_mask"], labels=labels)
    torch.testing.assert_close(found.loss, expected.loss)
    torch.testing.assert_close(found.logits, expected.logits[found.mask])


def test_equal_noise_masks_the_same_positions_as_in_barcodemae():
    model = build("mlm")
    batch = batch_of(model.config)
    mae = BarcodeMAEForPreTraining(BarcodeMAEConfig(k=3, **SIZE)).eval()
    assert torch.equal(model(**batch).mask, mae(**batch).mask)


def test_masked_tokens_are_hidden_from_the_model():
    model = build("mlm")
    batch = batch_of(model.config)
    found = model(**batch)
    other = batch["input_ids"].clone()
    other[found.mask] = FIRST_KMER_ID
    assert torch.equal(model(**batch | {"input_ids": other}).logits, found.logits)


def test_causal_equals_the_shifted_loss_written_out():
    model = build("causal")
    batch = batch_of(model.config)
    del batch["noise"]
    found = model(**batch)
    hidden = model.bert(**batch).last_hidden_state
    logits = model.head(hidden[:, :-1])
    labels = (batch["input_ids"][:, 1:] - FIRST_KMER_ID).masked_fill(batch["attention_mask"][:, 1:] == 0, -100)
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    torch.testing.assert_close(found.loss, expected)
    assert found.mask.sum() == len(found.labels) == int((batch["attention_mask"].sum(1) - 1).sum())


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("changed", [0, 5, 11])
def test_causal_attention_looks_back_only(attention, changed):
    model = build("causal")
    model.set_attn_implementation(attention)
    batch = batch_of(model.config, rows=1)
    ids = batch["input_ids"]
    other = ids.clone()
    other[0, changed] = FIRST_KMER_ID + (ids[0, changed] - FIRST_KMER_ID + 1) % model.config.num_targets
    before, after = (model.bert(input_ids=one).last_hidden_state[0] for one in (ids, other))
    torch.testing.assert_close(before[:changed], after[:changed])
    assert all(not torch.allclose(before[i], after[i]) for i in range(changed, len(before)))


@pytest.mark.parametrize("objective", ["mlm", "causal"])
def test_padding_changes_nothing(objective):
    model = build(objective)
    batch = batch_of(model.config)
    kept = {name: values[1:2, :9] for name, values in batch.items()}
    padded = {name: values[1:2] for name, values in batch.items()}
    if objective == "causal":
        del kept["noise"], padded["noise"]
    torch.testing.assert_close(model(**kept).loss, model(**padded).loss)


@pytest.mark.parametrize("objective", ["mlm", "causal"])
def test_checkpoint_loads_by_every_class_with_equal_outputs(objective, tmp_path, full_length_barcodes):
    model = build(objective)
    save_checkpoint(tmp_path, model, ReferenceFrame.coi())
    ids = batch_of(model.config)["input_ids"][:1]
    expected = model.bert(input_ids=ids).last_hidden_state
    ours = AutoModel.from_pretrained(tmp_path, trust_remote_code=True).eval()
    plain = AutoModel.from_pretrained(tmp_path, trust_remote_code=False).eval()
    assert type(plain) is BertModel
    for loaded in (ours, plain):
        torch.testing.assert_close(loaded(input_ids=ids).last_hidden_state, expected)
    again = AutoModelForPreTraining.from_pretrained(tmp_path, trust_remote_code=True).eval()
    assert type(again).__name__ == type(model).__name__
    torch.testing.assert_close(again.state_dict(), model.state_dict())
    embedder = BarcodeEmbedder.from_pretrained(tmp_path)
    tokens = torch.from_numpy(KmerEncoder(3)(full_length_barcodes[:3])["input_ids"])
    means = model.bert(input_ids=tokens).last_hidden_state.mean(1).detach()
    np.testing.assert_allclose(embedder.encode(full_length_barcodes[:3]), means, atol=1e-5)


def test_unknown_objective_is_rejected():
    with pytest.raises(Exception, match="objective must be one of mae, mlm, causal; got gan"):
        BarcodeMAEConfig(objective="gan")


@pytest.mark.parametrize("objective", ["mlm", "causal"])
def test_batch_without_tokens_to_predict_has_loss_zero(objective):
    model = build(objective)
    ids = torch.full((2, 1), FIRST_KMER_ID)
    output = model(input_ids=ids, attention_mask=torch.zeros_like(ids))
    assert output.loss == 0
    assert not output.mask.any()
