"""Nearest neighbours by the cosine of embeddings."""

from dataclasses import dataclass

import numpy as np

_BLOCK_BYTES = 2**26


@dataclass(frozen=True)
class Hits:
    """The nearest references of each query, nearest first.

    Attributes:
        rows: int64 `[queries, neighbours]`, rows of the references; -1 where none was found.
        similarities: float32 `[queries, neighbours]`, larger is nearer; -inf where none was found. Similarities of
            different kinds of searches can't be compared.
    """

    rows: np.ndarray
    similarities: np.ndarray


def nearest_by_cosine(references: np.ndarray, queries: np.ndarray, num_neighbours: int = 1) -> Hits:
    """Find the references with the largest cosine; among equal ones, those that come first.

    A vector of length zero has cosine 0 with any other.

    Args:
        references: float32 `[references, dimension]`.
        queries: float32 `[queries, dimension]`.
        num_neighbours: number of neighbours of each query, at most the number of references.

    Raises:
        ValueError: there are fewer references than neighbours, or a value is not finite.

    Examples:
        >>> import numpy as np
        >>> from barcodemae.embedding.nearest import nearest_by_cosine
        >>> nearest_by_cosine(np.eye(3), np.array([[0.0, 2.0, 1.0]]), num_neighbours=2).rows
        array([[1, 2]])
    """
    if not 1 <= num_neighbours <= len(references):
        raise ValueError(f"expected {max(num_neighbours, 1)} references or more, got {len(references)}")
    references = unit_length(np.asarray(references, np.float32))
    rows = np.empty((len(queries), num_neighbours), np.int64)
    similarities = np.empty((len(queries), num_neighbours), np.float32)
    num_rows = max(1, _BLOCK_BYTES // (4 * len(references)))
    for begin in range(0, len(queries), num_rows):
        block = slice(begin, begin + num_rows)
        cosines = unit_length(np.asarray(queries[block], np.float32)) @ references.T
        if num_neighbours == 1:
            rows[block, 0] = cosines.argmax(axis=1)
        else:
            rows[block] = _largest(cosines, num_neighbours)
        similarities[block] = np.take_along_axis(cosines, rows[block], axis=1)
    return Hits(rows, similarities)


def cosine_similarity(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of each vector of one set with each of another, float32 `[n, m]`.

    Args:
        first, second: `[n, dimension]` and `[m, dimension]`; a single vector is a set of one.

    Raises:
        ValueError: a value is not finite.
    """
    left, right = (unit_length(np.atleast_2d(np.asarray(one, np.float32))) for one in (first, second))
    return left @ right.T


class CosineEmbedder:
    """What every embedder has: its embeddings are compared by their cosine."""

    def similarity(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Cosine of each embedding of one set with each of another, as in sentence-transformers.

        Args:
            first, second: `[n, dimension]` and `[m, dimension]`; a single embedding is a set of one.

        Returns:
            float32 `[n, m]`.
        """
        return cosine_similarity(first, second)


def _largest(values: np.ndarray, n: int) -> np.ndarray:
    """Columns of the `n` largest values of each row, largest first; equal values in the order of the columns."""
    minimum = np.partition(values, -n, axis=1)[:, -n, None]
    # Smaller values are moved to the end; the stable sort leaves equal values in their order.
    order = np.argsort(np.where(values >= minimum, -values, np.inf), axis=1, kind="stable")
    return order[:, :n]


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Vectors `[n, dimension]` scaled to length 1; those of length zero stay.

    Raises:
        ValueError: a value is not finite.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        raise ValueError(f"expected finite vectors, got NaN or infinity in {np.sum(~np.isfinite(lengths))} of them")
    return vectors / np.where(lengths > 0, lengths, 1)
