"""The references near a query: found by their vectors, ordered by their bases too."""

import numpy as np

from barcodemae.errors import CheckpointError
from barcodemae.library.embedder import Embedder
from barcodemae.library.search.evidence import Neighbours, choose_voters
from barcodemae.library.search.marker import OnMarker
from barcodemae.library.settings import NUM_CANDIDATES
from barcodemae.library.store.stored import StoredLibrary


def find_neighbours(library: StoredLibrary, embedder: Embedder, queries: OnMarker) -> Neighbours:
    """The references that vote on barcodes of the marker.

    Args:
        library: to search.
        embedder: the one that the library was made with.
        queries: `[n]`, all of which fit.

    Raises:
        CheckpointError: the model makes vectors that are not finite.
    """
    vectors = embedder.encode(queries.sequences, normalize_embeddings=True, placement=queries.placement)
    if not np.isfinite(vectors).all():
        name = library.manifest.model["name"]
        raise CheckpointError(f"{name}: expected finite vectors of barcodes of the marker, got others")
    return choose_voters(library.search(vectors, NUM_CANDIDATES), queries.bases, library.bases)
