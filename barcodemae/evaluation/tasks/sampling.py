"""Draws of barcodes that give every taxon the same chance."""

from collections.abc import Sequence

import numpy as np


def draw_per_taxon(taxa: np.ndarray, n_most: int, seed: int | Sequence[int]) -> np.ndarray:
    """Rows of at most `n_most` barcodes of each taxon, drawn at random.

    With the same seed, a smaller draw is a part of a larger one.

    Args:
        taxa: `[n]`, names.
        n_most: barcodes of one taxon.
        seed: of the draw.

    Returns:
        Row numbers, by taxon in the order of names.
    """
    names, taxon = np.unique(taxa, return_inverse=True)
    order = np.lexsort((np.random.default_rng(seed).random(len(taxa)), taxon))
    begins = np.searchsorted(taxon[order], np.arange(len(names)))
    place = np.arange(len(taxa)) - begins[taxon[order]]
    return order[place < n_most]
