"""The one barcode that stands for a cluster."""

import numpy as np

# Their bases take some ten megabytes.
_BLOCK_ROWS = 4096


def representative(bases: np.ndarray, copies: np.ndarray) -> int:
    """The barcode that agrees with all of its cluster in the most bases.

    Among barcodes of the same coverage that is the medoid, the one with the fewest differences to all; a short one does
    not win by what it lacks. Bases are counted by coordinate, so that the time grows with the barcodes and not with
    their pairs, and the memory not at all.

    Args:
        bases: int8 `[n, coordinates]`, -1 where unknown.
        copies: int64 `[n]`, how many barcodes each row stands for.

    Returns:
        Its row; of equally good ones the first.
    """
    blocks = [slice(begin, begin + _BLOCK_ROWS) for begin in range(0, len(bases), _BLOCK_ROWS)]
    agreeing = np.zeros(len(bases), np.int64)
    for base in range(4):
        counts = sum(copies[block] @ (bases[block] == base) for block in blocks)
        for block in blocks:
            agreeing[block] += (bases[block] == base) @ counts
    return int(agreeing.argmax())
