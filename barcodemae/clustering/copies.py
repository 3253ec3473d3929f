"""Barcodes with the same bases, which are compared as one."""

import numpy as np
import pyarrow as pa


def distinct(bases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the rows that differ from all before them.

    Args:
        bases: int8 `[n, coordinates]`.

    Returns:
        The first row of each kind `[kinds]`, rising, and the kind of each row `[n]`.
    """
    buffers = [None, pa.py_buffer(np.ascontiguousarray(bases))]
    rows = pa.FixedSizeBinaryArray.from_buffers(pa.binary(bases.shape[1]), len(bases), buffers)
    kinds = rows.dictionary_encode().indices.to_numpy()
    return np.unique(kinds, return_index=True)[1], kinds
