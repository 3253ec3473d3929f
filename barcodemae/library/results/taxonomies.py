"""Answers as other classifiers write them: SINTAX, and the taxonomy of QIIME 2."""

import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data.schema import RANKS
from barcodemae.library.results.text_columns import carried_names, column_array, decimals, joined, one_line

_NO_TEXT = pa.scalar(None, pa.string())
_UNASSIGNED = "Unassigned"

QIIME2_HEADER = "Feature ID\tTaxon\tConfidence"


def sintax_lines(answers: pa.Table) -> list[str]:
    """One line a query, as `vsearch --sintax --tabbedout` writes it.

    The columns are the id, the name at each known rank with its confidence, the strand, and the names down to the
    called rank: the call takes the place of the cutoff. What divides names there (white space, a comma, a bracket) is
    an underscore within a name.

    Args:
        answers: of `RESULTS`.

    Returns:
        Lines without breaks, such as `q1<TAB>p:Arthropoda(1.00),c:Insecta(0.98)<TAB>+<TAB>p:Arthropoda`.
    """
    carried = carried_names(answers)
    guesses, calls = [], []
    for rank in RANKS:
        name = _sintax_name(column_array(answers, rank))
        confidence = decimals(column_array(answers, f"{rank}_confidence"), 2)
        guesses.append(pc.binary_join_element_wise(f"{rank[0]}:", name, "(", confidence, ")", ""))
        calls.append(pc.binary_join_element_wise(f"{rank[0]}:", _sintax_name(carried[rank]), ""))
    strand = column_array(answers, "strand").fill_null("")
    return joined(
        [one_line(column_array(answers, "id")), joined(guesses, ","), strand, joined(calls, ",")], "\t"
    ).to_pylist()


def qiime2_lines(answers: pa.Table) -> list[str]:
    """One line a query, as QIIME 2 keeps a taxonomy.

    Names stand down to the called rank behind the prefixes of Greengenes, `k__` always empty, so that levels count as
    QIIME 2 counts them (6 is the genus). The confidence is the called rank's. A query without a call is `Unassigned`,
    its confidence empty.

    Args:
        answers: of `RESULTS`.

    Returns:
        Lines without breaks, in the columns of `QIIME2_HEADER`.
    """
    carried = carried_names(answers)
    levels = [pa.repeat("k__", len(answers))]
    confidence = pa.nulls(len(answers), pa.float32())
    for rank in RANKS:
        name = pc.replace_substring(one_line(carried[rank]), ";", " ")
        levels.append(pc.binary_join_element_wise(f"{rank[0]}__", name, ""))
        confidence = pc.if_else(pc.is_valid(name), column_array(answers, f"{rank}_confidence"), confidence)
    taxon = pc.if_else(pc.is_valid(carried[RANKS[0]]), joined(levels, "; "), _UNASSIGNED)
    return joined(
        [one_line(column_array(answers, "id")), taxon, decimals(confidence, 4).fill_null("")], "\t"
    ).to_pylist()


def _sintax_name(names: pa.Array) -> pa.Array:
    """Names as SINTAX can hold them; null where there is none."""
    return pc.if_else(pc.equal(names, ""), _NO_TEXT, pc.replace_substring_regex(one_line(names), r"[\s,;()]", "_"))
