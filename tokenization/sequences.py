"""DNA text: special tokens, normalisation, strands, and base codes of many sequences at a time."""

import string
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

try:
    import pyarrow as pa
except ImportError:  # not required to load a tokenizer from the Hub
    pa = None

Sequences: TypeAlias = "Sequence[str] | pa.Array | pa.ChunkedArray"

MASK_TOKEN = "[MASK]"
UNK_TOKEN = "[UNK]"
PAD_TOKEN = "[PAD]"

# Lower case is DNA too (soft-masked sequence), and RNA is DNA spelt with U.
REPLACED_CHARACTERS = {"a": "A", "c": "C", "g": "G", "t": "T", "n": "N", "u": "T", "U": "T"}
REMOVED_CHARACTERS = "-." + string.whitespace

NORMALIZATION = str.maketrans(REPLACED_CHARACTERS | dict.fromkeys(REMOVED_CHARACTERS))
"""The table for `str.translate` that normalises text as the tokenizers do."""

UNKNOWN = 0x80
_REMOVED = 0xFF

_BASES, _COMPLEMENTS = "ACGTURYKMBVDH", "TGCAAYRMKVBHD"
_COMPLEMENT = str.maketrans(_BASES + _BASES.lower(), _COMPLEMENTS + _COMPLEMENTS.lower())


def reverse_complement(sequence: str) -> str:
    """The other strand, 5' to 3', as DNA. IUPAC codes have their complements; other characters stay.

    Examples:
        >>> from tokenization_barcodemae import reverse_complement
        >>> reverse_complement("AACGR")
        'YCGTT'
    """
    return sequence.translate(_COMPLEMENT)[::-1]


def orient(sequences: Sequences, strands: np.ndarray) -> list[str]:
    """Each sequence as read on its strand.

    Args:
        sequences: strings, or an Arrow column of strings, where null is empty.
        strands: `[n]`, +1 for the sequence as given, -1 for its reverse complement.

    Raises:
        ValueError: there is not one strand per sequence.
    """
    if is_arrow(sequences):
        sequences = sequences.fill_null("").to_pylist()  # type: ignore[union-attr]
    texts = list(sequences)
    if len(texts) != len(strands):
        raise ValueError(f"expected one strand for each of {len(texts)} sequences, not {len(strands)}")
    for row in np.flatnonzero(np.asarray(strands) < 0):
        texts[row] = reverse_complement(texts[row])
    return texts


def base_codes(alphabet: str) -> bytes:
    """The table for `bytes.translate` that maps each base of UTF-8 text to its index in the alphabet.

    Characters are normalised as by the tokenizers. Gaps, white space and the continuation bytes of UTF-8 map to
    `_REMOVED`, so that a character outside the alphabet is one `UNKNOWN`, however many bytes it has.
    """
    table = bytearray([UNKNOWN]) * 256
    for code, base in enumerate(alphabet):
        table[ord(base)] = code
    for character, replacement in REPLACED_CHARACTERS.items():
        table[ord(character)] = table[ord(replacement)]
    for byte in (*REMOVED_CHARACTERS.encode(), *range(0x80, 0xC0)):
        table[byte] = _REMOVED
    return bytes(table)


def is_arrow(sequences: Sequences) -> bool:
    """Whether the sequences are an Arrow column."""
    return pa is not None and isinstance(sequences, pa.Array | pa.ChunkedArray)


