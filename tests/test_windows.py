"""Sequences longer than the maximum of the model are read in windows, each token once."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from barcodemae import BarcodeEmbedder
from barcodemae.checkpoints.loading import save_checkpoint
from barcodemae.embedding.batches import cut_windows, group_by_length
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEModel
from tokenization_barcodemae import ReferenceFrame, reverse_complement, train_bpe_tokenizer

K, MAX_TOKENS = 4, 40
SIZE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def random_dna(length, seed=0):
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), length))


@pytest.fixture(scope="module")
def unplaced(tmp_path_factory):
    """An embedder without a frame, whose model has 40 positions."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("unplaced")
    save_checkpoint(folder, BarcodeMAEModel(BarcodeMAEConfig(k=K, max_position_embeddings=MAX_TOKENS, **SIZE)), None)
    return BarcodeEmbedder.from_pretrained(folder)


class TestCutWindows:
    def test_by_hand(self):
        """Rows of five tokens (the third is unknown and left out), of two tokens and of none."""
        encoding = {
            "input_ids": np.array([[10, 11, 13, 14], [20, 21, 9, 9], [9, 9, 9, 9]]),
            "attention_mask": np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]]),
            "position_ids": np.array([[0, 1, 3, 4], [0, 1, 0, 0], [0, 0, 0, 0]]),
        }
        rows, windows = cut_windows(encoding, 2)
        assert rows.tolist() == [0, 0, 0, 1]
        assert windows["attention_mask"].tolist() == [[1, 1], [1, 0], [1, 0], [1, 1]]
        attended = windows["attention_mask"] == 1
        assert windows["input_ids"][attended].tolist() == [10, 11, 13, 14, 20, 21]
        assert windows["position_ids"][attended].tolist() == [0, 1, 1, 0, 0, 1]

    def test_short_rows_are_unchanged(self):
        encoding = {name: np.arange(6).reshape(2, 3) // 3 for name in ("input_ids", "attention_mask", "position_ids")}
        rows, windows = cut_windows(encoding, 3)
        assert rows.tolist() == [0, 1]
        assert windows is encoding

    @given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.integers(1, 7), st.integers(0, 99))
    def test_every_token_is_in_one_window_at_its_position(self, lengths, max_tokens, seed):
        rng = np.random.default_rng(seed)
        width = max(lengths) + 1
        attended = np.arange(width) < np.array(lengths)[:, None]
        positions = np.sort(rng.permuted(np.tile(np.arange(2 * width), (len(lengths), 1)), axis=1)[:, :width])
        encoding = {
            "input_ids": rng.integers(0, 99, attended.shape),
            "attention_mask": attended.astype(np.int64),
            "position_ids": np.where(attended, positions, 0),
        }
        rows, windows = cut_windows(encoding, max_tokens)
        assert (np.diff(rows) >= 0).all()
        inside = windows["attention_mask"] == 1
        assert windows["position_ids"][inside].max(initial=0) < max_tokens
        assert (np.diff(inside.astype(int), axis=1) <= 0).all()  # tokens first
        found = [windows["input_ids"][rows == row][inside[rows == row]].tolist() for row in range(len(lengths))]
        assert found == [encoding["input_ids"][row, :length].tolist() for row, length in enumerate(lengths)]


def test_groups_by_hand():
    lengths = np.array([5, 100, 3, 60, 55, 7])
    assert [group.tolist() for group in group_by_length(lengths, 10, 120)] == [[0, 2, 5], [1], [3, 4]]
    assert [group.tolist() for group in group_by_length(lengths, 10, 1)] == [[0, 2, 5], [1], [3], [4]]
    assert group_by_length(np.array([], int), 10, 1) == []


def test_long_sequence_is_the_mean_over_its_windows(unplaced):
    window = K * MAX_TOKENS
    sequence = random_dna(3 * window + 41)
    parts = [sequence[begin : begin + window] for begin in range(0, len(sequence), window)]
    weights = np.array([40, 40, 40, 10])
    expected = (unplaced.encode(parts) * weights[:, None]).sum(0) / weights.sum()
    np.testing.assert_allclose(unplaced.encode([sequence])[0], expected, atol=1e-6)


def test_bases_after_the_first_window_matter(unplaced):
    sequence = random_dna(2000)
    other = sequence[:1000] + random_dna(1000, seed=1)
    assert np.abs(unplaced.encode([sequence]) - unplaced.encode([other])).max() > 1e-2


def test_long_and_short_sequences_in_one_call(unplaced, monkeypatch):
    sequences = [random_dna(length, seed) for seed, length in enumerate((30, 5000, 160, 164, 900, 4, 161))]
    sequences.append("N" * 400)
    alone = [unplaced.encode([sequence], on_error="skip")[0] for sequence in sequences]
    for bases in (2**24, 1):
        monkeypatch.setattr("barcodemae.embedding.embedder._LONG_BASES", bases)
        together = unplaced.encode(sequences, batch_size=3, on_error="skip")
        np.testing.assert_allclose(together, np.stack(alone), atol=1e-6)
    assert np.isnan(together).all(axis=1).tolist() == [False] * 7 + [True]


def test_mean_over_reading_offsets(unplaced):
    sequence = random_dna(1000)
    each = [unplaced.encode([sequence[offset:]]) for offset in range(K)]
    np.testing.assert_allclose(unplaced.encode([sequence], average_offsets=True), np.mean(each, axis=0), atol=1e-6)


@pytest.mark.parametrize("strand", [1, -1])
def test_barcode_within_a_mitogenome_is_found(strand, checkpoint, full_length_barcodes):
    """The surrounding sequence does not matter, like primers."""
    barcode = full_length_barcodes[0]
    genome = random_dna(5000) + barcode + random_dna(11_000, seed=1)
    embedder = BarcodeEmbedder.from_pretrained(checkpoint)
    found = embedder.encode([genome if strand == 1 else reverse_complement(genome), barcode])
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


def test_byte_pairs_are_read_in_windows(tmp_path, full_length_barcodes):
    """A barcode may have more byte pairs than the model has positions."""
    barcodes = full_length_barcodes[:300]
    tokenizer = train_bpe_tokenizer(barcodes, 128)
    config = BarcodeMAEConfig(vocab_size=len(tokenizer), max_position_embeddings=50, k=1, **SIZE)
    save_checkpoint(tmp_path, BarcodeMAEModel(config), None, tokenizer)
    embedder = BarcodeEmbedder.from_pretrained(tmp_path)
    ids = tokenizer(barcodes[0])["input_ids"]
    assert len(ids) > 50
    windows = [torch.tensor([ids[begin : begin + 50]]) for begin in range(0, len(ids), 50)]
    with torch.inference_mode():
        pooled = [embedder.model(window).pooler_output[0].numpy() for window in windows]
    expected = np.average(pooled, axis=0, weights=[window.shape[1] for window in windows])
    np.testing.assert_allclose(embedder.encode(barcodes[:2])[0], expected, atol=1e-6)


def test_sequence_that_is_not_placed_is_read_in_windows(checkpoint):
    embedder = BarcodeEmbedder.from_pretrained(checkpoint)
    unplaced = BarcodeEmbedder.from_pretrained(checkpoint, use_frame=False)
    sequence = random_dna(9000)
    assert not ReferenceFrame.coi().accepts(ReferenceFrame.coi().place([sequence]))[0]
    np.testing.assert_allclose(embedder.encode([sequence]), unplaced.encode([sequence]), atol=1e-6)
