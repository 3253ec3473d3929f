"""How many bases differ between barcodes on the reference frame."""

from typing import NamedTuple

import numpy as np

from barcodemae.library.search.marker import MIN_BASES

_BLOCK_PAIRS = 2**14


class Pairs(NamedTuple):
    """Barcodes that were compared.

    Attributes:
        first, second: int32 `[pairs]`, rows of the bases.
        differences: float64 `[pairs]`, of the bases that both have, the share that differs.
    """

    first: np.ndarray
    second: np.ndarray
    differences: np.ndarray


def differing(bases: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare barcodes with others, row by row.

    Args:
        bases, others: int8 `[n, coordinates]`, -1 where unknown.

    Returns:
        Bases that differ `[n]`, and bases that both have `[n]`.
    """
    shared = (bases >= 0) & (others >= 0)
    return np.count_nonzero((bases != others) & shared, axis=1), np.count_nonzero(shared, axis=1)


def compare(bases: np.ndarray, rows: np.ndarray, candidates: np.ndarray) -> Pairs:
    """Compare barcodes with their candidates.

    Args:
        bases: int8 `[n, coordinates]`, -1 where unknown.
        rows: `[m]`.
        candidates: `[m, candidates]`, rows too; -1 where there is none.

    Returns:
        All pairs but those of a barcode with itself, and of barcodes that share too few bases to be compared.
    """
    there = (candidates >= 0) & (candidates != rows[:, None])
    first = np.broadcast_to(rows[:, None], candidates.shape)[there].astype(np.int32)
    second = candidates[there].astype(np.int32)
    differences = np.full(len(first), np.inf)
    for begin in range(0, len(first), _BLOCK_PAIRS):
        block = slice(begin, begin + _BLOCK_PAIRS)
        num_differing, num_shared = differing(bases[first[block]], bases[second[block]])
        enough = num_shared >= MIN_BASES
        differences[block][enough] = num_differing[enough] / num_shared[enough]
    kept = np.isfinite(differences)
    return Pairs(first[kept], second[kept], differences[kept])