class Block(NamedTuple):
    """Consecutive sequences, concatenated.

    Attributes:
        rows: their indices.
        codes: their bases as codes; nothing in them is `_REMOVED`.
        bounds: `[rows + 1]`, the begin of each sequence in `codes`, and the end of the last.
    """

    rows: slice
    codes: bytes
    bounds: np.ndarray

    def read(self, row: int, strand: int) -> np.ndarray:
        """A sequence of A, C, G and T as read on a strand: int8 `[bases]`, their codes 0 to 3, -1 where unknown."""
        codes = np.maximum(np.frombuffer(self.codes, np.int8)[self.bounds[row] : self.bounds[row + 1]], -1)
        return codes if strand > 0 else _complement(codes[::-1])

    def lay_out(self, starts: np.ndarray, strands: np.ndarray, length: int) -> np.ndarray:
        """Sequences of A, C, G and T by coordinate.

        Args:
            starts: int64 `[rows]`, coordinate of the first base as read on the strand.
            strands: `[rows]`, +1 or -1.
            length: number of coordinates; bases outside of them are left out.

        Returns:
            int8 `[rows, length]`, codes 0 to 3, -1 where a sequence has no known base.
        """
        bases = np.full((len(starts), length), -1, np.int8)
        forward = np.maximum(np.frombuffer(self.codes, np.int8), -1)  # as a signed byte, `UNKNOWN` is below -1
        is_reverse = strands < 0
        # On the other strand, a sequence begins with its last base: read from the end, all do.
        reverse = _complement(forward[::-1]) if is_reverse.any() else forward
        begins = np.where(is_reverse, len(forward) - self.bounds[1:], self.bounds[:-1])
        ends = np.minimum(starts + np.diff(self.bounds), length)
        rows = zip(bases, starts.tolist(), ends.tolist(), begins.tolist(), is_reverse.tolist(), strict=True)
        for row, start, end, begin, is_other in rows:
            first = max(start, 0)
            if first < end:
                codes = reverse if is_other else forward
                row[first:end] = codes[begin - start + first : begin - start + end]
        return bases


def _complement(codes: np.ndarray) -> np.ndarray:
    return np.where(codes < 0, codes, 3 - codes)


class SequenceReader:
    """Reads sequences in blocks; an Arrow column is read without creating Python objects.

    Args:
        sequences: a list of strings, or an Arrow array or chunked array of strings, where null is empty.

    Attributes:
        lengths: `[n]`, characters of each text before any are removed (bytes of an Arrow column).

    Raises:
        ValueError: the input is a single string, or an Arrow column of another type.
    """

    def __init__(self, sequences: Sequences):
        self._columns = _as_columns(sequences)
        self.lengths = np.concatenate([np.zeros(0, np.int64), *map(_lengths, self._columns)])

    def __len__(self) -> int:
        return len(self.lengths)

    def blocks(self, table: bytes, num_rows: int) -> Iterator[Block]:
        """Normalised base codes of `num_rows` sequences at a time, by a table of `base_codes`."""
        first = 0
        for column in self._columns:
            for begin in range(0, len(column), num_rows):
                piece = column[begin : begin + num_rows]
                rows = slice(first, first + len(piece))
                bounds = np.concatenate([[0], np.cumsum(self.lengths[rows])])
                codes = _text(piece).translate(table)
                if _REMOVED in codes:
                    removed = np.flatnonzero(np.frombuffer(codes, np.uint8) == _REMOVED)
                    bounds -= np.searchsorted(removed, bounds)
                    codes = codes.translate(None, bytes([_REMOVED]))
                yield Block(rows, codes, bounds)
                first = rows.stop


def _as_columns(sequences: Sequences) -> "list[Sequence[str] | pa.Array]":
    if isinstance(sequences, str):
        raise ValueError("expected several sequences, a list or an Arrow column, not a single string")
    if not is_arrow(sequences):
        return [sequences]
    try:
        texts = sequences.cast(pa.large_string())  # type: ignore[union-attr]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise ValueError(f"expected an Arrow column of strings, not of {sequences.type}") from None  # type: ignore[union-attr]
    chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
    return [chunk.fill_null("") if chunk.null_count else chunk for chunk in chunks]


def _arrow_bounds(column: "pa.Array") -> np.ndarray:
    return np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column) + 1]


def _lengths(column: "Sequence[str] | pa.Array") -> np.ndarray:
    if len(column) == 0:
        return np.zeros(0, np.int64)
    if is_arrow(column):
        return np.diff(_arrow_bounds(column))
    return np.fromiter(map(len, column), np.int64, len(column))


def _text(column: "Sequence[str] | pa.Array") -> bytes:
    if is_arrow(column):
        bounds, data = _arrow_bounds(column), column.buffers()[2]  # type: ignore[union-attr]
        return data[int(bounds[0]) : int(bounds[-1])].to_pybytes() if data else b""
    return "".join(column).encode("ascii", "replace")
