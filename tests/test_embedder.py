"""Embeddings by the network do not depend on order, strand, batch and machine."""

import numpy as np
import pytest
import torch
from transformers import AutoModel

from barcodemae import BarcodeEmbedder, BaseMapEmbedder
from barcodemae.embedding.engines import load_engine
from barcodemae.errors import BadRecordError, CheckpointError, ConfigurationError
from tokenization_barcodemae import build_kmer_tokenizer, reverse_complement


@pytest.fixture(scope="module")
def embedder(checkpoint):
    return BarcodeEmbedder.from_pretrained(checkpoint)


@pytest.fixture(scope="module")
def sequences(sample):
    return sample["nucleotides"].slice(0, 40).to_pylist()


def test_equals_auto_model_on_a_full_length_barcode(checkpoint, embedder, full_length_barcodes):
    """Tokenizer and `AutoModel` give the same embedding, as a full-length barcode starts at slot 0."""
    barcode = full_length_barcodes[0]
    batch = build_kmer_tokenizer(4)(barcode, return_tensors="pt")
    plain = AutoModel.from_pretrained(checkpoint, trust_remote_code=True)(**batch).pooler_output.detach().numpy()
    np.testing.assert_allclose(embedder.encode([barcode]), plain, atol=1e-5)


def test_single_sequences_equal_a_batch(embedder, sequences):
    together = embedder.encode(sequences, batch_size=16)
    assert together.shape == (40, embedder.dimension)
    assert together.dtype == np.float32
    alone = np.concatenate([embedder.encode([sequence]) for sequence in sequences])
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("kind", ["checkpoint", "tuned_checkpoint"])
def test_embeddings_do_not_depend_on_the_batch_size(kind, request, sample):
    """Equal up to rounding in float32, with the same nearest neighbours."""
    barcodes = sample["nucleotides"].slice(0, 100).to_pylist()
    embedder = BarcodeEmbedder.from_pretrained(request.getfixturevalue(kind))
    expected = embedder.encode(barcodes, normalize_embeddings=True)
    cosines = expected @ expected.T - 2 * np.eye(100)
    for size in (1, 3, 64, 100):
        found = embedder.encode(barcodes, batch_size=size, normalize_embeddings=True)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        nearest = (found @ found.T - 2 * np.eye(100)).argmax(1)
        assert (cosines[np.arange(100), nearest] >= cosines.max(1) - 1e-6).all()
    backwards = embedder.encode(barcodes[::-1], normalize_embeddings=True)[::-1]
    np.testing.assert_allclose(backwards, expected, atol=1e-6)


def test_float32_is_the_default(checkpoint):
    embedder = BarcodeEmbedder.from_pretrained(checkpoint)
    assert embedder.dtype == torch.float32
    assert {value.dtype for value in embedder.model.parameters()} == {torch.float32}
    assert BarcodeEmbedder.untrained_like(embedder).dtype == torch.float32
    assert load_engine("network", checkpoint).dtype == torch.float32
    assert load_engine("network", checkpoint, precision="bf16").dtype == torch.bfloat16


def test_unknown_precision(checkpoint):
    with pytest.raises(ConfigurationError, match="dtype fp16: expected fp32 or bf16"):
        load_engine("network", checkpoint, precision="fp16")
    with pytest.raises(ConfigurationError, match="engine frame: expected dtype fp32, as it has no network; got bf16"):
        load_engine("frame", precision="bf16")


def test_strand_and_case_do_not_matter(embedder, sequences):
    other = [reverse_complement(sequence).lower() for sequence in sequences]
    np.testing.assert_allclose(embedder.encode(sequences), embedder.encode(other), atol=1e-5)


def test_without_the_frame_the_strand_matters(checkpoint, sequences):
    unaligned = BarcodeEmbedder.from_pretrained(checkpoint, use_frame=False)
    other = [reverse_complement(sequence) for sequence in sequences]
    assert np.abs(unaligned.encode(sequences) - unaligned.encode(other)).max() > 1e-2


def test_unit_length(embedder, sequences):
    lengths = np.linalg.norm(embedder.encode(sequences, normalize_embeddings=True), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)


def test_mean_over_reading_offsets(checkpoint, sequences):
    unaligned = BarcodeEmbedder.from_pretrained(checkpoint, use_frame=False)
    each = [unaligned.encode([sequence[offset:] for sequence in sequences]) for offset in range(4)]
    np.testing.assert_allclose(unaligned.encode(sequences, average_offsets=True), np.mean(each, axis=0), atol=1e-5)


def test_bfloat16_is_close_to_float32(checkpoint, sequences):
    def unit(dtype):
        return BarcodeEmbedder.from_pretrained(checkpoint, dtype=dtype).encode(sequences, normalize_embeddings=True)

    assert (unit(torch.bfloat16) * unit(torch.float32)).sum(1).min() > 0.999


def test_sequences_without_known_kmer(embedder, sequences):
    mixed = [sequences[0], "", "NNNNNNNN", "ACG", sequences[1]]
    with pytest.raises(BadRecordError, match="record '1': expected a known 4-mer, got none"):
        embedder.encode(mixed)
    embeddings = embedder.encode(mixed, on_error="skip")
    assert np.isnan(embeddings).all(1).tolist() == [False, True, True, True, False]
    np.testing.assert_allclose(embeddings[[0, 4]], embedder.encode(sequences[:2]), atol=1e-5)


def test_empty_list_and_single_string(embedder, sequences):
    assert embedder.encode([]).shape == (0, embedder.dimension)
    one, several = embedder.encode(sequences[0]), embedder.encode(sequences[:3])
    np.testing.assert_allclose(one, several[0], atol=1e-5)
    similarity = embedder.similarity(one, several)
    assert similarity.shape == (1, 3)
    assert similarity[0, 0] == pytest.approx(1)


def test_untrained_like_has_other_weights(embedder, sequences):
    first, again, other = (BarcodeEmbedder.untrained_like(embedder, seed).encode(sequences[:5]) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)
    assert not np.allclose(first, embedder.encode(sequences[:5]))


def test_missing_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="expected a folder, ORG/NAME"):
        BarcodeEmbedder.from_pretrained(tmp_path / "nowhere")


@pytest.mark.parametrize("sequences", [5, None, b"ACGT", ["ACGT", None], ["ACGT", 7], {"ACGT"}])
@pytest.mark.parametrize("engine", [BarcodeEmbedder, BaseMapEmbedder])
def test_other_types_than_strings_are_named(engine, sequences):
    with pytest.raises(TypeError, match=r"expected (a sequence as a string|sequences as strings).*, got"):
        engine.from_pretrained().encode(sequences)


def test_embedders_say_what_they_are():
    assert repr(BarcodeEmbedder.from_pretrained()) == "<BarcodeEmbedder: COI-5P, 6-mers to 200 numbers, cpu>"
    assert repr(BaseMapEmbedder.from_pretrained()) == "<BaseMapEmbedder: COI-5P, bases to 200 numbers>"
