"""Results as lines of text: TSV for people and spreadsheets, JSON for programs."""

import json
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data.schema import RANKS
from barcodemae.library.results.schema import BEST, RESULTS
from barcodemae.library.results.text_columns import (
    column_array,
    decimals,
    defused,
    finite,
    flat_hits,
    joined,
    listed,
    quoted,
)

_QUERY_COLUMNS = tuple(name for name in RESULTS.names if name != "hits")
_HIT_COLUMNS = ("hit_ids", "hit_names", "hit_bins", "hit_similarities", "hit_frame_identities", "hit_identities")

# The text of these comes from files. A strand is "+" or "-", which no spreadsheet runs as a formula.
_FROM_FILES = (
    *("id", "name", "reason", *RANKS, "marker", "notes", "file", "sample"),
    *(f"{BEST}{rank}" for rank in RANKS),
    *("hit_ids", "hit_names", "hit_bins"),
)

TSV_HEADER = "\t".join((*_QUERY_COLUMNS, *_HIT_COLUMNS))
"""The columns of `RESULTS`; of the hits their ids, the lowest known name and BIN of each, and how near they are."""


def tsv_lines(results: pa.Table) -> list[str]:
    """One line for each query, for people and spreadsheets.

    The values of several hits are joined by `;`. A text that a spreadsheet would run as a formula begins with an
    apostrophe, and one with a quotation mark is quoted, as in CSV. Null is empty.

    Args:
        results: of `RESULTS`.

    Returns:
        Lines without line breaks, in the columns of `TSV_HEADER`.
    """
    bounds, hits = flat_hits(results)
    columns = {name: column_array(results, name) for name in _QUERY_COLUMNS}
    columns["hit_ids"] = listed(hits["id"], bounds, ";")
    columns["hit_names"] = listed(_lowest_known_names(hits), bounds, ";")
    columns["hit_bins"] = listed(hits["bin"], bounds, ";")
    columns["hit_similarities"] = listed(decimals(hits["similarity"], 4), bounds, ";")
    columns["hit_frame_identities"] = listed(decimals(hits["frame_identity"], 4), bounds, ";")
    columns["hit_identities"] = listed(decimals(hits["identity"], 4), bounds, ";")

    texts = []
    for name, column in columns.items():
        if pa.types.is_floating(column.type):
            column = decimals(column, 4)
        column = column.cast(pa.string()).fill_null("")
        texts.append(_from_file(column) if name in _FROM_FILES else column)
    return joined(texts, "\t").to_pylist()


def _from_file(texts: pa.Array) -> pa.Array:
    each = texts.dictionary_encode()  # thousands of queries have few different names
    return quoted(defused(each.dictionary)).take(each.indices)


def json_lines(results: pa.Table) -> list[str]:
    """One JSON object for each query, whose keys are the fields of `RESULTS`.

    A number that is not finite is null, as JSON has no NaN.

    Args:
        results: of `RESULTS`.

    Returns:
        Lines of ASCII without line breaks.
    """
    bounds, hits = flat_hits(results)
    hit_objects = _objects(hits)
    objects = _objects({name: column_array(results, name) for name in _QUERY_COLUMNS})
    for query, (start, end) in zip(objects, pairwise(bounds), strict=True):
        query["hits"] = hit_objects[start:end]
    return [json.dumps(query) for query in objects]


def _lowest_known_names(hits: dict[str, pa.Array]) -> pa.Array:
    null = pa.scalar(None, pa.string())
    return pc.coalesce(*(pc.if_else(pc.equal(hits[rank], ""), null, hits[rank]) for rank in reversed(RANKS)))


def _objects(columns: dict[str, pa.Array]) -> list[dict[str, Any]]:
    values = [_shortest(column).to_pylist() for column in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]


def _shortest(column: pa.Array) -> pa.Array:
    """For a float32, the float64 of fewest digits that is read as the same float32: 0.1, not 0.10000000149011612."""
    if not pa.types.is_floating(column.type):
        return column
    known = finite(column)
    return known.cast(pa.string()).cast(pa.float64()) if pa.types.is_float32(known.type) else known
