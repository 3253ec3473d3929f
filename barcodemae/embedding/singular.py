"""Singular vectors of matrices that do not fit into memory, and the linear map of one-hot bases onto them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.linalg

_BLOCK_ROWS = 4096


@dataclass(frozen=True)
class LinearMap:
    """A linear map of centred inputs.

    Attributes:
        mean: float32 `[inputs]`.
        matrix: float32 `[inputs, outputs]`.
    """

    mean: np.ndarray
    matrix: np.ndarray

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """Map vectors `[n, inputs]` to float32 `[n, outputs]`."""
        return (vectors - self.mean) @ self.matrix


def singular_vectors(blocks: Iterable[np.ndarray], max_vectors: int) -> np.ndarray:
    """Right singular vectors of a matrix that is given in blocks of rows.

    They are computed from the cross products of the columns: exact, and without the whole matrix in memory. A matrix
    with at most as many rows as columns is decomposed directly.

    Args:
        blocks: one or more, float32 `[rows, columns]` each.
        max_vectors: number of vectors; fewer if there are fewer columns or rows.

    Returns:
        float32 `[columns, vectors]`, in the order of decreasing singular values.
    """
    held: list[np.ndarray] = []
    products, num_rows = np.float32(0), 0
    for block in blocks:
        num_rows += len(block)
        held.append(block)
        if num_rows > block.shape[1]:
            for part in held:
                products = products + part.T @ part
            held = []
    if held:
        return scipy.linalg.svd(np.concatenate(held), full_matrices=False)[2][:max_vectors].T
    num_columns = len(products)
    num_vectors = min(max_vectors, num_columns, num_rows)
    _, vectors = scipy.linalg.eigh(products, subset_by_index=(num_columns - num_vectors, num_columns - 1))
    return vectors[:, ::-1]


def fit_one_hot_map(bases: np.ndarray, max_outputs: int, divisors: np.ndarray | None = None) -> LinearMap:
    """Fit the map of one-hot bases, centred by column, onto their first singular vectors.

    The mean of a column is over the barcodes that have a known base at its coordinate. Barcodes without one are set to
    that mean, so that a truncated end or an ambiguous base contributes nothing.

    Args:
        bases: int8 `[n, coordinates]`, 0 to 3 for A, C, G, T, -1 where a barcode has no known base.
        max_outputs: number of singular vectors; fewer if there are fewer columns or barcodes.
        divisors: `[n]`, divisors of the centred rows.

    Returns:
        A map of `4 * coordinates` inputs.
    """
    num_known = (bases >= 0).sum(axis=0)
    counts = np.stack([(bases == base).sum(axis=0) for base in range(4)], axis=1)
    mean = (counts / np.maximum(num_known, 1)[:, None]).astype(np.float32).ravel()
    return LinearMap(mean, singular_vectors(_centred_blocks(bases, mean, divisors), max_outputs))


def map_one_hot(bases: np.ndarray, linear_map: LinearMap, divisors: np.ndarray | None = None) -> np.ndarray:
    """Map barcodes as for `fit_one_hot_map` to float32 `[n, outputs]`, without the whole one-hot matrix in memory."""
    mapped = np.empty((len(bases), linear_map.matrix.shape[1]), np.float32)
    begin = 0
    for block in _centred_blocks(bases, linear_map.mean, divisors):
        mapped[begin : begin + len(block)] = block @ linear_map.matrix
        begin += len(block)
    return mapped


def _centred_blocks(bases: np.ndarray, mean: np.ndarray, divisors: np.ndarray | None) -> Iterator[np.ndarray]:
    by_coordinate = mean.reshape(-1, 4)
    for begin in range(0, len(bases), _BLOCK_ROWS):
        block = bases[begin : begin + _BLOCK_ROWS, :, None]
        centred = np.where(block >= 0, (block == np.arange(4)) - by_coordinate, 0).reshape(len(block), -1)
        if divisors is not None:
            centred = centred / divisors[begin : begin + _BLOCK_ROWS, None]
        yield centred.astype(np.float32)
