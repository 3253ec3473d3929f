"""The base map of a tuned model: sums by hand, equality with the whole model, and no torch."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import barcodemae
from barcodemae import BarcodeEmbedder, BaseMapEmbedder
from barcodemae.checkpoints import DEFAULT, shipped_folder
from barcodemae.checkpoints.loading import save_checkpoint
from barcodemae.embedding.engines import load_engine
from barcodemae.errors import BadRecordError, CheckpointError, ConfigurationError
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEForPreTraining, BarcodeMAEModel
from tokenization_barcodemae import ReferenceFrame, lay_out, reverse_complement

K, SLOTS, WIDTH = 4, 164, 16
SIZE = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}


def tuned_model(model_class):
    """A model whose projection head has a random base map, and a network part of zeros."""
    torch.manual_seed(3)
    model = model_class(BarcodeMAEConfig(k=K, embedding_size=WIDTH, frame_slots=SLOTS, encoder_stride=3, **SIZE))
    head = (model if model_class is BarcodeMAEModel else model.bert).projection_head
    with torch.no_grad():
        head.network.weight.zero_()
        head.network.bias.zero_()
        head.bases.weight[:-1].normal_()
    return model


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    save_checkpoint(folder, tuned_model(BarcodeMAEForPreTraining), ReferenceFrame.coi())
    return folder


@pytest.fixture(scope="module")
def embedder(tuned):
    return BaseMapEmbedder.from_pretrained(tuned)


@pytest.fixture(scope="module")
def table(tuned):
    return load_file(tuned / "model.safetensors")["bert.projection_head.bases.weight"]


def by_hand(table, sequence, start=0):
    """Mean over k-mers of the rows of the known bases, for a sequence that starts at coordinate `start`."""
    known = [(start + i, base) for i, base in enumerate(sequence) if base in "ACGT" and start + i < SLOTS * K]
    rows = [table[4 * coordinate + "ACGT".index(base)] for coordinate, base in known]
    return np.sum(rows, axis=0) * K / len(rows)


def test_rows_by_hand(embedder, table, full_length_barcodes):
    barcode = full_length_barcodes[0]
    short, ambiguous = barcode[101:402], barcode[:50] + "NNRNN" + barcode[55:]
    found = embedder.encode([barcode, short, ambiguous, "GGTTAC" + barcode])
    assert (found.shape, found.dtype) == ((4, WIDTH), np.float32)
    expected = [by_hand(table, sequence, start) for sequence, start in ((barcode, 0), (short, 101), (ambiguous, 0))]
    expected.append(expected[0])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_strand_case_and_gaps_do_not_matter(embedder, full_length_barcodes):
    barcode = full_length_barcodes[1][30:600]
    others = [reverse_complement(barcode), barcode.lower(), barcode[:9] + "--." + barcode[9:]]
    np.testing.assert_array_equal(embedder.encode(others), embedder.encode([barcode] * 3))


def test_equals_the_whole_model_if_its_network_part_is_zero(tuned, embedder, full_length_barcodes):
    """For barcodes of complete k-mers only: full length, and truncated at slots."""
    barcodes = [barcode[begin:end] for barcode in full_length_barcodes[:5] for begin, end in ((0, 656), (80, 400))]
    whole = BarcodeEmbedder.from_pretrained(tuned, dtype=torch.float32)
    np.testing.assert_allclose(embedder.encode(barcodes), whole.encode(barcodes), atol=1e-5)
    assert (embedder.dimension, embedder.k) == (whole.dimension, whole.k)
    assert embedder.frame.checksum() == whole.frame.checksum()


@given(st.lists(st.lists(st.integers(-1, 3), min_size=5, max_size=5), min_size=1, max_size=300))
def test_blocks_of_bases_equal_sums_by_hand(rows):
    bases = np.array(rows, np.int8)
    bases = bases[(bases >= 0).any(axis=1)]
    table = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    embedder = BaseMapEmbedder(table, ReferenceFrame(np.full((6, 4), 0.25), 0), 2)
    expected = [
        np.mean([table[4 * coordinate + base] for coordinate, base in enumerate(row) if base >= 0], axis=0) * 2
        for row in bases
    ]
    np.testing.assert_allclose(embedder.embed_bases(bases), np.reshape(expected, (-1, 3)), atol=1e-5)


def test_bases_that_are_already_laid_out(embedder, full_length_barcodes):
    barcodes = full_length_barcodes[:5]
    bases = lay_out(barcodes, embedder.frame.place(barcodes), embedder.frame.length)
    np.testing.assert_array_equal(embedder.embed_bases(bases), embedder.encode(barcodes))


def test_sequences_that_are_not_barcodes(embedder, full_length_barcodes):
    random = "".join(np.random.default_rng(0).choice(list("ACGT"), 600))
    mixed = [full_length_barcodes[0], "", "NNNNNNNN", random, full_length_barcodes[1]]
    with pytest.raises(
        BadRecordError, match=r"record '1': expected a barcode that can be placed on the reference frame \(COI"
    ):
        embedder.encode(mixed)
    found = embedder.encode(mixed, on_error="skip", normalize_embeddings=True)
    assert np.isnan(found).all(axis=1).tolist() == [False, True, True, True, False]
    np.testing.assert_allclose(np.linalg.norm(found[[0, 4]], axis=1), 1, atol=1e-6)


def test_empty_list_and_single_string(embedder, full_length_barcodes):
    assert embedder.encode([]).shape == (0, WIDTH)
    one, several = embedder.encode(full_length_barcodes[0]), embedder.encode(full_length_barcodes[:3])
    np.testing.assert_allclose(one, several[0], atol=1e-5)
    similarity = embedder.similarity(one, several)
    assert similarity.shape == (1, 3)
    assert similarity[0, 0] == pytest.approx(1)


def test_checkpoint_of_an_encoder_has_the_same_base_map(embedder, full_length_barcodes, tmp_path):
    save_checkpoint(tmp_path, tuned_model(BarcodeMAEModel), ReferenceFrame.coi())
    alone, barcodes = BaseMapEmbedder.from_pretrained(tmp_path), full_length_barcodes[:2]
    assert "projection_head.bases.weight" in load_file(tmp_path / "model.safetensors")
    assert alone.encode(barcodes).shape == embedder.encode(barcodes).shape


def test_half_precision_is_read(tuned, table, full_length_barcodes, tmp_path):
    folder = shutil.copytree(tuned, tmp_path / "half")
    halved = {name: values.astype(np.float16) for name, values in load_file(folder / "model.safetensors").items()}
    save_file(halved, folder / "model.safetensors")
    found = BaseMapEmbedder.from_pretrained(folder).encode(full_length_barcodes[:1])
    expected = by_hand(table.astype(np.float16).astype(np.float32), full_length_barcodes[0])
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_untuned_checkpoint(checkpoint):
    with pytest.raises(CheckpointError, match=r"expected bert\.projection_head\.bases\.weight among the weights"):
        BaseMapEmbedder.from_pretrained(checkpoint)


@pytest.mark.parametrize("missing", ["config.json", "reference_frame.safetensors", "model.safetensors"])
def test_missing_or_broken_file(missing, tuned, tmp_path):
    folder = shutil.copytree(tuned, tmp_path / "broken")
    (folder / missing).write_bytes((folder / missing).read_bytes()[:100])
    with pytest.raises(CheckpointError, match="expected a tuned checkpoint"):
        BaseMapEmbedder.from_pretrained(folder)
    (folder / missing).unlink()
    with pytest.raises(CheckpointError, match=missing.replace(".", r"\.")):
        BaseMapEmbedder.from_pretrained(folder)


def test_frame_that_is_too_short(tuned, tmp_path):
    folder = shutil.copytree(tuned, tmp_path / "other")
    ReferenceFrame(np.full((100, 4), 0.25), 0, "other").save(folder / "reference_frame.safetensors")
    with pytest.raises(CheckpointError, match="expected 656 coordinates or more on the reference frame, got 100"):
        BaseMapEmbedder.from_pretrained(folder)


def test_engines(tuned):
    assert isinstance(load_engine("network", tuned), BarcodeEmbedder)
    assert isinstance(load_engine("frame", tuned), BaseMapEmbedder)
    with pytest.raises(ConfigurationError, match="expected network or frame"):
        load_engine("blast", tuned)
    with pytest.raises(ConfigurationError, match="expected use_frame true"):
        load_engine("frame", tuned, use_frame=False)


def test_unknown_names_of_packages():
    for package in (barcodemae, barcodemae.embedding):
        with pytest.raises(AttributeError, match="has no attribute 'sing'"):
            package.sing  # noqa: B018


def python(script, *arguments):
    done = subprocess.run([sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_embedding_does_not_import_torch(full_length_barcodes):
    script = (
        "import json, sys; from barcodemae import BaseMapEmbedder;"
        "print(json.dumps(BaseMapEmbedder.from_pretrained().encode(sys.argv[1:]).tolist()));"
        "assert not {'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)"
    )
    barcodes = full_length_barcodes[:2]
    found = np.array(json.loads(python(script, *barcodes)), np.float32)
    table = load_file(shipped_folder(DEFAULT) / "model.safetensors")["projection_head.bases.weight"]
    expected = BaseMapEmbedder(table[:-1], ReferenceFrame.coi(), 6).encode(barcodes)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_help_does_not_import_torch():
    script = (
        "import sys; from barcodemae.cli import main; sys.argv[1:] = ['--help']; main();"
        "assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)"
    )
    assert "embed" in python(script)


@pytest.mark.slow
def test_command_does_not_import_torch(sample, tmp_path):
    fasta, output = tmp_path / "queries.fasta", tmp_path / "vectors.npy"
    barcodes = sample["nucleotides"].slice(0, 5).to_pylist()
    fasta.write_text("".join(f">{i}\n{barcode}\n" for i, barcode in enumerate(barcodes)) + ">random\n" + "ACGT" * 100)
    script = (
        "import sys; from barcodemae.cli import main;"
        "sys.argv[1:] = ['embed', '--engine', 'frame', '--on-error', 'skip', '--data', *sys.argv[1:]]; main();"
        "assert 'torch' not in sys.modules"
    )
    output_text = python(script, fasta, "--output", output)
    assert "as they have nothing to embed: 1." in output_text
    np.testing.assert_allclose(np.load(output), BaseMapEmbedder.from_pretrained().encode(barcodes), atol=1e-4)
