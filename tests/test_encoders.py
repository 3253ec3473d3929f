import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertModel, EsmTokenizer, PreTrainedTokenizerFast

from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.evaluation.baselines.encoder_tokens import TEXT_FORMS, write_barcodes
from barcodemae.evaluation.baselines.encoders import POOLINGS, AnyEncoder, load_known_encoder, pool
from barcodemae.evaluation.baselines.known_encoders import KNOWN_ENCODERS
from helpers.small_encoders import BARCODES, FAMILIES, base_tokenizer, small_model


@pytest.fixture
def saved(tmp_path):
    """Folder of a small BERT with a base tokenizer."""
    small_model("bert").save_pretrained(tmp_path)
    base_tokenizer().save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_equal_those_of_a_barcode_alone(family, pooling, tmp_path):
    model, tokenizer = small_model(family), base_tokenizer()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    found = AnyEncoder.from_pretrained(str(tmp_path), pooling, batch_size=3).embed(BARCODES)
    reader = model.get_encoder() if family == "t5" else model
    for barcode, vector in zip(BARCODES, found, strict=True):
        with torch.no_grad():
            (states,) = reader(**tokenizer(barcode, return_tensors="pt", return_token_type_ids=False)).last_hidden_state
        expected = {"mean": states.mean(dim=0), "first": states[0], "last": states[-1]}[pooling]
        np.testing.assert_allclose(vector, expected, atol=1e-5)
    assert found.dtype == np.float32


@pytest.mark.parametrize("layer", [0, 1, -2, 2])
def test_any_hidden_layer_can_be_pooled(layer):
    model, tokenizer = small_model("bert"), base_tokenizer()
    found = AnyEncoder(model, tokenizer, "first", layer).embed(["ACGT"])
    with torch.no_grad():
        hidden = model(**tokenizer("ACGT", return_tensors="pt"), output_hidden_states=True).hidden_states
    np.testing.assert_allclose(found[0], hidden[layer][0, 0], atol=1e-6)


@pytest.mark.parametrize("family", ["gpt2", "bert"])
def test_without_a_padding_token_batches_hold_barcodes_of_one_length(family):
    with_padding = AnyEncoder(small_model(family), base_tokenizer()).embed(BARCODES)
    without = AnyEncoder(small_model(family), base_tokenizer(pad=None)).embed(BARCODES)
    np.testing.assert_allclose(without, with_padding, atol=1e-5)


def test_model_without_attention_mask_gets_no_padding():
    class Maskless(BertModel):
        def forward(self, input_ids, output_hidden_states=None):
            assert (input_ids != 0).all()
            return super().forward(input_ids=input_ids)

    torch.manual_seed(3)
    maskless = Maskless(small_model("bert").config)
    maskless.load_state_dict(small_model("bert").state_dict())
    found = AnyEncoder(maskless, base_tokenizer()).embed(BARCODES)
    np.testing.assert_allclose(found, AnyEncoder(small_model("bert"), base_tokenizer()).embed(BARCODES), atol=1e-5)


def test_pooling_by_hand_with_padding_on_either_side():
    nan = float("nan")
    states = torch.tensor([[[1.0], [3], [nan]], [[nan], [5], [9]], [[2], [4], [6]]])
    mask = torch.tensor([[1, 1, 0], [0, 1, 1], [1, 1, 1]])
    for pooling, expected in (("mean", [2, 7, 4]), ("first", [1, 5, 2]), ("last", [3, 9, 6])):
        assert pool(states, mask, pooling)[:, 0].tolist() == expected


def test_text_forms_by_hand():
    written = {form: write_barcodes(["ac-GU\nTAN"], form)[0] for form in TEXT_FORMS}
    assert written["plain"] == "ACGTTAN"
    assert written["lower"] == "acgttan"
    assert written["rna"] == "ACGUUAN"
    assert written["spaced"] == "A C G T T A N"
    assert written["kmers_5"] == "ACGTT CGTTA GTTAN"
    assert written["blocks_3"] == "ACG TTA"
    assert write_barcodes(["AC"], "kmers_3") == [""]


