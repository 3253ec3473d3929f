"""Clusters to files: a row for each record that was read, and a FASTA file of the representatives."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from barcodemae.clustering.barcodes import Barcodes
from barcodemae.clustering.clusters import Clusters
from barcodemae.errors import ConfigurationError
from barcodemae.library.results.text_columns import decimals, defused, joined, one_line, quoted, whole
from barcodemae.outputs import is_stream

TABLE_SUFFIXES = (".tsv", ".parquet")

_LINE_BASES = 80
_TEXTS = ("id", "reason")


def check_table_name(path: Path) -> None:
    """Tell whether a table can be written there, before any work is done.

    Raises:
        ConfigurationError: the name tells no format, and it is neither standard output nor a pipe nor a device, which
            get TSV.
    """
    if path.suffix not in TABLE_SUFFIXES and not is_stream(path):
        raise ConfigurationError(f"{path}: expected a name that ends with {' or '.join(TABLE_SUFFIXES)}")


def as_table(barcodes: Barcodes, clusters: Clusters) -> pa.Table:
    """A row for each record, in the order in which they were read.

    Args:
        barcodes: `[n]`, usable ones and others.
        clusters: of the usable ones.

    Returns:
        Columns `id, cluster, size, is_representative, difference, reason`. A record that is no barcode of the marker
        has a reason, and null for the rest.
    """
    place = np.full(len(barcodes.reasons), -1)
    place[barcodes.usable] = np.arange(len(barcodes.usable))
    rows = pa.array(place, mask=place < 0)
    differences = pa.array(clusters.differences, mask=np.isnan(clusters.differences))
    return pa.table(
        {
            "id": barcodes.ids,
            "cluster": pa.array(clusters.numbers).take(rows),
            "size": pa.array(clusters.sizes).take(rows),
            "is_representative": pa.array(clusters.is_representative).take(rows),
            "difference": differences.take(rows),
            "reason": pa.array(barcodes.reasons, pa.string()),
        }
    )


def write_table(table: pa.Table, file: BinaryIO, as_parquet: bool = False) -> None:
    """Write a table of `as_table` as TSV or Parquet.

    In TSV null is empty, what a spreadsheet would read as a formula begins with an apostrophe, and a text with a
    quotation mark is quoted, as in CSV.
    """
    if as_parquet:
        pq.write_table(table, file)
        return
    columns = []
    for name in table.column_names:
        column = whole(table, name)
        text = decimals(column, 4) if pa.types.is_floating(column.type) else column.cast(pa.string())
        columns.append(quoted(defused(text)) if name in _TEXTS else text.fill_null(""))
    file.write(("\t".join(table.column_names) + "\n").encode())
    file.writelines(f"{line}\n".encode() for line in joined(columns, "\t").to_pylist())


def write_representatives(barcodes: Barcodes, clusters: Clusters, file: BinaryIO) -> None:
    """Write one barcode of each cluster as FASTA, the largest cluster first.

    A header has the record's id, then `cluster` and `size`.
    """
    chosen = np.flatnonzero(clusters.is_representative)
    chosen = chosen[np.argsort(clusters.numbers[chosen])]
    rows = pa.array(barcodes.usable[chosen])
    ids = one_line(whole(pa.table({"id": barcodes.ids.take(rows)}), "id")).to_pylist()
    sequences = barcodes.sequences.take(rows).to_pylist()
    for id, sequence, row in zip(ids, sequences, chosen, strict=True):
        lines = [f">{id} cluster={clusters.numbers[row]} size={clusters.sizes[row]}"]
        lines += [sequence[begin : begin + _LINE_BASES] for begin in range(0, len(sequence), _LINE_BASES)]
        file.write("".join(f"{line}\n" for line in lines).encode())
