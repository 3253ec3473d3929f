"""What the linear rivals share: singular vectors of many rows, and the directions that tell genera apart."""

import warnings
from collections.abc import Iterable

import numpy as np
import scipy.linalg
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from barcodemae.errors import ConfigurationError


def singular_vectors(blocks: Iterable[np.ndarray], n_kept: int) -> np.ndarray:
    """Right singular vectors of a matrix that comes in blocks of rows.

    They come from the cross products of the columns: they are exact, and the whole matrix is never in memory.

    Args:
        blocks: float32 `[rows, columns]` each, one or more.
        n_kept: vectors, at most; no more than there are columns or rows.

    Returns:
        float32 `[columns, n_kept]`, the one of the largest singular value first.
    """
    products, n_rows = np.float32(0), 0
    for block in blocks:
        products = products + block.T @ block
        n_rows += len(block)
    n_columns = len(products)
    n_kept = min(n_kept, n_columns, n_rows)
    _, vectors = scipy.linalg.eigh(products, subset_by_index=(n_columns - n_kept, n_columns - 1))
    return vectors[:, ::-1]


def fit_discriminants(
    vectors: np.ndarray, genera: np.ndarray, n_discriminants: int, shrinkage: float
) -> LinearDiscriminantAnalysis:
    """Linear discriminant analysis of genera.

    Args:
        vectors: `[n, dimensions]`, of the `train` split.
        genera: `[n]`, the genus of each.
        n_discriminants: directions kept; no more than there are dimensions, or genera less one.
        shrinkage: of the covariance within genera towards a multiple of the identity, 0 to 1.

    Raises:
        ConfigurationError: there are less than two genera, or none with two barcodes.
    """
    n_genera = len(np.unique(genera))
    if not 2 <= n_genera < len(vectors):
        raise ConfigurationError(
            "a discriminant analysis expects a train split of two genera or more, one of them with two "
            f"barcodes, got {len(vectors)} barcodes of {n_genera} genera: leave the rivals out"
        )
    n_directions = min(n_genera - 1, vectors.shape[1], n_discriminants)
    analysis = LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage, n_components=n_directions)
    with warnings.catch_warnings():
        # A genus with one barcode adds nothing to the covariance within genera, which is right.
        warnings.filterwarnings("ignore", "Only one sample available")
        return analysis.fit(vectors, genera)
