"""Answers as tables of text: TSV, and the tabular output of BLAST."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data.schema import RANKS
from barcodemae.library.results.schema import RESULTS
from barcodemae.library.results.text_columns import (
    column_array,
    decimals,
    defused,
    flat_hits,
    joined,
    listed,
    one_line,
    quoted,
)

_HIT_COLUMNS = ("hit_ids", "hit_names", "hit_similarities", "hit_frame_identities", "hit_identities")
_COLUMNS = (*(name for name in RESULTS.names if name != "hits"), *_HIT_COLUMNS)

# Of these the text came from somebody's file. A strand is "+" or "-", and no spreadsheet runs that.
_FOREIGN = ("id", "name", "reason", *RANKS, "hit_ids", "hit_names")

TSV_HEADER = "\t".join(_COLUMNS)
"""The columns of `RESULTS`; of the hits their ids, the lowest known name of each, and how near they are."""


def tsv_lines(answers: pa.Table) -> list[str]:
    """One line a query, for people and spreadsheets.

    The values of several hits are joined by `;`. What a spreadsheet would read as a formula begins with an apostrophe,
    and a value with a quotation mark is quoted, as in CSV. Null is empty.

    Args:
        answers: of `RESULTS`.

    Returns:
        Lines without breaks, in the columns of `TSV_HEADER`.
    """
    bounds, hits = flat_hits(answers)
    columns = {name: column_array(answers, name) for name in RESULTS.names if name != "hits"}
    columns["hit_ids"] = listed(hits["id"], bounds, ";")
    columns["hit_names"] = listed(_lowest_known(hits), bounds, ";")
    columns["hit_similarities"] = listed(decimals(hits["similarity"], 4), bounds, ";")
    columns["hit_frame_identities"] = listed(decimals(hits["frame_identity"], 4), bounds, ";")
    columns["hit_identities"] = listed(decimals(hits["identity"], 4), bounds, ";")

    texts = []
    for name in _COLUMNS:
        column = columns[name]
        if pa.types.is_floating(column.type):
            column = decimals(column, 4)
        column = column.cast(pa.string()).fill_null("")
        texts.append(quoted(defused(column)) if name in _FOREIGN else column)
    return joined(texts, "\t").to_pylist()


def blast6_lines(answers: pa.Table) -> list[str]:
    """One line a hit, in the twelve columns of BLAST's `-outfmt 6`.

    These are qseqid, sseqid, pident (in percent), length, mismatch, gapopen, qstart, qend, sstart, send, evalue and
    bitscore. The last two do not exist here: each is `*`. A hit that was not aligned is left out.

    Args:
        answers: of `RESULTS`.

    Returns:
        Lines without breaks, in the order of the queries and of their hits.
    """
    bounds, hits = flat_hits(answers)
    queries = np.repeat(np.arange(len(answers)), np.diff(bounds))
    aligned = pa.table({"query": column_array(answers, "id").take(pa.array(queries)), **hits})
    aligned = aligned.filter(pc.is_valid(aligned["identity"])).combine_chunks()

    nothing = pa.repeat("*", len(aligned))
    counts = ("columns", "mismatches", "gap_openings", "query_start", "query_end", "reference_start", "reference_end")
    texts = [
        one_line(column_array(aligned, "query")),
        one_line(column_array(aligned, "id")),
        decimals(pc.multiply(column_array(aligned, "identity"), 100), 3),
        *(column_array(aligned, name).cast(pa.string()) for name in counts),
        nothing,
        nothing,
    ]
    return joined([text.fill_null("*") for text in texts], "\t").to_pylist()


def _lowest_known(hits: dict[str, pa.Array]) -> pa.Array:
    nothing = pa.scalar(None, pa.string())
    names = [pc.if_else(pc.equal(hits[rank], ""), nothing, hits[rank]) for rank in reversed(RANKS)]
    return pc.coalesce(*names)
