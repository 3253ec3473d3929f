"""Recognises a marker of uneven length, and its strand, by its k-mers."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .kmers import MAX_K, read_kmers, reverse_complement_ids
from .sequences import NORMALIZATION, Sequences, orient

_K = 8
"""Number of bases in a k-mer. Of parts of 100 bases of fungal ITS and of vertebrate 12S of new species, 84 and 95 %
have a higher score than 999 of 1,000 sequences that are not the marker; with 6 bases, 50 and 84 %."""

MIN_SCORE = 3.5
"""Minimum score of a sequence that is accepted as the marker."""

# Weights are saved as integers, in steps of 1/16 nat; a k-mer that was rarely counted is not far from the background.
WEIGHT_SCALE = 16
"""Steps of a weight in a nat."""
_PSEUDOCOUNT = 1

# Sequences, or parts of this length, are shuffled to learn what other DNA scores.
_SHUFFLED_LENGTH = 300
_SHUFFLED_ROWS = 2000


class MarkerScores(NamedTuple):
    """How well sequences agree with the profile of a marker.

    Attributes:
        strand: int8 `[n]`, +1 as given, -1 reverse complement: the one that agrees better.
        score: float32 `[n]`, see `KmerProfile.score`.
    """

    strand: np.ndarray
    score: np.ndarray


class KmerProfile:
    """The k-mers of a marker: how much more frequent each is there than in other DNA.

    The other DNA is the reverse complement of the marker, and random bases of its composition on either strand.

    Args:
        weights: int8 `[4**k]`, the logarithm of the ratio of frequencies of each k-mer, in sixteenths.
        shuffled_mean, shuffled_deviation: mean weight, in nats, of the k-mers of shuffled sequences on their better
            strand; and its standard deviation times the square root of their number.
        min_score: minimum score of a sequence that is accepted as the marker.
        marker: name of the marker.

    Attributes:
        weights, shuffled_mean, shuffled_deviation, min_score, marker: as given.
        k: bases in a k-mer.

    Raises:
        ValueError: the number of weights is not a power of 4, or the deviation is not positive.

    Examples:
        >>> from barcodemae.data import read_records
        >>> from tokenization_barcodemae import KmerProfile, reverse_complement
        >>> barcodes = read_records("sample")["nucleotides"][:2000].to_pylist()
        >>> profile = KmerProfile.from_sequences(barcodes, marker="COI-5P")
        >>> scores = profile.score([barcodes[0], reverse_complement(barcodes[0]), "ACGT" * 100])
        >>> scores.strand[:2], profile.accepts(scores)
        (array([ 1, -1], dtype=int8), array([ True,  True, False]))
    """

    def __init__(
        self,
        weights: np.ndarray,
        shuffled_mean: float,
        shuffled_deviation: float,
        min_score: float = MIN_SCORE,
        marker: str = "",
    ):
        weights = np.asarray(weights, np.int8)
        self.k = (len(weights).bit_length() - 1) // 2
        if weights.shape != (4**self.k,) or not 1 <= self.k <= MAX_K:
            raise ValueError(f"expected one weight for each k-mer, 4**k, not {list(weights.shape)}")
        if not shuffled_deviation > 0:
            raise ValueError(f"expected a positive standard deviation, got {shuffled_deviation}")
        self.weights, self.min_score, self.marker = weights, float(min_score), marker
        self.shuffled_mean, self.shuffled_deviation = float(shuffled_mean), float(shuffled_deviation)
        self._table = _both_strands(weights)

    @classmethod
    def from_sequences(
        cls, sequences: Sequences, k: int = _K, min_score: float = MIN_SCORE, marker: str = ""
    ) -> "KmerProfile":
        """Learn a profile from sequences of the marker, most of which are on one strand.

        A sequence that agrees better with the others on its reverse strand is turned before its k-mers are counted.
        Equal sequences give equal profiles.

        Args:
            sequences: strings, or an Arrow column of strings.
            k: bases in a k-mer.
            min_score: minimum score of a sequence that is accepted as the marker.
            marker: name of the marker.

        Raises:
            ValueError: k is out of range, or no sequence has a k-mer.
        """
        texts = orient(sequences, np.ones(len(sequences), np.int8))
        weights = _learn_weights(texts, k)
        texts = orient(texts, _mean_weights(_both_strands(weights), texts, k)[0])
        weights = _learn_weights(texts, k)
        rng = np.random.default_rng(0)
        sampled = rng.permutation(len(texts))[:_SHUFFLED_ROWS]
        shuffled = ["".join(rng.permutation(list(texts[row].translate(NORMALIZATION)))) for row in sampled]
        _, means, counts = _mean_weights(
            _both_strands(weights), [text[:_SHUFFLED_LENGTH] for text in shuffled if len(text) >= k], k
        )
        deviation = float(((means - means.mean()) * np.sqrt(counts)).std())
        return cls(weights, float(means.mean()), deviation or 1.0, min_score, marker)

    @classmethod
    def load(cls, path: str | Path) -> "KmerProfile":
        """Read a profile that `save` wrote.

        Raises:
            FileNotFoundError: the file does not exist.
            ValueError: the file does not contain a profile.
        """
        try:
            with safe_open(path, framework="numpy") as file:
                mean, deviation, min_score = (file.get_tensor(name).item() for name in _NUMBERS)
                return cls(file.get_tensor("weights"), mean, deviation, min_score, file.metadata()["marker"])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: expected a k-mer profile in safetensors format: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write the profile as safetensors: its weights and numbers, and `marker` as metadata."""
        tensors = {"weights": self.weights, **{name: np.array(getattr(self, name)) for name in _NUMBERS}}
        Path(path).write_bytes(save(tensors, {"marker": self.marker}))

    def checksum(self) -> str:
        """SHA-256 of weights and numbers."""
        numbers = repr([getattr(self, name) for name in _NUMBERS])
        return hashlib.sha256(self.weights.tobytes() + numbers.encode()).hexdigest()

    def score(self, sequences: Sequences) -> MarkerScores:
        """Find the strand of sequences, and how typical their k-mers are of the marker.

        The score is the mean weight of the k-mers of a sequence, in standard deviations from that of equally long
        shuffled sequences. It grows with the square root of the length: a short part has to be more typical.

        Args:
            sequences: `[n]`, DNA; a sequence without a known k-mer has the score -inf.
        """
        strand, means, counts = _mean_weights(self._table, sequences, self.k)
        scores = (means - self.shuffled_mean) * np.sqrt(counts) / self.shuffled_deviation
        return MarkerScores(strand, np.where(counts > 0, scores, -np.inf).astype(np.float32))

    def accepts(self, scores: MarkerScores) -> np.ndarray:
        """Which of the sequences are accepted as the marker: bool `[n]`."""
        return scores.score >= self.min_score


