"""Which genus each contender gave to each barcode: what two of them are compared by, now or later."""

import numpy as np
import pyarrow as pa

from barcodemae.evaluation.splits import answerable, labels
from barcodemae.evaluation.tasks.knn import answered_taxa
from barcodemae.vectors.nearest import Hits

ASKED = ("id", "species", "genus")
"""Columns on the barcodes; all others are contenders."""


def answers_table(train: pa.Table, queries: pa.Table, hits: dict[str, Hits]) -> pa.Table:
    """The content of `answers.parquet`.

    Args:
        train: records of the keys.
        queries: records of the unseen split.
        hits: name of a contender -> the nearest keys of the queries.

    Returns:
        A row for each query whose genus stands among the keys: `id, species, genus`, and for each contender a column of
        its name with the genus that it gave, "" where it found nothing.
    """
    rows = np.flatnonzero(answerable(labels(queries, "genus"), labels(train, "genus")))
    asked = queries.select(ASKED).take(pa.array(rows))
    for name, found in hits.items():
        asked = asked.append_column(name, pa.array(answered_taxa(found, train, "genus")[rows].tolist(), pa.string()))
    return asked
