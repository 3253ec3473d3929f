"""Zero-shot clustering: do clusters of the vectors agree with Barcode Index Numbers, without any label?

Beside the published recipe there is a grid, after Lowe et al. 2024, "An Empirical Study into Clustering of Unseen
Datasets with Self-Supervised Encoders" (arXiv 2406.02465): spaces and methods are crossed, and every clustering has a
silhouette, measured in UMAP space whatever space it was made in, by which it could be chosen without labels.
"""

from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from sklearn.cluster import HDBSCAN, AgglomerativeClustering, KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from tqdm import tqdm

from barcodemae.evaluation.benchmark import labels
from barcodemae.evaluation.scores import load_metric
from barcodemae.evaluation.vector_cache import check_finite

# As published for BarcodeBERT and BarcodeMAE.
NUM_DIMENSIONS = 50
NUM_NEIGHBOURS = 5
UMAP_SEED = 42

# Ward linkage computes the distances of all pairs: 3.6 GB for so many rows.
MAX_ROWS = 30_000

# For the grid: silhouettes need all distances too, HDBSCAN nearly so: 0.4 GB for so many rows.
MAX_GRID_ROWS = 10_000

# HDBSCAN's own default: fewer rows are not a cluster.
MIN_CLUSTER_ROWS = 5

MIN_POINTS = 4


def reduce_dimensions(embeddings: np.ndarray, num_dimensions: int = NUM_DIMENSIONS) -> np.ndarray:
    """Project points by UMAP (cosine, 5 neighbours, seed 42), fit on these very points.

    Few points get fewer dimensions (at most their number less two) and neighbours (at most their number less
    one); fewer than 4 points are returned unchanged.

    Args:
        embeddings: `[n, dimensions]`.
        num_dimensions: of the projection.

    Returns:
        float32 `[n, num_dimensions]`.
    """
    n = len(embeddings)
    if n < MIN_POINTS:
        return embeddings
    from umap import UMAP  # numba makes this import take seconds

    umap = UMAP(
        n_components=min(num_dimensions, n - 2),
        n_neighbors=min(NUM_NEIGHBOURS, n - 1),
        metric="cosine",
        random_state=UMAP_SEED,
        n_jobs=1,  # a fixed seed needs one job
    )
    return umap.fit_transform(embeddings)


def rows_with_bin(records: pa.Table, max_rows: int, seed: int = 0) -> np.ndarray:
    """Row numbers of the records that have a BIN, in order; where there are more than `max_rows`, a random sample."""
    rows = np.flatnonzero(labels(records, "bin") != "")
    if len(rows) > max_rows:
        rows = np.sort(np.random.default_rng(seed).choice(rows, max_rows, replace=False))
    return rows


class BinTask(NamedTuple):
    """Vectors whose BINs are to be found.

    Attributes:
        points: `[n, dimensions]`, those of the rows that are used.
        bins: `[n]`, their BINs.
        num_species: species among them, unknown ones left out.
        counts: `num_rows, n_rows_used, n_bins`, for the results.
    """

    points: np.ndarray
    bins: np.ndarray
    num_species: int
    counts: dict[str, Any]


def bin_task(embeddings: np.ndarray, records: pa.Table, max_rows: int, seed: int) -> BinTask:
    """Choose the rows that have a BIN.

    Args:
        embeddings: float32 `[n, dimensions]`.
        records: their records.
        max_rows: maximum number of rows; of more, so many are drawn.
        seed: random seed of that draw.

    Raises:
        ConfigurationError: a vector is not finite.
    """
    check_finite(embeddings)
    rows = rows_with_bin(records, max_rows, seed)
    bins, species = labels(records, "bin"), labels(records, "species")[rows]
    counts = {"n_rows": int(np.sum(bins != "")), "n_rows_used": len(rows), "n_bins": len(set(bins[rows]))}
    return BinTask(embeddings[rows], bins[rows], len(set(species) - {""}), counts)


