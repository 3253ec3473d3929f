"""Which barcodes are worth comparing base by base: the nearest by the cosine of their vectors."""

import faiss
import numpy as np

from barcodemae.library.search.indexing import describe_exact, learn_index
from barcodemae.library.search.inverted_file import InvertedFile

NUM_CANDIDATES = 50

# Few links hold a cluster together, so that an exact search is worth a minute.
MAX_EXACT_BARCODES = 100_000


class Candidates:
    """Finds the nearest barcodes: up to `MAX_EXACT_BARCODES` by comparing all of them, above by an inverted file.

    Args:
        vectors: float32 `[n, dimension]`, of length 1.

    Attributes:
        search: the search method, as `learn_index` describes it.
    """

    def __init__(self, vectors: np.ndarray):
        self._vectors = np.ascontiguousarray(vectors, np.float32)
        self._index: InvertedFile | None = None
        self.search = describe_exact()
        if len(vectors) > MAX_EXACT_BARCODES:
            _, self._index, self.search = learn_index(self._vectors)

    def nearest(self, queries: np.ndarray, among: np.ndarray) -> np.ndarray:
        """The barcodes nearest to each query, nearest first.

        Args:
            queries: int64 `[m]`, rows of the vectors.
            among: int64 `[k]`, ascending: the rows that can be found; a query that is one of them also finds itself.

        Returns:
            Rows, int64 `[m, NUM_CANDIDATES + 1]`; -1 where there are no more.
        """
        is_all = len(among) == len(self._vectors)
        if self._index is not None:
            return self._index.search(self._vectors[queries], NUM_CANDIDATES + 1, None if is_all else among)[1]
        found = np.full((len(queries), NUM_CANDIDATES + 1), -1)
        if len(among):
            references = self._vectors if is_all else self._vectors[among]
            num_found = min(NUM_CANDIDATES + 1, len(among))
            _, nearest = faiss.knn(self._vectors[queries], references, num_found, metric=faiss.METRIC_INNER_PRODUCT)
            found[:, :num_found] = among[nearest]
        return found
