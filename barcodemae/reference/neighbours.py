"""The references near a query: found by their vectors, ordered by their letters too."""

import numpy as np

from barcodemae.reference.embedder import Embedder
from barcodemae.reference.evidence import NUM_CANDIDATES, Neighbours, choose_voters
from barcodemae.reference.library import Library


def find_neighbours(library: Library, embedder: Embedder, sequences: list[str], letters: np.ndarray) -> Neighbours:
    """The references that vote on barcodes of the marker.

    Args:
        library: to search.
        embedder: the one that the library was made with.
        sequences: `[n]`.
        letters: int8 `[n, frame_length]`, of the same.
    """
    vectors = embedder.encode(sequences, normalize_embeddings=True)
    return choose_voters(library.search(vectors, NUM_CANDIDATES), letters, library.letters)
