"""Nearest-neighbour probe: the taxa of a barcode, from the nearest labelled barcodes.

One neighbour is the protocol of BarcodeMAE (arXiv 2502.18405). In that of its successor BarcodeMAE+
(github.com/bioscan-ml/BarcodeMAE-plus), up to 50 neighbours vote, with weights from their similarities.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from barcodemae.data.schema import RANKS
from barcodemae.embedding.nearest import Hits
from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.benchmark import answerable, labels, species_of_rows
from barcodemae.evaluation.scores import accuracy_scores

# Ranks of queries of unseen species, and of species among the references; the first rank is the headline.
CLOSED_WORLD_RANKS = RANKS[::-1]
OPEN_WORLD_RANKS = CLOSED_WORLD_RANKS[1:]

NUM_SIMILARITY_CLASSES = 5
MAX_CONFUSIONS = 20


def softmax_weights(similarities: np.ndarray, temperature: float) -> np.ndarray:
    """The soft-max of similarities divided by the temperature, within each row.

    Args:
        similarities: `[num_queries, num_neighbours]`, -inf where nothing was found.
        temperature: above 0.

    Returns:
        float64 `[num_queries, num_neighbours]`; each row sums to 1, or to 0 if nothing was found.
    """
    scaled = similarities.astype(np.float64) / temperature
    largest = scaled.max(axis=1, keepdims=True)
    weights = np.exp(scaled - np.where(np.isfinite(largest), largest, 0))
    sums = weights.sum(axis=1, keepdims=True)
    return weights / np.where(sums > 0, sums, 1)


def deciding_references(rows: np.ndarray, reference_taxa: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The reference that decides each query: the nearest one of the taxon for which its neighbours have most votes.

    Of taxa with equally many votes, the one with the nearest reference wins. A neighbour of unknown taxon does not
    vote.

    Args:
        rows: `[num_queries, num_neighbours]`, rows of the references, nearest first; -1 where nothing was found.
        reference_taxa: `[num_references]`, names; "" is unknown.
        weights: `[num_queries, num_neighbours]`, 0 or more, the votes of each neighbour; by default one each.

    Returns:
        Rows of references `[num_queries]`; -1 where no neighbour has a vote.
    """
    _, taxon = np.unique(reference_taxa, return_inverse=True)
    votes = np.where((rows >= 0) & (reference_taxa[rows] != ""), taxon[rows], -1)
    weights = np.ones(rows.shape) if weights is None else weights
    sums = [np.sum(weights * (votes == votes[:, [column]]), axis=1) for column in range(rows.shape[1])]
    # A weight may be rounded to 0: such a neighbour still comes before one without a vote.
    winner = np.where(votes >= 0, np.stack(sums, axis=1), -1).argmax(axis=1)  # the first, so the nearest, of equal ones
    queries = np.arange(len(rows))
    return np.where(votes[queries, winner] >= 0, rows[queries, winner], -1)


def assigned_taxa(hits: Hits, references: pa.Table, rank: str, temperature: float | None = None) -> np.ndarray:
    """The taxon that the neighbours of each query vote for, names `[num_queries]`; "" where there is none.

    Args:
        hits: the nearest references of the queries.
        references: records of the references.
        rank: rank of the taxa.
        temperature: of the soft-max that gives the weights of the votes; by default each neighbour has one vote.
    """
    reference_taxa = labels(references, rank)
    weights = None if temperature is None else softmax_weights(hits.similarities, temperature)
    deciding = deciding_references(hits.rows, reference_taxa, weights)
    return np.where(deciding >= 0, reference_taxa[deciding], "")


