"""Novelty: does the similarity of the nearest key tell whether a barcode's species is in the library?"""

from typing import Any

import numpy as np

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.bootstrap import N_RESAMPLES, draw_species, percentile_interval

# Share of the barcodes of known species that a library should go on answering.
ACCEPTED = 0.95


def novelty_scores(
    known_similarities: np.ndarray,
    known_species: np.ndarray,
    novel_similarities: np.ndarray,
    novel_species: np.ndarray,
    seed: int = 0,
) -> dict[str, Any]:
    """How well known species and novel ones are told apart, with 95 % intervals over species.

    The area under the receiver operating characteristic (AUROC) is the chance that a barcode of a known species has
    a nearer key than one of a novel species, ties counting half: 0.5 is guessing. In each resample, species of either
    side are drawn with all of their rows.

    Args:
        known_similarities: `[n_known]`, of each barcode to its nearest key; -inf where no key was found.
        known_species: `[n_known]`, names.
        novel_similarities: `[n_novel]`, on the same scale.
        novel_species: `[n_novel]`, names.
        seed: of the bootstrap.

    Returns:
        `n_known, n_novel, auroc, auroc_interval`, and `novel_recognised, novel_recognised_interval`: the share of
        novel barcodes below the largest similarity that still accepts 95 % of the known ones.

    Raises:
        ConfigurationError: a side has no rows, or a similarity is NaN.
    """
    for name, similarities in (("known", known_similarities), ("novel", novel_similarities)):
        if len(similarities) == 0:
            raise ConfigurationError(f"novelty expects barcodes of {name} species, got none")
        if np.isnan(similarities).any():
            raise ConfigurationError(
                f"novelty expects similarities, got NaN for {np.isnan(similarities).sum()} {name} barcodes"
            )
    # Only the order matters, so a place in it stands for a similarity.
    levels, place = np.unique(np.concatenate([known_similarities, novel_similarities]), return_inverse=True)
    known_place, novel_place = np.split(place, [len(known_similarities)])
    known_names, known_group = np.unique(known_species, return_inverse=True)
    novel_names, novel_group = np.unique(novel_species, return_inverse=True)

    def score(times_known: np.ndarray, times_novel: np.ndarray) -> tuple[float, float]:
        return _auroc_and_recognised(
            np.bincount(known_place, weights=times_known[known_group], minlength=len(levels)),
            np.bincount(novel_place, weights=times_novel[novel_group], minlength=len(levels)),
        )

    auroc, recognised = score(np.ones(len(known_names)), np.ones(len(novel_names)))
    rng = np.random.default_rng(seed)
    resampled = np.empty((N_RESAMPLES, 2))
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
