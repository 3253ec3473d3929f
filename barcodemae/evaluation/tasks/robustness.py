"""Robustness: does a damaged barcode still find its genus among whole ones?"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.perturbations import CHANGES, perturb
from barcodemae.evaluation.scores import accuracy_scores
from barcodemae.evaluation.splits import answerable, labels, species_of_rows
from barcodemae.evaluation.tasks.knn import answered_taxa
from barcodemae.evaluation.tasks.sampling import draw_by_turns
from barcodemae.vectors.nearest import Hits

# Every change asks for all of the queries again.
N_QUERIES = 1_000

UNCHANGED = "unchanged"


def robustness_scores(
    search: Callable[[list[str]], Hits], keys: pa.Table, queries: pa.Table, seed: int = 0, n_queries: int = N_QUERIES
) -> list[dict[str, Any]]:
    """Genus accuracy of the nearest key, for queries as they are and for queries changed in many ways.

    The same queries are asked each time. Where more than `n_queries` can be answered, so many are drawn, one of each
    species before the second of any: the accuracy of the unchanged ones is not that of the whole split.

    Args:
        search: barcodes to their nearest keys, which stay as they are; it is called once, with all there is to ask.
        keys: records of the keys.
        queries: records of the queries.
        seed: of the draw, of the changes and of the bootstrap.
        n_queries: most queries for each change.

    Returns:
        One entry per change and amount, `unchanged` first: `change, amount, n_answerable`, and what
        `scores.accuracy_scores` gives for the genus. `amount` is what `perturbations.perturb` says. A change that
        leaves nothing to find a key with counts as a wrong answer.

    Raises:
        ConfigurationError: no query can be answered.
    """
    genera, species = labels(queries, "genus"), species_of_rows(queries)
    rows = np.flatnonzero(answerable(genera, labels(keys, "genus")))
    if len(rows) == 0:
        raise ConfigurationError("expected queries of a genus that stands among the keys, got none")
    rows = rows[draw_by_turns(species[rows], n_queries, seed)]
    genera, species = genera[rows], species[rows]

    whole = queries["nucleotides"].take(pa.array(rows)).to_pylist()
    asked: dict[tuple[str, float | None], list[str]] = {(UNCHANGED, None): whole}
    for change, (_, amounts) in CHANGES.items():
        asked |= {(change, amount): perturb(whole, rows, change, amount, seed) for amount in amounts}
    hits = search([sequence for sequences in asked.values() for sequence in sequences])
    answers = answered_taxa(hits, keys, "genus").reshape(len(asked), len(rows))

    entries = []
    for (change, amount), given in zip(asked, answers, strict=True):
        scores = accuracy_scores("genus", given, genera, species, seed)
        entries.append({"change": change, "amount": amount, "n_answerable": len(rows), **scores})
    return entries
