"""Which keys lie nearest to a query: all that a task asks of a rival that gives no vectors."""

from typing import Protocol, runtime_checkable

from barcodemae.vectors.nearest import Hits


@runtime_checkable
class Searcher(Protocol):
    """Barcodes that ask, and barcodes that answer."""

    def search(self, keys: list[str], queries: list[str], n_neighbours: int = 1) -> Hits:
        """The nearest keys of each query."""
