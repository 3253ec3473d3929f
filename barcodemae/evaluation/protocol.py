"""Which task is scored on which records: the published protocol, and further tasks."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from barcodemae.embedding.nearest import nearest_by_cosine
from barcodemae.evaluation.benchmark import Benchmark, answerable, labels, species_of_rows
from barcodemae.evaluation.catalogue import SEARCH_TASKS, TASKS, WeightedVote
from barcodemae.evaluation.methods import MethodOutput, Vectors
from barcodemae.evaluation.scores import harmonic_mean
from barcodemae.evaluation.tasks.bin_clustering import clustering_grid_scores, clustering_scores
from barcodemae.evaluation.tasks.compression import compression_scores
from barcodemae.evaluation.tasks.few_shot import few_shot_scores
from barcodemae.evaluation.tasks.knn import (
    CLOSED_WORLD_RANKS,
    OPEN_WORLD_RANKS,
    genus_size_scores,
    knn_scores,
    order_scores,
    similarity_scores,
    sister_confusions,
)
from barcodemae.evaluation.tasks.novelty import novelty_scores
from barcodemae.evaluation.tasks.probes import linear_probe_scores, logistic_probe_scores
from barcodemae.evaluation.tasks.robustness import NUM_QUERIES, robustness_scores

# An alignment program takes a tenth of a second for a query, and each of 20 changes repeats all queries.
_NUM_SEARCHER_QUERIES = 100


def score(
    output: MethodOutput,
    benchmark: Benchmark,
    tasks: Collection[str],
    seed: int = 0,
    weighted_vote: WeightedVote | None = None,
) -> dict[str, Any]:
    """Score one method on some tasks.

    Args:
        output: what the method gives for the benchmark.
        benchmark: the records.
        tasks: any of `catalogue.TASKS`. Fine-tuning is skipped: it needs more than the output of a method. Tasks that
            need vectors are skipped where there are none.
        seed: random seed of all draws.
        weighted_vote: a second vote of nearest references in the task `knn`. It needs cosines, so there is none where
            there are no vectors.

    Returns:
        For each task the scores that its module documents; `weighted_knn`, the scores of the weighted vote;
        `extra_queries.knn`, where there are extra queries; and `harmonic_mean` of `knn.genus_accuracy` and
        `clustering.bin_ami`, None where one of them is missing.
    """
    possible = SEARCH_TASKS if output.vectors is None else tuple(_RUN)
    chosen = [task for task in TASKS if task in tasks and task in possible]
    scores: dict[str, Any] = {}
    for task in (progress := tqdm(chosen, unit="task", leave=False)):
        progress.set_description(task)
        scores[task] = _RUN[task](output, benchmark, seed)
    if "knn" in tasks and weighted_vote is not None and output.vectors is not None:
        scores["weighted_knn"] = _weighted_knn(output.vectors, benchmark, weighted_vote, seed)
    if "knn" in tasks and benchmark.extra is not None and output.extra is not None:
        knn = knn_scores(output.extra, benchmark.train, benchmark.extra, OPEN_WORLD_RANKS, seed)
        scores["extra_queries"] = {"knn": knn}
    genus_accuracy = scores.get("knn", {}).get("genus_accuracy")
    bin_ami = scores.get("clustering", {}).get("bin_ami")
    known = genus_accuracy is not None and bin_ami is not None
    scores["harmonic_mean"] = harmonic_mean(genus_accuracy, bin_ami) if known else None
    return scores


def _knn(output: MethodOutput, benchmark: Benchmark, seed: int) -> dict[str, Any]:
    unseen = (output.unseen, benchmark.train, benchmark.unseen)
    return {
        **knn_scores(*unseen, OPEN_WORLD_RANKS, seed),
        "by_genus_size": genus_size_scores(*unseen, seed),
        "by_similarity": similarity_scores(*unseen, seed),
        "by_order": order_scores(*unseen, seed),
        "confusions": sister_confusions(*unseen),
        "seen_species": knn_scores(output.seen, benchmark.train, benchmark.seen, CLOSED_WORLD_RANKS, seed),
    }


def _weighted_knn(vectors: Vectors, benchmark: Benchmark, vote: WeightedVote, seed: int) -> dict[str, Any]:
    def scores(queries: np.ndarray, records: pa.Table, ranks: Sequence[str]) -> dict[str, Any]:
        hits = nearest_by_cosine(vectors.train, queries, vote.num_neighbours)
        return knn_scores(hits, benchmark.train, records, ranks, seed, vote.temperature)

    return {
        **scores(vectors.unseen, benchmark.unseen, OPEN_WORLD_RANKS),
        "temperature": vote.temperature,
        "seen_species": scores(vectors.seen, benchmark.seen, CLOSED_WORLD_RANKS),
    }


def _novelty(output: MethodOutput, benchmark: Benchmark, seed: int) -> dict[str, Any]:
    species = labels(benchmark.seen, "species")
    known = answerable(species, labels(benchmark.train, "species"))
    return novelty_scores(
        output.seen.similarities[known, 0],
        species[known],
        output.unseen.similarities[:, 0],
        species_of_rows(benchmark.unseen),
        seed,
    )


def _robustness(output: MethodOutput, benchmark: Benchmark, seed: int) -> list[dict[str, Any]]:
    num_queries = _NUM_SEARCHER_QUERIES if output.vectors is None else NUM_QUERIES
    return robustness_scores(output.search, benchmark.train, benchmark.unseen, seed, num_queries)


def _closed_world(task: Callable[..., Any]) -> Callable[[MethodOutput, Benchmark, int], Any]:
    """A task that is fitted to `train` and predicts the species of `seen`."""

    def run(output: MethodOutput, benchmark: Benchmark, seed: int) -> Any:
        vectors = _vectors(output)
        return task(vectors.train, benchmark.train, vectors.seen, benchmark.seen, seed=seed)

    return run


def _clustering(output: MethodOutput, benchmark: Benchmark, seed: int) -> dict[str, Any]:
    vectors = _vectors(output)
    scores = clustering_scores(*_seen_and_unseen(vectors, benchmark), seed)
    alone = clustering_scores(vectors.unseen, benchmark.unseen, seed)
    return scores | {f"{name}_unseen": value for name, value in alone.items()}


def _clustering_grid(output: MethodOutput, benchmark: Benchmark, seed: int) -> dict[str, Any]:
    return clustering_grid_scores(*_seen_and_unseen(_vectors(output), benchmark), seed)


def _compression(output: MethodOutput, benchmark: Benchmark, seed: int) -> list[dict[str, Any]]:
    vectors = _vectors(output)
    return compression_scores(vectors.train, benchmark.train, vectors.unseen, benchmark.unseen, seed)


def _seen_and_unseen(vectors: Vectors, benchmark: Benchmark) -> tuple[np.ndarray, pa.Table]:
    both = np.concatenate([vectors.seen, vectors.unseen])
    return both, pa.concat_tables([benchmark.seen, benchmark.unseen])


def _vectors(output: MethodOutput) -> Vectors:
    assert output.vectors is not None  # `score` skips these tasks otherwise
    return output.vectors


_RUN: dict[str, Callable[[MethodOutput, Benchmark, int], Any]] = {
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
