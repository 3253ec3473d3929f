"""Clusters in files: a table with a row for each record, and the representatives as FASTA."""

from typing import BinaryIO

import numpy as np
import pyarrow as pa

from barcodemae.clustering.barcodes import Barcodes
from barcodemae.clustering.clusters import Clusters
from barcodemae.data.annotations import with_size
from barcodemae.library.results.text_columns import one_line

TEXTS_FROM_FILES = ("id", "reason")

_LINE_BASES = 80


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
