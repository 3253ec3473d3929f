"""Methods that are evaluated: representations give vectors, searchers give the nearest references alone."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from barcodemae.embedding.nearest import Hits, nearest_by_cosine
from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.benchmark import Benchmark, labels
from barcodemae.evaluation.vector_cache import cached_vectors, check_finite


class Representation(Protocol):
    """Barcodes to vectors, by a trained model or by counting."""

    def fit(self, sequences: list[str], genera: np.ndarray) -> None:
        """Learn from the `train` split: `[n]` barcodes and the genus of each."""

    def embed(self, sequences: list[str]) -> np.ndarray:
        """The barcodes as float32 `[n, dimensions]`."""


@runtime_checkable
class IdentifiedRepresentation(Representation, Protocol):
    """A representation that is not fitted to the data, so that its vectors can be cached."""

    def identity(self) -> dict[str, Any]:
        """All that its vectors depend on, as JSON has it."""


@runtime_checkable
class Searcher(Protocol):
    """A search program: it gives the nearest references of a query, and no vectors."""

    def search(self, references: list[str], queries: list[str], num_neighbours: int = 1) -> Hits:
        """The nearest references of each query."""


@dataclass(frozen=True)
class Vectors:
    """One representation of a benchmark: float32 `[n, dimensions]` for each of its tables."""

    train: np.ndarray
    seen: np.ndarray
    unseen: np.ndarray
    extra: np.ndarray | None = None


@dataclass(frozen=True)
class MethodOutput:
    """What a method gives for a benchmark; the tasks are scored on it.

    Attributes:
        search: barcodes to their nearest references in `train`; for a barcode that cannot be read, nothing is found.
        seen: the nearest references of the benchmark's seen records.
        unseen: those of its unseen records.
        extra: those of its extra queries, where there are any.
        vectors: of the benchmark; None for a searcher.
    """

    search: Callable[[list[str]], Hits]
    seen: Hits
    unseen: Hits
    extra: Hits | None
    vectors: Vectors | None


def run_representation(
    representation: Representation, benchmark: Benchmark, num_neighbours: int = 1, cache: Path | None = None
) -> MethodOutput:
    """Fit a representation to `train`, embed every table of the benchmark, and find nearest references by cosine.

    Args:
        representation: the method.
        benchmark: the records.
        num_neighbours: nearest references of each query.
        cache: folder in which the vectors of an `IdentifiedRepresentation` are cached.

    Raises:
        ConfigurationError: a vector is not finite, or there are fewer references than neighbours.
    """
    check_neighbours(benchmark, num_neighbours)
    representation.fit(_barcodes(benchmark.train), labels(benchmark.train, "genus"))

    def embed(records: pa.Table) -> np.ndarray:
        barcodes = _barcodes(records)
        if cache is not None and isinstance(representation, IdentifiedRepresentation):
            return cached_vectors(cache, representation.identity(), barcodes, representation.embed)
        vectors = representation.embed(barcodes)
        check_finite(vectors)
        return vectors

    vectors = Vectors(
        train=embed(benchmark.train),
        seen=embed(benchmark.seen),
        unseen=embed(benchmark.unseen),
        extra=None if benchmark.extra is None else embed(benchmark.extra),
    )

    def nearest(queries: np.ndarray) -> Hits:
        return nearest_by_cosine(vectors.train, queries, num_neighbours)

    def search(queries: list[str]) -> Hits:
        query_vectors = representation.embed(queries)
        readable = np.isfinite(query_vectors).all(axis=1)
        hits = nearest(np.where(readable[:, None], query_vectors, 0))
        return Hits(
            np.where(readable[:, None], hits.rows, -1),
            np.where(readable[:, None], hits.similarities, np.float32(-np.inf)),
        )

    return MethodOutput(
        search=search,
        seen=nearest(vectors.seen),
        unseen=nearest(vectors.unseen),
        extra=None if vectors.extra is None else nearest(vectors.extra),
        vectors=vectors,
    )


def run_searcher(searcher: Searcher, benchmark: Benchmark, num_neighbours: int = 1) -> MethodOutput:
    """Let a searcher find the nearest references of every table of the benchmark.

    Args:
        searcher: the method.
        benchmark: the records.
        num_neighbours: nearest references of each query.

    Raises:
        ConfigurationError: there are fewer references than neighbours, or the searcher fails.
    """
    check_neighbours(benchmark, num_neighbours)
    references = _barcodes(benchmark.train)

    def search(queries: list[str]) -> Hits:
        return searcher.search(references, queries, num_neighbours)

    return MethodOutput(
        search=search,
        seen=search(_barcodes(benchmark.seen)),
        unseen=search(_barcodes(benchmark.unseen)),
        extra=None if benchmark.extra is None else search(_barcodes(benchmark.extra)),
        vectors=None,
    )


def check_neighbours(benchmark: Benchmark, num_neighbours: int) -> None:
    """Refuse more neighbours than there are references.

    Raises:
        ConfigurationError: there are fewer.
    """
    if num_neighbours > len(benchmark.train):
        raise ConfigurationError(
            f"expected at most {len(benchmark.train)} neighbours, the rows of train, got {num_neighbours}"
        )


def _barcodes(records: pa.Table) -> list[str]:
    return records["nucleotides"].to_pylist()
