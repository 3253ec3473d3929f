"""Completion of barcodes in tuned models: the bases that the network expects where a barcode has none."""

import json
import shutil

import numpy as np
import pytest
import torch

from barcodemae.checkpoints.loading import load_checkpoint, save_checkpoint
from barcodemae.embedding import BarcodeEmbedder
from barcodemae.embedding.base_map import BaseMapEmbedder
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.hub.handler import EndpointHandler
from barcodemae.hub.onnx import export_onnx
from barcodemae.training.arguments import DataArguments, LoopArguments, ModelArguments
from barcodemae.training.model import choose_start
from barcodemae.training.pretrain import pretrain
from barcodemae.training.tuning.settings import TuneArguments
from barcodemae.training.tuning.tune import load_pretrained, tune
from helpers.random_models import random_kmers, random_model
from helpers.small_files import write_first_rows
from helpers.small_tuning import tune_arguments, write_named
from helpers.tools import tool
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEForMaskedLM, BarcodeMAEForPreTraining, BarcodeMAEModel
from tokenization_barcodemae import KmerEncoder, ReferenceFrame

SIZE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
K, SLOTS, WIDTH, WEIGHT = 2, 6, 5, 0.25
HEAD = {"embedding_size": WIDTH, "frame_slots": SLOTS, "pooled_decoder_coordinates": K * SLOTS + 1}


@pytest.fixture
def model():
    model = random_model(BarcodeMAEModel, BarcodeMAEConfig(k=K, **SIZE, **HEAD, completion_weight=WEIGHT), 0)
    with torch.no_grad():
        model.projection_head.bases.weight[-1] = 0  # the row of what has no coordinate
    return model


def completed(model, ids, slots):
    """The embedding of one barcode by its definition, base by base."""
    head, table = model.projection_head, model.projection_head.bases.weight
    pooled = model(ids[None], position_ids=slots[None], for_decoder=True).pooler_output
    expected = head.network(pooled)[0].softmax(-1)
    total, known = torch.zeros(WIDTH), set()
    for token, slot in zip(ids.tolist(), slots.tolist(), strict=True):
        for offset, base in enumerate(divmod(token - 2, 4)):
            total, known = total + table[4 * (K * slot + offset) + base], known | {K * slot + offset}
    for coordinate in set(range(K * SLOTS)) - known:
        for base in range(4):
            total = total + WEIGHT * expected[coordinate, base] * table[4 * coordinate + base]
    return total / len(ids)


