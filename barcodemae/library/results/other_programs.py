"""Results in the formats of other programs: BLAST's table, SINTAX, and the taxonomy of QIIME 2."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data.schema import RANKS
from barcodemae.library.results.schema import BEST, CONFIDENCE
from barcodemae.library.results.text_columns import (
    called_lineages,
    column_array,
    decimals,
    flat_hits,
    joined,
    one_line,
)

_NO_TEXT = pa.scalar(None, pa.string())
_UNASSIGNED = "Unassigned"

QIIME2_HEADER = "Feature ID\tTaxon\tConfidence"


def blast6_lines(results: pa.Table) -> list[str]:
    """One line for each hit, in the twelve columns of BLAST's `-outfmt 6`.

    These are qseqid, sseqid, pident (in percent), length, mismatch, gapopen, qstart, qend, sstart, send, evalue and
    bitscore. The last two are those of `alignment.bit_score` and `alignment.expected_value`. A hit that was not aligned
    is left out.

    Args:
        results: of `RESULTS`.

    Returns:
        Lines without line breaks, in the order of the queries; the hits of a query by descending pident and bitscore.
    """
    bounds, hits = flat_hits(results)
    queries = np.repeat(np.arange(len(results)), np.diff(bounds))
    aligned = pa.table({"query": column_array(results, "id").take(pa.array(queries)), **hits})
    aligned = aligned.filter(pc.is_valid(aligned["identity"])).combine_chunks()

    counts = ("columns", "mismatches", "gap_openings", "query_start", "query_end", "reference_start", "reference_end")
    texts = [
        one_line(column_array(aligned, "query")),
        one_line(column_array(aligned, "id")),
        decimals(pc.multiply(column_array(aligned, "identity"), 100), 3),
        *(column_array(aligned, name).cast(pa.string()) for name in counts),
        _scientific(column_array(aligned, "evalue")),
        decimals(column_array(aligned, "bitscore"), 1),
    ]
    return joined([text.fill_null("*") for text in texts], "\t").to_pylist()


def sintax_lines(results: pa.Table) -> list[str]:
    """One line for each query, as `vsearch --sintax --tabbedout` writes it.

    The columns are the id, the most probable name at each rank with its confidence, the strand, and the names down to
    the called rank, which replaces the cutoff. Within a name, an underscore replaces the characters that separate names
    (white space, comma, semicolon, bracket).

    Args:
        results: of `RESULTS`.

    Returns:
        Lines without line breaks, such as `q1<TAB>p:Arthropoda(1.00),c:Insecta(0.98)<TAB>+<TAB>p:Arthropoda`.
    """
    names_of_calls = called_lineages(results)
    predicted, called = [], []
    for rank in RANKS:
        name = _sintax_name(column_array(results, f"{BEST}{rank}"))
        confidence = decimals(column_array(results, f"{BEST}{rank}{CONFIDENCE}"), 2)
        predicted.append(pc.binary_join_element_wise(f"{rank[0]}:", name, "(", confidence, ")", ""))
        called.append(pc.binary_join_element_wise(f"{rank[0]}:", _sintax_name(names_of_calls[rank]), ""))
    ids, strands = one_line(column_array(results, "id")), column_array(results, "strand").fill_null("")
    return joined([ids, joined(predicted, ","), strands, joined(called, ",")], "\t").to_pylist()


def qiime2_lines(results: pa.Table) -> list[str]:
    """One line for each query, in the taxonomy format of QIIME 2.

    Names down to the called rank have the prefixes of Greengenes, with `k__` always empty, so that levels are numbered
    as in QIIME 2 (6 is the genus). The confidence is that of the called rank. A query without a called rank is
    `Unassigned`, and its confidence empty.

    Args:
        results: of `RESULTS`.

    Returns:
        Lines without line breaks, in the columns of `QIIME2_HEADER`.
    """
    called = called_lineages(results)
    levels = [pa.repeat("k__", len(results))]
    for rank in RANKS:
        name = pc.replace_substring(one_line(called[rank]), ";", " ")
        levels.append(pc.binary_join_element_wise(f"{rank[0]}__", name, ""))
    ids = one_line(column_array(results, "id"))
    taxa = pc.if_else(pc.is_valid(called[RANKS[0]]), joined(levels, "; "), _UNASSIGNED)
    confidences = decimals(column_array(results, "confidence"), 4).fill_null("")
    return joined([ids, taxa, confidences], "\t").to_pylist()


def _scientific(numbers: pa.Array) -> pa.Array:
    """Expected values as BLAST writes them, such as 3.1e-95."""
    return pa.array([None if number is None else f"{number:.1e}" for number in numbers.to_pylist()], pa.string())


def _sintax_name(names: pa.Array) -> pa.Array:
    """Names as SINTAX can write them; null where there is none."""
    return pc.if_else(pc.equal(names, ""), _NO_TEXT, pc.replace_substring_regex(one_line(names), r"[\s,;()]", "_"))
