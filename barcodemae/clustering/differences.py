"""How many letters differ between barcodes on the reference frame."""

from typing import NamedTuple

import numpy as np

from barcodemae.library.search.marker import LEAST_LETTERS

_BLOCK_PAIRS = 2**14


class Pairs(NamedTuple):
    """Barcodes that were compared.

    Attributes:
        first, second: int32 `[pairs]`, rows of the letters.
        differences: float64 `[pairs]`, of the letters that both have, the share that differs.
    """

    first: np.ndarray
    second: np.ndarray
    differences: np.ndarray


def differing(letters: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare barcodes with others, row by row.

    Args:
        letters, others: int8 `[n, coordinates]`, -1 where unknown.

    Returns:
        Letters that differ `[n]`, and letters that both have `[n]`.
    """
    shared = (letters >= 0) & (others >= 0)
    return np.count_nonzero((letters != others) & shared, axis=1), np.count_nonzero(shared, axis=1)


def compare(letters: np.ndarray, rows: np.ndarray, candidates: np.ndarray) -> Pairs:
    """Compare barcodes with their candidates.

    Args:
        letters: int8 `[n, coordinates]`, -1 where unknown.
        rows: `[m]`.
        candidates: `[m, candidates]`, rows too; -1 where there is none.

    Returns:
        All pairs but those of a barcode with itself, and of barcodes that share too few letters to be compared.
    """
    there = (candidates >= 0) & (candidates != rows[:, None])
    first = np.broadcast_to(rows[:, None], candidates.shape)[there].astype(np.int32)
    second = candidates[there].astype(np.int32)
    differences = np.full(len(first), np.inf)
    for begin in range(0, len(first), _BLOCK_PAIRS):
        block = slice(begin, begin + _BLOCK_PAIRS)
        n_differing, n_shared = differing(letters[first[block]], letters[second[block]])
        enough = n_shared >= LEAST_LETTERS
        differences[block][enough] = n_differing[enough] / n_shared[enough]
    kept = np.isfinite(differences)
    return Pairs(first[kept], second[kept], differences[kept])
