"""The k-mer tokenizer for millions of barcodes: the same ids, computed by NumPy on blocks of sequences."""

import itertools
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .dna_tokenizers import kmer_vocabulary
from .sequences import MASK_TOKEN, PAD_TOKEN, UNK_TOKEN, UNKNOWN, SequenceReader, Sequences, base_codes

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# The codes and ids of this many barcodes fit the processor's second-level cache.
_BLOCK_ROWS = 256

# A k-mer is processed as one 64-bit word, with a base in each byte, the first one lowest.
_WORD = np.dtype("<u8")
_MISSING = 0x40


class KmerEncoder:
    """Encodes sequences as padded arrays of k-mer ids, equal to those of `build_kmer_tokenizer(k, with_n)`.

    There is one difference: only the tokenizer recognises a special token in a text (`"[MASK]"`); here, each of its
    characters is an unknown base.

    Args:
        k: bases per token, 1 to 8.
        with_n: k-mers that contain `N` have ids of their own (k up to 6).

    Attributes:
        k: bases per token.
        name: identifies its ids.
        vocab_size: number of ids.
        mask_token_id, unk_token_id, pad_token_id: ids of the special tokens.

    Raises:
        ValueError: k is out of range.

    Examples:
        >>> from tokenization_barcodemae import KmerEncoder
        >>> encoder = KmerEncoder(k=4)
        >>> encoder(["ACGTACGT", "ACGT"])["input_ids"]
        array([[ 29,  29],
               [ 29, 258]])
    """

    def __init__(self, k: int = 6, with_n: bool = False):
        alphabet = "ACGTN" if with_n else "ACGT"
        vocabulary = kmer_vocabulary(k, with_n)
        self.k = k
        self.name = f"{k}-mers" + " with N" * with_n
        self.vocab_size = len(vocabulary)
        self.mask_token_id = vocabulary[MASK_TOKEN]
        self.unk_token_id = vocabulary[UNK_TOKEN]
        self.pad_token_id = vocabulary[PAD_TOKEN]
        self._base_codes = base_codes(alphabet)
        self._radix = len(alphabet)
        kmers = map("".join, itertools.product(alphabet, repeat=k))
        self._kmer_ids = np.fromiter(map(vocabulary.__getitem__, kmers), np.int64)

    @classmethod
    def from_tokenizer(cls, tokenizer: "PreTrainedTokenizerBase") -> "KmerEncoder":
        """The encoder with the ids of a k-mer tokenizer.

        Raises:
            ValueError: the tokenizer's vocabulary is not one of `kmer_vocabulary`.
        """
        vocabulary = tokenizer.get_vocab()
        k = max((len(token) for token in vocabulary if set(token) == {"A"}), default=0)
        with_n = "N" * k in vocabulary
        try:
            expected = kmer_vocabulary(k, with_n)
        except ValueError:
            expected = {}
        if vocabulary != expected:
            raise ValueError(f"expected a tokenizer of build_kmer_tokenizer, not one of {len(vocabulary)} tokens")
        return cls(k, with_n)

    def __call__(
        self,
        sequences: Sequences,
        offsets: ArrayLike | None = None,
        starts: ArrayLike | None = None,
        max_length: int | None = None,
    ) -> dict[str, np.ndarray]:
        """Encode sequences, cut into k-mers from their first base or at the slots of a reference frame.

        Without `starts`, column j is the j-th k-mer, and `[UNK]` is attended, as in the tokenizer. With `starts`,
        column j is slot j of the frame, coordinates `j * k` to `j * k + k - 1`; bases before coordinate 0 are left
        out. A slot that the sequence covers only in part or not at all is `[PAD]`, one with a character outside the
        alphabet is `[UNK]`, and neither is attended.

        Args:
            sequences: strings, or an Arrow column of strings, where null is empty. Lower case, RNA, gaps and white
                space are normalised as in the tokenizer.
            offsets: `[n]`, number of bases to skip at the begin of each normalised sequence.
            starts: `[n]`, frame coordinate of the first base of each normalised sequence (before `offsets` are
                skipped); negative if the sequence begins before the frame.
            max_length: maximum number of columns.

        Returns:
            `input_ids`, `attention_mask` and `position_ids`, each int64 `[n, tokens]`; positions are the indices of
            the columns.

        Raises:
            ValueError: `offsets` or `starts` are not one integer per sequence, an offset or `max_length` is negative,
                or `sequences` is neither a list nor a column of strings.
        """
        reader = SequenceReader(sequences)
        n = len(reader)
        cut = _one_per_row("offsets", offsets, n)
        if cut.min(initial=0) < 0:
            raise ValueError(f"offsets must be 0 or more, not {cut.min()}")
        if max_length is not None and max_length < 0:
            raise ValueError(f"max_length must be 0 or more, not {max_length}")
        origin = cut if starts is None else -_one_per_row("starts", starts, n)

        # reader.lengths includes characters that will be removed, so the width may be too large, never too small.
        width = int(_covered_columns(reader.lengths, cut, origin, self.k)[1].max(initial=0))
        width = width if max_length is None else min(width, max_length)
        input_ids = np.empty((n, width), np.int64)
        attention_mask = np.empty((n, width), np.int64)
        used = 0
        for rows, codes, bounds in reader.blocks(self._base_codes, _BLOCK_ROWS):
            first, stop = _covered_columns(np.diff(bounds), cut[rows], origin[rows], self.k)
            used = max(used, int(stop.max()))
            begins = bounds[:-1] + origin[rows]
            words = _kmer_words(codes, begins, first, np.minimum(stop, width), self.k, width)
            missing, unknown = self._write_ids(words, input_ids[rows])
            attention_mask[rows] = ~missing if starts is None else ~(missing | unknown)
        position_ids = np.tile(np.arange(width), (n, 1))
        arrays = {"input_ids": input_ids, "attention_mask": attention_mask, "position_ids": position_ids}
        return {name: array[:, :used] for name, array in arrays.items()}

    def _write_ids(self, words: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Write the id of each k-mer word into `ids`; return which k-mers are missing and which are unknown."""
        bits = ids.view(_WORD)
        # Shift out the bytes after the k-th base; the zeros shifted in below the first base do not change the id.
        np.left_shift(words, 8 * (_WORD.itemsize - self.k), out=bits)
        missing, unknown = (bits & _flag_word(_MISSING)) != 0, (bits & _flag_word(UNKNOWN)) != 0
        bits[missing | unknown] = 0
        # Horner's rule on all bases at once: adjacent bases are joined to pairs, pairs to fours, fours to eights.
        radix = self._radix
        for lane in (np.uint16, np.uint32, np.uint64):
            lanes, half = bits.view(lane), 4 * lane().itemsize
            lanes *= lane(1 + (radix << half))
            lanes >>= lane(half)
            radix *= radix
        ids[:] = self._kmer_ids[ids]
        ids[unknown] = self.unk_token_id
        ids[missing] = self.pad_token_id
        return missing, unknown


def _flag_word(flag: int) -> np.unsignedinteger:
    return _WORD.type(int.from_bytes([flag] * _WORD.itemsize, "little"))


def _one_per_row(name: str, values: ArrayLike | None, n: int) -> np.ndarray:
    array = np.zeros(n, np.int64) if values is None else np.asarray(values)
    if array.shape != (n,) or not (n == 0 or np.issubdtype(array.dtype, np.integer)):
        raise ValueError(f"{name} must be {n} integers, one per sequence, not {array.dtype} {array.shape}")
    return array.astype(np.int64)


def _covered_columns(lengths: np.ndarray, cut: np.ndarray, origin: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The first column that each sequence fills, and the one after its last, which is 0 if it fills none.

    All arrays are `[n]`. Column 0 begins at base `origin` of a sequence, which may be negative; bases before `cut` are
    skipped.
    """
    first = np.maximum(-((origin - cut) // k), 0)
    stop = (lengths - origin) // k
    return first, np.where(stop > first, stop, 0)


def _kmer_words(
    codes: bytes, begins: np.ndarray, first: np.ndarray, stop: np.ndarray, k: int, width: int
) -> np.ndarray:
    """A word for each column, `[rows, width]`, whose lowest bytes are its k bases.

    Column 0 of a row begins at `begins` in the codes. The row fills the columns from `first` to before `stop`; the
    bases of other columns are `_MISSING`.
    """
    num_rows = len(begins)
    if width and (first == 0).all() and (stop == width).all() and not np.diff(begins, 2).any():
        # Equally spaced rows are already a matrix.
        offset, row_step = int(begins[0]), int(begins[-1] - begins[0]) // max(num_rows - 1, 1)
    else:
        offset, row_step = 0, width * k
        tops = begins + k * first
        ends = np.maximum(begins + k * stop, tops)
        fill = bytes([_MISSING])
        codes = b"".join(
            codes[top:end].rjust(length, fill).ljust(row_step, fill)
            for top, end, length in zip(tops.tolist(), ends.tolist(), (k * stop).tolist(), strict=True)
        )
    buffer = codes + bytes(_WORD.itemsize)  # the last word extends beyond its k bases
    return np.ndarray((num_rows, width), _WORD, buffer, offset, (row_step, k))