def knn_scores(
    hits: Hits,
    references: pa.Table,
    queries: pa.Table,
    ranks: Sequence[str] = OPEN_WORLD_RANKS,
    seed: int = 0,
    temperature: float | None = None,
) -> dict[str, Any]:
    """Accuracy of the neighbours' vote, over the queries whose taxon occurs among the references.

    One neighbour is the published protocol (BarcodeMAE, arXiv 2502.18405). A query without a hit counts as wrong.

    Args:
        hits: the nearest references of the queries; as many as vote.
        references: records of the references.
        queries: records of the queries.
        ranks: the first one is the headline. Another one has no accuracy where none of the queries' taxa
            occurs among the references, or where the references are all of one taxon.
        seed: random seed of the bootstrap.
        temperature: of the soft-max that gives the weights of the votes; by default each neighbour has one vote.

    Returns:
        `n_references`, `n_queries`, `n_neighbours`; `n_without_hit`, the queries for which nothing was found;
        `n_answerable` at the first rank; `n_answerable_by_rank` and `n_taxa_by_rank` (among the references) at every
        rank; and for each rank with an accuracy what `scores.accuracy_scores` gives.

    Raises:
        ConfigurationError: at the first rank, no taxon of the queries occurs among the references, or these are all of
            one taxon.
    """
    species = species_of_rows(queries)
    num_answerable: dict[str, int] = {}
    num_taxa: dict[str, int] = {}
    accuracies: dict[str, Any] = {}
    for rank in ranks:
        reference_taxa, taxa = labels(references, rank), labels(queries, rank)
        rows = answerable(taxa, reference_taxa)
        num_answerable[rank] = int(rows.sum())
        num_taxa[rank] = len(set(reference_taxa) - {""})
        if rows.any() and num_taxa[rank] > 1:
            assigned = assigned_taxa(hits, references, rank, temperature)
            accuracies |= accuracy_scores(rank, assigned[rows], taxa[rows], species[rows], seed)
    headline = ranks[0]
    if num_answerable[headline] == 0:
        raise ConfigurationError(f"expected queries of a {headline} that occurs among the references, got none")
    if num_taxa[headline] < 2:
        raise ConfigurationError(f"expected references of at least two taxa at the rank {headline}, got one")
    return {
        "n_references": len(references),
        "n_queries": len(queries),
        "n_neighbours": hits.rows.shape[1],
        "n_without_hit": int(np.sum(hits.rows[:, 0] < 0)),
        "n_answerable": num_answerable[headline],
        "n_answerable_by_rank": num_answerable,
        "n_taxa_by_rank": num_taxa,
        **accuracies,
    }


@dataclass(frozen=True)
class _Assigned:
    """Of the queries whose genus occurs among the references: row, assigned genus, true genus, species, `[n]`."""

    rows: np.ndarray
    assigned: np.ndarray
    genera: np.ndarray
    species: np.ndarray

    def scores(self, chosen: np.ndarray, seed: int) -> dict[str, Any]:
        assigned, genera, species = self.assigned[chosen], self.genera[chosen], self.species[chosen]
        return {"n_answerable": len(assigned), **accuracy_scores("genus", assigned, genera, species, seed)}


def _assigned_genera(hits: Hits, references: pa.Table, queries: pa.Table) -> _Assigned:
    genera = labels(queries, "genus")
    rows = np.flatnonzero(answerable(genera, labels(references, "genus")))
    return _Assigned(rows, assigned_taxa(hits, references, "genus")[rows], genera[rows], species_of_rows(queries)[rows])


def genus_size_scores(hits: Hits, references: pa.Table, queries: pa.Table, seed: int = 0) -> list[dict[str, Any]]:
    """Genus accuracy by the number of references of the true genus.

    Args:
        hits: the nearest references of the queries, as in `knn_scores`.
        references: records of the references.
        queries: records of the queries.
        seed: random seed of the bootstrap.

    Returns:
        One entry per class of size, small to large (1, 2 to 3, 4 to 7, and so on): `n_references` `[minimum, maximum]`,
        `n_answerable`, and what `scores.accuracy_scores` gives.
    """
    queried = _assigned_genera(hits, references, queries)
    reference_genera, num_references = np.unique(labels(references, "genus"), return_counts=True)
    size = num_references[np.searchsorted(reference_genera, queried.genera)]
    size_class = np.log2(size).astype(int)
    entries = []
    for number in np.unique(size_class):
        chosen = size_class == number
        ends = [int(size[chosen].min()), int(size[chosen].max())]
        entries.append({"n_references": ends, **queried.scores(chosen, seed)})
    return entries


