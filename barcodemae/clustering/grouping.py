"""Bases to clusters, from vectors to representatives."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from barcodemae.clustering import THRESHOLD
from barcodemae.clustering.barcodes import read_barcodes
from barcodemae.clustering.clusters import Clusters, describe
from barcodemae.clustering.copies import distinct
from barcodemae.clustering.gap import gap_threshold
from barcodemae.clustering.linkage import Linkage
from barcodemae.clustering.tables import as_table
from barcodemae.data.inputs import Source, stream_input
from barcodemae.embedding import BaseMapEmbedder
from barcodemae.embedding.nearest import unit_length
from barcodemae.errors import ConfigurationError


@dataclass(frozen=True)
class Grouping:
    """Clusters, and what they come from.

    Attributes:
        clusters: of the barcodes.
        threshold: share of bases that differs at most between two barcodes that join.
        gap: the threshold that the label-free guide finds; None where it finds none.
        joins: `[joins]`, shares of bases at which clusters join, rising.
        num_left: clusters after the last join.
        search: how the barcodes to be compared were found, as `learn_index` describes it.
    """

    clusters: Clusters
    threshold: float
    gap: float | None
    joins: np.ndarray
    num_left: int
    search: dict[str, Any]


def cluster(source: Source, threshold: float | None = THRESHOLD, model: str | Path | None = None) -> pa.Table:
    """Group barcodes without labels.

    Args:
        source: a file, a list of sequences or of paths, or a table of records; see `data.inputs.stream_input`.
        threshold: maximum share of bases in which two barcodes that join may differ; None finds the barcode gap.
        model: a tuned checkpoint, whose vectors say which barcodes to compare; by default `nano_coi`.

    Returns:
        A row a record, in their order: `id, cluster, size, is_representative, difference, reason`.

    Raises:
        ConfigurationError: no record is a barcode of the marker, or there is no gap.
        UnreadableFileError: a file can't be read.
        TypeError: the source is none of these.

    Example:
        >>> import barcodemae
        >>> barcodemae.cluster("sample").num_rows
        18104
    """
    embedder = BaseMapEmbedder.from_pretrained(model)
    barcodes = read_barcodes(stream_input(source), embedder.frame)
    if not len(barcodes.bases):
        raise ConfigurationError(f"expected barcodes of the marker ({embedder.frame.marker}), got none")
    return as_table(barcodes, group(barcodes.bases, embedder, threshold).clusters)


def group(bases: np.ndarray, embedder: BaseMapEmbedder, threshold: float | None = THRESHOLD) -> Grouping:
    """Put barcodes into clusters by single linkage of the bases that differ.

    Args:
        bases: int8 `[n, coordinates]`, of one barcode or more, as `read_barcodes` gives them.
        embedder: its vectors tell which barcodes are worth comparing, and no more.
        threshold: share of bases; None takes the gap that the label-free guide finds.

    Raises:
        ConfigurationError: the threshold is no share, or the guide is asked and finds no gap.
    """
    if threshold is not None and not 0 <= threshold < 1:
        raise ConfigurationError(f"threshold {threshold:g}: expected a share of bases, from 0 to less than 1")
    first, kinds = distinct(bases)
    bases = bases[first]
    linkage = Linkage(unit_length(embedder.embed_bases(bases)), bases)
    joins, num_left = linkage.joins()
    try:
        gap = gap_threshold(joins, num_left)
    except ConfigurationError:
        if threshold is None:
            raise
        gap = None
    taken = gap if threshold is None else threshold
    assert taken is not None
    clusters = describe(linkage.cut(taken), bases, kinds)
    return Grouping(clusters, taken, gap, joins, num_left, linkage.candidates.search)
