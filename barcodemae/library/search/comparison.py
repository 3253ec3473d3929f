"""How barcodes are compared: what a library stores of each, and the bases that two of them have in common.

On a marker with a reference frame these are its bases by coordinate. On a marker of uneven length they are the set of
its k-mers; of two sets, the share of common k-mers estimates the share of equal bases (Ondov et al. 2016, Mash).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from barcodemae.embedding.kmer_map import share_among_bases
from tokenization_barcodemae import read_kmers

_BLOCK_ROWS = 4096


class Comparison(Protocol):
    """What is stored of a barcode, a row of bytes, and how rows are compared.

    Attributes:
        width: bytes of a row.
        cosine_weight, identity_weight: of a reference's score, by which it is chosen to vote.
        min_identity: of a query with the most similar reference; below it, the query is not of the marker.
        far_identity: of a query with the most similar one of the references that are near by their vectors; below it,
            all references are searched by shared k-mers.
    """

    @property
    def width(self) -> int: ...

    @property
    def cosine_weight(self) -> float: ...

    @property
    def identity_weight(self) -> float: ...

    @property
    def min_identity(self) -> float: ...

    @property
    def far_identity(self) -> float: ...

    def compare(self, rows: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compare rows int8 `[..., width]`; the leading axes are broadcast.

        Returns:
            Number of equal bases, and of bases that are known in both, `[...]`; integers, or estimates.
        """

    def num_bases(self, rows: np.ndarray) -> np.ndarray:
        """Number of known bases of rows int8 `[n, width]`: int64 `[n]`."""

    def agreement(self, rows: np.ndarray, copies: np.ndarray) -> np.ndarray:
        """How much each row `[n, width]` has in common with all rows together, of which there are copies `[n]`.

        Its time is linear in the number of rows.
        """

    def identity_by_base(self, sequence: str, row: np.ndarray, others: np.ndarray) -> np.ndarray:
        """What a barcode's bases lack of its identity with others: float64 `[others, positions]`, 0 or less.

        They add up to the share of equal bases, less 1. Positions are coordinates on the reference frame, or without
        one positions in the sequence.

        Args:
            sequence: of the barcode, as read on the marker's strand.
            row: int8 `[width]`, what is compared of it.
            others: int8 `[others, width]`.
        """

    def problem(self, rows: np.ndarray) -> str:
        """What is wrong with the values of rows, in words; "" if nothing is."""


