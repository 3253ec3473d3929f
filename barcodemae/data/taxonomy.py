"""A table of taxonomies that stands beside a file of sequences."""

import itertools
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data.delimited import Rows, csv_rows, read_header, tsv_rows
from barcodemae.data.headers import has_taxonomy, read_headers
from barcodemae.data.schema import ALIASES, RANKS, STRING, plain_text
from barcodemae.data.text import Lines, in_batches, open_lines, utf8_problem
from barcodemae.errors import UnreadableFileError

logger = logging.getLogger(__name__)

# Lower case. QIIME 2 takes several names of its first column, and a second line that tells types.
_IDS = (*ALIASES["id"], "feature id", "feature-id", "featureid", "#otu id", "#otuid", "seqid", "seq_id")
_TAXON = "taxon"
_TAXA = (_TAXON, "taxonomy")
_DIRECTIVE = "#q2:"

_ROWS_OF = {".tsv": tsv_rows, ".txt": tsv_rows, ".tax": tsv_rows, ".taxon": tsv_rows, ".csv": csv_rows}


def read_taxonomy(path: str | Path) -> pa.Table:
    """Read the ranks of sequences, by id, from a TSV or CSV file (each also `.gz`).

    It has an id and columns named as the ranks, or, as QIIME 2 writes it, an id and a column `Taxon` of any format that
    `headers` knows (`k__Animalia; p__Arthropoda; ..`). In the latter case it needs no header. Other columns, such as
    `Confidence`, are not read.

    Args:
        path: the file.

    Returns:
        Columns `id` and `RANKS`, "" where a rank is unknown, one row for each id.

    Raises:
        UnreadableFileError: it can't be read to its end, has other columns, a row that is damaged or without an id, no
            row, or no taxonomy that we know; or one id has two different taxonomies.
    """
    path = Path(path)
    extension = Path(path.name.lower().removesuffix(".gz")).suffix
    if extension not in _ROWS_OF:
        known = ", ".join(_ROWS_OF)
        raise UnreadableFileError(path, f"expected an extension of {known} (or with .gz), got {extension!r}")
    with open_lines(path) as lines:
        pieces = list(_pieces(lines, _ROWS_OF[extension](lines)))
    if not pieces:
        raise UnreadableFileError(path, "expected taxonomies, got a header alone")
    table = pa.concat_tables(pieces).combine_chunks()
    if not any(pc.any(pc.not_equal(table[rank], "")).as_py() for rank in RANKS):
        raise UnreadableFileError(path, "expected the names of ranks (k__Animalia; p__Arthropoda; ..), got none")
    return _one_row_per_id(path, table)


def join_taxonomy(records: pa.Table, taxonomy: pa.Table) -> pa.Table:
    """Give records the ranks that a taxonomy table has for their ids.

    A record whose id the table lacks keeps the names that it has. How many these are is told in one warning.

    Args:
        records: `id` and `RANKS` among its columns.
        taxonomy: as `read_taxonomy` returns it.

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
    first_line, first = read_header(lines.file, rows)
    rows.width = len(first)
    is_row = _is_row(first)
    places = {"id": 0, _TAXON: 1} if is_row else _places(lines.file, first)
    found = itertools.chain([(first_line, first, "")] if is_row else [], rows)
    for batch in in_batches(_checked(lines.file, found, places), lines):
        yield _piece(batch, places)


def _checked(
    file: str, rows: Iterable[tuple[int, list[str], str]], places: dict[str, int]
) -> Iterator[tuple[int, list[str]]]:
    """The line of each row that has an id, and its values."""
    for number, row, problem in rows:
        if problem := problem or utf8_problem("".join(row[place] for place in places.values())):
            raise UnreadableFileError(file, problem, number)
        if row[places["id"]].startswith(_DIRECTIVE):
            continue
        if not row[places["id"]].strip():
            raise UnreadableFileError(file, "expected an id, got nothing", number)
        yield number, row


def _is_row(first: list[str]) -> bool:
    """Whether the first row of a file is no header, but an id and a taxonomy."""
    return len(first) > 1 and bool(has_taxonomy(_taxa(first[1:2]))[0])


def _places(file: str, names: list[str]) -> dict[str, int]:
    """Where `id` stands, and the ranks or else `Taxon`."""
    plain = [name.strip().lower() for name in names]
    places = {}
    for column, aliases in {"id": _IDS, _TAXON: _TAXA, **{rank: ALIASES[rank] for rank in RANKS}}.items():
        found = [place for place, name in enumerate(plain) if name in aliases]
        if found:
            places[column] = found[0]
    if "id" not in places or len(places) == 1:
        expected = "a column of ids (id, Feature ID, ..), and Taxon or columns named as the ranks"
        raise UnreadableFileError(file, f"expected {expected}, got the columns {', '.join(names)}")
    if any(rank in places for rank in RANKS):
        places.pop(_TAXON, None)
    return places


def _piece(batch: list[tuple[int, list[str]]], places: dict[str, int]) -> pa.Table:
    columns = {column: [row[place] for _, row in batch] for column, place in places.items()}
    if _TAXON in columns:
        ranks = read_headers(_taxa(columns[_TAXON]))
    else:
        nothing = [""] * len(batch)
        ranks = {rank: plain_text(pa.array(columns.get(rank, nothing), STRING)) for rank in RANKS}
    ids = pc.utf8_trim_whitespace(pa.array(columns["id"], STRING))
    lines = pa.array([number for number, _ in batch], pa.int64())
    return pa.table({"id": ids, **{rank: ranks[rank] for rank in RANKS}, "line": lines})


def _taxa(texts: list[str]) -> pa.Array:
    """Taxonomies as they stand in headers: after an id, here an empty one, and a tab."""
    return pa.array([f"\t{text}" for text in texts], STRING)


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
        raise UnreadableFileError(path, f"expected one taxonomy for {name!r}, got another than on line {before}", line)
    return table.drop_columns("line").take(np.sort(first))
