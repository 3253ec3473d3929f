"""Zero-shot clustering in many ways, and the way that a label-free guide would have chosen.

After Lowe et al. 2024, "An Empirical Study into Clustering of Unseen Datasets with Self-Supervised Encoders"
(arXiv 2406.02465): spaces and methods are crossed, and every clustering has a silhouette, measured in UMAP space
whatever space it was made in, so that a reader without labels could choose by it.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.cluster import HDBSCAN, AgglomerativeClustering, KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from tqdm import tqdm

from barcodemae.evaluation.scores import load_metric
from barcodemae.evaluation.tasks.clustering import N_DIMENSIONS, bin_questions, reduce_dimensions

# Ward linkage and silhouettes look at all pairs, HDBSCAN nearly so: 0.4 GB of distances for so many rows.
MAX_ROWS = 10_000

# HDBSCAN's own default: fewer rows are no cluster.
MIN_CLUSTER_ROWS = 5


def clustering_grid_scores(embeddings: np.ndarray, records: pa.Table, seed: int = 0) -> dict[str, Any]:
    """Adjusted mutual information of BINs and clusters for every space and method, over rows that have a BIN.

    Spaces: `umap` as in the published recipe, `pca` (50 dimensions, centred but not scaled: dimensions keep their
    proportions), `none`. Methods: `k-means` and `ward`, which are given the number of species as published, and
    `hdbscan`, which finds the number by itself; the rows that it leaves out count as one more cluster, for the
    adjusted mutual information and for the silhouette. All see the same rows.

    Args:
        embeddings: float32 `[n, dimensions]`.
        records: their records. Of more than 10,000 with a BIN, so many are drawn.
        seed: of the draw, of PCA and of k-means.

    Returns:
        `n_rows`, the rows with a BIN, and `n_rows_used` of these; among the latter `n_bins` and `n_species`;
        `choices`, a list with `reduction, method, n_clusters, n_unclustered, bin_ami, silhouette` each (the last is
        None where all is one cluster or each row its own); and `chosen_by_silhouette`, the choice with the largest
        one. With fewer than two BINs or five rows there are no choices, and None is chosen.

    Raises:
        ConfigurationError: a vector is not finite.
    """
    asked = bin_questions(embeddings, records, MAX_ROWS, seed)
    counts = asked.counts | {"n_species": asked.n_species}
    if counts["n_bins"] < 2 or len(asked.points) < MIN_CLUSTER_ROWS:
        return {**counts, "choices": [], "chosen_by_silhouette": None}
    umap = reduce_dimensions(asked.points)
    spaces = {"umap": umap, "pca": _principal_components(asked.points, seed), "none": asked.points}
    choices = []
    for (reduction, space), (method, make) in tqdm(list(product(spaces.items(), _METHODS.items())), leave=False):
        clusters = make(max(1, asked.n_species), seed).fit_predict(space)
        clustered = clusters >= 0
        choices.append(
            {
                "reduction": reduction,
                "method": method,
                "n_clusters": len(set(clusters[clustered])),
                "n_unclustered": int(np.sum(~clustered)),
                **load_metric("bin_ami").compute(predictions=clusters, references=asked.bins),
                "silhouette": _silhouette(umap, clusters),
            }
        )
    guided = [choice for choice in choices if choice["silhouette"] is not None]
    chosen = max(guided, key=lambda choice: choice["silhouette"], default=None)
    return {**counts, "choices": choices, "chosen_by_silhouette": chosen}


_METHODS: dict[str, Callable[[int, int], Any]] = {
    "k-means": lambda n_clusters, seed: KMeans(n_clusters, random_state=seed),
    "ward": lambda n_clusters, seed: AgglomerativeClustering(n_clusters, linkage="ward"),
    "hdbscan": lambda n_clusters, seed: HDBSCAN(min_cluster_size=MIN_CLUSTER_ROWS, copy=True),
}


def _principal_components(points: np.ndarray, seed: int) -> np.ndarray:
    return PCA(min(N_DIMENSIONS, *points.shape), random_state=seed).fit_transform(points)


def _silhouette(space: np.ndarray, clusters: np.ndarray) -> float | None:
    if not 2 <= len(set(clusters)) < len(clusters):
        return None
    return float(silhouette_score(space, clusters))