_NUMBERS = ("shuffled_mean", "shuffled_deviation", "min_score")


def _both_strands(weights: np.ndarray) -> np.ndarray:
    """Weights in nats of k-mers on both strands, float32 `[4**k + 1, 2]`; the last row is for k-mers of id -1."""
    k = (len(weights).bit_length() - 1) // 2
    both = np.stack([weights, weights[reverse_complement_ids(k)]], axis=1) / np.float32(WEIGHT_SCALE)
    return np.concatenate([both, np.zeros((1, 2), np.float32)])


def _mean_weights(table: np.ndarray, sequences: Sequences, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The better strand of sequences, the mean weight of their k-mers on it, and their number of k-mers, each `[n]`."""
    strands, means, counts = [np.zeros(0, np.int8)], [np.zeros(0)], [np.zeros(0)]
    for block in read_kmers(sequences, k):
        forward, reverse = (block.sums(table[block.ids, strand]) for strand in (0, 1))
        count = block.sums(block.ids >= 0)
        strands.append(np.where(forward >= reverse, 1, -1).astype(np.int8))
        means.append(np.maximum(forward, reverse) / np.maximum(count, 1))
        counts.append(count)
    return np.concatenate(strands), np.concatenate(means), np.concatenate(counts)


def _learn_weights(sequences: list[str], k: int) -> np.ndarray:
    """Weights as in `KmerProfile`."""
    counts = np.zeros(4**k)
    for block in read_kmers(sequences, k):
        counts += np.bincount(block.ids[block.ids >= 0], minlength=len(counts))
    if not counts.any():
        raise ValueError(f"expected sequences with {k} known bases or more, got none")
    reverse = reverse_complement_ids(k)
    composition = counts.reshape(4, -1).sum(axis=1)  # by the first base of each k-mer
    composition = (composition + 1) / (composition + 1).sum()
    random = np.ones(1)
    for _ in range(k):
        random = np.outer(random, composition).ravel()
    background = (counts[reverse] / counts.sum() + (random + random[reverse]) / 2) / 2
    added = _PSEUDOCOUNT * len(counts)
    ratios = (counts + added * background) / (counts.sum() + added) / background
    return np.clip(np.rint(np.log(ratios) * WEIGHT_SCALE), -127, 127).astype(np.int8)
