"""Nearest-neighbour probe: the taxa of a barcode, from the nearest labelled barcodes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.scores import accuracy_scores
from barcodemae.evaluation.splits import answerable, labels, species_of_rows
from barcodemae.vectors.nearest import Hits

# What is asked of species that were never seen, and of species of the keys; the first rank is the headline.
OPEN_WORLD_RANKS = ("genus", "family", "order", "class", "phylum")
CLOSED_WORLD_RANKS = ("species", *OPEN_WORLD_RANKS)


def answering_keys(rows: np.ndarray, key_taxa: np.ndarray) -> np.ndarray:
    """The key that answers each query: the nearest one of the taxon that most of its neighbours belong to.

    Of taxa with equally many neighbours, the one with the nearest key wins. A neighbour of unknown taxon has no vote.

    Args:
        rows: `[n_queries, n_neighbours]`, rows of the keys, nearest first; -1 where nothing was found.
        key_taxa: `[n_keys]`, names; "" is unknown.

    Returns:
        Rows of keys `[n_queries]`; -1 where no neighbour has a vote.
    """
    _, taxon = np.unique(key_taxa, return_inverse=True)
    votes = np.where((rows >= 0) & (key_taxa[rows] != ""), taxon[rows], -1)
    n_votes = np.stack([np.sum(votes == votes[:, [place]], axis=1) for place in range(rows.shape[1])], axis=1)
    winner = np.where(votes >= 0, n_votes, 0).argmax(axis=1)  # the first, so the nearest, of equal ones
    queries = np.arange(len(rows))
    return np.where(votes[queries, winner] >= 0, rows[queries, winner], -1)


def answered_taxa(hits: Hits, keys: pa.Table, rank: str) -> np.ndarray:
    """The taxon that each query is given by its neighbours, names `[n_queries]`; "" where there is none."""
    key_taxa = labels(keys, rank)
    answers = answering_keys(hits.rows, key_taxa)
    return np.where(answers >= 0, key_taxa[answers], "")


def knn_scores(
    hits: Hits, keys: pa.Table, queries: pa.Table, ranks: Sequence[str] = OPEN_WORLD_RANKS, seed: int = 0
) -> dict[str, Any]:
    """Accuracy of the neighbours' vote, over the queries whose taxon stands among the keys.

    One neighbour is the published protocol (BarcodeMAE, arXiv 2502.18405). A query without a hit is answered wrongly.

    Args:
        hits: the nearest keys of the queries; as many as shall vote.
        keys: records of the keys.
        queries: records of the queries.
        ranks: the first one is the headline. Another one has no accuracy where there is nothing to ask: none of
            its taxa in the queries stands among the keys, or the keys are all of one taxon.
        seed: of the bootstrap.

    Returns:
        `n_keys`, `n_queries`, `n_neighbours`; `n_without_hit`, the queries for which nothing was found;
        `n_answerable` at the first rank; `n_answerable_by_rank` and `n_taxa_by_rank` (among the keys) at every
        rank; and for each rank that can be asked what `scores.accuracy_scores` gives.

    Raises:
        ConfigurationError: no query can be answered at the first rank, or the keys are all of one taxon there.
    """
    species = species_of_rows(queries)
    n_answerable: dict[str, int] = {}
    n_taxa: dict[str, int] = {}
    accuracies: dict[str, Any] = {}
    for rank in ranks:
        key_taxa, taxa = labels(keys, rank), labels(queries, rank)
        rows = answerable(taxa, key_taxa)
        n_answerable[rank] = int(rows.sum())
        n_taxa[rank] = len(set(key_taxa) - {""})
        if rows.any() and n_taxa[rank] > 1:
            given = answered_taxa(hits, keys, rank)
            accuracies |= accuracy_scores(rank, given[rows], taxa[rows], species[rows], seed)
    asked = ranks[0]
    if n_answerable[asked] == 0:
        raise ConfigurationError(f"expected queries of a {asked} that stands among the keys, got none")
    if n_taxa[asked] < 2:
        raise ConfigurationError(f"expected keys of two taxa or more to tell apart by {asked}, got one")
    return {
        "n_keys": len(keys),
        "n_queries": len(queries),
        "n_neighbours": hits.rows.shape[1],
        "n_without_hit": int(np.sum(hits.rows[:, 0] < 0)),
        "n_answerable": n_answerable[asked],
        "n_answerable_by_rank": n_answerable,
        "n_taxa_by_rank": n_taxa,
        **accuracies,
    }
