"""Which task asks what of which records: the published protocol, and what stands beside it."""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from barcodemae.evaluation.benchmark import Benchmark
from barcodemae.evaluation.scores import harmonic_mean
from barcodemae.evaluation.splits import answerable, labels, species_of_rows
from barcodemae.evaluation.subjects import Subject, Vectors
from barcodemae.evaluation.tasks.breakdowns import (
    genus_size_scores,
    order_scores,
    similarity_scores,
    sister_confusions,
)
from barcodemae.evaluation.tasks.clustering import clustering_scores
from barcodemae.evaluation.tasks.clustering_grid import clustering_grid_scores
from barcodemae.evaluation.tasks.compression import compression_scores
from barcodemae.evaluation.tasks.few_shot import few_shot_scores
from barcodemae.evaluation.tasks.knn import CLOSED_WORLD_RANKS, OPEN_WORLD_RANKS, knn_scores
from barcodemae.evaluation.tasks.linear_probe import linear_probe_scores
from barcodemae.evaluation.tasks.logistic_probe import logistic_probe_scores
from barcodemae.evaluation.tasks.novelty import novelty_scores
from barcodemae.evaluation.tasks.robustness import N_QUERIES, robustness_scores

# A program that aligns takes a tenth of a second for a query, and all changes together ask 20 times as many.
_N_SEARCHED = 100


def score(subject: Subject, benchmark: Benchmark, tasks: Collection[str], seed: int = 0) -> dict[str, Any]:
    """Run tasks on one subject.

    Args:
        subject: what is judged on the benchmark.
        benchmark: the records.
        tasks: which of `TASKS`; those that ask for vectors are passed over where there are none.
        seed: of all that is drawn.

    Returns:
        Under each task's name what its module says; `extra_queries.knn`, where there are any; and `harmonic_mean` of
        `knn.genus_accuracy` and `clustering.bin_ami`, None where one of them is missing.
    """
    chosen = [task for task in TASKS if task in tasks and (subject.vectors is not None or task not in VECTOR_TASKS)]
    scores: dict[str, Any] = {}
    for task in (progress := tqdm(chosen, unit="task", leave=False)):
        progress.set_description(task)
        scores[task] = TASKS[task](subject, benchmark, seed)
    if "knn" in tasks and benchmark.extra is not None and subject.extra is not None:
        knn = knn_scores(subject.extra, benchmark.train, benchmark.extra, OPEN_WORLD_RANKS, seed)
        scores["extra_queries"] = {"knn": knn}
    genus_accuracy = scores.get("knn", {}).get("genus_accuracy")
    bin_ami = scores.get("clustering", {}).get("bin_ami")
    known = genus_accuracy is not None and bin_ami is not None
    scores["harmonic_mean"] = harmonic_mean(genus_accuracy, bin_ami) if known else None
    return scores


def _knn(subject: Subject, benchmark: Benchmark, seed: int) -> dict[str, Any]:
    asked = (subject.unseen, benchmark.train, benchmark.unseen)
    return {
        **knn_scores(*asked, OPEN_WORLD_RANKS, seed),
        "by_genus_size": genus_size_scores(*asked, seed),
        "by_similarity": similarity_scores(*asked, seed),
        "by_order": order_scores(*asked, seed),
        "confusions": sister_confusions(*asked),
        "seen_species": knn_scores(subject.seen, benchmark.train, benchmark.seen, CLOSED_WORLD_RANKS, seed),
    }


def _novelty(subject: Subject, benchmark: Benchmark, seed: int) -> dict[str, Any]:
    species = labels(benchmark.seen, "species")
    known = answerable(species, labels(benchmark.train, "species"))
    return novelty_scores(
        subject.seen.similarities[known, 0],
        species[known],
        subject.unseen.similarities[:, 0],
        species_of_rows(benchmark.unseen),
        seed,
    )


def _robustness(subject: Subject, benchmark: Benchmark, seed: int) -> list[dict[str, Any]]:
    n_queries = _N_SEARCHED if subject.vectors is None else N_QUERIES
    return robustness_scores(subject.search, benchmark.train, benchmark.unseen, seed, n_queries)


def _closed_world(task: Callable[..., Any]) -> Callable[[Subject, Benchmark, int], Any]:
    """A task that learns from `train` and asks for the species of `seen`."""

    def run(subject: Subject, benchmark: Benchmark, seed: int) -> Any:
        vectors = _vectors(subject)
        return task(vectors.train, benchmark.train, vectors.seen, benchmark.seen, seed=seed)

    return run


def _clustering(subject: Subject, benchmark: Benchmark, seed: int) -> dict[str, Any]:
    vectors = _vectors(subject)
    scores = clustering_scores(*_seen_and_unseen(vectors, benchmark), seed)
    alone = clustering_scores(vectors.unseen, benchmark.unseen, seed)
    return scores | {f"{name}_unseen": value for name, value in alone.items()}


def _clustering_grid(subject: Subject, benchmark: Benchmark, seed: int) -> dict[str, Any]:
    return clustering_grid_scores(*_seen_and_unseen(_vectors(subject), benchmark), seed)


def _compression(subject: Subject, benchmark: Benchmark, seed: int) -> list[dict[str, Any]]:
    vectors = _vectors(subject)
    return compression_scores(vectors.train, benchmark.train, vectors.unseen, benchmark.unseen, seed)


def _seen_and_unseen(vectors: Vectors, benchmark: Benchmark) -> tuple[np.ndarray, pa.Table]:
    both = np.concatenate([vectors.seen, vectors.unseen])
    return both, pa.concat_tables([benchmark.seen, benchmark.unseen])


def _vectors(subject: Subject) -> Vectors:
    assert subject.vectors is not None  # `score` passes over those without
    return subject.vectors


TASKS: dict[str, Callable[[Subject, Benchmark, int], Any]] = {
    "knn": _knn,
    "linear_probe": _closed_world(linear_probe_scores),
    "clustering": _clustering,
    "novelty": _novelty,
    "few_shot": _closed_world(few_shot_scores),
    "compression": _compression,
    "logistic_probe": _closed_world(logistic_probe_scores),
    "clustering_grid": _clustering_grid,
    "robustness": _robustness,
}
"""What can be asked of a subject, in this order."""

VECTOR_TASKS = set(TASKS) - {"knn", "novelty", "robustness"}
"""Those that nearest keys alone don't answer."""

PUBLISHED_TASKS = ("knn", "linear_probe", "clustering")
"""Those of the paper (arXiv 2502.18405)."""
