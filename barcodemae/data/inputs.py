"""Inputs of functions in Python: files, sequences or tables, read as records."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from barcodemae.data.conforming import conform
from barcodemae.data.readers import stream_records
from barcodemae.data.schema import SCHEMA
from barcodemae.data.sources import MAX_LENGTH

_CALLER = "input"

Source: TypeAlias = str | Path | Sequence[str] | Sequence[Path] | pa.Table
"""One file, or `hub:ORG/NAME`; several files as `Path`; sequences; or a table with a column of nucleotides."""


def stream_input(source: Source, max_length: int = MAX_LENGTH) -> Iterator[pa.Table]:
    """Read records; the problem of a bad record is in its column `problem`.

    Args:
        source: a string or path is a file or another source of `stream_records`; a list of strings are sequences, whose
            ids are their numbers, from 1; a list of paths are files; a table has columns that `data.schema.recognise`
            knows.
        max_length: maximum number of nucleotides of a record.

    Yields:
        Tables of `data.schema.SCHEMA`.

    Raises:
        TypeError: the source is of another type.
        UnreadableFileError: as from `stream_records`; or a table has no column of nucleotides.
    """
    if isinstance(source, str | Path):
        yield from stream_records(source, on_error="skip", max_length=max_length)
    elif isinstance(source, pa.Table):
        is_conformed = source.schema.equals(SCHEMA)
        yield source if is_conformed else conform(source, _CALLER, _lines(len(source)), max_length=max_length)
    elif not isinstance(source, Sequence) or isinstance(source, bytes):
        raise TypeError(f"expected a file, sequences or a table of records, got {type(source).__name__}")
    elif source and all(isinstance(one, Path) for one in source):
        yield from stream_records(source, on_error="skip", max_length=max_length)
    elif all(isinstance(one, str) for one in source):
        ids = [str(number) for number in range(1, len(source) + 1)]
        table = pa.table({"id": ids, "nucleotides": pa.array(source, pa.string())})
        yield conform(table, _CALLER, _lines(len(source)), max_length=max_length)
    else:
        other = next(type(one).__name__ for one in source if not isinstance(one, str))
        raise TypeError(f"expected sequences as strings, or files as paths, got one of {other}")


def check_sequences(sequences: str | Sequence[str]) -> None:
    """Check that what is to be embedded is a string or strings.

    Raises:
        TypeError: it is not.
    """
    if isinstance(sequences, str):
        return
    if isinstance(sequences, bytes) or not hasattr(sequences, "__len__") or not hasattr(sequences, "__getitem__"):
        raise TypeError(f"expected a sequence as a string, or a list of them, got {type(sequences).__name__}")
    for one in sequences:
        if not isinstance(one, str):
            raise TypeError(f"expected sequences as strings, got one of {type(one).__name__}")


def _lines(n: int) -> np.ndarray:
    return np.arange(1, n + 1)
