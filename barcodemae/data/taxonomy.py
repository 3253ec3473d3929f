"""Reader of taxonomy tables, which give the ranks of sequences by their ids."""

import itertools
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data.delimited import Rows, find_dialect, read_header, with_row_names
from barcodemae.data.headers import is_lineage, read_taxa
from barcodemae.data.names import clean_names
from barcodemae.data.schema import ALIASES, NO_NAME, RANKS, STRING, plain_column
from barcodemae.data.text import Lines, in_batches, open_lines
from barcodemae.errors import UnreadableFileError

logger = logging.getLogger(__name__)

_TAXON = "taxon"
_DIRECTIVE = "#q2:"  # the second line of a table of QIIME 2 gives types


def read_taxonomy(path: str | Path) -> pa.Table:
    """Read the ranks of sequences, by id, from a table, compressed or not.

    The table has a column of ids and columns named like the ranks, or, as in QIIME 2, a column of ids and a column
    `Taxon` in any format of `headers` (`k__Animalia; p__Arthropoda; ..`). The latter needs no header. Other columns,
    such as `Confidence`, are not read.

    Args:
        path: the file.

    Returns:
        Columns `id` and `RANKS`, "" where a rank is unknown, one row per id.

    Raises:
        UnreadableFileError: the file can't be read to its end, has other columns, a row that is damaged or without an
            id, no row, or no known format of taxonomies; or one id has two different taxonomies.
    """
    path = Path(path)
    with open_lines(path) as lines:
        pieces = list(_pieces(lines, Rows(lines, find_dialect(lines))))
    if not pieces:
        raise UnreadableFileError(path, "expected taxonomies, got a header only")
    table = pa.concat_tables(pieces).combine_chunks()
    if not any(pc.any(pc.not_equal(table[rank], "")).as_py() for rank in RANKS):
        raise UnreadableFileError(path, "expected the names of ranks (k__Animalia; p__Arthropoda; ..), got none")
    return _one_row_per_id(path, table)


def join_taxonomy(records: pa.Table, taxonomy: pa.Table) -> pa.Table:
    """Replace the ranks of records by those of a taxonomy table.

    Records whose id is not in the table keep their own names; a warning gives their number.

    Args:
        records: table with the columns `id` and `RANKS`.
        taxonomy: table as returned by `read_taxonomy`.

    Returns:
        The records, in their order.
    """
    rows = pc.index_in(records["id"], value_set=taxonomy["id"])
    for rank in RANKS:
        names = pc.coalesce(taxonomy[rank].take(rows), records[rank])
        column = records.column_names.index(rank)
        records = records.set_column(column, records.schema.field(column), names)
    if rows.null_count:
        logger.warning(
            "%d of %d records are not in the taxonomy table: they keep their own names", rows.null_count, len(records)
        )
    return records


def _pieces(lines: Lines, rows: Rows) -> Iterator[pa.Table]:
    """All rows, with their lines in the column `line`."""
    first_line, names = read_header(rows)
    if len(names) > 1 and is_lineage(names[1]):  # not a header, but an id and a taxonomy
        rows.width = len(names)
        found = itertools.chain([(first_line, names, "")], rows)
        indices = {"id": 0, _TAXON: 1}
    else:
        first = next(rows, None)
        names = with_row_names(names, [] if first is None else first[1])
        rows.width = len(names)
        indices = _find_columns(lines.file, names)
        found = itertools.chain([] if first is None else rows.from_first(first))
    for batch in in_batches(_checked(lines, found, indices), lines):
        yield _piece(batch, indices)


def _checked(
    lines: Lines, rows: Iterable[tuple[int, list[str], str]], indices: dict[str, int]
) -> Iterator[tuple[int, list[str]]]:
    """The line and the values of each row, which must have an id."""
    for number, row, problem in rows:
        if problem:
            raise UnreadableFileError(lines.file, problem, number)
        if row[indices["id"]].startswith(_DIRECTIVE):
            continue
        if not row[indices["id"]].strip():
            raise UnreadableFileError(lines.file, "expected an id, got an empty value", number)
        yield number, [lines.as_text(value) for value in row]


def _find_columns(file: str, names: list[str]) -> dict[str, int]:
    """Indices of the columns `id`, and of the ranks or of `Taxon`."""
    plain = [plain_column(name) for name in names]
    indices = {}
    for column in ("id", _TAXON, *RANKS):
        aliases = ALIASES[column]
        found = [index for index, name in enumerate(plain) if name in aliases]
        if found:
            indices[column] = found[0]
    if "id" not in indices and names[0] == NO_NAME:
        indices["id"] = 0
    if "id" not in indices or len(indices) == 1:
        expected = "a column of ids (id, Feature ID, ..), and Taxon or columns named like the ranks"
        raise UnreadableFileError(file, f"expected {expected}, got the columns {', '.join(names)}")
    if any(rank in indices for rank in RANKS):
        indices.pop(_TAXON, None)
    return indices


def _piece(batch: list[tuple[int, list[str]]], indices: dict[str, int]) -> pa.Table:
    columns = {column: [row[index] for _, row in batch] for column, index in indices.items()}
    if _TAXON in columns:
        ranks = clean_names(read_taxa(columns[_TAXON]))
    else:
        ranks = clean_names({rank: pa.array(columns[rank], STRING) for rank in RANKS if rank in columns})
    ids = pc.utf8_trim_whitespace(pa.array(columns["id"], STRING))
    lines = pa.array([number for number, _ in batch], pa.int64())
    return pa.table({"id": ids, **{rank: ranks[rank] for rank in RANKS}, "line": lines})


def _one_row_per_id(path: Path, table: pa.Table) -> pa.Table:
    codes = table["id"].combine_chunks().dictionary_encode().indices.to_numpy()
    first = np.unique(codes, return_index=True)[1]
    differs = np.zeros(len(table), bool)
    for rank in RANKS:
        differs |= pc.not_equal(table[rank], table[rank].take(first[codes])).to_numpy()
    if differs.any():
        row = int(np.argmax(differs))
        name, line = table["id"][row].as_py(), table["line"][row].as_py()
        before = table["line"][int(first[codes[row]])].as_py()
        raise UnreadableFileError(
            path, f"expected one taxonomy for {name!r}, got another one than on line {before}", line
        )
    return table.drop_columns("line").take(np.sort(first))