def test_barcodes_longer_than_the_model_are_truncated_and_counted(caplog):
    model = small_model("bert")
    encoder = AnyEncoder(model, base_tokenizer(), "last")
    with caplog.at_level(logging.WARNING):
        long = encoder.embed(["ACGT" * 20, "ACGT"])
    assert "1 of 2 barcodes are truncated to 40 tokens" in caplog.text
    # [SEP] is still the last token.
    np.testing.assert_allclose(long[0], encoder.embed([("ACGT" * 20)[:38]])[0], atol=1e-5)
    encoder.embed(["ACGT" * 30])
    assert (encoder.token_counts.barcodes, encoder.token_counts.truncated) == (4, 2)


def test_positions_of_esm_begin_after_its_padding_row():
    model, tokenizer = small_model("esm"), base_tokenizer()
    encoder = AnyEncoder(model, tokenizer)
    assert encoder.identity()["max_length"] == 39
    with torch.no_grad():
        (states,) = model(**tokenizer(("ACGT" * 20)[:37], return_tensors="pt")).last_hidden_state
    np.testing.assert_allclose(encoder.embed(["ACGT" * 20])[0], states.mean(dim=0), atol=1e-5)


def test_max_length_truncates_further():
    short = AnyEncoder(small_model("bert"), base_tokenizer(), max_length=6)
    np.testing.assert_allclose(short.embed(["ACGTACGT"]), short.embed(["ACGT"]), atol=1e-5)
    with pytest.raises(ConfigurationError, match="expected 1 to 40 tokens for this model, got 41"):
        AnyEncoder(small_model("bert"), base_tokenizer(), max_length=41)


def test_unknown_tokens_are_counted_and_barcodes_of_nothing_else_rejected():
    encoder = AnyEncoder(small_model("bert"), base_tokenizer())
    encoder.embed(["ACGX", "XXXX"])
    assert (encoder.token_counts.tokens, encoder.token_counts.unknown) == (8, 5)
    protein = AnyEncoder(small_model("bert"), base_tokenizer(bases="DEFHI"))
    with pytest.raises(ConfigurationError, match="maps all of 5 barcodes to unknown tokens"):
        protein.embed(BARCODES)


def test_kmers_are_known_where_the_text_is_prepared():
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "ACG": 1, "CGT": 2}, "[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]")
    with pytest.raises(ConfigurationError, match="prepare: any of plain"):
        AnyEncoder(small_model("bert"), tokenizer).embed(["ACGT"])
    encoder = AnyEncoder(small_model("bert"), tokenizer, prepare="kmers_3")
    encoder.embed(["acgt"])
    assert (encoder.token_counts.tokens, encoder.token_counts.unknown) == (2, 0)


def test_esm_tokenizer_splits_barcodes_into_words_of_its_vocabulary(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(["<unk>", "<pad>", "<mask>", "<cls>", "<eos>", "ACGTAC", *"ACGTN"]))
    tokenizer = EsmTokenizer(str(tmp_path / "vocab.txt"))
    encoder = AnyEncoder(small_model("esm", 11), tokenizer)
    encoder.embed(["ACGTACGT", "GT"])
    assert (encoder.token_counts.tokens, encoder.token_counts.unknown) == (5, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "max"}, "pooling: expected any of mean, first, last, got max"),
        ({"prepare": "protein"}, "prepare: expected any of plain"),
    ],
)
def test_unknown_options_are_rejected(options, message):
    with pytest.raises(ConfigurationError, match=message):
        AnyEncoder(small_model("bert"), base_tokenizer(), **options)


def test_unusable_input_is_rejected():
    with pytest.raises(ConfigurationError, match="layer: expected -3 to 2 for this model, got 3"):
        AnyEncoder(small_model("bert"), base_tokenizer(), layer=3).embed(BARCODES)
    with pytest.raises(ConfigurationError, match="expected a tokenizer with ids below 6"):
        AnyEncoder(small_model("bert", 6), base_tokenizer()).embed(BARCODES)
    with pytest.raises(ConfigurationError, match="expected a token in every barcode, got none in 1 of 2"):
        AnyEncoder(small_model("bert"), base_tokenizer(ends=False)).embed(["ACGT", "--"])
    broken = small_model("bert")
    broken.embeddings.word_embeddings.weight.data[8] = float("nan")
    with pytest.raises(ConfigurationError, match="NaN or infinity in 1 of 5"):
        AnyEncoder(broken, base_tokenizer()).embed(BARCODES)


def test_no_barcodes_give_no_vectors():
    assert AnyEncoder(small_model("t5").get_encoder(), base_tokenizer()).embed([]).shape == (0, 16)


