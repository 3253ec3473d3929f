"""Singular vectors of matrices that are too large for memory."""

from collections.abc import Iterable

import numpy as np
import scipy.linalg


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
