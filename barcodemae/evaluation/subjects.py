"""What is judged, with what it makes of a benchmark: vectors, or the nearest keys alone."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from barcodemae.evaluation.benchmark import Benchmark
from barcodemae.evaluation.kept_vectors import kept_vectors
from barcodemae.evaluation.representations import IdentifiedRepresentation, Representation
from barcodemae.evaluation.search import Hits, Searcher, nearest_by_cosine
from barcodemae.evaluation.splits import labels
from barcodemae.evaluation.tasks.questions import check_embeddings


@dataclass(frozen=True)
class Vectors:
    """One representation of a benchmark: float32 `[n, dimensions]` for each of its tables."""

    train: np.ndarray
    seen: np.ndarray
    unseen: np.ndarray
    extra: np.ndarray | None = None


@dataclass(frozen=True)
class Subject:
    """What is judged.

    Attributes:
        search: barcodes to their nearest keys of `train`.
        seen: the nearest keys of the benchmark's seen records.
        unseen: those of its unseen records.
        extra: those of its extra queries, where there are any.
        vectors: of the benchmark; None where there are hits alone.
    """

    search: Callable[[list[str]], Hits]
    seen: Hits
    unseen: Hits
    extra: Hits | None
    vectors: Vectors | None


def embedded(
    representation: Representation, benchmark: Benchmark, n_neighbours: int = 1, cache: Path | None = None
) -> Subject:
    """Fit a representation to `train`, embed every table of the benchmark, and look for nearest keys by cosine.

    Args:
        representation: what is judged.
        benchmark: the records.
        n_neighbours: nearest keys of each query.
        cache: where vectors of a representation that can tell what it is are kept for the next time.

    Raises:
        ConfigurationError: a vector is not finite, or there are fewer keys than neighbours.
    """
    representation.fit(_barcodes(benchmark.train), labels(benchmark.train, "genus"))

    def embed(records: pa.Table) -> np.ndarray:
        barcodes = _barcodes(records)
        if cache is not None and isinstance(representation, IdentifiedRepresentation):
            return kept_vectors(cache, representation.identity(), barcodes, representation.embed)
        vectors = representation.embed(barcodes)
        check_embeddings(vectors)
        return vectors

    vectors = Vectors(
        train=embed(benchmark.train),
        seen=embed(benchmark.seen),
        unseen=embed(benchmark.unseen),
        extra=None if benchmark.extra is None else embed(benchmark.extra),
    )

    def nearest(queries: np.ndarray) -> Hits:
        return nearest_by_cosine(vectors.train, queries, n_neighbours)

    return Subject(
        search=lambda queries: nearest(representation.embed(queries)),
        seen=nearest(vectors.seen),
        unseen=nearest(vectors.unseen),
        extra=None if vectors.extra is None else nearest(vectors.extra),
        vectors=vectors,
    )


def searched(searcher: Searcher, benchmark: Benchmark, n_neighbours: int = 1) -> Subject:
    """Let a searcher find the nearest keys of every table of the benchmark.

    Args:
        searcher: what is judged.
        benchmark: the records.
        n_neighbours: nearest keys of each query.
    """
    keys = _barcodes(benchmark.train)

    def search(queries: list[str]) -> Hits:
        return searcher.search(keys, queries, n_neighbours)

    return Subject(
        search=search,
        seen=search(_barcodes(benchmark.seen)),
        unseen=search(_barcodes(benchmark.unseen)),
        extra=None if benchmark.extra is None else search(_barcodes(benchmark.extra)),
        vectors=None,
    )


def _barcodes(records: pa.Table) -> list[str]:
    return records["nucleotides"].to_pylist()
