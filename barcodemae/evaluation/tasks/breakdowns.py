"""Where the nearest-neighbour probe is right and wrong: genus accuracy by genus size, similarity and order."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from barcodemae.evaluation.scores import accuracy_scores
from barcodemae.evaluation.splits import answerable, labels, species_of_rows
from barcodemae.evaluation.tasks.knn import answered_taxa, answering_keys
from barcodemae.vectors.nearest import Hits

N_SIMILARITY_CLASSES = 5
N_CONFUSIONS = 20


@dataclass(frozen=True)
class _Answers:
    """Of the queries whose genus stands among the keys: which ones, the genus given and the right one, the species."""

    rows: np.ndarray
    given: np.ndarray
    genera: np.ndarray
    species: np.ndarray

    def scores(self, chosen: np.ndarray, seed: int) -> dict[str, Any]:
        given, genera, species = self.given[chosen], self.genera[chosen], self.species[chosen]
        return {"n_answerable": len(given), **accuracy_scores("genus", given, genera, species, seed)}


def _genus_answers(hits: Hits, keys: pa.Table, queries: pa.Table) -> _Answers:
    genera = labels(queries, "genus")
    rows = np.flatnonzero(answerable(genera, labels(keys, "genus")))
    return _Answers(rows, answered_taxa(hits, keys, "genus")[rows], genera[rows], species_of_rows(queries)[rows])


def genus_size_scores(hits: Hits, keys: pa.Table, queries: pa.Table, seed: int = 0) -> list[dict[str, Any]]:
    """Genus accuracy by the number of keys that the right genus has.

    Args:
        hits: the nearest keys of the queries, as in `knn.knn_scores`.
        keys: records of the keys.
        queries: records of the queries.
        seed: of the bootstrap.

    Returns:
        One entry per class of size, small to large (1, 2 to 3, 4 to 7, and so on): `n_keys` `[fewest, most]`,
        `n_answerable`, and what `scores.accuracy_scores` gives.
    """
    answers = _genus_answers(hits, keys, queries)
    key_genera, n_keys = np.unique(labels(keys, "genus"), return_counts=True)
    size = n_keys[np.searchsorted(key_genera, answers.genera)]
    size_class = np.log2(size).astype(int)
    entries = []
    for number in np.unique(size_class):
        chosen = size_class == number
        ends = [int(size[chosen].min()), int(size[chosen].max())]
        entries.append({"n_keys": ends, **answers.scores(chosen, seed)})
    return entries


def similarity_scores(hits: Hits, keys: pa.Table, queries: pa.Table, seed: int = 0) -> list[dict[str, Any]]:
    """Genus accuracy by the similarity to the nearest key, in classes of about equally many queries.

    Queries of equal similarity stay together. A query without a hit is in no class.

    Args:
        hits: the nearest keys of the queries, as in `knn.knn_scores`.
        keys: records of the keys.
        queries: records of the queries.
        seed: of the bootstrap.

    Returns:
        At most 5 entries, far to near: `similarity` `[least, most]`, `n_answerable`, and what
        `scores.accuracy_scores` gives. They are of one searcher: another one measures otherwise.
    """
    answers = _genus_answers(hits, keys, queries)
    similarity = hits.similarities[answers.rows, 0]
    found = hits.rows[answers.rows, 0] >= 0
    if not found.any():
        return []
    inner = np.arange(1, N_SIMILARITY_CLASSES) / N_SIMILARITY_CLASSES
    edges = np.unique(np.quantile(similarity[found], inner))
    similarity_class = np.searchsorted(edges, similarity, side="right")
    entries = []
    for number in np.unique(similarity_class[found]):
        chosen = found & (similarity_class == number)
        ends = [float(similarity[chosen].min()), float(similarity[chosen].max())]
        entries.append({"similarity": ends, **answers.scores(chosen, seed)})
    return entries


def order_scores(hits: Hits, keys: pa.Table, queries: pa.Table, seed: int = 0) -> list[dict[str, Any]]:
    """Genus accuracy by the order of the query.

    Args:
        hits: the nearest keys of the queries, as in `knn.knn_scores`.
        keys: records of the keys.
        queries: records of the queries.
        seed: of the bootstrap.

    Returns:
        One entry per order, most queries first: `taxon` ("" where the order is unknown), `n_answerable`, and what
        `scores.accuracy_scores` gives.
    """
    answers = _genus_answers(hits, keys, queries)
    orders = labels(queries, "order")[answers.rows]
    entries = [{"taxon": str(order), **answers.scores(orders == order, seed)} for order in np.unique(orders)]
    return sorted(entries, key=lambda entry: -entry["n_answerable"])


def sister_confusions(hits: Hits, keys: pa.Table, queries: pa.Table) -> list[dict[str, Any]]:
    """The most frequent wrong answers that are at least of the right family.

    Args:
        hits: the nearest keys of the queries, as in `knn.knn_scores`.
        keys: records of the keys.
        queries: records of the queries; those whose genus does not stand among the keys take no part.

    Returns:
        At most 20 entries, most frequent first: `genus`, `answered`, `family` and `n`, the number of queries.
    """
    key_genera, genera = labels(keys, "genus"), labels(queries, "genus")
    key_families, families = labels(keys, "family"), labels(queries, "family")
    answers = answering_keys(hits.rows, key_genera)
    rows = answerable(genera, key_genera) & (answers >= 0) & (families != "")
    rows &= (key_genera[answers] != genera) & (key_families[answers] == families)
    pairs = zip(genera[rows].tolist(), key_genera[answers[rows]].tolist(), families[rows].tolist(), strict=True)
    frequent = sorted(Counter(pairs).items(), key=lambda item: (-item[1], item[0]))[:N_CONFUSIONS]
    return [
        {"genus": genus, "answered": answered, "family": family, "n": n} for (genus, answered, family), n in frequent
    ]
