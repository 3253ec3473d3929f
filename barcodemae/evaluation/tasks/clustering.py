"""Zero-shot clustering: are the Barcode Index Numbers there in the vectors, without a label?"""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from sklearn.cluster import AgglomerativeClustering

from barcodemae.evaluation.scores import load_metric
from barcodemae.evaluation.splits import labels
from barcodemae.evaluation.tasks.questions import check_embeddings

# As published for BarcodeBERT and BarcodeMAE.
N_DIMENSIONS = 50
N_NEIGHBOURS = 5
UMAP_SEED = 42

# Ward linkage keeps the distances of all pairs: 3.6 GB for so many rows.
MAX_ROWS = 30_000

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


def rows_with_bin(records: pa.Table, n_most: int, seed: int = 0) -> np.ndarray:
    """Row numbers of the records that have a BIN, in order; where they are more than `n_most`, a random part."""
    rows = np.flatnonzero(labels(records, "bin") != "")
    if len(rows) > n_most:
        rows = np.sort(np.random.default_rng(seed).choice(rows, n_most, replace=False))
    return rows


class BinQuestions(NamedTuple):
    """Vectors whose BINs are to be found.

    Attributes:
        points: `[n, dimensions]`, those of the rows that are used.
        bins: `[n]`, their BINs.
        n_species: species among them, unknown ones left out.
        counts: `n_rows, n_rows_used, n_bins`, for the results.
    """

    points: np.ndarray
    bins: np.ndarray
    n_species: int
    counts: dict[str, Any]


def bin_questions(embeddings: np.ndarray, records: pa.Table, n_most: int, seed: int) -> BinQuestions:
    """What is asked of the rows that have a BIN.

    Args:
        embeddings: float32 `[n, dimensions]`.
        records: their records.
        n_most: rows that are used; of more, so many are drawn.
        seed: of that draw.

    Raises:
        ConfigurationError: a vector is not finite.
    """
    check_embeddings(embeddings)
    rows = rows_with_bin(records, n_most, seed)
    bins, species = labels(records, "bin"), labels(records, "species")[rows]
    counts = {"n_rows": int(np.sum(bins != "")), "n_rows_used": len(rows), "n_bins": len(set(bins[rows]))}
    return BinQuestions(embeddings[rows], bins[rows], len(set(species) - {""}), counts)


def clustering_scores(embeddings: np.ndarray, records: pa.Table, seed: int = 0) -> dict[str, Any]:
    """Adjusted mutual information of BINs and clusters (UMAP, then Ward linkage), over rows that have a BIN.

    The number of clusters is the number of species, as published; rows of unknown species don't add to it.
    There is no interval: see `bootstrap.species_bootstrap`.

    Args:
        embeddings: float32 `[n, dimensions]`.
        records: their records. Of more than 30,000 with a BIN, so many are drawn.
        seed: of that draw.

    Returns:
        `n_rows`, the rows with a BIN, and `n_rows_used` of these; among the latter `n_bins`, `n_clusters` and
        `bin_ami`, which is None where there are not two BINs to tell apart.

    Raises:
        ConfigurationError: a vector is not finite.
    """
    asked = bin_questions(embeddings, records, MAX_ROWS, seed)
    scores = asked.counts | {"n_clusters": asked.n_species}
    if scores["n_bins"] < 2:
        return {**scores, "bin_ami": None}
    ward = AgglomerativeClustering(max(1, asked.n_species), linkage="ward")
    clusters = ward.fit_predict(reduce_dimensions(asked.points))
    return scores | load_metric("bin_ami").compute(predictions=clusters, references=asked.bins)
