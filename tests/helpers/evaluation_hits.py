"""Hand-made hits for the tests of the evaluation."""

import numpy as np

from barcodemae.embedding.nearest import Hits


def make_hits(rows: list[list[int]], similarities: list[list[float]] | None = None) -> Hits:
    """Hits of given rows; similarities that are not given are all 1."""
    found = np.array(rows)
    given = np.ones(found.shape) if similarities is None else np.array(similarities)
    return Hits(found, given.astype(np.float32))
