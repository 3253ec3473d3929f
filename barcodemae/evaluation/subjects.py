"""What is judged, with what it makes of a benchmark: vectors, or the nearest keys alone."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.benchmark import Benchmark
from barcodemae.evaluation.kept_vectors import kept_vectors
from barcodemae.evaluation.representations import IdentifiedRepresentation, Representation
from barcodemae.evaluation.search import Searcher
from barcodemae.evaluation.splits import labels
from barcodemae.evaluation.tasks.questions import check_embeddings
from barcodemae.vectors.nearest import Hits, nearest_by_cosine


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
        search: barcodes to their nearest keys of `train`; of a barcode that can't be read, nothing is found.
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
    _check_neighbours(benchmark, n_neighbours)
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

    def search(queries: list[str]) -> Hits:
        asked = representation.embed(queries)
        readable = np.isfinite(asked).all(axis=1)
        hits = nearest(np.where(readable[:, None], asked, 0))
        return Hits(
            np.where(readable[:, None], hits.rows, -1),
            np.where(readable[:, None], hits.similarities, np.float32(-np.inf)),
        )

    return Subject(
        search=search,
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

    Raises:
        ConfigurationError: there are fewer keys than neighbours, or the searcher refuses.
    """
    _check_neighbours(benchmark, n_neighbours)
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


def _check_neighbours(benchmark: Benchmark, n_neighbours: int) -> None:
    if n_neighbours > len(benchmark.train):
        raise ConfigurationError(
            f"expected at most {len(benchmark.train)} neighbours, the rows of train, got {n_neighbours}"
        )


def _barcodes(records: pa.Table) -> list[str]:
    return records["nucleotides"].to_pylist()
