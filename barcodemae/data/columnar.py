"""Parquet files, and data sets of the Hugging Face Hub."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from barcodemae.data.presets import Preset
from barcodemae.data.schema import BATCH_ROWS, STRING, Piece, recognise
from barcodemae.data.text import open_binary
from barcodemae.errors import UnreadableFileError

if TYPE_CHECKING:
    import datasets

HUB = "hub:"

_BUFFER_BYTES = 1 << 20


def read_parquet(path: Path, preset: Preset) -> Iterator[Piece]:
    """Read a Parquet file.

    Yields:
        The columns that the schema knows, under the file's own names; lines are rows, from 1.

    Raises:
        UnreadableFileError: it is no whole Parquet file, or its columns don't fit the schema.
    """
    with open_binary(path) as content, tempfile.TemporaryFile() as unpacked:
        if path.suffix.lower() == ".gz":  # Parquet is read from its end
            shutil.copyfileobj(content, unpacked, _BUFFER_BYTES)
            content = unpacked
        if content.seek(0, 2) == 0:
            raise UnreadableFileError(path, "expected records, got an empty file")
        try:
            # Else a whole row group would be in memory at once.
            parquet = pq.ParquetFile(content, pre_buffer=False, buffer_size=_BUFFER_BYTES)
            columns = list(recognise(parquet.schema_arrow.names, str(path), preset).values())
            first = 1
            for batch in parquet.iter_batches(BATCH_ROWS, columns=columns):
                table = pa.table(batch)
                table.validate(full=True)  # damaged text is found here or never
                yield Piece(table, np.arange(first, first + len(table)))
                first += len(table)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise UnreadableFileError(path, f"expected a whole Parquet file, got: {error}") from error


def read_hub(source: str, preset: Preset) -> Iterator[Piece]:
    """Read all splits of a data set of the Hub; where it has no column `split`, their names become one.

    It is downloaded into the cache of `datasets`, whose files are then read from end to end: memory-mapped, as
    `datasets` has them, they would be resident as a whole.

    Raises:
        UnreadableFileError: there is no such data set, or its columns don't fit the schema.
    """
    import datasets  # slow to import, and few need it

    try:
        splits = datasets.load_dataset(source.removeprefix(HUB), keep_in_memory=False)
    except Exception as error:  # from the network to the parser, each layer raises a kind of its own
        raise UnreadableFileError(source, f"expected a data set of the Hub, got: {error}") from error
    first = 1
    try:
        for name, split in splits.items():
            columns = recognise(split.column_names, source, preset)
            for table in _tables(split, list(columns.values())):
                if "split" not in columns:
                    ours = "val" if name == "validation" else name
                    table = table.append_column("split", pa.repeat(pa.scalar(ours, STRING), len(table)))
                yield Piece(table, np.arange(first, first + len(table)))
                first += len(table)
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFileError(source, f"expected whole files in the cache of datasets, got: {error}") from error


def hub_version(source: str) -> str:
    """Where `datasets` caches a data set, which is another place for each version of it.

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
            tables: list[pa.Table] = []
            for batch in stream:
                tables.append(pa.table(batch).select(columns))
                if sum(map(len, tables)) >= BATCH_ROWS:
                    yield pa.concat_tables(tables)
                    tables = []
            if tables:
                yield pa.concat_tables(tables)