def similarity_scores(hits: Hits, references: pa.Table, queries: pa.Table, seed: int = 0) -> list[dict[str, Any]]:
    """Genus accuracy by the similarity to the nearest reference, in classes of about equally many queries.

    Queries of equal similarity stay together. A query without a hit is in no class.

    Args:
        hits: the nearest references of the queries, as in `knn_scores`.
        references: records of the references.
        queries: records of the queries.
        seed: random seed of the bootstrap.

    Returns:
        At most 5 entries, far to near: `similarity` `[minimum, maximum]`, `n_answerable`, and what
        `scores.accuracy_scores` gives. Similarities of different methods cannot be compared.
    """
    queried = _assigned_genera(hits, references, queries)
    similarity = hits.similarities[queried.rows, 0]
    found = hits.rows[queried.rows, 0] >= 0
    if not found.any():
        return []
    inner = np.arange(1, NUM_SIMILARITY_CLASSES) / NUM_SIMILARITY_CLASSES
    edges = np.unique(np.quantile(similarity[found], inner))
    similarity_class = np.searchsorted(edges, similarity, side="right")
    entries = []
    for number in np.unique(similarity_class[found]):
        chosen = found & (similarity_class == number)
        ends = [float(similarity[chosen].min()), float(similarity[chosen].max())]
        entries.append({"similarity": ends, **queried.scores(chosen, seed)})
    return entries


def order_scores(hits: Hits, references: pa.Table, queries: pa.Table, seed: int = 0) -> list[dict[str, Any]]:
    """Genus accuracy by the order of the query.

    Args:
        hits: the nearest references of the queries, as in `knn_scores`.
        references: records of the references.
        queries: records of the queries.
        seed: random seed of the bootstrap.

    Returns:
        One entry per order, most queries first: `taxon` ("" where the order is unknown), `n_answerable`, and what
        `scores.accuracy_scores` gives.
    """
    queried = _assigned_genera(hits, references, queries)
    orders = labels(queries, "order")[queried.rows]
    entries = [{"taxon": str(order), **queried.scores(orders == order, seed)} for order in np.unique(orders)]
    return sorted(entries, key=lambda entry: -entry["n_answerable"])


def sister_confusions(hits: Hits, references: pa.Table, queries: pa.Table) -> list[dict[str, Any]]:
    """The most frequent wrong genera within the true family.

    Args:
        hits: the nearest references of the queries, as in `knn_scores`.
        references: records of the references.
        queries: records of the queries; those whose genus does not occur among the references are left out.

    Returns:
        At most 20 entries, most frequent first: `genus`, `predicted`, `family` and `n`, the number of queries.
    """
    reference_genera, genera = labels(references, "genus"), labels(queries, "genus")
    reference_families, families = labels(references, "family"), labels(queries, "family")
    deciding = deciding_references(hits.rows, reference_genera)
    rows = answerable(genera, reference_genera) & (deciding >= 0) & (families != "")
    rows &= (reference_genera[deciding] != genera) & (reference_families[deciding] == families)
    pairs = zip(genera[rows].tolist(), reference_genera[deciding[rows]].tolist(), families[rows].tolist(), strict=True)
    frequent = sorted(Counter(pairs).items(), key=lambda item: (-item[1], item[0]))[:MAX_CONFUSIONS]
    return [
        {"genus": genus, "predicted": predicted, "family": family, "n": n} for (genus, predicted, family), n in frequent
    ]
