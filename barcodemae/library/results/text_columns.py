"""Columns of results as text, by operations on complete columns: loops over values take longer than identification."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data.schema import RANKS

# What some reader takes for the end of a line or of a value: control characters and the separators of Unicode.
_BREAKS = r"[\p{Cc}\p{Zl}\p{Zp}]"

# What a spreadsheet takes for the beginning of a formula, also in full width and after invisible characters.
_FORMULA = r"^([\t\r]|[\p{C}\p{Z}]*[=+\-@\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}])"

_NO_TEXT = pa.scalar(None, pa.string())


def column_array(table: pa.Table, column: str) -> pa.Array:
    """A column of a table as one array."""
    return table[column].combine_chunks()


def one_line(texts: pa.Array) -> pa.Array:
    """Texts with a space for each line break, tab and other control character."""
    return pc.replace_substring_regex(texts, _BREAKS, " ")


def defused(texts: pa.Array) -> pa.Array:
    """Texts on one line, with an apostrophe before each that a spreadsheet would run as a formula."""
    return one_line(pc.replace_substring_regex(texts, _FORMULA, r"'\1"))


def quoted(texts: pa.Array) -> pa.Array:
    """Texts as values of a table: one with quotation marks is quoted, and its own are doubled."""
    in_quotes = pc.binary_join_element_wise('"', pc.replace_substring(texts, '"', '""'), '"', "")
    return pc.if_else(pc.match_substring(texts, '"'), in_quotes, texts)


def finite(numbers: pa.Array) -> pa.Array:
    """Numbers, with null for those that are not finite."""
    return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, numbers.type))


def decimals(numbers: pa.Array, digits: int) -> pa.Array:
    """Numbers as text with a number of digits after the point; null for those that are not finite."""
    if numbers.null_count == len(numbers):  # of hits that were not aligned
        return pa.nulls(len(numbers), pa.string())
    known = finite(numbers).to_pylist()
    return pa.array([None if number is None else f"{number:.{digits}f}" for number in known], pa.string())


def joined(columns: list[pa.Array], separator: str) -> pa.Array:
    """Texts joined row by row; a null is left out, and its separator too.

    Args:
        columns: of equal length.
        separator: between two texts.
    """
    # Not with Arrow's null_handling="skip": it loses a row whose values are all null (pyarrow 26).
    parts = [pc.binary_join_element_wise(separator, column, "").fill_null("") for column in columns]
    return pc.utf8_slice_codeunits(pc.binary_join_element_wise(*parts, ""), len(separator))


def called_lineages(results: pa.Table) -> dict[str, pa.Array]:
    """The names down to the called rank.

    Args:
        results: of `RESULTS`.

    Returns:
        Rank -> `[n]`, the name there ("" where unknown), null below the called rank.
    """
    depths = np.array(pc.index_in(results["call"], pa.array(RANKS)).fill_null(-1))
    return {
        rank: pc.if_else(pa.array(depths >= depth), column_array(results, rank), _NO_TEXT)
        for depth, rank in enumerate(RANKS)
    }


def flat_hits(results: pa.Table) -> tuple[np.ndarray, dict[str, pa.Array]]:
    """The hits of all queries, one row for each hit.

    Args:
        results: of `RESULTS`.

    Returns:
        Bounds `[n + 1]`: the hits of query i are in rows bounds[i] up to, but not including, bounds[i + 1]; and field
        of `HIT` -> `[hits]`.
    """
    hits = column_array(results, "hits")
    num_hits = np.array(pc.list_value_length(hits).fill_null(0))
    flat = pc.list_flatten(hits)
    fields = {field.name: pc.struct_field(flat, field.name) for field in flat.type}
    return np.concatenate([[0], np.cumsum(num_hits)]), fields


def listed(texts: pa.Array, bounds: np.ndarray, separator: str) -> pa.Array:
    """The texts of hits, joined to one text for each query.

    Args:
        texts: `[hits]`; null is written as "".
        bounds: of `flat_hits`.
        separator: between two hits; within a text, a space replaces it.
    """
    single = pc.replace_substring(texts.fill_null(""), separator, " ")
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), single), separator)
