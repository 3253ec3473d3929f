"""Placed barcodes on disk, of which some are read at a time, so that millions need not be in memory.

`NAME.bases` contains all sequences, concatenated; `NAME.arrow` their lengths, starts and numbers of tokens;
`NAME.records.parquet` their files, lines, ids and taxa.
"""

import os
import weakref
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from barcodemae.data.schema import RANKS, SCHEMA
from barcodemae.errors import UnreadableFileError
from tokenization_barcodemae import PlacedBarcodes

_SCHEMA = pa.schema({"length": pa.int32(), "start": pa.int32(), "is_placed": pa.bool_(), "num_tokens": pa.int32()})
_RECORDS = pa.schema([SCHEMA.field(column) for column in ("file", "line", "id", *RANKS, "bin")])


class BarcodeWriter:
    """Writes barcodes, one table after another.

    Args:
        folder: folder of the three files.
        name: stem of their names.
        num_slots: slots of the reference frame; 0 without a frame.

    Attributes:
        count: number of barcodes written.
    """

    def __init__(self, folder: Path, name: str, num_slots: int):
        self._bases = (folder / f"{name}.bases").open("wb")
        schema = _SCHEMA.with_metadata({"num_slots": str(num_slots)})
        self._index = pa.ipc.new_file(folder / f"{name}.arrow", schema)
        self._records = pq.ParquetWriter(folder / f"{name}.records.parquet", _RECORDS)
        self.count = 0

    def write(self, barcodes: PlacedBarcodes, num_tokens: np.ndarray, records: pa.Table) -> None:
        """Add barcodes.

        Args:
            barcodes: `[n]` barcodes.
            num_tokens: `[n]`, number of known tokens of each.
            records: `[n]`, their records, with `schema.SCHEMA`.
        """
        bases = [text.encode() for text in barcodes.nucleotides.to_pylist()]
        self._bases.writelines(bases)
        columns = [list(map(len, bases)), barcodes.starts, barcodes.is_placed, num_tokens]
        arrays = [pa.array(values, field.type) for values, field in zip(columns, _SCHEMA, strict=True)]
        self._index.write_batch(pa.record_batch(arrays, schema=_SCHEMA))
        self._records.write_table(records.select(_RECORDS.names))
        self.count += len(barcodes)

    def __enter__(self) -> "BarcodeWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bases.close()
        self._index.close()
        self._records.close()


class StoredBarcodes:
    """Barcodes written by a `BarcodeWriter`.

    Sequences are read from the file on request. With a memory map, each page that was read would count as memory of the
    process, which with random access would soon be the complete file.

    Args:
        folder: folder of the three files.
        name: stem of their names.

    Attributes:
        starts: int32 `[n]`, frame coordinate of the first nucleotide; 0 for a barcode that is not placed.
        is_placed: bool `[n]`, whether the reference frame accepted the barcode.
        num_tokens: int32 `[n]`, number of known tokens.
        num_slots: slots of the frame; 0 without a frame.
    """

    def __init__(self, folder: Path, name: str):
        with pa.OSFile(str(folder / f"{name}.arrow")) as file:
            index = pa.ipc.open_file(file).read_all()
        self.starts, self.is_placed, self.num_tokens, lengths = (
            index[column].to_numpy() for column in ("start", "is_placed", "num_tokens", "length")
        )
        self.num_slots = int(index.schema.metadata[b"num_slots"])
        self._lengths = lengths
        self._begins = np.cumsum(lengths, dtype=np.int64) - lengths
        self._path = folder / f"{name}.bases"
        self._records = folder / f"{name}.records.parquet"
        self._file = os.open(self._path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def __len__(self) -> int:
        return len(self._lengths)

    def take(self, rows: np.ndarray) -> PlacedBarcodes:
        """Read some of the barcodes.

        Args:
            rows: `[n]`, their indices.

        Raises:
            UnreadableFileError: the file was truncated or can't be read any more.
        """
        lengths = self._lengths[rows]
        spans = zip(lengths.tolist(), self._begins[rows].tolist(), strict=True)
        try:
            bases = b"".join([os.pread(self._file, length, begin) for length, begin in spans])
        except OSError as error:
            raise UnreadableFileError(self._path, f"expected a readable file, got {error.strerror!r}") from error
        ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        if len(bases) != ends[-1]:
            raise UnreadableFileError(self._path, f"expected {ends[-1]:,} bases of {len(rows)} barcodes, got fewer")
        nucleotides = pa.LargeStringArray.from_buffers(len(rows), pa.py_buffer(ends), pa.py_buffer(bases))
        return PlacedBarcodes(nucleotides, self.starts[rows], self.is_placed[rows], self.num_slots)

    def origins(self, rows: np.ndarray) -> list[str]:
        """File, line and id of some of the barcodes, for a message. It takes seconds for millions of barcodes.

        Args:
            rows: `[n]`, their indices.
        """
        records = pq.read_table(self._records, columns=["file", "line", "id"]).take(pa.array(rows)).to_pylist()
        return [f"{row['file']}, line {row['line']}, record {row['id']!r}" for row in records]

    def taxa(self, column: str) -> tuple[list[str], np.ndarray]:
        """The taxon of every barcode.

        Args:
            column: a rank, or `bin`.

        Returns:
            The names, sorted; and int64 `[n]`, the index of each barcode's name among them, -1 if it is unknown.
        """
        values = pq.read_table(self._records, columns=[column])[column].combine_chunks().dictionary_encode()
        names = np.array(values.dictionary.to_pylist(), dtype=object)
        known = sorted(set(names) - {""})
        index = {name: i for i, name in enumerate(known)}
        return known, np.array([index.get(name, -1) for name in names], np.int64)[values.indices.to_numpy()]
