"""From barcodes to clusters: the complete workflow."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from barcodemae.clustering import THRESHOLD
from barcodemae.clustering.barcodes import Barcodes, read_barcodes
from barcodemae.clustering.clusters import Clusters, describe_clusters
from barcodemae.clustering.gap import gap_threshold
from barcodemae.clustering.linkage import Linkage
from barcodemae.clustering.tables import as_table
from barcodemae.data.inputs import Source, stream_input
from barcodemae.embedding import BaseMapEmbedder
from barcodemae.embedding.engines import load_linear_map
from barcodemae.embedding.kmer_map import KmerMapEmbedder
from barcodemae.embedding.nearest import unit_length
from barcodemae.errors import ConfigurationError
from barcodemae.library.search.marker import dereplicate, marker_of


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
    embedder = load_linear_map(model)
    marker = marker_of(embedder)
    barcodes = read_barcodes(stream_input(source), marker, primers=primers)
    if not len(barcodes.bases):
        raise ConfigurationError(f"expected barcodes of the marker ({marker.name}), got none")
    return as_table(barcodes, group(barcodes, embedder, threshold).clusters)


def group(
    barcodes: Barcodes, embedder: BaseMapEmbedder | KmerMapEmbedder, threshold: float | None = THRESHOLD
) -> Grouping:
    """Cluster barcodes by single linkage of the bases that differ.

    Args:
        barcodes: one of the marker or more.
        embedder: of the marker; its vectors only choose which barcodes to compare.
        threshold: share of bases; None: at the barcode gap.

    Raises:
        ConfigurationError: the threshold is not a share, or it is None and there is no gap.
    """
    if threshold is not None and not 0 <= threshold < 1:
        raise ConfigurationError(f"threshold {threshold:g}: expected a share of bases, from 0 to less than 1")
    first, unique = dereplicate(barcodes.bases)
    bases, comparison = barcodes.bases[first], marker_of(embedder).comparison
    linkage = Linkage(unit_length(barcodes.vectors(embedder, first)), bases, comparison)
    joins, num_left = linkage.joins()
    try:
        gap = gap_threshold(joins, num_left)
    except ConfigurationError:
        if threshold is None:
            raise
        gap = None
    used = gap if threshold is None else threshold
    assert used is not None
    clusters = describe_clusters(linkage.cut(used), bases, unique, barcodes.reads, comparison)
    return Grouping(clusters, used, gap, joins, num_left, linkage.candidates.search)
