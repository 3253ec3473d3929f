"""The model that is evaluated, of either kind, and baselines by their names."""

import json
import shutil

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from barcodemae.checkpoints.files import FRAME_FILE, WEIGHTS_FILE, weights_sha256
from barcodemae.embedding import BarcodeEmbedder
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.evaluation.baselines.aligner_programs import SETTINGS
from barcodemae.evaluation.baselines.aligners import AlignmentSearcher
from barcodemae.evaluation.baselines.compressor import CompressionDistance
from barcodemae.evaluation.baselines.encoders import AnyEncoder
from barcodemae.evaluation.baselines.linear_maps import FrameLDA, FrameSVD, KmerCounts, KmerLDA
from barcodemae.evaluation.catalogue import BASELINES, DEFAULT_BASELINES, TASKS, title_of
from barcodemae.evaluation.methods import IdentifiedRepresentation
from barcodemae.evaluation.registry import (
    Model,
    ModelRepresentation,
    check_baseline,
    is_barcodemae,
    make_baseline,
)
from helpers.small_encoders import BARCODES, base_tokenizer, small_model
from tokenization_barcodemae import build_kmer_tokenizer


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """Folder of a small BERT with a tokenizer of its own."""
    folder = tmp_path_factory.mktemp("stranger")
    small_model("bert").save_pretrained(folder)
    base_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def ours(checkpoint):
    return str(checkpoint)


@pytest.fixture
def without_frame(checkpoint, tmp_path):
    """The checkpoint as of a model that was trained without a frame."""
    folder = shutil.copytree(checkpoint, tmp_path / "frameless", ignore=shutil.ignore_patterns(FRAME_FILE))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"reference_frame": None}))
    return str(folder)


def load(name, **options):
    return Model.load(name, batch_size=2, **options)


def baseline(kind, model, name, seed=0):
    return make_baseline(kind, model, name, batch_size=2, seed=seed, trust_remote_code=False)


def test_a_checkpoint_of_ours_is_read_on_its_frame(ours, full_length_barcodes):
    model = load(ours)
    assert isinstance(model.representation, ModelRepresentation)
    assert model.weights_sha256 == weights_sha256(ours)
    assert model.identity == {}
    embedder = BarcodeEmbedder.from_pretrained(ours, dtype=torch.float32)
    assert model.embedder.frame.checksum() == embedder.frame.checksum()
    found, expected = model.representation.embed(full_length_barcodes[:3]), embedder.encode(full_length_barcodes[:3])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_another_encoder_is_read_by_its_own_tokenizer(stranger):
    model = load(stranger)
    assert model.embedder is None
    expected = AnyEncoder.from_pretrained(stranger)
    np.testing.assert_allclose(model.representation.embed(BARCODES), expected.embed(BARCODES), atol=1e-5)
    assert {"weights_sha256": model.weights_sha256, **model.identity} == expected.identity()


def test_it_is_read_as_it_was_said(stranger):
    found = load(stranger, pooling="last", layer=0, prepare="lower", tokenizer=stranger)
    assert [found.identity[name] for name in ("pooling", "layer", "prepare")] == ["last", 0, "lower"]


def test_our_tokenizer_on_another_encoder(tmp_path, full_length_barcodes):
    tokenizer = build_kmer_tokenizer(3, model_max_length=256)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=256, **size)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = load(str(tmp_path))
    assert model.representation.embed(full_length_barcodes[:2]).shape == (2, 16)
    # 658 bases are 219 3-mers.
    counts = model.representation.token_counts
    assert (counts.tokens, counts.truncated) == (2 * 219, 0)


def test_a_checkpoint_of_ours_is_any_encoder_where_it_is_said_how_to_read_it(ours, full_length_barcodes):
    model = load(ours, pooling="mean")
    assert model.embedder is None
    assert model.identity["model"] == "BertModel"
    # A full-length barcode starts where the frame does.
    plain = BarcodeEmbedder.from_pretrained(ours, use_frame=False, dtype=torch.float32)
    found = model.representation.embed(full_length_barcodes[:3])
    np.testing.assert_allclose(found, plain.encode(full_length_barcodes[:3]), atol=1e-4)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "expected a checkpoint, found none"),
        ("{oh", "not a valid JSON file"),
        ("{}", "expected a checkpoint, found none"),
    ],
)
def test_a_folder_without_a_checkpoint(config, message, tmp_path):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(CheckpointError, match=message) as refused:
        load(str(tmp_path))
    assert str(refused.value).startswith(f"{tmp_path}: ")
    assert len(str(refused.value).splitlines()) == 1


