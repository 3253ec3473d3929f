"""The references near a query: found by their vectors, ordered by their letters too."""

from barcodemae.reference.embedder import Embedder
from barcodemae.reference.evidence import NUM_CANDIDATES, Neighbours, choose_voters
from barcodemae.reference.library import Library
from barcodemae.reference.marker import OnMarker


def find_neighbours(library: Library, embedder: Embedder, queries: OnMarker) -> Neighbours:
    """The references that vote on barcodes of the marker.

    Args:
        library: to search.
        embedder: the one that the library was made with.
        queries: `[n]`, all of which fit.
    """
    vectors = embedder.encode(queries.sequences, normalize_embeddings=True, placement=queries.placement)
    return choose_voters(library.search(vectors, NUM_CANDIDATES), queries.letters, library.letters)
