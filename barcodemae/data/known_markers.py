"""Which marker a sequence is of, among those that people barcode with, by its k-mers."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from tokenization_barcodemae import KmerProfile
from tokenization_barcodemae.kmer_profile import WEIGHT_SCALE

_PROFILES = Path(__file__).parent / "markers"

MAX_OTHERS = 0.05
"""Maximum share of other known markers in a file of one marker, such as a download. With more, it is a mixture."""

# Minimum score of the best profile, after correction for the composition of the sequence, and minimum difference from
# the second best. Chosen on unseen species (`val_unseen`) and on random and shuffled sequences; see markers/README.md.
_MIN_SCORE, _MIN_MARGIN = 4.0, 2.0

# A repeat, such as ACACAC.., has one k-mer of a marker many times.
_MIN_DISTINCT = 0.5

_GC_SHARES = np.linspace(0, 1, 41)


def known_markers() -> list[str]:
    """Names of the markers that are recognised.

    Examples:
        >>> from barcodemae.data.known_markers import known_markers
        >>> known_markers()
        ['12S', 'COI-5P', 'ITS', 'rbcL']
    """
    return sorted(profile.marker for profile, _ in _profiles())


def find_markers(sequences: list[str]) -> list[str]:
    """The marker of each sequence, on either strand, or of a part of some hundred bases.

    Args:
        sequences: `[n]`, normalised DNA.

    Returns:
        Names of `known_markers`, "" for a sequence that is of none of them, or not clearly.

    Examples:
        >>> from barcodemae.data import read_records
        >>> from barcodemae.data.known_markers import find_markers
        >>> find_markers([read_records("sample")["nucleotides"][0].as_py(), "ACGT" * 100])
        ['COI-5P', '']
    """
    names = [profile.marker for profile, _ in _profiles()]
    if not sequences:
        return []
    num_gc, num_bases = (
        np.array([sum(map(text.count, bases)) for text in sequences], float) for bases in ("GC", "ACGT")
    )
    gc_shares = num_gc / np.maximum(num_bases, 1)
    scores = np.stack([_score(*one, sequences, gc_shares) for one in _profiles()], axis=1)
    best = scores.argmax(axis=1)
    second, first = np.sort(scores, axis=1)[:, -2:].T
    with np.errstate(invalid="ignore"):
        is_clear = (first >= _MIN_SCORE) & (first - second >= _MIN_MARGIN)
    found = zip(sequences, best.tolist(), is_clear.tolist(), strict=True)
    return [names[row] if clear and not _is_repeat(text) else "" for text, row, clear in found]


def is_same_marker(name: str, other: str) -> bool:
    """Whether two names are of the same marker: one is part of the other, in upper or lower case.

    Examples:
        >>> from barcodemae.data.known_markers import is_same_marker
        >>> is_same_marker("ITS", "its2"), is_same_marker("12S", "MiFish 12S"), is_same_marker("12S", "16S")
        (True, True, False)
    """
    name, other = sorted((name.casefold(), other.casefold()), key=len)
    return name != "" and name in other


def is_known_marker(name: str) -> bool:
    """Whether a marker is one of those that are recognised."""
    return any(is_same_marker(name, known) for known in known_markers())


@lru_cache(maxsize=1)
def _profiles() -> tuple[tuple[KmerProfile, np.ndarray], ...]:
    """The bundled profiles, each with the mean weight of its k-mers in random DNA by share of G and C."""
    loaded = [KmerProfile.load(file) for file in sorted(_PROFILES.glob("*.safetensors"))]
    return tuple((profile, np.array([_mean_weight(profile, share) for share in _GC_SHARES])) for profile in loaded)


def _mean_weight(profile: KmerProfile, gc_share: float) -> float:
    """Mean weight of the k-mers of random bases, in nats."""
    probabilities = np.array([1 - gc_share, gc_share, gc_share, 1 - gc_share]) / 2
    weights = profile.weights / WEIGHT_SCALE
    for _ in range(profile.k):
        weights = probabilities @ weights.reshape(4, -1)
    return float(weights.item())


def _is_repeat(text: str, k: int = 8) -> bool:
    kmers = [text[begin : begin + k] for begin in range(len(text) - k + 1)]
    return len(set(kmers)) < _MIN_DISTINCT * len(kmers)


def _score(profile: KmerProfile, means: np.ndarray, sequences: list[str], gc_shares: np.ndarray) -> np.ndarray:
    """Scores of sequences by a profile, compared with random sequences of the same length and share of G and C."""
    num_kmers = np.maximum([len(text) - profile.k + 1 for text in sequences], 1)
    expected = np.interp(gc_shares, _GC_SHARES, means) - profile.shuffled_mean
    return profile.score(sequences).score - expected * np.sqrt(num_kmers) / profile.shuffled_deviation