def test_map_of_kmers_has_no_network():
    with pytest.raises(CheckpointError, match="nano_its: expected a checkpoint with a network, got the map of k-mers"):
        Model.load("nano_its", batch_size=2)


def test_our_configuration_without_weights(ours, tmp_path):
    shutil.copytree(ours, tmp_path / "torn", ignore=shutil.ignore_patterns(WEIGHTS_FILE))
    with pytest.raises(CheckpointError, match="no checkpoint could be loaded"):
        load(str(tmp_path / "torn"))


def test_our_family_is_known_by_its_class(ours, stranger, tmp_path):
    assert is_barcodemae(ours)
    assert not is_barcodemae(stranger)
    for reference, expected in (
        ("ORG/NAME--modeling_barcodemae.BarcodeMAEModel", True),
        ("modeling_other.BarcodeMAEModel", False),
    ):
        (tmp_path / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": reference}}))
        assert is_barcodemae(str(tmp_path)) is expected


@pytest.mark.parametrize("kind", ["ours", "stranger"])
def test_the_untrained_baseline_differs_by_its_weights_alone(kind, request, full_length_barcodes):
    name = request.getfixturevalue(kind)
    barcodes = [barcode[:30] for barcode in full_length_barcodes[:3]]
    model = load(name)
    first, again, other = (baseline("untrained", model, name, seed) for seed in (0, 0, 1))
    assert type(first) is type(model.representation)
    assert isinstance(first, IdentifiedRepresentation)
    np.testing.assert_array_equal(first.embed(barcodes), again.embed(barcodes))
    assert not np.array_equal(first.embed(barcodes), other.embed(barcodes))
    untrained, trained = first.identity(), model.representation.identity()
    assert untrained.pop("weights_sha256") != trained.pop("weights_sha256")
    assert untrained == trained


def test_the_baseline_without_frame_is_the_same_model(ours, full_length_barcodes):
    shifted = [barcode[1:] for barcode in full_length_barcodes[:3]]
    found = baseline("without_frame", load(ours), ours)
    expected = BarcodeEmbedder.from_pretrained(ours, use_frame=False, dtype=torch.float32)
    np.testing.assert_allclose(found.embed(shifted), expected.encode(shifted), atol=1e-5)
    assert not np.allclose(found.embed(shifted), load(ours).representation.embed(shifted), atol=1e-3)


@pytest.mark.parametrize("kind", ["stranger", "without_frame"])
def test_what_has_no_frame_has_no_baseline_without_one(kind, request):
    name = request.getfixturevalue(kind)
    assert baseline("without_frame", load(name), name) is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("kmer_4", KmerCounts),
        ("kmer_6", KmerCounts),
        ("kmer_6_lda", KmerLDA),
        ("frame_svd", FrameSVD),
        ("frame_lda", FrameLDA),
        ("compressor", CompressionDistance),
    ],
)
def test_baselines_without_a_network(name, kind):
    assert type(baseline(name, None, "")) is kind
    check_baseline(name, trust_remote_code=False)


@pytest.mark.parametrize("setting", SETTINGS)
def test_programs_that_are_not_installed_are_named_before_the_first_task(setting, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for make in (lambda: baseline(setting, None, ""), lambda: check_baseline(setting, trust_remote_code=True)):
        with pytest.raises(ConfigurationError, match=r"(makeblastdb|vsearch) is not on the PATH: install"):
            make()


@pytest.mark.parametrize(("setting", "program"), [("vsearch", "vsearch"), ("blastn", "blastn")])
def test_programs_that_are_installed(setting, program):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not on the PATH")
    assert isinstance(baseline(setting, None, ""), AlignmentSearcher)


def test_an_encoder_with_code_of_its_own_is_refused_before_the_first_task():
    with pytest.raises(ConfigurationError, match="needs code of its own to run"):
        check_baseline("hyenadna", trust_remote_code=False)
    check_baseline("hyenadna", trust_remote_code=True)
    check_baseline("nucleotide_transformer", trust_remote_code=False)


def test_an_unknown_baseline_is_refused():
    with pytest.raises(ConfigurationError, match=r"expected a baseline \(any of untrained, .*\), got blast"):
        baseline("blast", None, "")


def test_every_name_in_the_catalogue_is_known():
    assert set(DEFAULT_BASELINES) <= set(BASELINES)
    assert set().union(*(row.skipped_tasks for row in BASELINES.values())) <= set(TASKS)
    titles = [title_of(name) for name in BASELINES]
    assert len(set(titles)) == len(titles)
