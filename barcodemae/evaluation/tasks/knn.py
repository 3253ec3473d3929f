"""Nearest-neighbour probe: the genus of a species that was never seen, from the nearest labelled barcode."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.scores import accuracy_scores
from barcodemae.evaluation.splits import answerable, labels, species_of_rows


def knn_scores(
    neighbours: np.ndarray, keys: pa.Table, queries: pa.Table, ranks: Sequence[str], seed: int = 0
) -> dict[str, Any]:
    """Accuracy of the nearest key's taxon, over the queries whose taxon stands among the keys.

    Args:
        neighbours: `[n_queries]`, row of the nearest key; -1 where none was found, which counts as a wrong answer.
        keys: records of the keys.
        queries: records of the queries.
        ranks: the first one is what is asked for: `n_answerable` counts its rows. Another one is left out
            where none of its taxa stands among the keys.
        seed: of the bootstrap.

    Returns:
        `n_keys, n_queries, n_answerable`, and for each rank what `scores.accuracy_scores` gives.

    Raises:
        ConfigurationError: no query can be answered at the first rank.
    """
    species = species_of_rows(queries)
    scores: dict[str, Any] = {"n_keys": len(keys), "n_queries": len(queries)}
    for rank in ranks:
        key_taxa, taxa = labels(keys, rank), labels(queries, rank)
        rows = answerable(taxa, key_taxa)
        if rank == ranks[0]:
            scores["n_answerable"] = int(rows.sum())
        if rows.any():
            given = np.where(neighbours >= 0, key_taxa[neighbours], "")
            scores |= accuracy_scores(rank, given[rows], taxa[rows], species[rows], seed)
    if scores["n_answerable"] == 0:
        raise ConfigurationError(f"expected queries of a {ranks[0]} that stands among the keys, got none")
    return scores


def genus_size_scores(neighbours: np.ndarray, keys: pa.Table, queries: pa.Table, seed: int = 0) -> list[dict[str, Any]]:
    """Genus accuracy by the number of keys that the right genus has.

    Args:
        neighbours: as in `knn_scores`.
        keys: records of the keys.
        queries: records of the queries.
        seed: of the bootstrap.

    Returns:
        One entry per class of size, small to large (1, 2 to 3, 4 to 7, and so on): `n_keys` `[fewest, most]`,
        `n_answerable`, and what `scores.accuracy_scores` gives.
    """
    key_genera, n_keys = np.unique(labels(keys, "genus"), return_counts=True)
    rows = np.flatnonzero(answerable(labels(queries, "genus"), key_genera))
    genera, species = labels(queries, "genus")[rows], species_of_rows(queries)[rows]
    given = np.where(neighbours[rows] >= 0, labels(keys, "genus")[neighbours[rows]], "")
    size = n_keys[np.searchsorted(key_genera, genera)]
    size_class = np.log2(size).astype(int)
    entries = []
    for number in np.unique(size_class):
        of_class = size_class == number
        sizes = size[of_class]
        scores = accuracy_scores("genus", given[of_class], genera[of_class], species[of_class], seed)
        entries.append({"n_keys": [int(sizes.min()), int(sizes.max())], "n_answerable": len(sizes), **scores})
    return entries
