"""Placed barcodes on disk, taken a few at a time: millions of them need not be in memory.

`NAME.bases` holds all sequences, one after another; `NAME.arrow` the length, start and number of tokens of each;
`NAME.records.parquet` what else is known of it: the file, line and id that it came from, and its taxa.
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
    """Writes barcodes, table after table.

    Args:
        folder: of the three files.
        name: of them.
        num_slots: slots of the reference frame; 0 where there is none.

    Attributes:
        count: barcodes so far.
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
            barcodes: `[n]` of them.
            num_tokens: `[n]`, known tokens of each.
            records: `[n]`, of `schema.SCHEMA`, that they are of.
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
    """What a `BarcodeWriter` wrote.

    Sequences are read from the file when they are taken. Memory-mapped, each page that was ever touched would count as
    the process's own memory, which under random access soon is the whole file.

    Args:
        folder: of the three files.
        name: of them.

    Attributes:
        starts: int32 `[n]`, frame coordinate of the first nucleotide; 0 where a barcode is not placed.
        is_placed: bool `[n]`, whether the reference frame accepted the barcode.
        num_tokens: int32 `[n]`, known tokens.
        num_slots: slots of the frame; 0 where there is none.
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
        """Some of the barcodes.

        Args:
            rows: `[n]`, which ones.

        Raises:
            UnreadableFileError: the file was cut or can't be read any more.
        """
        lengths = self._lengths[rows]
        places = zip(lengths.tolist(), self._begins[rows].tolist(), strict=True)
        try:
            bases = b"".join([os.pread(self._file, length, begin) for length, begin in places])
        except OSError as error:
            raise UnreadableFileError(self._path, f"expected a readable file, got {error.strerror!r}") from error
        ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        if len(bases) != ends[-1]:
            raise UnreadableFileError(self._path, f"expected {ends[-1]:,} bases of {len(rows)} barcodes, got fewer")
        nucleotides = pa.LargeStringArray.from_buffers(len(rows), pa.py_buffer(ends), pa.py_buffer(bases))
        return PlacedBarcodes(nucleotides, self.starts[rows], self.is_placed[rows], self.num_slots)

    def origins(self, rows: np.ndarray) -> list[str]:
        """Where some of the barcodes come from, in words: file, line and id. It takes seconds where there are millions.

        Args:
            rows: `[n]`, which ones.
        """
        found = pq.read_table(self._records, columns=["file", "line", "id"]).take(pa.array(rows)).to_pylist()
        return [f"{row['file']}, line {row['line']}, record {row['id']!r}" for row in found]

    def taxa(self, column: str) -> tuple[list[str], np.ndarray]:
        """The taxon of every barcode.

        Args:
            column: a rank, or `bin`.

        Returns:
            The names, sorted; and int64 `[n]`, the number of each barcode's name among them, -1 where it is unknown.
        """
        values = pq.read_table(self._records, columns=[column])[column].combine_chunks().dictionary_encode()
        names = np.array(values.dictionary.to_pylist(), dtype=object)
        known = sorted(set(names) - {""})
        place = {name: i for i, name in enumerate(known)}
        return known, np.array([place.get(name, -1) for name in names], np.int64)[values.indices.to_numpy()]
