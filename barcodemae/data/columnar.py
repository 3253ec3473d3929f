"""Readers of Parquet files and of data sets of the Hugging Face Hub."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from barcodemae.data.opening import PARQUET
from barcodemae.data.parquet_pages import bytes_per_row
from barcodemae.data.schema import BATCH_BYTES, BATCH_ROWS, STRING, Piece, Preset, recognise
from barcodemae.data.sources import HUB
from barcodemae.errors import UnreadableFileError

if TYPE_CHECKING:
    import datasets

_BUFFER_BYTES = 1 << 20


def read_parquet(path: Path, content: BinaryIO, preset: Preset) -> Iterator[Piece]:
    """Read a Parquet file.

    Args:
        path: of the file.
        content: its content, decompressed if the file is compressed, which can then be read only once.
        preset: the layout of the file.

    Yields:
        The columns that the schema knows, under the file's own names; lines are rows, from 1.

    Raises:
        UnreadableFileError: it is not a complete Parquet file, has pages of hundreds of megabytes, or its columns don't
            fit the schema.
    """
    with path.open("rb") as file, tempfile.TemporaryFile() as unpacked:
        is_plain = file.read(len(PARQUET)) == PARQUET
        if not is_plain:  # a Parquet file is read from its end
            shutil.copyfileobj(content, unpacked, _BUFFER_BYTES)
        content = file if is_plain else unpacked
        try:
            # With pre_buffer, a whole row group would be in memory at once.
            parquet = pq.ParquetFile(content, pre_buffer=False, buffer_size=_BUFFER_BYTES)
            columns = list(recognise(parquet.schema_arrow.names, str(path), preset).values())
            _refuse_nested(path, parquet.schema_arrow, columns)
            first = 1
            for table in bounded(_row_groups(content, parquet, columns)):
                table.validate(full=True)  # the only check that finds damaged text
                yield Piece(table, np.arange(first, first + len(table)))
                first += len(table)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise UnreadableFileError(path, f"expected a complete Parquet file, got: {error}") from error


def _refuse_nested(path: Path, schema: pa.Schema, columns: list[str]) -> None:
    for name in columns:
        kind = schema.field(name).type
        if pa.types.is_nested(kind) or pa.types.is_fixed_size_binary(kind):
            raise UnreadableFileError(path, f"expected text in column {name!r}, got {kind}")


def _row_groups(content: BinaryIO, parquet: pq.ParquetFile, columns: list[str]) -> Iterator[pa.Table]:
    """All rows, in tables of some ten megabytes."""
    for group in range(parquet.num_row_groups):
        size = bytes_per_row(content, parquet.metadata.row_group(group), columns)
        num_rows = max(1, min(BATCH_ROWS, BATCH_BYTES // max(size, 1)))
        yield from map(pa.table, parquet.iter_batches(num_rows, [group], columns))


def read_hub(source: str, preset: Preset) -> Iterator[Piece]:
    """Read all splits of a data set of the Hub; if it has no column `split`, their names become that column.

    It is downloaded into the cache of `datasets`, whose files are then read sequentially: as the memory maps of
    `datasets`, they would be in memory completely.

    Raises:
        UnreadableFileError: there is no such data set, or its columns don't fit the schema.
    """
    import datasets  # slow to import, and rarely needed

    try:
        splits = datasets.load_dataset(source.removeprefix(HUB), keep_in_memory=False)
    except Exception as error:  # the errors of network, parser and other layers have no common class
        raise UnreadableFileError(source, f"expected a data set of the Hub, got: {error}") from error
    first = 1
    try:
        for name, split in splits.items():
            columns = recognise(split.column_names, source, preset)
            for table in bounded(_tables(split, list(columns.values()))):
                if "split" not in columns:
                    split_name = "val" if name == "validation" else name
                    table = table.append_column("split", pa.repeat(pa.scalar(split_name, STRING), len(table)))
                yield Piece(table, np.arange(first, first + len(table)))
                first += len(table)
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFileError(source, f"expected complete files in the cache of datasets, got: {error}") from error


def hub_version(source: str) -> str:
    """The cache folder of a data set, which `datasets` names by its version.

    Raises:
        UnreadableFileError: there is no such data set.
    """
    import datasets

    try:
        return str(datasets.load_dataset_builder(source.removeprefix(HUB)).cache_dir)
    except Exception as error:
        raise UnreadableFileError(source, f"expected a data set of the Hub, got: {error}") from error


def _tables(split: "datasets.Dataset", columns: list[str]) -> Iterator[pa.Table]:
    for file in split.cache_files:
        with pa.OSFile(file["filename"]) as content, pa.ipc.open_stream(content) as stream:
            for batch in stream:
                yield pa.table(batch).select(columns)


def bounded(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Cut and join tables to at most `BATCH_ROWS` and `BATCH_BYTES` of text; a single row may have more."""
    waiting: list[pa.Table] = []
    num_rows = num_bytes = 0
    for table in tables:
        ends = np.cumsum(_row_bytes(table))
        begin = 0
        while begin < len(table):
            left = BATCH_BYTES - num_bytes + (ends[begin - 1] if begin else 0)
            end = min(int(np.searchsorted(ends, left, "right")), begin + BATCH_ROWS - num_rows)
            if end == begin and not waiting:
                end = begin + 1
            if end > begin:
                waiting.append(table.slice(begin, end - begin))
                num_rows += end - begin
                num_bytes += int(ends[end - 1] - (ends[begin - 1] if begin else 0))
            if end < len(table):
                yield pa.concat_tables(waiting)
                waiting, num_rows, num_bytes = [], 0, 0
            begin = end
    if waiting:
        yield pa.concat_tables(waiting)


def _row_bytes(table: pa.Table) -> np.ndarray:
    """Bytes of text of each row, int64 `[n]`; a value of a dictionary counts in each row that has it."""
    total = np.zeros(len(table), np.int64)
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            parts = [pc.binary_length(chunk.dictionary).take(chunk.indices) for chunk in column.chunks]
        elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            parts = [pc.binary_length(chunk) for chunk in column.chunks]
        else:
            continue
        total += np.concatenate(
            [np.zeros(0, np.int64), *(part.fill_null(0).to_numpy(zero_copy_only=False) for part in parts)]
        )
    return total