def clustering_scores(embeddings: np.ndarray, records: pa.Table, seed: int = 0) -> dict[str, Any]:
    """Adjusted mutual information of BINs and clusters (UMAP, then Ward linkage), over rows that have a BIN.

    The number of clusters is the number of species, as published; rows of unknown species do not add to it.
    There is no interval: see `scores.species_bootstrap`.

    Args:
        embeddings: float32 `[n, dimensions]`.
        records: their records. Of more than 30,000 with a BIN, so many are drawn.
        seed: random seed of that draw.

    Returns:
        `num_rows`, the rows with a BIN, and `n_rows_used` of these; among the latter `n_bins`, `num_clusters` and
        `bin_ami`, which is None where there are fewer than two BINs.

    Raises:
        ConfigurationError: a vector is not finite.
    """
    task = bin_task(embeddings, records, MAX_ROWS, seed)
    scores = task.counts | {"n_clusters": task.num_species}
    if scores["n_bins"] < 2:
        return {**scores, "bin_ami": None}
    ward = AgglomerativeClustering(max(1, task.num_species), linkage="ward")
    clusters = ward.fit_predict(reduce_dimensions(task.points))
    return scores | load_metric("bin_ami").compute(predictions=clusters, references=task.bins)


def clustering_grid_scores(embeddings: np.ndarray, records: pa.Table, seed: int = 0) -> dict[str, Any]:
    """Adjusted mutual information of BINs and clusters for every space and method, over rows that have a BIN.

    Spaces: `umap` as in the published recipe, `pca` (50 dimensions, centred but not scaled: dimensions keep their
    proportions), `none`. Methods: `k-means` and `ward`, which are given the number of species as published, and
    `hdbscan`, which finds the number by itself; the rows that it leaves out count as one more cluster, for the
    adjusted mutual information and for the silhouette. All see the same rows.

    Args:
        embeddings: float32 `[n, dimensions]`.
        records: their records. Of more than 10,000 with a BIN, so many are drawn.
        seed: random seed of the draw, of PCA and of k-means.

    Returns:
        `num_rows`, the rows with a BIN, and `n_rows_used` of these; among the latter `n_bins` and `n_species`;
        `choices`, a list with `reduction, method, num_clusters, n_unclustered, bin_ami, silhouette` each (the last is
        None where all is one cluster or each row its own); and `chosen_by_silhouette`, the choice with the largest
        one. With fewer than two BINs or five rows there are no choices, and None is chosen.

    Raises:
        ConfigurationError: a vector is not finite.
    """
    task = bin_task(embeddings, records, MAX_GRID_ROWS, seed)
    counts = task.counts | {"n_species": task.num_species}
    if counts["n_bins"] < 2 or len(task.points) < MIN_CLUSTER_ROWS:
        return {**counts, "choices": [], "chosen_by_silhouette": None}
    umap = reduce_dimensions(task.points)
    spaces = {"umap": umap, "pca": _principal_components(task.points, seed), "none": task.points}
    choices = []
    for (reduction, space), (method, make) in tqdm(list(product(spaces.items(), _METHODS.items())), leave=False):
        clusters = make(max(1, task.num_species), seed).fit_predict(space)
        clustered = clusters >= 0
        choices.append(
            {
                "reduction": reduction,
                "method": method,
                "n_clusters": len(set(clusters[clustered])),
                "n_unclustered": int(np.sum(~clustered)),
                **load_metric("bin_ami").compute(predictions=clusters, references=task.bins),
                "silhouette": _silhouette(umap, clusters),
            }
        )
    scored = [choice for choice in choices if choice["silhouette"] is not None]
    chosen = max(scored, key=lambda choice: choice["silhouette"], default=None)
    return {**counts, "choices": choices, "chosen_by_silhouette": chosen}


_METHODS: dict[str, Callable[[int, int], Any]] = {
    "k-means": lambda num_clusters, seed: KMeans(num_clusters, random_state=seed),
    "ward": lambda num_clusters, seed: AgglomerativeClustering(num_clusters, linkage="ward"),
    "hdbscan": lambda num_clusters, seed: HDBSCAN(min_cluster_size=MIN_CLUSTER_ROWS, copy=True),
}


def _principal_components(points: np.ndarray, seed: int) -> np.ndarray:
    return PCA(min(NUM_DIMENSIONS, *points.shape), random_state=seed).fit_transform(points)


def _silhouette(space: np.ndarray, clusters: np.ndarray) -> float | None:
    if not 2 <= len(set(clusters)) < len(clusters):
        return None
    return float(silhouette_score(space, clusters))
