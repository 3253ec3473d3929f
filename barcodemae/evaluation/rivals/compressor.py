"""A file compressor as a searcher: barcodes are near where one helps to compress the other."""

import zlib

import numpy as np
from tqdm import tqdm

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.rivals.text_forms import write_barcodes
from barcodemae.vectors.nearest import Hits

# Of DEFLATE's levels 1 to 9. Names of genera are no better at level 9 and far worse at 1, which takes the first
# match instead of the longest.
_LEVEL = 6
_RAW = -zlib.MAX_WBITS


class CompressionDistance:
    """The nearest keys by normalized compression distance, with DEFLATE (what gzip and zlib write).

    With C(x) the bytes of x compressed, `NCD(x, y) = (C(xy) - min(C(x), C(y))) / max(C(x), C(y))`. C(xy) is taken as
    C(x) + C(y | x): the key is compressed with the query as preset dictionary. That names genera as well as the two in
    one text do, in less time, for the query is compressed once. Similarity is 1 - NCD. Reverse complements have
    nothing in common for it.

    Each pair of key and query costs a compression, so their number is bounded. A search that would take more is
    refused: ask a sample of the queries, which leaves the accuracy what it is and widens its interval. With a sample of
    the keys, queries would lose their nearest relatives.

    Sources: Cilibrasi and Vitányi 2005, "Clustering by compression"; Jiang et al. 2023, "'Low-resource' text
    classification: a parameter-free classification method with compressors" (there, ties among the nearest count as
    right; here, of equal keys the first is taken).

    Args:
        max_pairs: pairs of key and query that a search may take.
    """

    def __init__(self, max_pairs: int = 10_000_000):
        self.max_pairs = max_pairs

    def search(self, keys: list[str], queries: list[str], n_neighbours: int = 1) -> Hits:
        """The nearest keys, of equal ones the first.

        Args:
            keys: barcodes, in any case, with or without gaps.
            queries: the same.
            n_neighbours: how many, at most the number of keys.

        Raises:
            ConfigurationError: there are fewer keys than neighbours, or more pairs than `max_pairs`.
        """
        if not 1 <= n_neighbours <= len(keys):
            raise ConfigurationError(f"expected {max(n_neighbours, 1)} keys or more, got {len(keys)}")
        if len(keys) * len(queries) > self.max_pairs:
            raise ConfigurationError(
                f"a compression distance expects at most {self.max_pairs:,} pairs of key and query, got "
                f"{len(keys):,} x {len(queries):,}: sample {self.max_pairs // len(keys):,} of the queries"
            )
        key_bytes = _to_bytes(keys)
        key_sizes = np.array([_size(key) for key in key_bytes])
        rows = np.empty((len(queries), n_neighbours), np.int64)
        similarities = np.empty((len(queries), n_neighbours), np.float32)
        progress = tqdm(_to_bytes(queries), desc="compression distance", unit="query", leave=False)
        for number, query in enumerate(progress):
            size = _size(query)
            both = size + np.array([_size(key, query) for key in key_bytes])
            distances = (both - np.minimum(size, key_sizes)) / np.maximum(size, key_sizes)
            rows[number] = np.argsort(distances, kind="stable")[:n_neighbours]
            similarities[number] = 1 - distances[rows[number]]
        return Hits(rows, similarities)


def _to_bytes(sequences: list[str]) -> list[bytes]:
    return [text.encode() for text in write_barcodes(sequences, "plain")]


def _size(text: bytes, known: bytes = b"") -> int:
    """Bytes of the compressed text for a reader who knows another one."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW, zdict=known)
    return len(compressor.compress(text)) + len(compressor.flush())
