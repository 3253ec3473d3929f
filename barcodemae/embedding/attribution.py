"""Which bases of a barcode make its embedding more similar to one reference than to another."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from barcodemae.embedding.nearest import unit_length


@dataclass(frozen=True)
class Attribution:
    """The contributions of a barcode's bases to a difference of two similarities.

    Attributes:
        coordinates: int64 `[n]`, of the known bases on the reference frame, ascending, from 0; for a barcode that is
            not placed on a frame, positions in it, as read on the marker's strand.
        bases: int8 `[n]`, 0 to 3 for A, C, G and T.
        contributions: float64 `[n]`; positive ones make the first reference more similar than the second.
        difference: the similarity with the first reference minus that with the second.
        baseline: the difference for a barcode without information, which no base contributes; 0 for a base map.
    """

    coordinates: np.ndarray
    bases: np.ndarray
    contributions: np.ndarray
    difference: float
    baseline: float = 0.0

    @property
    def completeness_error(self) -> float:
        """The absolute difference between the sum of the contributions and the baseline, and the difference."""
        return abs(float(self.contributions.sum()) + self.baseline - self.difference)


def difference_of_directions(
    encode: Callable[[str], np.ndarray], first: str | np.ndarray, second: str | np.ndarray
) -> np.ndarray:
    """The vector whose product with an embedding of length 1 is the difference of its cosines with two others.

    Args:
        encode: returns the embedding of a sequence, `[dimension]`.
        first, second: the others, as sequences or as embeddings `[dimension]`.
    """
    vectors = [encode(one) if isinstance(one, str) else one for one in (first, second)]
    directions = unit_length(np.stack(vectors).astype(np.float64))
    return directions[0] - directions[1]
