"""`assignments.parquet`: the genus that each method assigned to each barcode, by which methods are compared."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from barcodemae.embedding.nearest import Hits
from barcodemae.errors import ConfigurationError, UnreadableFileError
from barcodemae.evaluation.benchmark import answerable, labels, species_of_rows
from barcodemae.evaluation.scores import paired_comparison
from barcodemae.evaluation.tasks.knn import assigned_taxa

ASSIGNMENTS_FILE = "assignments.parquet"

BARCODE_COLUMNS = ("id", "species", "genus")
"""Columns that describe the barcodes; all others are methods."""


def assignments_table(train: pa.Table, queries: pa.Table, hits: dict[str, Hits]) -> pa.Table:
    """The content of `assignments.parquet`.

    Args:
        train: records of the references.
        queries: records of the unseen split.
        hits: name of a method -> the nearest references of the queries.

    Returns:
        A row for each query whose genus occurs among the references: `id, species, genus`, and for each method a
        column of its name with the genus that it assigned, "" where it found nothing.
    """
    rows = np.flatnonzero(answerable(labels(queries, "genus"), labels(train, "genus")))
    table = queries.select(BARCODE_COLUMNS).take(pa.array(rows))
    for name, found in hits.items():
        genera = assigned_taxa(found, train, "genus")[rows]
        table = table.append_column(name, pa.array(genera.tolist(), pa.string()))
    return table


def read_assignments(file: Path) -> pa.Table:
    """Read an `assignments.parquet`.

    Raises:
        UnreadableFileError: it is not Parquet.
    """
    try:
        return pq.read_table(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise UnreadableFileError(file, f"expected assignments in Parquet: {error}") from error


def compare_assignments(
    model: pa.Table, model_name: str, baseline: pa.Table, baseline_name: str, seed: int = 0
) -> dict[str, Any]:
    """Compare two columns of assignments, of one evaluation or of two.

    Args:
        model: a table as in `assignments.parquet`: `id, species, genus`, and a column of assigned genera for each
            method.
        model_name: the model's column in it.
        baseline: another such table, of the same barcodes in any order, or the same table.
        baseline_name: the baseline's column in it.
        seed: random seed of the resampling.

    Returns:
        As `scores.paired_comparison`, of genus accuracy.

    Raises:
        ConfigurationError: a column is missing, or the two tables are of different barcodes.
    """
    model, baseline = _sorted(model, model_name), _sorted(baseline, baseline_name)
    model_ids, baseline_ids = set(model["id"].to_pylist()), set(baseline["id"].to_pylist())
    if any(not np.array_equal(labels(model, column), labels(baseline, column)) for column in BARCODE_COLUMNS):
        raise ConfigurationError(
            f"a comparison expects the same barcodes with the same labels in both tables, got {len(model):,} and "
            f"{len(baseline):,} rows; {len(model_ids & baseline_ids):,} ids are in both"
        )
    genera = labels(model, "genus")
    return paired_comparison(
        labels(model, model_name) == genera, labels(baseline, baseline_name) == genera, species_of_rows(model), seed
    )


def _sorted(assignments: pa.Table, name: str) -> pa.Table:
    if missing := [column for column in (*BARCODE_COLUMNS, name) if column not in assignments.column_names]:
        raise ConfigurationError(
            f"assignments: expected the columns {', '.join(missing)}, got {', '.join(assignments.column_names)}"
        )
    # An id may occur twice; the order of two equal rows changes nothing, as species are resampled as a whole.
    return assignments.sort_by([(column, "ascending") for column in BARCODE_COLUMNS])
