"""Writers of embeddings in parts: Parquet by row groups, NPY by appending."""

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
    """A writer that receives embeddings in parts."""

    def write(self, ids: pa.ChunkedArray, vectors: np.ndarray) -> None:
        """Append embeddings, float32 `[n, dimension]`, of the records with these ids."""


def check_vectors_name(path: Path) -> None:
    """Check the name of a file of embeddings, before any work is done.

    Raises:
        ConfigurationError: the suffix is unknown, or its format can't be written to a pipe.
    """
    if path.suffix not in SUFFIXES:
        raise ConfigurationError(f"--output {path}: expected a name that ends with {' or '.join(SUFFIXES)}")
    if path.suffix == _NPY and is_stream(path):
        raise ConfigurationError(f"--output {path}: expected a file, as {_NPY} begins with the number of its rows")


@contextmanager
def open_vectors(path: Path, dimension: int) -> Iterator[VectorsWriter]:
    """Open a file of embeddings, which appears when it is complete.

    Args:
        path: name of the file; ends with one of `SUFFIXES`.
        dimension: dimension of an embedding.
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
    """Writes each part as a row group."""

    def __init__(self, tables: pq.ParquetWriter):
        self._tables = tables

    def write(self, ids: pa.ChunkedArray, vectors: np.ndarray) -> None:
        lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        self._tables.write_table(pa.table([ids, lists], schema=self._tables.schema))


class _Appended:
    """Appends rows, and writes the header again when their number is known; NumPy's header has space for it to grow."""

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
