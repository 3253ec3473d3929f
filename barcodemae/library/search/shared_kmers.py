"""Search of all references by shared k-mers, for the few queries to which no reference is near by their vectors.

The vector of a part of a barcode is far from those of complete ones, such as that of ITS1 from those of ITS. The
k-mers of a part are among those of the complete barcode.
"""

from collections.abc import Callable

import numpy as np

from barcodemae.library.search.comparison import count_bits

_RECORDS = 16_384
# Words of 64 bits of each set: a quarter of it. The bits are those of hashes, so that they are a random sample.
_WORDS = 32


class SharedKmerSearch:
    """Searches references by the number of k-mers that they share with a query, beyond those expected by chance.

    It takes 256 bytes of memory for each reference.

    Args:
        records: int64 `[n]`, numbers of the records to search.
        bases: returns the sets of records, int8 `[n, width]`, see `search.comparison.KmerSets`.
    """

    def __init__(self, records: np.ndarray, bases: Callable[[np.ndarray], np.ndarray]):
        self._records = records
        self._words = np.empty((len(records), _WORDS), np.uint64)
        for begin in range(0, len(records), _RECORDS):
            block = slice(begin, begin + _RECORDS)
            self._words[block] = _sample(bases(records[block]))
        self._counts = count_bits(self._words)

    def search(self, queries: np.ndarray, num_hits: int) -> np.ndarray:
        """The records that share most k-mers with each query, in any order.

        The number of shared k-mers is divided by the square root of that of the smaller set, which is its standard
        deviation but for a factor: otherwise short references would always be near by chance.

        Args:
            queries: int8 `[n, width]`, their sets.
            num_hits: number of records for each query.

        Returns:
            int64 `[n, num_hits]`, or fewer columns, if there are fewer records.
        """
        num_hits = min(num_hits, len(self._records))
        found = np.empty((len(queries), num_hits), np.int64)
        for row, words in enumerate(_sample(queries)):
            num_shared = count_bits(self._words & words)
            count = count_bits(words)
            smaller = np.minimum(self._counts, count)
            chance = self._counts * (count / (64 * _WORDS))
            score = (num_shared - chance) / np.sqrt(np.maximum(smaller, 1))
            found[row] = self._records[np.argpartition(-score, num_hits - 1)[:num_hits]]
        return found


def _sample(sets: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.ascontiguousarray(sets).view(np.uint64)[:, :_WORDS])
