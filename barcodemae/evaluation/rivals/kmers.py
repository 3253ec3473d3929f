"""Barcodes as counts of their k-mers."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from barcodemae.evaluation.rivals.linear_maps import fit_discriminants
from barcodemae.vectors.singular import singular_vectors
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


class KmerLDA:
    """Square roots of k-mer counts, centred, on their first singular vectors, then on the directions that best tell
    the genera of `train` apart (discriminant analysis). All three are learnt from `train`.

    The square root keeps frequent k-mers from drowning the others.

    Args:
        k: letters of a k-mer.
        n_dimensions: singular vectors; no more than there are k-mers or barcodes in `train`.
        n_discriminants: directions kept.
        shrinkage: of the covariance within genera towards a multiple of the identity, 0 to 1.
    """

    def __init__(self, k: int, n_dimensions: int = 400, n_discriminants: int = 200, shrinkage: float = 0.3):
        self._counts = KmerCounts(k)
        self._n_dimensions = n_dimensions
        self._n_discriminants = n_discriminants
        self._shrinkage = shrinkage

    def fit(self, sequences: list[str], genera: np.ndarray) -> None:
        self._mean = sum(block.sum(axis=0) for block in self._roots(sequences)) / np.float32(len(sequences))
        self._vectors = singular_vectors((block - self._mean for block in self._roots(sequences)), self._n_dimensions)
        self._discriminants = fit_discriminants(
            self._coordinates(sequences), genera, self._n_discriminants, self._shrinkage
        )

    def embed(self, sequences: list[str]) -> np.ndarray:
        """Coordinates on the discriminants, float32 `[n, n_discriminants]`, largest first."""
        return self._discriminants.transform(self._coordinates(sequences)).astype(np.float32)

    def _coordinates(self, sequences: list[str]) -> np.ndarray:
        return np.concatenate([(block - self._mean) @ self._vectors for block in self._roots(sequences)])

    def _roots(self, sequences: list[str]) -> Iterator[np.ndarray]:
        for begin in range(0, len(sequences), _BLOCK_ROWS):
            yield np.sqrt(self._counts.embed(sequences[begin : begin + _BLOCK_ROWS]))


def known_kmers(encoder: KmerEncoder, sequences: list[str], **cut: Any) -> tuple[np.ndarray, np.ndarray]:
    """k-mers counted from 0 (`AA..A`), and which of them have no unknown letter: both `[n, tokens]`."""
    encoded = encoder(sequences, **cut)
    ids = encoded["input_ids"]
    known = (encoded["attention_mask"] == 1) & (ids != encoder.unk_token_id)
    return ids - (encoder.unk_token_id + 1), known