class TestModel:
    def test_missing_bases_are_those_that_the_network_expects(self, model):
        ids, slots = torch.tensor([2, 7, 12]), torch.tensor([1, 2, 4])
        found = model(ids[None], position_ids=slots[None]).pooler_output[0]
        torch.testing.assert_close(found, completed(model, ids, slots))

    def test_a_complete_barcode_has_nothing_to_complete(self, model):
        ids = random_kmers(model.config)[:1, :SLOTS]
        table = model.projection_head.bases.weight
        bases = [base for token in ids[0].tolist() for base in divmod(token - 2, 4)]
        bases = [table[4 * coordinate + base] for coordinate, base in enumerate(bases)]
        torch.testing.assert_close(model(ids).pooler_output[0], torch.stack(bases).sum(0) / SLOTS)

    def test_padding_unknown_and_unattended_tokens_are_missing(self, model):
        ids = torch.tensor([[5, 9, 1, 11, model.config.pad_token_id]])
        mask = torch.tensor([[1, 1, 1, 0, 0]])
        found = model(ids, attention_mask=mask).pooler_output[0]
        torch.testing.assert_close(found, completed(model, torch.tensor([5, 9]), torch.tensor([0, 1])))
        nothing = model(torch.tensor([[1, 1]])).pooler_output
        assert not nothing.any()

    def test_bases_outside_the_frame_are_neither_known_nor_missing(self, model):
        ids, slots = torch.tensor([[5, 9]]), torch.tensor([[0, SLOTS + 3]])
        inside = model.projection_head(torch.zeros(1, 16), ids[:, :1], slots[:, :1], torch.ones(1, 1, dtype=torch.bool))
        both = model.projection_head(torch.zeros(1, 16), ids, slots, torch.ones(1, 2, dtype=torch.bool))
        torch.testing.assert_close(both.sum(1), inside.sum(1))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"completion_weight": -0.1}, "completion_weight must be 0 or more; got -0.1"),
            ({"completion_weight": 0.3, "embedding_size": 0, "frame_slots": 0}, "completion_weight expects"),
            ({"completion_weight": 0.3, "pooled_target": "kmers"}, "completion_weight expects"),
            ({"completion_weight": 0.3, "frame_slots": SLOTS + 1}, "got 5, bases and 13 coordinates"),
        ],
    )
    def test_contradictory_values_are_refused(self, options, message):
        with pytest.raises(Exception, match=message):
            BarcodeMAEConfig(k=K, **SIZE, **(HEAD | options))


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A checkpoint with a decoder of the pooled vector whose weights are not zero anywhere."""
    folder = tmp_path_factory.mktemp("pretrained")
    config = BarcodeMAEConfig(k=4, **SIZE, token_decoder_weight=0.0, pooled_decoder_weight=1.0)
    save_checkpoint(folder, random_model(BarcodeMAEForPreTraining, config, 1), ReferenceFrame.coi())
    return folder


@pytest.fixture(scope="module")
def barcodes_file(sample, tmp_path_factory):
    return write_named(sample, tmp_path_factory.mktemp("data") / "barcodes.parquet")


@pytest.fixture(scope="module")
def tuned(pretrained, barcodes_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned") / "model"
    tune(tune_arguments(pretrained, folder, barcodes_file))
    return folder


class TestTune:
    def test_the_decoder_of_the_checkpoint_completes(self, tuned, pretrained):
        model = load_checkpoint(tuned).model
        decoder = BarcodeMAEForPreTraining.from_pretrained(pretrained).pooled_decoder.state_dict()
        assert model.config.completion_weight == 0.3
        assert all(
            torch.equal(value, decoder[name]) for name, value in model.projection_head.network.state_dict().items()
        )
        settings = json.loads((tuned / "tuning.json").read_text())["settings"]
        assert (settings["completion_weight"], settings["network_share"]) == (0.3, 0.0)

    def test_the_map_of_bases_is_that_without_a_network(self, tuned, pretrained, barcodes_file, tmp_path):
        tune(tune_arguments(pretrained, tmp_path / "bases", barcodes_file, completion_weight=0.0, network_share=0.0))
        first, second = (load_checkpoint(folder).model.projection_head for folder in (tuned, tmp_path / "bases"))
        assert torch.equal(first.bases.weight, second.bases.weight)
        assert isinstance(second.network, torch.nn.Linear)

    def test_a_segment_is_nearer_to_its_barcode_by_what_is_reconstructed(self, tuned, full_length_barcodes):
        """Without the network's part, a segment has the vector of the map of bases."""
        model = BarcodeEmbedder.from_pretrained(tuned, dtype=torch.float32)
        segments = [text[200:400] for text in full_length_barcodes[:8]]
        alone = BaseMapEmbedder.from_pretrained(tuned).encode(segments, normalize_embeddings=True)
        both = model.encode(segments, normalize_embeddings=True)
        assert (alone * both).sum(1).max() < 0.9999
        model.model.projection_head.completion_weight = 0.0
        model.model.projection_head.network = torch.nn.Linear(16, 16)
        torch.nn.init.zeros_(model.model.projection_head.network.weight)
        torch.nn.init.zeros_(model.model.projection_head.network.bias)
        np.testing.assert_allclose((alone * model.encode(segments, normalize_embeddings=True)).sum(1), 1, atol=1e-4)

    def test_it_can_be_tuned_again_and_loses_nothing(self, tuned, barcodes_file, tmp_path):
        tune(tune_arguments(tuned, tmp_path / "again", barcodes_file))
        one, other = (BarcodeMAEModel.from_pretrained(name).state_dict() for name in (tuned, tmp_path / "again"))
        assert one.keys() == other.keys()
        assert all(torch.equal(value, other[name]) for name, value in one.items())

    def test_weights_without_the_decoder_give_a_map_of_the_output(self, pretrained, barcodes_file, tmp_path):
        encoder = BarcodeMAEModel.from_pretrained(pretrained)
        save_checkpoint(tmp_path / "encoder", encoder, ReferenceFrame.coi())
        tune(tune_arguments(tmp_path / "encoder", tmp_path / "tuned", barcodes_file))
        assert load_checkpoint(tmp_path / "tuned").model.config.completion_weight == 0

    def test_a_negative_weight_is_refused(self):
        with pytest.raises(ConfigurationError, match=r"--completion-weight -1\.0: expected 0 or more"):
            TuneArguments("a", "b", ["c"], completion_weight=-1.0)


