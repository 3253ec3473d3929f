"""Linear maps of barcodes laid out on the reference frame: what a network has to beat."""

import numpy as np

from barcodemae.evaluation.rivals.linear_maps import fit_discriminants
from barcodemae.vectors.singular import singular_vectors
from tokenization_barcodemae import ReferenceFrame, letters_on_frame

_BLOCK_ROWS = 4096


class FrameSVD:
    """One-hot letters on the reference frame, centred by column, on their first singular vectors.

    Both are learnt from `train`. The mean of a column is that of the barcodes that have it, and a barcode
    that lacks it counts as that mean: a short end or an ambiguous letter says nothing. The singular vectors
    come from the cross products of the columns (2,632 for COI): they are exact, and the whole one-hot matrix
    is never in memory.

    Args:
        frame: the marker's.
        n_dimensions: singular vectors kept; no more than there are columns or barcodes in `train`.
    """

    def __init__(self, frame: ReferenceFrame, n_dimensions: int = 400):
        self._frame = frame
        self._n_dimensions = n_dimensions

    def fit(self, sequences: list[str], genera: np.ndarray) -> None:
        letters = letters_on_frame(sequences, self._frame)
        n_known = (letters >= 0).sum(axis=0)
        counts = np.stack([(letters == letter).sum(axis=0) for letter in range(4)], axis=1)
        self._mean = (counts / np.maximum(n_known, 1)[:, None]).astype(np.float32)
        blocks = (self._centred(letters[begin : begin + _BLOCK_ROWS]) for begin in range(0, len(letters), _BLOCK_ROWS))
        self._vectors = singular_vectors(blocks, self._n_dimensions)

    def embed(self, sequences: list[str]) -> np.ndarray:
        """Coordinates on the singular vectors, float32 `[n, n_dimensions]`, largest first."""
        letters = letters_on_frame(sequences, self._frame)
        embeddings = np.empty((len(letters), self._vectors.shape[1]), np.float32)
        for begin in range(0, len(letters), _BLOCK_ROWS):
            rows = slice(begin, begin + _BLOCK_ROWS)
            embeddings[rows] = self._centred(letters[rows]) @ self._vectors
        return embeddings

    def _centred(self, letters: np.ndarray) -> np.ndarray:
        one_hot = letters[..., None] == np.arange(4)
        centred = np.where(letters[..., None] >= 0, one_hot - self._mean, 0)
        return centred.reshape(len(letters), -1).astype(np.float32)


class FrameLDA(FrameSVD):
    """`FrameSVD`, then the directions that best tell the genera of `train` apart (discriminant analysis).

    Args:
        frame: the marker's.
        n_dimensions: singular vectors.
        n_discriminants: directions kept.
        shrinkage: of the covariance within genera towards a multiple of the identity, 0 to 1.
    """

    def __init__(
        self,
        frame: ReferenceFrame,
        n_dimensions: int = 400,
        n_discriminants: int = 200,
        shrinkage: float = 0.3,
    ):
        super().__init__(frame, n_dimensions)
        self._n_discriminants = n_discriminants
        self._shrinkage = shrinkage

    def fit(self, sequences: list[str], genera: np.ndarray) -> None:
        super().fit(sequences, genera)
        self._discriminants = fit_discriminants(
            super().embed(sequences), genera, self._n_discriminants, self._shrinkage
        )

    def embed(self, sequences: list[str]) -> np.ndarray:
        """Coordinates on the discriminants, float32 `[n, n_discriminants]`, largest first."""
        return self._discriminants.transform(super().embed(sequences)).astype(np.float32)
