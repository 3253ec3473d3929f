"""The records of a library on disk: names, letters and vectors in Arrow files that are mapped, not read."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from barcodemae.data.schema import RANKS
from barcodemae.errors import LibraryError
from barcodemae.files import written_whole

NAMES = ("id", *RANKS, "bin")


def records_schema(frame_length: int, dimension: int) -> pa.Schema:
    """Columns of a part: names ("" where unknown), nucleotides, letters on the frame, and the vector of length 1."""
    return pa.schema(
        [
            *((name, pa.large_string()) for name in NAMES),
            ("nucleotides", pa.large_string()),
            ("letters", pa.list_(pa.int8(), frame_length)),
            ("vector", pa.list_(pa.float16(), dimension)),
        ]
    )


def write_part(file: Path, records: pa.Table, letters: np.ndarray, vectors: np.ndarray) -> None:
    """Write some records as an Arrow stream, which `datasets.Dataset.from_file` reads too.

    Args:
        file: appears when it is whole.
        records: columns `NAMES` and `nucleotides`, `[n]`.
        letters: int8 `[n, frame_length]`.
        vectors: `[n, dimension]`, of length 1; kept in half precision.
    """
    schema = records_schema(letters.shape[1], vectors.shape[1])
    half = np.ascontiguousarray(vectors, np.float16)
    columns = [
        *(records[name] for name in (*NAMES, "nucleotides")),
        pa.FixedSizeListArray.from_arrays(pa.array(letters.ravel()), letters.shape[1]),
        pa.FixedSizeListArray.from_arrays(pa.array(half.ravel()), half.shape[1]),
    ]
    table = pa.table([_whole(column) for column in columns], schema=schema)
    with (
        written_whole(file.parent) as scratch,
        pa.OSFile(str(scratch / file.name), "wb") as sink,
        pa.ipc.new_stream(sink, schema) as writer,
    ):
        writer.write_table(table)


def map_part(file: Path, frame_length: int, dimension: int) -> pa.Table:
    """The table of a part, mapped: it takes no memory of its own.

    Args:
        file: as `write_part` made it.
        frame_length: letters of a record.
        dimension: of its vector.

    Raises:
        LibraryError: it can't be read, or holds something else.
    """
    try:
        with pa.memory_map(str(file)) as source:
            part = pa.ipc.open_stream(source).read_all()
        part.validate()
        is_ours = part.schema == records_schema(frame_length, dimension)
    except (OSError, OverflowError, pa.ArrowException) as error:
        raise LibraryError(f"{file}: expected records of a library, got: {error}") from error
    if not is_ours:
        expected = f"records of {frame_length} letters and a vector of {dimension} numbers"
        got = ", ".join(f"{field.name} ({field.type})" for field in part.schema)
        raise LibraryError(f"{file}: expected {expected}, got the columns {got}")
    return part


def as_matrix(column: pa.ChunkedArray) -> np.ndarray:
    """A column of lists of one size as an array `[n, size]`, without a copy where the column is of one piece."""
    parts = [chunk.flatten().to_numpy(zero_copy_only=False).reshape(len(chunk), -1) for chunk in column.chunks]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
