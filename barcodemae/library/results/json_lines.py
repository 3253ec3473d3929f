"""Answers as JSON lines."""

import json
from itertools import pairwise
from typing import Any

import pyarrow as pa

from barcodemae.library.results.schema import RESULTS
from barcodemae.library.results.text_columns import column_array, finite, flat_hits


def json_lines(answers: pa.Table) -> list[str]:
    """One JSON object a query, its keys the fields of `RESULTS`.

    A number that is not finite is null: JSON has no NaN.

    Args:
        answers: of `RESULTS`.

    Returns:
        Lines of ASCII without breaks.
    """
    bounds, hits = flat_hits(answers)
    hit_records = _records(hits)
    records = _records({name: column_array(answers, name) for name in RESULTS.names if name != "hits"})
    for record, (start, end) in zip(records, pairwise(bounds), strict=True):
        record["hits"] = hit_records[start:end]
    return [json.dumps(record) for record in records]


def _records(columns: dict[str, pa.Array]) -> list[dict[str, Any]]:
    values = [_short(column).to_pylist() for column in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]


def _short(column: pa.Array) -> pa.Array:
    """Of a float32, the float64 of fewest digits that reads as the same float32: 0.1, not 0.10000000149011612."""
    if not pa.types.is_float32(column.type):
        return column
    return finite(column).cast(pa.string()).cast(pa.float64())
