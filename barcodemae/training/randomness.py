"""Random numbers as a function of (seed, stream, epoch, record), independent of the order of calls.

Therefore a resumed run equals an uninterrupted one, and a run on several processes equals one on a single process.
"""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """The uses of random numbers; each has its own stream."""

    ORDER = 0
    MASK = 1
    UNALIGNED = 2
    OFFSET = 3
    DROPOUT = 4
    RELATIVE = 5
    CUT = 6
    SAMPLE = 7


def uniform(seed: int, stream: Stream, epoch: int, records: np.ndarray, count: int) -> np.ndarray:
    """Uniform numbers for each record.

    Args:
        seed: seed of the run.
        stream: use of the numbers.
        epoch: from 0; -1 for validation.
        records: `[n]`, indices of records.
        count: numbers per record.

    Returns:
        float32 `[n, count]` in [0, 1).
    """
    words = _mix(_key(seed, stream, epoch) + np.asarray(records, np.int64).astype(np.uint64))
    columns = np.arange(count, dtype=np.uint64) * _GOLDEN
    return (_mix(words[:, None] + columns) >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)


def generator_seed(seed: int, stream: Stream, *counters: int) -> int:
    """A seed below 2^63 for the random generator of a library."""
    return int(_key(seed, stream, *counters)[0] >> np.uint64(1))


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _key(*parts: int) -> np.ndarray:
    key = np.zeros(1, np.uint64)
    for part in parts:
        key = _mix(key + _GOLDEN + np.array([part], np.int64).view(np.uint64))
    return key


def _mix(words: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64 (Steele, Lea and Flood 2014)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
