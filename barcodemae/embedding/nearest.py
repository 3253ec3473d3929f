"""Which keys lie nearest to a query, by the cosine of their vectors."""

from dataclasses import dataclass

import numpy as np

_BLOCK_BYTES = 2**26


@dataclass(frozen=True)
class Hits:
    """The nearest keys of each query, nearest first.

    Attributes:
        rows: int64 `[n_queries, num_neighbours]`, rows of the keys; -1 where nothing was found.
        similarities: float32 `[n_queries, num_neighbours]`, larger is nearer; -inf where nothing was found. Only those
            of one searcher can be compared.
    """

    rows: np.ndarray
    similarities: np.ndarray


def nearest_by_cosine(keys: np.ndarray, queries: np.ndarray, num_neighbours: int = 1) -> Hits:
    """The keys with the largest cosine; of equal ones, the first.

    Vectors of length zero have cosine 0 with any other.

    Args:
        keys: float32 `[n_keys, dimensions]`.
        queries: float32 `[n_queries, dimensions]`.
        num_neighbours: how many, at most the number of keys.

    Raises:
        ValueError: there are fewer keys than neighbours, or a value is not finite.
    """
    if not 1 <= num_neighbours <= len(keys):
        raise ValueError(f"expected {max(num_neighbours, 1)} keys or more, got {len(keys)}")
    keys = unit_length(np.asarray(keys, np.float32))
    rows = np.empty((len(queries), num_neighbours), np.int64)
    similarities = np.empty((len(queries), num_neighbours), np.float32)
    num_rows = max(1, _BLOCK_BYTES // (4 * len(keys)))
    for begin in range(0, len(queries), num_rows):
        block = slice(begin, begin + num_rows)
        cosines = unit_length(np.asarray(queries[block], np.float32)) @ keys.T
        if num_neighbours == 1:
            rows[block, 0] = cosines.argmax(axis=1)
        else:
            rows[block] = _largest(cosines, num_neighbours)
        similarities[block] = np.take_along_axis(cosines, rows[block], axis=1)
    return Hits(rows, similarities)


def cosine_similarity(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of each vector of one set with each of another, float32 `[n, m]`.

    Args:
        first, second: `[n, dimension]` and `[m, dimension]`; a vector alone is a set of one.

    Raises:
        ValueError: a value is not finite.
    """
    left, right = (unit_length(np.atleast_2d(np.asarray(one, np.float32))) for one in (first, second))
    return left @ right.T


def _largest(values: np.ndarray, n: int) -> np.ndarray:
    """Columns of the `n` largest values of each row, largest first, and the first of equal ones."""
    least = np.partition(values, -n, axis=1)[:, -n, None]
    # All that is as large as the n-th largest, the others out of the way: a stable sort settles what is equal.
    order = np.argsort(np.where(values >= least, -values, np.inf), axis=1, kind="stable")
    return order[:, :n]


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Vectors `[n, dimensions]` scaled to length 1; those of length zero stay.

    Raises:
        ValueError: a value is not finite.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        raise ValueError(f"expected finite vectors, got NaN or infinity in {np.sum(~np.isfinite(lengths))} of them")
    return vectors / np.where(lengths > 0, lengths, 1)