@dataclass(frozen=True)
class BasesOnFrame:
    """A row has the bases of a barcode by coordinate: 0 to 3 for A, C, G, T, -1 where unknown.

    Attributes:
        width: coordinates of the reference frame.
    """

    width: int
    # Chosen on `val` and `val_unseen`, where 0.2 to 1 for the identity give the same within half a point.
    cosine_weight: ClassVar[float] = 1
    identity_weight: ClassVar[float] = 0.5
    min_identity: ClassVar[float] = 0  # the reference frame decides alone
    far_identity: ClassVar[float] = 0  # short queries have a search of their own

    def __str__(self) -> str:
        return f"bases on a frame of {self.width} nucleotides"

    def compare(self, rows: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # An unknown base, -1, becomes -2 and so equals no other. Sums of 16 bits are several times as fast as the
        # default.
        num_equal = (rows - (rows < 0) == others).sum(axis=-1, dtype=np.uint16)
        num_shared = ((rows >= 0) & (others >= 0)).sum(axis=-1, dtype=np.uint16)
        return num_equal.astype(np.int64), num_shared.astype(np.int64)

    def num_bases(self, rows: np.ndarray) -> np.ndarray:
        return (rows >= 0).sum(axis=1)

    def agreement(self, rows: np.ndarray, copies: np.ndarray) -> np.ndarray:
        num_agreeing = np.zeros(len(rows), np.int64)
        for base in range(4):
            counts = sum(copies[block] @ (rows[block] == base) for block in _blocks(rows))
            for block in _blocks(rows):
                num_agreeing[block] += (rows[block] == base) @ counts
        return num_agreeing

    def identity_by_base(self, sequence: str, row: np.ndarray, others: np.ndarray) -> np.ndarray:
        num_shared = self.compare(row, others)[1]
        is_different = (row >= 0) & (others >= 0) & (others != row)
        return np.where(is_different, -1, 0) / np.maximum(num_shared, 1)[:, None]

    def problem(self, rows: np.ndarray) -> str:
        if rows.size and (rows.min() < -1 or rows.max() > 3):
            return "bases that are not from -1 to 3"
        return ""


class KmerSets:
    """A row has the set of k-mers of a barcode, as bits: each k-mer sets one of them, by its hash.

    Of two barcodes the shorter may be a part of the longer one, so that the share of its k-mers in the other counts. A
    substitution changes up to k k-mers: the k-th root of the share estimates that of equal bases.
    """

    k: ClassVar[int] = 12
    num_bits: ClassVar[int] = 8192
    width: ClassVar[int] = num_bits // 8
    # Chosen on `val_unseen` of fungal ITS and vertebrate 12S.
    cosine_weight: ClassVar[float] = 0.12
    identity_weight: ClassVar[float] = 2
    # Of 434 queries of ITS (`val_unseen`), none with a smaller identity had the right genus; unrelated DNA has 0.75.
    min_identity: ClassVar[float] = 0.8
    # Of 12S (`val_unseen`), 16 of 1,085 queries have less, and 1 % of all then get the right genus; of ITS 4 %, and
    # next to nothing changes. With 0.95, a fifth of the queries of 12S would be searched for another half percent.
    far_identity: ClassVar[float] = 0.85

    # An odd number, the golden ratio: multiplied by it, the upper bits of similar numbers differ (Knuth).
    _MULTIPLIER: ClassVar[np.uint64] = np.uint64(0x9E3779B97F4A7C15)
    _SHIFT: ClassVar[np.uint64] = np.uint64(64 - 13)
    # So many k-mers in common, at least, as if by chance: unrelated barcodes have a low identity, not one of 0.
    _MIN_SHARE: ClassVar[float] = 1e-4

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KmerSets)

    def __hash__(self) -> int:
        return hash(KmerSets)

    def __str__(self) -> str:
        return "sets of k-mers"

    def rows(self, sequences: list[str]) -> np.ndarray:
        """The rows of sequences, which are on the marker's strand: int8 `[n, width]`."""
        rows = np.zeros((len(sequences), self.width), np.uint8)
        for block in read_kmers(sequences, self.k, num_rows=256):
            known = block.ids >= 0
            bits = np.zeros((block.rows.stop - block.rows.start, self.num_bits), bool)
            bits[block.row_of[known], self._hashes(block.ids[known])] = True
            rows[block.rows] = np.packbits(bits, axis=1)
        return rows.view(np.int8)

    def _hashes(self, ids: np.ndarray) -> np.ndarray:
        """The bit that each k-mer sets."""
        return ((ids.astype(np.uint64) * self._MULTIPLIER) >> self._SHIFT).astype(np.int64)

    def compare(self, rows: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        words, other_words = (np.ascontiguousarray(one).view(np.uint64) for one in (rows, others))
        num_common = count_bits(words & other_words)
        counts, other_counts = count_bits(words), count_bits(other_words)
        smaller = np.minimum(counts, other_counts)
        # Bits that two unrelated sets have in common.
        chance = counts * other_counts / self.num_bits
        share = (num_common - chance) / np.maximum(smaller - chance, 1)
        identity = np.clip(share, self._MIN_SHARE, 1) ** (1 / self.k)
        num_shared = np.where(smaller > 0, self._num_bases(smaller), 0)
        return identity * num_shared, num_shared

    def num_bases(self, rows: np.ndarray) -> np.ndarray:
        return np.rint(self._num_bases(count_bits(np.ascontiguousarray(rows).view(np.uint64)))).astype(np.int64)

    def _num_bases(self, num_set: np.ndarray) -> np.ndarray:
        """Number of bases of a barcode with so many bits set, of which some k-mers share one."""
        is_free = np.maximum(1 - num_set / self.num_bits, 1 / self.num_bits)
        return np.where(num_set > 0, -np.log(is_free) * self.num_bits + self.k - 1, 0)

    def agreement(self, rows: np.ndarray, copies: np.ndarray) -> np.ndarray:
        counts = np.zeros(self.num_bits)
        num_agreeing = np.zeros(len(rows))
        for block in _blocks(rows):
            counts += copies[block] @ np.unpackbits(rows[block].view(np.uint8), axis=1).astype(np.float32)
        for block in _blocks(rows):
            num_agreeing[block] = np.unpackbits(rows[block].view(np.uint8), axis=1) @ counts
        return num_agreeing

    def identity_by_base(self, sequence: str, row: np.ndarray, others: np.ndarray) -> np.ndarray:
        """It is shared equally by the k-mers that the other barcode lacks, and by the bases of each."""
        (ids,) = (block.ids for block in read_kmers([sequence], self.k))
        num_equal, num_shared = self.compare(row, others)
        identities = num_equal / np.maximum(num_shared, 1)
        shares = []
        for identity, bits in zip(identities, np.unpackbits(others.view(np.uint8), axis=1), strict=True):
            is_lacking = (ids >= 0) & (bits[self._hashes(np.maximum(ids, 0))] == 0)
            each = (identity - 1) / max(int(is_lacking.sum()), 1)
            shares.append(share_among_bases(each * is_lacking, self.k))
        return np.stack(shares)

    def problem(self, rows: np.ndarray) -> str:
        return ""


def _blocks(rows: np.ndarray) -> Iterator[slice]:
    return (slice(begin, begin + _BLOCK_ROWS) for begin in range(0, len(rows), _BLOCK_ROWS))


_BITS_OF_BYTE = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)


def count_bits(words: np.ndarray) -> np.ndarray:
    """Number of bits that are set in words uint64 `[..., words]`: int64 `[...]`."""
    # Sums of 16 bits, which suffice for a set, are twice as fast as the default.
    if hasattr(np, "bitwise_count"):  # since NumPy 2.0
        return np.bitwise_count(words).sum(axis=-1, dtype=np.uint16).astype(np.int64)
    return _BITS_OF_BYTE[words.view(np.uint8)].sum(axis=-1, dtype=np.uint16).astype(np.int64)
