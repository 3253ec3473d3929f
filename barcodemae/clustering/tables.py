"""Clusters in files: a table with a row for each record, and the representatives as FASTA."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from barcodemae.clustering.barcodes import Barcodes
from barcodemae.clustering.clusters import Clusters
from barcodemae.data.annotations import with_size
from barcodemae.errors import ConfigurationError
from barcodemae.library.results.text_columns import column_array, decimals, defused, joined, one_line, quoted
from barcodemae.outputs import is_stream

TABLE_SUFFIXES = (".tsv", ".parquet")

_LINE_BASES = 80
_TEXTS = ("id", "reason")


def check_table_name(path: Path) -> None:
    """Check the name of a table's file before any work is done.

    Raises:
        ConfigurationError: it does not end with a known format, and is not standard output, a pipe or a device, to
            which TSV is written.
    """
    if path.suffix not in TABLE_SUFFIXES and not is_stream(path):
        raise ConfigurationError(f"{path}: expected a name that ends with {' or '.join(TABLE_SUFFIXES)}")


def as_table(barcodes: Barcodes, clusters: Clusters) -> pa.Table:
    """A row for each record, in the order in which they were read.

    Args:
        barcodes: `[n]`, usable and unusable ones.
        clusters: of the usable ones.

    Returns:
        Columns `id, cluster, size, is_representative, difference, reason`. A record that is not a barcode of the
        marker has a reason, and null in the others.
    """
    is_unusable = barcodes.reasons != ""
    rows = pa.array(np.cumsum(~is_unusable) - 1, mask=is_unusable)
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

    In TSV, null is empty, a text that a spreadsheet would run as a formula begins with an apostrophe, and a text with
    a quotation mark is quoted, as in CSV.
    """
    if as_parquet:
        pq.write_table(table, file)
        return
    columns = []
    for name in table.column_names:
        column = column_array(table, name)
        text = decimals(column, 4) if pa.types.is_floating(column.type) else column.cast(pa.string())
        columns.append(quoted(defused(text)) if name in _TEXTS else text.fill_null(""))
    file.write(("\t".join(table.column_names) + "\n").encode())
    file.writelines(f"{line}\n".encode() for line in joined(columns, "\t").to_pylist())


def write_representatives(barcodes: Barcodes, clusters: Clusters, file: BinaryIO) -> None:
    """Write one barcode of each cluster as FASTA, the largest cluster first.

    A header is the record's id with `;size=`, the number of reads in the cluster, in place of that of the record, as
    `vsearch --sizeout` writes it.
    """
    chosen = np.flatnonzero(clusters.is_representative)
    chosen = chosen[np.argsort(clusters.numbers[chosen])]
    rows = pa.array(barcodes.usable[chosen])
    ids = one_line(barcodes.ids.take(rows)).to_pylist()
    sequences = barcodes.sequences.take(rows).to_pylist()
    for id, sequence, row in zip(ids, sequences, chosen, strict=True):
        lines = [f">{with_size(id, clusters.sizes[row])}"]
        lines += [sequence[begin : begin + _LINE_BASES] for begin in range(0, len(sequence), _LINE_BASES)]
        file.write("".join(f"{line}\n" for line in lines).encode())
