"""Barcodes as counts of their k-mers."""

from typing import Any

import numpy as np

from tokenization_barcodemae import KmerEncoder

_BLOCK_ROWS = 4096


class KmerCounts:
    """How often each k-mer occurs, at every offset; k-mers with an unknown letter are left out.

    Args:
        k: letters of a k-mer.
    """

    def __init__(self, k: int):
        self._encoder = KmerEncoder(k)

    def fit(self, sequences: list[str], genera: np.ndarray) -> None:
        pass

    def embed(self, sequences: list[str]) -> np.ndarray:
        """Counts as float32 `[n, 4^k]`, columns in the order of `itertools.product("ACGT", repeat=k)`."""
        n_kmers = 4**self._encoder.k
        counts = np.zeros((len(sequences), n_kmers), np.float32)
        for begin in range(0, len(sequences), _BLOCK_ROWS):
            block = sequences[begin : begin + _BLOCK_ROWS]
            for offset in range(self._encoder.k):
                kmers, known = known_kmers(self._encoder, block, offsets=np.full(len(block), offset))
                cells = (kmers + n_kmers * np.arange(len(block))[:, None])[known]
                found = np.bincount(cells, minlength=len(block) * n_kmers)
                counts[begin : begin + len(block)] += found.reshape(len(block), n_kmers)
        return counts


def known_kmers(encoder: KmerEncoder, sequences: list[str], **cut: Any) -> tuple[np.ndarray, np.ndarray]:
    """k-mers counted from 0 (`AA..A`), and which of them have no unknown letter: both `[n, tokens]`."""
    encoded = encoder(sequences, **cut)
    ids = encoded["input_ids"]
    known = (encoded["attention_mask"] == 1) & (ids != encoder.unk_token_id)
    return ids - (encoder.unk_token_id + 1), known
