"""Files of vectors, written some at a time: Parquet by row groups, NPY by appending."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from barcodemae.data.schema import STRING
from barcodemae.errors import ConfigurationError
from barcodemae.outputs import is_stream, open_output

_NPY = ".npy"
SUFFIXES = (".parquet", _NPY)


class VectorsWriter(Protocol):
    """What takes vectors, some thousand at a time."""

    def write(self, ids: pa.ChunkedArray, vectors: np.ndarray) -> None:
        """Append vectors, float32 `[n, dimension]`, of the records with these ids."""


def check_vectors_name(path: Path) -> None:
    """Tell whether vectors can be written there, before any work is done.

    Raises:
        ConfigurationError: the name tells no format, or one that can't be written there.
    """
    if path.suffix not in SUFFIXES:
        raise ConfigurationError(f"--output {path}: expected a name that ends with {' or '.join(SUFFIXES)}")
    if path.suffix == _NPY and is_stream(path):
        raise ConfigurationError(f"--output {path}: expected a file, as {_NPY} begins with the number of its rows")


@contextmanager
def open_vectors(path: Path, dimension: int) -> Iterator[VectorsWriter]:
    """A writer of vectors to a file, which `outputs.open_output` opens.

    Args:
        path: of the file; ends with one of `SUFFIXES`.
        dimension: of a vector.
    """
    with open_output(path) as file:
        if path.suffix == _NPY:
            appended = _Appended(file, dimension)
            yield appended
            appended.finish()
        else:
            schema = pa.schema({"id": STRING, "embedding": pa.list_(pa.float32(), dimension)})
            with pq.ParquetWriter(file, schema) as tables:
                yield _RowGroups(tables)


class _RowGroups:
    """Each call is a row group.

    Args:
        tables: takes them.
    """

    def __init__(self, tables: pq.ParquetWriter):
        self._tables = tables

    def write(self, ids: pa.ChunkedArray, vectors: np.ndarray) -> None:
        lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        self._tables.write_table(pa.table([ids, lists], schema=self._tables.schema))


class _Appended:
    """Rows behind a header that is written again when their number is known: NumPy leaves room for it to grow.

    Args:
        file: open to write, and empty.
        dimension: of a vector.
    """

    def __init__(self, file: BinaryIO, dimension: int):
        self._file = file
        self._dimension = dimension
        self._num_rows = 0
        self._write_header()

    def write(self, ids: pa.ChunkedArray, vectors: np.ndarray) -> None:
        self._file.write(np.ascontiguousarray(vectors, "<f4").data)
        self._num_rows += len(vectors)

    def finish(self) -> None:
        self._file.seek(0)
        self._write_header()

    def _write_header(self) -> None:
        header = {"descr": "<f4", "fortran_order": False, "shape": (self._num_rows, self._dimension)}
        np.lib.format.write_array_header_1_0(self._file, header)
