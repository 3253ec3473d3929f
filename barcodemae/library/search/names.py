"""Names as numbers, for votes and comparisons of many at once."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class NamesOfRank:
    """A rank's names as numbers.

    Args:
        column: name of each record, "" where unknown.

    Attributes:
        numbers: int64 `[records]`, -1 where unknown.
    """

    def __init__(self, column: pa.ChunkedArray):
        encoded = pc.dictionary_encode(column).combine_chunks()
        self._names = np.array([*encoded.dictionary.to_pylist(), ""], object)
        numbers = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        self.numbers = np.where(self._names[numbers] == "", -1, numbers)

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """Names `[n]`, "" for -1."""
        return self._names[numbers]
