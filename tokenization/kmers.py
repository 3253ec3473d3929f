"""Overlapping k-mers of many sequences at a time."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .sequences import SequenceReader, Sequences, base_codes

_CODES = base_codes("ACGT")
_BLOCK_ROWS = 1024

MAX_K = 12
"""Maximum length of a k-mer."""


class KmerBlock(NamedTuple):
    """The overlapping k-mers of consecutive sequences, concatenated.

    Attributes:
        rows: indices of the sequences.
        ids: integers `[bases]`, the k-mer that begins with each base: its bases are the digits 0 to 3 (A, C, G, T), the
            first one the most significant; -1 where it contains an unknown base or would reach beyond its sequence.
        bounds: int64 `[rows + 1]`, the begin of each sequence in `ids`, and the end of the last.
    """

    rows: slice
    ids: np.ndarray
    bounds: np.ndarray

    @property
    def row_of(self) -> np.ndarray:
        """The row within the block of each base, int64 `[bases]`."""
        return np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The sum of values `[bases]` over each sequence, `[rows]`."""
        begins, ends = self.bounds[:-1], self.bounds[1:]
        # A zero is appended, since an empty sequence may begin behind the last base; its sum would be that of one base.
        sums = np.add.reduceat(np.append(values, values.dtype.type(0)), begins, dtype=np.float64)
        return np.where(ends > begins, sums, 0)


def read_kmers(sequences: Sequences, k: int, num_rows: int = _BLOCK_ROWS) -> Iterator[KmerBlock]:
    """The overlapping k-mers of sequences, block by block.

    Args:
        sequences: `[n]`, DNA; lower case, RNA, gaps and white space are normalised as by the tokenizers.
        k: bases in a k-mer, 1 to `MAX_K`.
        num_rows: number of sequences in a block.

    Raises:
        ValueError: k is out of range, or the sequences are neither a list nor an Arrow column of strings.

    Examples:
        >>> from tokenization_barcodemae import read_kmers
        >>> (block,) = read_kmers(["ACGT", "AANA"], 2)
        >>> block.ids.tolist(), block.bounds.tolist()
        ([1, 6, 11, -1, 0, -1, -1, -1], [0, 4, 8])
    """
    if not 1 <= k <= MAX_K:
        raise ValueError(f"k {k}: expected 1 to {MAX_K}")
    for rows, codes, bounds in SequenceReader(sequences).blocks(_CODES, num_rows):
        yield KmerBlock(rows, _kmer_ids(np.frombuffer(codes, np.uint8), bounds, k), bounds)


def _kmer_ids(codes: np.ndarray, bounds: np.ndarray, k: int) -> np.ndarray:
    """Ids as in `KmerBlock`. Words of 1, 2, 4, .. bases are joined to words of k bases."""
    num_kmers = 4**k
    # An unknown base is a digit so large that the id of any k-mer with it is not below `num_kmers`.
    words = codes.astype(np.int32 if k <= 8 else np.int64)
    words[codes >= 4] = num_kmers
    ids, width, length = np.zeros_like(words), 0, 1
    while True:
        if k & length:
            # ids of `width` bases, followed by words of `length` bases.
            ids = ids * 4**length + _shifted(words, width)
            width += length
        if 2 * length > k:
            break
        words = words * 4**length + _shifted(words, length)
        length *= 2
    ids[ids >= num_kmers] = -1
    ends = bounds[1:]
    for missing in range(1, k):
        ids[np.maximum(ends - missing, 0)[ends > 0]] = -1
    return ids


def _shifted(words: np.ndarray, by: int) -> np.ndarray:
    """Words beginning `by` bases later; the last ones reach beyond the text, and are not used."""
    return np.concatenate([words[by:], np.zeros(min(by, len(words)), words.dtype)])


def reverse_complement_ids(k: int) -> np.ndarray:
    """The id of the reverse complement of each k-mer, int64 `[4**k]`."""
    ids = np.arange(4**k)
    reverse = np.zeros_like(ids)
    for _ in range(k):
        reverse = reverse * 4 + 3 - ids % 4
        ids //= 4
    return reverse
