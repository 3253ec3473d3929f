"""Zero-shot clustering: are the Barcode Index Numbers there in the vectors, without a label?"""

from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.cluster import AgglomerativeClustering

from barcodemae.evaluation.scores import load_metric
from barcodemae.evaluation.splits import labels

# As published for BarcodeBERT and BarcodeMAE.
N_DIMENSIONS = 50
N_NEIGHBOURS = 5
UMAP_SEED = 42

_FEWEST_POINTS = 4


def reduce_dimensions(embeddings: np.ndarray, n_dimensions: int = N_DIMENSIONS) -> np.ndarray:
    """Project points by UMAP (cosine, 5 neighbours, seed 42), fit on these very points.

    Few points get fewer dimensions (at most their number less two) and neighbours (at most their number less
    one); fewer than 4 points are left as they are.

    Args:
        embeddings: `[n, dimensions]`.
        n_dimensions: of the projection.

    Returns:
        float32 `[n, n_dimensions]`.
    """
    n = len(embeddings)
    if n < _FEWEST_POINTS:
        return embeddings
    from umap import UMAP  # numba makes this import take seconds

    umap = UMAP(
        n_components=min(n_dimensions, n - 2),
        n_neighbors=min(N_NEIGHBOURS, n - 1),
        metric="cosine",
        random_state=UMAP_SEED,
        n_jobs=1,  # a seed allows no more
    )
    return umap.fit_transform(embeddings)


def clustering_scores(embeddings: np.ndarray, records: pa.Table) -> dict[str, Any]:
    """Adjusted mutual information of BINs and clusters (UMAP, then Ward linkage), over rows that have a BIN.

    The number of clusters is the number of species, as published; rows of unknown species don't add to it.
    There is no interval: see `bootstrap.species_bootstrap`.

    Args:
        embeddings: float32 `[n, dimensions]`.
        records: their records.

    Returns:
        `n_rows, n_bins, n_clusters, bin_ami`; the last is None where fewer than two rows have a BIN.
    """
    bins, species = labels(records, "bin"), labels(records, "species")
    rows = bins != ""
    n_clusters = len(set(species[rows]) - {""})
    scores = {"n_rows": int(rows.sum()), "n_bins": len(set(bins[rows])), "n_clusters": n_clusters}
    if rows.sum() < 2:
        return {**scores, "bin_ami": None}
    ward = AgglomerativeClustering(max(1, n_clusters), linkage="ward")
    clusters = ward.fit_predict(reduce_dimensions(embeddings[rows]))
    return scores | load_metric("bin_ami").compute(predictions=clusters, references=bins[rows])
