"""The published protocol for one representation: which task looks at which split."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.representations import Representation
from barcodemae.evaluation.scores import harmonic_mean
from barcodemae.evaluation.search import nearest_by_cosine
from barcodemae.evaluation.splits import answerable, labels, select_splits
from barcodemae.evaluation.tasks.clustering import clustering_scores
from barcodemae.evaluation.tasks.knn import genus_size_scores, knn_scores
from barcodemae.evaluation.tasks.linear_probe import linear_probe_scores

TASKS = ("knn", "linear_probe", "clustering")

_RANKS = ("genus", "family", "order")


@dataclass(frozen=True)
class Benchmark:
    """The records that representations are judged on.

    Attributes:
        train: labelled records: the keys of every nearest-neighbour probe, and what is learnt from.
        seen: other records of species of `train`.
        unseen: records of species that are in no training split.
        extra: more queries, of any species, or None.
    """

    train: pa.Table
    seen: pa.Table
    unseen: pa.Table
    extra: pa.Table | None = None


@dataclass(frozen=True)
class Vectors:
    """One representation of a benchmark: float32 `[n, dimensions]` for each of its tables."""

    train: np.ndarray
    seen: np.ndarray
    unseen: np.ndarray
    extra: np.ndarray | None = None


def build_benchmark(records: pa.Table, query_split: str = "test_unseen", extra: pa.Table | None = None) -> Benchmark:
    """Choose the splits. With `val_unseen`, `val` takes the place of `test`: no test split is looked at.

    Args:
        records: of `barcodemae.data.schema.SCHEMA`; rows of `train` without a genus are left out.
        query_split: the split of unseen species.
        extra: more queries.

    Raises:
        ConfigurationError: a split has no rows, or none of its rows can be answered from `train`.
    """
    seen_split = "val" if query_split == "val_unseen" else "test"
    train, seen, unseen = select_splits(records, ["train", seen_split, query_split])
    train = train.filter(pa.array(labels(train, "genus") != ""))
    questions = [("species", seen_split, seen), ("genus", query_split, unseen)]
    if extra is not None:
        questions.append(("genus", "the extra queries", extra))
    for rank, name, queries in questions:
        if not answerable(labels(queries, rank), labels(train, rank)).any():
            raise ConfigurationError(f"expected a {rank} of the split train in {name}, got none")
    return Benchmark(train, seen, unseen, extra)


def embed_benchmark(representation: Representation, benchmark: Benchmark) -> Vectors:
    """Fit the representation to `train`, then embed every table of the benchmark."""
    representation.fit(benchmark.train["nucleotides"].to_pylist(), labels(benchmark.train, "genus"))

    def embed(records: pa.Table) -> np.ndarray:
        return representation.embed(records["nucleotides"].to_pylist())

    return Vectors(
        train=embed(benchmark.train),
        seen=embed(benchmark.seen),
        unseen=embed(benchmark.unseen),
        extra=None if benchmark.extra is None else embed(benchmark.extra),
    )


def score_vectors(
    vectors: Vectors, benchmark: Benchmark, tasks: Collection[str] = TASKS, seed: int = 0
) -> dict[str, Any]:
    """Run the tasks on one representation.

    Args:
        vectors: of the benchmark.
        benchmark: the records.
        tasks: which of `TASKS`.
        seed: of the linear probe and the bootstrap.

    Returns:
        `knn`, `linear_probe`, `clustering`: what the task's module says, where it is among the tasks;
        `extra_queries.knn`, where there are any; and `harmonic_mean` of `knn.genus_accuracy` and
        `clustering.bin_ami`, None where one of them is missing.
    """
    runs = {"knn": _knn, "linear_probe": _linear_probe, "clustering": _clustering}
    scores: dict[str, Any] = {}
    for task in tqdm([task for task in TASKS if task in tasks], desc="tasks", unit="task", leave=False):
        scores[task] = runs[task](vectors, benchmark, seed)
    if "knn" in tasks and benchmark.extra is not None and vectors.extra is not None:
        neighbours = nearest_by_cosine(vectors.train, vectors.extra).rows[:, 0]
        scores["extra_queries"] = {"knn": knn_scores(neighbours, benchmark.train, benchmark.extra, _RANKS, seed)}
    genus_accuracy = scores.get("knn", {}).get("genus_accuracy")
    bin_ami = scores.get("clustering", {}).get("bin_ami")
    known = genus_accuracy is not None and bin_ami is not None
    scores["harmonic_mean"] = harmonic_mean(genus_accuracy, bin_ami) if known else None
    return scores


def _knn(vectors: Vectors, benchmark: Benchmark, seed: int) -> dict[str, Any]:
    unseen = nearest_by_cosine(vectors.train, vectors.unseen).rows[:, 0]
    seen = nearest_by_cosine(vectors.train, vectors.seen).rows[:, 0]
    return {
        **knn_scores(unseen, benchmark.train, benchmark.unseen, _RANKS, seed),
        "by_genus_size": genus_size_scores(unseen, benchmark.train, benchmark.unseen, seed),
        "seen_species": knn_scores(seen, benchmark.train, benchmark.seen, ("species",), seed),
    }


def _linear_probe(vectors: Vectors, benchmark: Benchmark, seed: int) -> dict[str, Any]:
    return linear_probe_scores(vectors.train, benchmark.train, vectors.seen, benchmark.seen, seed=seed)


def _clustering(vectors: Vectors, benchmark: Benchmark, seed: int) -> dict[str, Any]:
    both = np.concatenate([vectors.seen, vectors.unseen])
    scores = clustering_scores(both, pa.concat_tables([benchmark.seen, benchmark.unseen]))
    alone = clustering_scores(vectors.unseen, benchmark.unseen)
    return scores | {f"{name}_unseen": value for name, value in alone.items()}
