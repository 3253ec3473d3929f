"""The records of a library on disk: names, bases and vectors in Arrow files that are mapped, not read."""

import struct
from pathlib import Path

import numpy as np
import pyarrow as pa

from barcodemae.data.schema import RANKS
from barcodemae.errors import LibraryError
from barcodemae.files import written_atomically

NAMES = ("id", *RANKS, "bin")

# The column of a part with the bases on the frame, by the name that it has in files.
BASES = "letters"

_UNKNOWN, _NUM_BASES = -1, 4
_LENGTH_TOLERANCE = 0.01  # of its square; half precision makes a tenth of that
_BLOCK_RECORDS = 4096


def records_schema(frame_length: int, dimension: int) -> pa.Schema:
    """Columns of a part: names ("" where unknown), nucleotides, bases on the frame, and the vector of length 1."""
    return pa.schema(
        [
            *((name, pa.large_string()) for name in NAMES),
            ("nucleotides", pa.large_string()),
            (BASES, pa.list_(pa.int8(), frame_length)),
            ("vector", pa.list_(pa.float16(), dimension)),
        ]
    )


def write_part(file: Path, records: pa.Table, bases: np.ndarray, vectors: np.ndarray) -> None:
    """Write some records as an Arrow stream, which `datasets.Dataset.from_file` reads too.

    Args:
        file: appears when it is whole.
        records: columns `NAMES` and `nucleotides`, `[n]`.
        bases: int8 `[n, frame_length]`.
        vectors: `[n, dimension]`, of length 1; kept in half precision.
    """
    schema = records_schema(bases.shape[1], vectors.shape[1])
    half = np.ascontiguousarray(vectors, np.float16)
    columns = [
        *(records[name] for name in (*NAMES, "nucleotides")),
        pa.FixedSizeListArray.from_arrays(pa.array(bases.ravel()), bases.shape[1]),
        pa.FixedSizeListArray.from_arrays(pa.array(half.ravel()), half.shape[1]),
    ]
    table = pa.table([_whole(column) for column in columns], schema=schema)
    with (
        written_atomically(file.parent) as scratch,
        pa.OSFile(str(scratch / file.name), "wb") as sink,
        pa.ipc.new_stream(sink, schema) as writer,
    ):
        writer.write_table(table)


def map_part(file: Path, frame_length: int, dimension: int) -> pa.Table:
    """The table of a part, mapped: it takes no memory of its own.

    Args:
        file: as `write_part` made it.
        frame_length: bases of a record.
        dimension: of its vector.

    Raises:
        LibraryError: it can't be read, or holds something else: text that is no UTF-8, values that are missing, bases
            that are none, vectors that are not of length 1.
    """
    try:
        schema = records_schema(frame_length, dimension)
        with pa.memory_map(str(file)) as source:
            found, batches = _read_stream(source, schema)
        if found != schema:
            expected = f"records of {frame_length} bases and a vector of {dimension} numbers"
            got = ", ".join(f"{field.name} ({field.type})" for field in found)
            raise LibraryError(f"{file}: expected {expected}, got the columns {got}")
        part = pa.Table.from_batches(batches, schema)
        part.validate(full=True)
    except (OSError, OverflowError, UnicodeDecodeError, struct.error, pa.ArrowException) as error:
        raise LibraryError(f"{file}: expected records of a library, got: {error}") from error
    if problem := _problem(part):
        raise LibraryError(f"{file}: expected records of a library, got {problem}")
    return part


def _read_stream(source: pa.NativeFile, schema: pa.Schema) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    """The schema of an Arrow stream, and its batches, if it is the one that is expected."""
    messages = pa.ipc.MessageReader.open_stream(source)
    first = next(messages, None)
    if first is None:
        raise pa.ArrowInvalid("expected a schema, got nothing")
    found = pa.ipc.read_schema(first)
    if found != schema:
        return found, []
    batches = []
    for message in messages:
        if message.type != "record batch" or _is_compressed(message.metadata.to_pybytes()):
            raise pa.ArrowInvalid(f"expected batches of records that are not compressed, got a {message.type}")
        batches.append(pa.ipc.read_record_batch(message, schema))
    return found, batches


def _is_compressed(message: bytes) -> bool:
    """Whether a batch would take other memory than its file; pyarrow tells it only when it has taken it.

    The message is a FlatBuffers table (Message.fbs of Arrow): its third field is the header, which is a RecordBatch,
    whose fourth field is the compression.
    """
    (root,) = struct.unpack_from("<I", message)
    return _field(message, _follow(message, _field(message, root, 2)), 3) > 0


def _field(message: bytes, table: int, number: int) -> int:
    """Where a field of a table stands, 0 if it has none."""
    fields = table - struct.unpack_from("<i", message, table)[0]
    (size,) = struct.unpack_from("<H", message, fields)
    place = 4 + 2 * number
    (offset,) = struct.unpack_from("<H", message, fields + place) if place < size else (0,)
    return table + offset if offset else 0


def _follow(message: bytes, place: int) -> int:
    return place + struct.unpack_from("<I", message, place)[0]


def _problem(part: pa.Table) -> str:
    """What of the values is none of a library's, or nothing."""
    for column in part.columns:
        pieces = [piece for chunk in column.chunks for piece in (chunk, *_values(chunk))]
        if any(piece.null_count for piece in pieces):
            return "values that are missing"
    for chunk in part[BASES].chunks:
        bases = chunk.flatten().to_numpy()
        if len(bases) and (bases.min() < _UNKNOWN or bases.max() >= _NUM_BASES):
            return f"bases that are not from {_UNKNOWN} to {_NUM_BASES - 1}"
    for begin in range(0, len(part), _BLOCK_RECORDS):
        vectors = as_matrix(part["vector"].slice(begin, _BLOCK_RECORDS)).astype(np.float32)
        lengths = np.einsum("nd,nd->n", vectors, vectors)
        if not (np.abs(lengths - 1) < _LENGTH_TOLERANCE).all():  # NaN is not near to 1
            return "vectors that are not of length 1"
    return ""


def _values(chunk: pa.Array) -> list[pa.Array]:
    return [chunk.values] if pa.types.is_fixed_size_list(chunk.type) else []


def as_matrix(column: pa.ChunkedArray) -> np.ndarray:
    """A column of lists of one size as an array `[n, size]`, without a copy where the column is of one piece."""
    size = column.type.list_size
    parts = [chunk.flatten().to_numpy().reshape(len(chunk), size) for chunk in column.chunks]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
