"""Which barcodes may be relatives: the nearest by the cosine of their vectors."""

import faiss
import numpy as np

from barcodemae.library.search.indexing import describe_exact, learn_index
from barcodemae.library.search.inverted_file import InvertedFile

NUM_CANDIDATES = 50

# Clusters hang together by few links, so that an exact search is worth a minute.
EXACT_BARCODES = 100_000


class Candidates:
    """Finds the nearest barcodes: all are compared as long as that is quick, then an inverted file is asked.

    Args:
        vectors: float32 `[n, dimension]`, of length 1.

    Attributes:
        search: how it searches, as `learn_index` describes it.
    """

    def __init__(self, vectors: np.ndarray):
        self._vectors = np.ascontiguousarray(vectors, np.float32)
        self._index: InvertedFile | None = None
        self.search = describe_exact()
        if len(vectors) > EXACT_BARCODES:
            _, self._index, self.search = learn_index(self._vectors)

    def of(self, rows: np.ndarray, among: np.ndarray) -> np.ndarray:
        """The barcodes nearest to some, nearest first.

        Args:
            rows: int64 `[m]`, the barcodes that ask.
            among: int64 `[k]`, the barcodes that can be found, rising; one that asks also finds itself, if it is there.

        Returns:
            int64 `[m, candidates]`; -1 where there are no more.
        """
        if self._index is not None:
            selected = None if len(among) == len(self._vectors) else among
            return self._index.search(self._vectors[rows], NUM_CANDIDATES + 1, selected)[1]
        found = np.full((len(rows), NUM_CANDIDATES + 1), -1)
        if len(among):
            keys = self._vectors if len(among) == len(self._vectors) else self._vectors[among]
            n = min(NUM_CANDIDATES + 1, len(among))
            found[:, :n] = among[faiss.knn(self._vectors[rows], keys, n, metric=faiss.METRIC_INNER_PRODUCT)[1]]
        return found
