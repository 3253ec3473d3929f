"""The records of a library on disk: names, bases and vectors in Arrow files, which are memory-mapped."""

import struct
from pathlib import Path

import numpy as np
import pyarrow as pa

from barcodemae.data.schema import RANKS
from barcodemae.errors import LibraryError
from barcodemae.files import written_atomically
from barcodemae.library.search.comparison import Comparison

NAMES = ("id", *RANKS, "bin")

# The column of a part with what is compared, by its name in the files of existing libraries.
BASES = "letters"

_LENGTH_TOLERANCE = 0.01  # of the squared length; the rounding of half precision is a tenth of that
_BLOCK_RECORDS = 4096


def records_schema(width: int, dimension: int) -> pa.Schema:
    """Columns of a part: names ("" where unknown), nucleotides, what is compared, and the vector of length 1."""
    return pa.schema(
        [
            *((name, pa.large_string()) for name in NAMES),
            ("nucleotides", pa.large_string()),
            (BASES, pa.list_(pa.int8(), width)),
            ("vector", pa.list_(pa.float16(), dimension)),
        ]
    )


def write_part(file: Path, records: pa.Table, bases: np.ndarray, vectors: np.ndarray) -> None:
    """Write some records as an Arrow stream, which `datasets.Dataset.from_file` reads too.

    Args:
        file: to write, atomically.
        records: columns `NAMES` and `nucleotides`, `[n]`.
        bases: int8 `[n, width]`, see `search.comparison`.
        vectors: `[n, dimension]`, of length 1; saved in half precision.
    """
    schema = records_schema(bases.shape[1], vectors.shape[1])
    half = np.ascontiguousarray(vectors, np.float16)
    columns = [
        *(records[name] for name in (*NAMES, "nucleotides")),
        pa.FixedSizeListArray.from_arrays(pa.array(bases.ravel()), bases.shape[1]),
        pa.FixedSizeListArray.from_arrays(pa.array(half.ravel()), half.shape[1]),
    ]
    table = pa.table([_as_array(column) for column in columns], schema=schema)
    with (
        written_atomically(file.parent) as scratch,
        pa.OSFile(str(scratch / file.name), "wb") as sink,
        pa.ipc.new_stream(sink, schema) as writer,
    ):
        writer.write_table(table)


def map_part(file: Path, comparison: Comparison, dimension: int) -> pa.Table:
    """The table of a part, memory-mapped.

    Args:
        file: that `write_part` wrote.
        comparison: of its barcodes.
        dimension: of a vector.

    Raises:
        LibraryError: it can't be read, or has other contents: text that is not UTF-8, missing values, bases out of
            range, or vectors that are not of length 1.
    """
    try:
        schema = records_schema(comparison.width, dimension)
        with pa.memory_map(str(file)) as source:
            found, batches = _read_stream(source, schema)
        if found != schema:
            expected = f"records with {comparison} and a vector of {dimension} numbers"
            got = ", ".join(f"{field.name} ({field.type})" for field in found)
            raise LibraryError(f"{file}: expected {expected}, got the columns {got}")
        part = pa.Table.from_batches(batches, schema)
        part.validate(full=True)
    except (OSError, OverflowError, UnicodeDecodeError, struct.error, pa.ArrowException) as error:
        raise LibraryError(f"{file}: expected records of a library, got: {error}") from error
    if problem := _problem(part, comparison):
        raise LibraryError(f"{file}: expected records of a library, got {problem}")
    return part


def _read_stream(source: pa.NativeFile, schema: pa.Schema) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    """The schema of an Arrow stream, and its batches, if the schema is as expected."""
    messages = pa.ipc.MessageReader.open_stream(source)
    first = next(messages, None)
    if first is None:
        raise pa.ArrowInvalid("expected a schema, got an empty file")
    found = pa.ipc.read_schema(first)
    if found != schema:
        return found, []
    batches = []
    for message in messages:
        if message.type != "record batch" or _is_compressed(message.metadata.to_pybytes()):
            raise pa.ArrowInvalid(f"expected uncompressed record batches, got a {message.type}")
        batches.append(pa.ipc.read_record_batch(message, schema))
    return found, batches


def _is_compressed(message: bytes) -> bool:
    """Whether a record batch is compressed, so that it cannot be mapped; pyarrow shows that only after reading it.

    The message is a FlatBuffers table (Message.fbs of Arrow): its third field is the header, here a RecordBatch, whose
    fourth field is the compression.
    """
    (root,) = struct.unpack_from("<I", message)
    return _field(message, _follow(message, _field(message, root, 2)), 3) > 0


def _field(message: bytes, table: int, number: int) -> int:
    """The offset of a field of a table, 0 if the table does not have it."""
    fields = table - struct.unpack_from("<i", message, table)[0]
    (size,) = struct.unpack_from("<H", message, fields)
    slot = 4 + 2 * number
    (offset,) = struct.unpack_from("<H", message, fields + slot) if slot < size else (0,)
    return table + offset if offset else 0


def _follow(message: bytes, offset: int) -> int:
    return offset + struct.unpack_from("<I", message, offset)[0]


def _problem(part: pa.Table, comparison: Comparison) -> str:
    """What is wrong with the values, "" if nothing is."""
    for column in part.columns:
        pieces = [piece for chunk in column.chunks for piece in (chunk, *_values(chunk))]
        if any(piece.null_count for piece in pieces):
            return "missing values"
    for chunk in part[BASES].chunks:
        if problem := comparison.problem(chunk.flatten().to_numpy()):
            return problem
    for begin in range(0, len(part), _BLOCK_RECORDS):
        vectors = as_matrix(part["vector"].slice(begin, _BLOCK_RECORDS)).astype(np.float32)
        lengths = np.einsum("nd,nd->n", vectors, vectors)
        if not (np.abs(lengths - 1) < _LENGTH_TOLERANCE).all():  # also false for NaN
            return "vectors that are not of length 1"
    return ""


def _values(chunk: pa.Array) -> list[pa.Array]:
    return [chunk.values] if pa.types.is_fixed_size_list(chunk.type) else []


def as_matrix(column: pa.ChunkedArray) -> np.ndarray:
    """A column of fixed-size lists as an array `[n, size]`, without a copy if the column has one chunk."""
    size = column.type.list_size
    parts = [chunk.flatten().to_numpy().reshape(len(chunk), size) for chunk in column.chunks]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _as_array(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
