"""From barcodes to clusters: the complete workflow."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from barcodemae.clustering import THRESHOLD
from barcodemae.clustering.barcodes import read_barcodes
from barcodemae.clustering.clusters import Clusters, describe_clusters
from barcodemae.clustering.gap import gap_threshold
from barcodemae.clustering.linkage import Linkage
from barcodemae.clustering.tables import as_table
from barcodemae.data.inputs import Source, stream_input
from barcodemae.embedding import BaseMapEmbedder
from barcodemae.embedding.nearest import unit_length
from barcodemae.errors import ConfigurationError
from barcodemae.library.search.marker import dereplicate


@dataclass(frozen=True)
class Grouping:
    """Clusters, and how they were made.

    Attributes:
        clusters: of the barcodes.
        threshold: maximum share of bases in which two barcodes that join differ.
        gap: the automatic threshold, at the barcode gap; None where there is no gap.
        joins: `[joins]`, shares of bases at which clusters join, ascending.
        num_left: number of clusters after the last join.
        search: how candidates were found, as `learn_index` describes it.
    """

    clusters: Clusters
    threshold: float
    gap: float | None
    joins: np.ndarray
    num_left: int
    search: dict[str, Any]


def cluster(
    source: Source,
    threshold: float | None = THRESHOLD,
    model: str | Path | None = None,
    primers: str | None = None,
) -> pa.Table:
    """Cluster barcodes without labels.

    Args:
        source: a file, a list of sequences or of paths, or a table of records; see `data.inputs.stream_input`.
        threshold: maximum share of bases in which two barcodes that join may differ; None: at the barcode gap.
        model: a tuned checkpoint, whose vectors choose which barcodes to compare; by default `nano_coi`.
        primers: of the amplicon, a name of `library.settings.PRIMERS` or the sequences "FORWARD,REVERSE"; only bases
            between them are compared.

    Returns:
        A row for each record, in their order: `id, cluster, size, is_representative, difference, reason`.

    Raises:
        ConfigurationError: no record is a barcode of the marker, the threshold is not a share, or it is None and there
            is no gap.
        UnreadableFileError: a file can't be read.
        TypeError: the source is none of these.

    Examples:
        >>> import barcodemae
        >>> barcodemae.cluster("sample").num_rows
        18104
    """
    embedder = BaseMapEmbedder.from_pretrained(model)
    barcodes = read_barcodes(stream_input(source), embedder.frame, primers=primers)
    if not len(barcodes.bases):
        raise ConfigurationError(f"expected barcodes of the marker ({embedder.frame.marker}), got none")
    return as_table(barcodes, group(barcodes.bases, embedder, threshold, barcodes.reads).clusters)


def group(
    bases: np.ndarray,
    embedder: BaseMapEmbedder,
    threshold: float | None = THRESHOLD,
    reads: np.ndarray | None = None,
) -> Grouping:
    """Cluster barcodes by single linkage of the bases that differ.

    Args:
        bases: int8 `[n, coordinates]`, of one barcode or more, as `read_barcodes` returns them.
        embedder: its vectors only choose which barcodes to compare.
        threshold: share of bases; None: at the barcode gap.
        reads: int64 `[n]`, number of reads of each barcode; by default 1.

    Raises:
        ConfigurationError: the threshold is not a share, or it is None and there is no gap.
    """
    if threshold is not None and not 0 <= threshold < 1:
        raise ConfigurationError(f"threshold {threshold:g}: expected a share of bases, from 0 to less than 1")
    first, unique = dereplicate(bases)
    bases = bases[first]
    linkage = Linkage(unit_length(embedder.embed_bases(bases)), bases)
    joins, num_left = linkage.joins()
    try:
        gap = gap_threshold(joins, num_left)
    except ConfigurationError:
        if threshold is None:
            raise
        gap = None
    used = gap if threshold is None else threshold
    assert used is not None
    reads = np.ones(len(unique), np.int64) if reads is None else reads
    clusters = describe_clusters(linkage.cut(used), bases, unique, reads)
    return Grouping(clusters, used, gap, joins, num_left, linkage.candidates.search)
