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
    chances = np.random.default_rng(seed).random(len(taxa))
    order = np.lexsort((chances, taxa))
    return order[rank_within(taxa, chances)[order] < n_most]


def draw_by_turns(taxa: np.ndarray, n_most: int, seed: int) -> np.ndarray:
    """Rows of `n_most` barcodes, or of all if there are fewer: one of each taxon, then a second one, and so on.

    Args:
        taxa: `[n]`, names.
        n_most: barcodes in all.
        seed: of the draw.

    Returns:
        Row numbers, in order.
    """
    order = np.random.default_rng(seed).permutation(len(taxa))
    by_turns = np.lexsort([order, rank_within(taxa, order)])
    return np.sort(by_turns[:n_most])


def rank_within(groups: np.ndarray, priorities: np.ndarray) -> np.ndarray:
    """Place of each item among those of its group, smallest priority first, from 0: int64 `[n]`."""
    _, group, n_items = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.lexsort([priorities, group])
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - np.repeat(np.cumsum(n_items) - n_items, n_items)
    return ranks