def test_identity_differs_with_weights_tokenizer_and_options():
    encoder = AnyEncoder(small_model("bert"), base_tokenizer())
    before = encoder.identity()
    encoder.embed(["ACGT" * 20])
    assert encoder.identity() == before == json.loads(json.dumps(before))
    other = small_model("bert")
    other.encoder.layer[1].output.dense.bias.data[0] += 1
    variants = [
        AnyEncoder(other, base_tokenizer()),
        AnyEncoder(small_model("bert"), base_tokenizer("TGCAN")),
        AnyEncoder(small_model("bert"), base_tokenizer(), "last"),
        AnyEncoder(small_model("bert"), base_tokenizer(), layer=1),
        AnyEncoder(small_model("bert"), base_tokenizer(), prepare="rna"),
        AnyEncoder(small_model("bert"), base_tokenizer(), max_length=10),
    ]
    identities = [json.dumps(encoder.identity(), sort_keys=True) for encoder in (encoder, *variants)]
    assert len(set(identities)) == len(identities)


def test_tokenizer_of_another_folder_is_used(saved, tmp_path):
    base_tokenizer(ends=False).save_pretrained(tmp_path / "plain")
    encoder = AnyEncoder.from_pretrained(str(saved), "first", tokenizer=str(tmp_path / "plain"), layer=0)
    # Without [CLS], the first token is the first base.
    first, second = encoder.embed(["AC", "AG"])
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_folder_without_a_model_is_rejected(tmp_path):
    with pytest.raises(CheckpointError, match="no model could be loaded"):
        AnyEncoder.from_pretrained(str(tmp_path / "nothing"))


@pytest.mark.parametrize("family", FAMILIES)
def test_folder_without_a_tokenizer_is_rejected(family, tmp_path):
    small_model(family).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"no tokenizer could be loaded|expected a tokenizer, found none"):
        AnyEncoder.from_pretrained(str(tmp_path))


def test_remote_code_runs_only_on_request(saved):
    config = json.loads((saved / "config.json").read_text())
    config |= {"model_type": "unheard_of", "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}}
    (saved / "config.json").write_text(json.dumps(config))
    (saved / "own.py").write_text(
        "from transformers import BertConfig, BertModel\n\n\n"
        "class OwnConfig(BertConfig):\n    model_type = 'unheard_of'\n\n\n"
        "class OwnModel(BertModel):\n    config_class = OwnConfig\n\n"
        "    def forward(self, input_ids, attention_mask=None):\n"
        "        return tuple(super().forward(input_ids=input_ids, attention_mask=attention_mask).values())\n"
    )
    with pytest.raises(ConfigurationError, match=r"needs code of its own to run: .* \(trust_remote_code\)"):
        AnyEncoder.from_pretrained(str(saved))
    found = AnyEncoder.from_pretrained(str(saved), trust_remote_code=True).embed(BARCODES)
    np.testing.assert_allclose(found, AnyEncoder(small_model("bert"), base_tokenizer()).embed(BARCODES), atol=1e-5)


def test_missing_weights_are_rejected(saved):
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(
        CheckpointError, match=r"expected all weights of BertModel, but 16 are missing, such as encoder"
    ):
        AnyEncoder.from_pretrained(str(saved))


def test_weights_of_a_pooler_are_not_required(tmp_path):
    model = BertModel(small_model("bert").config, add_pooling_layer=False)
    model.save_pretrained(tmp_path)
    base_tokenizer().save_pretrained(tmp_path)
    found = AnyEncoder.from_pretrained(str(tmp_path)).embed(BARCODES)
    np.testing.assert_allclose(found, AnyEncoder(model, base_tokenizer()).embed(BARCODES), atol=1e-5)


def test_encoders_listed_as_run_have_results():
    for row in KNOWN_ENCODERS:
        assert (row.status == "run") == (row.results is not None)
        if row.results is not None:
            assert row.hub_id in (Path(__file__).parents[1] / row.results).read_text()


def test_known_encoders_have_valid_options():
    assert len({row.name for row in KNOWN_ENCODERS}) == len(KNOWN_ENCODERS)
    for row in KNOWN_ENCODERS:
        assert row.pooling in POOLINGS
        assert row.prepare in TEXT_FORMS
        assert row.revision is None or len(row.revision) == 40
        if row.remote_code:
            with pytest.raises(ConfigurationError, match="needs code of its own to run"):
                load_known_encoder(row)
