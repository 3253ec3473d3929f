"""Barcodes as k-mer counts, and linear maps of counts or of bases on the reference frame."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from barcodemae.embedding.singular import fit_one_hot_map, map_one_hot, singular_vectors
from barcodemae.errors import ConfigurationError
from tokenization_barcodemae import KmerEncoder, ReferenceFrame, bases_on_frame

_BLOCK_ROWS = 4096


class KmerCounts:
    """How often each k-mer occurs, at every offset; k-mers with an unknown base are left out.

    Args:
        k: bases of a k-mer.
    """

    def __init__(self, k: int):
        self._encoder = KmerEncoder(k)

    def fit(self, sequences: list[str], genera: np.ndarray) -> None:
        pass

    def embed(self, sequences: list[str]) -> np.ndarray:
        """Counts as float32 `[n, 4^k]`, columns in the order of `itertools.product("ACGT", repeat=k)`."""
        num_kmers = 4**self._encoder.k
        counts = np.zeros((len(sequences), num_kmers), np.float32)
        for begin in range(0, len(sequences), _BLOCK_ROWS):
            block = sequences[begin : begin + _BLOCK_ROWS]
            for offset in range(self._encoder.k):
                kmers, known = known_kmers(self._encoder, block, offsets=np.full(len(block), offset))
                cells = (kmers + num_kmers * np.arange(len(block))[:, None])[known]
                found = np.bincount(cells, minlength=len(block) * num_kmers)
                counts[begin : begin + len(block)] += found.reshape(len(block), num_kmers)
        return counts


class KmerLDA:
    """Square roots of k-mer counts, centred, on their first singular vectors, then on the directions that best
    separate the genera of `train` (discriminant analysis). All three are fitted to `train`.

    The square root keeps frequent k-mers from dominating the others.

    Args:
        k: bases of a k-mer.
        num_dimensions: singular vectors; fewer where there are fewer k-mers or barcodes in `train`.
        num_discriminants: number of directions.
        shrinkage: of the covariance within genera towards a multiple of the identity, 0 to 1.
    """

    def __init__(self, k: int, num_dimensions: int = 400, num_discriminants: int = 200, shrinkage: float = 0.3):
        self._counts = KmerCounts(k)
        self._num_dimensions = num_dimensions
        self._num_discriminants = num_discriminants
        self._shrinkage = shrinkage

    def fit(self, sequences: list[str], genera: np.ndarray) -> None:
        self._mean = sum(block.sum(axis=0) for block in self._roots(sequences)) / np.float32(len(sequences))
        self._vectors = singular_vectors((block - self._mean for block in self._roots(sequences)), self._num_dimensions)
        self._discriminants = fit_discriminants(
            self._coordinates(sequences), genera, self._num_discriminants, self._shrinkage
        )

    def embed(self, sequences: list[str]) -> np.ndarray:
        """Coordinates on the discriminants, float32 `[n, num_discriminants]`, largest first."""
        return self._discriminants.transform(self._coordinates(sequences)).astype(np.float32)

    def _coordinates(self, sequences: list[str]) -> np.ndarray:
        return np.concatenate([(block - self._mean) @ self._vectors for block in self._roots(sequences)])

    def _roots(self, sequences: list[str]) -> Iterator[np.ndarray]:
        for begin in range(0, len(sequences), _BLOCK_ROWS):
            yield np.sqrt(self._counts.embed(sequences[begin : begin + _BLOCK_ROWS]))


def known_kmers(encoder: KmerEncoder, sequences: list[str], **cut: Any) -> tuple[np.ndarray, np.ndarray]:
    """k-mers counted from 0 (`AA..A`), and which of them have no unknown base: both `[n, tokens]`."""
    encoded = encoder(sequences, **cut)
    ids = encoded["input_ids"]
    known = (encoded["attention_mask"] == 1) & (ids != encoder.unk_token_id)
    return ids - (encoder.unk_token_id + 1), known


def fit_discriminants(
    vectors: np.ndarray, genera: np.ndarray, num_discriminants: int, shrinkage: float
) -> LinearDiscriminantAnalysis:
    """Linear discriminant analysis of genera.

    Args:
        vectors: `[n, dimensions]`, of the `train` split.
        genera: `[n]`, the genus of each.
        num_discriminants: number of directions; fewer where there are fewer dimensions, or genera less one.
        shrinkage: of the covariance within genera towards a multiple of the identity, 0 to 1.

    Raises:
        ConfigurationError: there are less than two genera, or none with two barcodes.
    """
    num_genera = len(np.unique(genera))
    if not 2 <= num_genera < len(vectors):
        raise ConfigurationError(
            "a discriminant analysis expects a train split of two genera or more, one of them with two "
            f"barcodes, got {len(vectors)} barcodes of {num_genera} genera: leave this baseline out"
        )
    num_directions = min(num_genera - 1, vectors.shape[1], num_discriminants)
    analysis = LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage, n_components=num_directions)
    with warnings.catch_warnings():
        # A genus with one barcode adds nothing to the covariance within genera, which is right.
        warnings.filterwarnings("ignore", "Only one sample available")
        return analysis.fit(vectors, genera)


class FrameSVD:
    """One-hot bases on the reference frame, centred by column, on their first singular vectors, all fitted to `train`.

    Args:
        frame: the marker's.
        num_dimensions: singular vectors; fewer where there are fewer columns or barcodes in `train`.
    """

    def __init__(self, frame: ReferenceFrame, num_dimensions: int = 400):
        self._frame = frame
        self._num_dimensions = num_dimensions

    def fit(self, sequences: list[str], genera: np.ndarray) -> None:
        self._map = fit_one_hot_map(bases_on_frame(sequences, self._frame), self._num_dimensions)

    def embed(self, sequences: list[str]) -> np.ndarray:
        """Coordinates on the singular vectors, float32 `[n, num_dimensions]`, largest first."""
        return map_one_hot(bases_on_frame(sequences, self._frame), self._map)


class FrameLDA(FrameSVD):
    """`FrameSVD`, then the directions that best separate the genera of `train` (discriminant analysis).

    Args:
        frame: the marker's.
        num_dimensions: singular vectors.
        num_discriminants: number of directions.
        shrinkage: of the covariance within genera towards a multiple of the identity, 0 to 1.
    """

    def __init__(
        self,
        frame: ReferenceFrame,
        num_dimensions: int = 400,
        num_discriminants: int = 200,
        shrinkage: float = 0.3,
    ):
        super().__init__(frame, num_dimensions)
        self._num_discriminants = num_discriminants
        self._shrinkage = shrinkage

    def fit(self, sequences: list[str], genera: np.ndarray) -> None:
        super().fit(sequences, genera)
        self._discriminants = fit_discriminants(
            super().embed(sequences), genera, self._num_discriminants, self._shrinkage
        )

    def embed(self, sequences: list[str]) -> np.ndarray:
        """Coordinates on the discriminants, float32 `[n, num_discriminants]`, largest first."""
        return self._discriminants.transform(super().embed(sequences)).astype(np.float32)
