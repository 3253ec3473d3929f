"""Tables of results as TSV or Parquet: what both clusters and taxa by sample are written as."""

from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from barcodemae.errors import ConfigurationError
from barcodemae.library.results.text_columns import column_array, decimals, defused, joined, quoted
from barcodemae.outputs import is_stream

TABLE_SUFFIXES = (".tsv", ".parquet")


def check_table_name(path: Path) -> None:
    """Check the name of a table's file before any work is done.

    Raises:
        ConfigurationError: it does not end with a known format, and is not standard output, a pipe or a device, to
            which TSV is written.
    """
    if path.suffix not in TABLE_SUFFIXES and not is_stream(path):
        raise ConfigurationError(f"{path}: expected a name that ends with {' or '.join(TABLE_SUFFIXES)}")


def write_table(table: pa.Table, file: BinaryIO, as_parquet: bool = False, from_files: Collection[str] = ()) -> None:
    """Write a table as TSV or Parquet.

    In TSV, null is empty, a text from a file that a spreadsheet would run as a formula begins with an apostrophe, and
    one with a quotation mark is quoted, as in CSV; names of columns too.

    Args:
        table: to write.
        file: open to write.
        as_parquet: whether to write Parquet.
        from_files: columns whose text comes from a file.
    """
    if as_parquet:
        pq.write_table(table, file)
        return
    header = quoted(defused(pa.array(table.column_names, pa.string()))).to_pylist()
    file.write(("\t".join(header) + "\n").encode())
    write_lines(table, file, from_files)


def write_lines(table: pa.Table, file: BinaryIO, from_files: Collection[str] = (), digits: int = 4) -> None:
    """Write the rows of a table as TSV, without the names of columns.

    Args:
        table, file, from_files: as for `write_table`.
        digits: of numbers, after the point.
    """
    columns = []
    for name in table.column_names:
        column = column_array(table, name)
        text = decimals(column, digits) if pa.types.is_floating(column.type) else column.cast(pa.string())
        columns.append((quoted(defused(text)) if name in from_files else text).fill_null(""))
    file.writelines(f"{line}\n".encode() for line in joined(columns, "\t").to_pylist())