class TestDecoder:
    """The decoder of a tuned model is in its head, and is the same one for all that use it."""

    def test_pretraining_goes_on_with_it_and_without_the_head(self, tuned):
        args = ModelArguments(init_from=str(tuned), token_decoder_weight=0.0, pooled_decoder_weight=1.0)
        start = choose_start(args, DataArguments(data=["none"]))
        assert (start.config.embedding_size, start.config.completion_weight) == (0, 0)
        decoder = load_checkpoint(tuned).model.projection_head.network.state_dict()
        assert all(torch.equal(value, start.weights[f"pooled_decoder.{name}"]) for name, value in decoder.items())

    @pytest.mark.slow
    def test_a_run_from_it_can_be_tuned_and_has_its_own_decoder(self, tuned, sample, tmp_path):
        file = str(write_first_rows(sample, tmp_path / "small.tsv", pretrain=40, train=10, val=12))
        args = ModelArguments(init_from=str(tuned), token_decoder_weight=0.0, pooled_decoder_weight=1.0)
        options = LoopArguments(output_dir=str(tmp_path / "run"), batch_size=8, report_to="none", learning_rate=0.01)
        run = pretrain(args, DataArguments(data=[file], cache_dir=str(tmp_path / "cache")), options)
        trained = BarcodeMAEForPreTraining.from_pretrained(run).pooled_decoder.state_dict()
        found = load_pretrained(str(run)).pooled_decoder.state_dict()
        before = load_checkpoint(tuned).model.projection_head.network.state_dict()
        assert all(torch.equal(value, found[name]) for name, value in trained.items())
        assert not all(torch.equal(value, before[name]) for name, value in trained.items())

    @pytest.mark.parametrize("model_class", [BarcodeMAEForPreTraining, BarcodeMAEForMaskedLM])
    def test_classes_with_a_decoder_find_it(self, tuned, model_class, full_length_barcodes):
        model, report = model_class.from_pretrained(tuned, output_loading_info=True)
        assert not report["missing_keys"]
        ids = torch.from_numpy(KmerEncoder(4)(full_length_barcodes[:2])["input_ids"])
        assert model.eval()(ids).logits is None or model_class is BarcodeMAEForMaskedLM

    def test_an_endpoint_predicts_only_on_the_frame(self, tuned, full_length_barcodes):
        endpoint, text = EndpointHandler(str(tuned)), full_length_barcodes[0]
        gap = text[:40] + "N" + text[41:]
        (found,) = endpoint({"inputs": [gap], "parameters": {"task": "fill-mask", "top_k": 1}})
        assert found["gaps"][0]["start"] == 40
        with pytest.raises(ValueError, match="expected a sequence on the reference frame"):
            endpoint({"inputs": ["ACGT" * 20 + "NNNN" + "TTGA" * 20], "parameters": {"task": "fill-mask"}})

    def test_models_that_reconstruct_neither_tokens_nor_bases_say_so(self):
        config = BarcodeMAEConfig(
            k=2, **SIZE, token_decoder_weight=0.0, pooled_decoder_weight=1.0, pooled_target="kmers"
        )
        with pytest.raises(ValueError, match="expected a model with a decoder of tokens or bases"):
            random_model(BarcodeMAEForMaskedLM, config, 0)(torch.tensor([[3, 0, 5]]))


class TestReplacedNetwork:
    def test_the_map_of_the_bases_is_unchanged(self, tuned, pretrained, checkpoint, barcodes_file, tmp_path):
        tune(tune_arguments(checkpoint, tmp_path / "old", barcodes_file))
        run = tmp_path / "run"
        shutil.copytree(pretrained, run)
        for name in ("training.json", "metrics.jsonl"):
            (run / name).write_text("{}\n")
        tool("replace_network").replace_network(str(tmp_path / "old"), str(run), tmp_path / "new")
        first, second = (load_checkpoint(tmp_path / name).model.projection_head for name in ("old", "new"))
        assert torch.equal(first.bases.weight, second.bases.weight)
        decoder = load_checkpoint(tuned).model.projection_head.network.state_dict()
        assert all(torch.equal(value, decoder[name]) for name, value in second.network.state_dict().items())
        assert (
            json.loads((tmp_path / "new" / "tuning.json").read_text())["network_replaced"]["completion_weight"] == 0.3
        )

    def test_what_does_not_belong_together_is_refused(self, tuned, checkpoint, pretrained, tmp_path):
        replace = tool("replace_network").replace_network
        with pytest.raises(CheckpointError, match="expected a decoder of bases from the pooled vector, got none"):
            replace(str(tuned), str(checkpoint), tmp_path / "new")
        with pytest.raises(CheckpointError, match="expected the k of nano_coi, got another one"):
            replace("nano_coi", str(pretrained), tmp_path / "new")
        with pytest.raises(CheckpointError, match="expected the folder of a run, with training"):
            replace(str(tuned), str(pretrained), tmp_path / "new")
        assert not (tmp_path / "new").exists()


class TestUses:
    def test_onnx_files_give_the_same(self, tuned, tmp_path):
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
        assert export_onnx(tuned, tmp_path / "onnx").float32_max_difference < 1e-4

    def test_batches_give_the_same_as_single_segments(self, tuned, full_length_barcodes):
        embedder = BarcodeEmbedder.from_pretrained(tuned, dtype=torch.float32)
        texts = [full_length_barcodes[0], full_length_barcodes[1][100:230], full_length_barcodes[2][300:]]
        np.testing.assert_allclose(
            embedder.encode(texts), np.stack([embedder.encode(text) for text in texts]), atol=1e-5
        )

    def test_contributions_add_up_to_the_difference_of_cosines(self, tuned, full_length_barcodes):
        embedder = BarcodeEmbedder.from_pretrained(tuned, dtype=torch.float32)
        first, second = full_length_barcodes[1:3]
        found = embedder.attribute(full_length_barcodes[0][150:450], first, second)
        assert found.contributions.sum() + found.baseline == pytest.approx(found.difference, abs=1e-4)
