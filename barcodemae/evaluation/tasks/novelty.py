"""Novelty: does the similarity to the nearest reference show whether a barcode's species is in the library?"""

from typing import Any

import numpy as np

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.scores import NUM_RESAMPLES, draw_species, percentile_interval

# Share of the barcodes of known species that are to be accepted as known.
ACCEPTED = 0.95


def novelty_scores(
    known_similarities: np.ndarray,
    known_species: np.ndarray,
    novel_similarities: np.ndarray,
    novel_species: np.ndarray,
    seed: int = 0,
) -> dict[str, Any]:
    """How well known and novel species are separated, with 95 % intervals over species.

    The area under the receiver operating characteristic (AUROC) is the probability that a barcode of a known
    species has a nearer reference than one of a novel species, ties counting half: 0.5 is guessing. In each resample,
    known species and novel species are drawn with all of their rows.

    Args:
        known_similarities: `[num_known]`, of each barcode to its nearest reference; -inf where none was found.
        known_species: `[num_known]`, names.
        novel_similarities: `[num_novel]`, on the same scale.
        novel_species: `[num_novel]`, names.
        seed: random seed of the bootstrap.

    Returns:
        `n_known, n_novel, auroc, auroc_interval`, and `novel_recognised, novel_recognised_interval`: the share of
        novel barcodes below the largest similarity that still accepts 95 % of the known ones.

    Raises:
        ConfigurationError: there are no known or no novel barcodes, or a similarity is NaN.
    """
    for name, similarities in (("known", known_similarities), ("novel", novel_similarities)):
        if len(similarities) == 0:
            raise ConfigurationError(f"novelty expects barcodes of {name} species, got none")
        if np.isnan(similarities).any():
            raise ConfigurationError(
                f"novelty expects similarities, got NaN for {np.isnan(similarities).sum()} {name} barcodes"
            )
    # Only the order of similarities matters, so each is replaced by its level.
    levels, level = np.unique(np.concatenate([known_similarities, novel_similarities]), return_inverse=True)
    known_level, novel_level = np.split(level, [len(known_similarities)])
    known_names, known_group = np.unique(known_species, return_inverse=True)
    novel_names, novel_group = np.unique(novel_species, return_inverse=True)

    def score(times_known: np.ndarray, times_novel: np.ndarray) -> tuple[float, float]:
        return _auroc_and_recognised(
            np.bincount(known_level, weights=times_known[known_group], minlength=len(levels)),
            np.bincount(novel_level, weights=times_novel[novel_group], minlength=len(levels)),
        )

    auroc, recognised = score(np.ones(len(known_names)), np.ones(len(novel_names)))
    rng = np.random.default_rng(seed)
    resampled = np.empty((NUM_RESAMPLES, 2))
    for row in resampled:
        row[:] = score(draw_species(rng, len(known_names), 1)[0], draw_species(rng, len(novel_names), 1)[0])
    return {
        "n_known": len(known_similarities),
        "n_novel": len(novel_similarities),
        "auroc": auroc,
        "auroc_interval": list(percentile_interval(resampled[:, 0])),
        "novel_recognised": recognised,
        "novel_recognised_interval": list(percentile_interval(resampled[:, 1])),
    }


def _auroc_and_recognised(known: np.ndarray, novel: np.ndarray) -> tuple[float, float]:
    """Both scores from the number of barcodes at each similarity, small to large: a pass instead of another sort."""
    novel_below = np.cumsum(novel) - novel
    auroc = known @ (novel_below + novel / 2) / (known.sum() * novel.sum())
    known_below = np.cumsum(known) - known
    threshold = np.searchsorted(known_below, (1 - ACCEPTED) * known.sum(), side="right") - 1
    return float(auroc), float(novel_below[threshold] / novel.sum())
