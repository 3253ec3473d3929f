"""Letters to clusters, from vectors to representatives."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from barcodemae.clustering import THRESHOLD
from barcodemae.clustering.clusters import Clusters, describe
from barcodemae.clustering.copies import distinct
from barcodemae.clustering.gap import gap_threshold
from barcodemae.clustering.linkage import Linkage
from barcodemae.embedding import LetterEmbedder
from barcodemae.embedding.nearest import unit_length
from barcodemae.errors import ConfigurationError


@dataclass(frozen=True)
class Grouping:
    """Clusters, and what they come from.

    Attributes:
        clusters: of the barcodes.
        threshold: share of letters that differs at most between two barcodes that join.
        gap: the threshold that the label-free guide finds; None where it finds none.
        joins: `[joins]`, shares of letters at which clusters join, rising.
        num_left: clusters after the last join.
        search: how the barcodes to be compared were found, as `learn_index` describes it.
    """

    clusters: Clusters
    threshold: float
    gap: float | None
    joins: np.ndarray
    num_left: int
    search: dict[str, Any]


def group(letters: np.ndarray, embedder: LetterEmbedder, threshold: float | None = THRESHOLD) -> Grouping:
    """Put barcodes into clusters by single linkage of the letters that differ.

    Args:
        letters: int8 `[n, coordinates]`, of one barcode or more, as `read_barcodes` gives them.
        embedder: its vectors tell which barcodes are worth comparing, and no more.
        threshold: share of letters; None takes the gap that the label-free guide finds.

    Raises:
        ConfigurationError: the threshold is no share, or the guide is asked and finds no gap.
    """
    if threshold is not None and not 0 <= threshold < 1:
        raise ConfigurationError(f"threshold {threshold:g}: expected a share of letters, from 0 to less than 1")
    first, kinds = distinct(letters)
    letters = letters[first]
    linkage = Linkage(unit_length(embedder.embed_letters(letters)), letters)
    joins, num_left = linkage.joins()
    try:
        gap = gap_threshold(joins, num_left)
    except ConfigurationError:
        if threshold is None:
            raise
        gap = None
    taken = gap if threshold is None else threshold
    assert taken is not None
    clusters = describe(linkage.cut(taken), letters, kinds)
    return Grouping(clusters, taken, gap, joins, num_left, linkage.candidates.search)
