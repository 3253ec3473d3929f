"""DNA text as bytes of base codes, block by block: what the encoder and the reference frame compute on."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

try:
    import pyarrow as pa
except ImportError:  # whoever loads a tokenizer from the Hub need not have it
    pa = None

from .dna_tokenizer import REMOVED_CHARACTERS, REPLACED_CHARACTERS

Sequences: TypeAlias = "Sequence[str] | pa.Array | pa.ChunkedArray"

NORMALIZATION = str.maketrans(REPLACED_CHARACTERS | dict.fromkeys(REMOVED_CHARACTERS))
"""The table for `str.translate` that normalises text as the tokenizers do it."""

UNKNOWN = 0x80
_REMOVED = 0xFF


def base_codes(alphabet: str) -> bytes:
    """The table for `bytes.translate` that gives each base of UTF-8 text its place in the alphabet.

    Bases are normalised as the tokenizers do it. Gaps, white space and the continuation bytes of UTF-8 are
    `_REMOVED`, so that a character outside the alphabet is one `UNKNOWN` however many bytes it has.
    """
    table = bytearray([UNKNOWN]) * 256
    for code, base in enumerate(alphabet):
        table[ord(base)] = code
    for base, meant in REPLACED_CHARACTERS.items():
        table[ord(base)] = table[ord(meant)]
    for byte in (*REMOVED_CHARACTERS.encode(), *range(0x80, 0xC0)):
        table[byte] = _REMOVED
    return bytes(table)


def is_arrow(sequences: Sequences) -> bool:
    """Whether these are an Arrow column."""
    return pa is not None and isinstance(sequences, pa.Array | pa.ChunkedArray)


class Block(NamedTuple):
    """Some sequences, one after another.

    Attributes:
        rows: which of the sequences these are.
        codes: their bases as codes; nothing in them is `_REMOVED`.
        bounds: `[rows + 1]`, where each begins in `codes`, and where the last ends.
    """

    rows: slice
    codes: bytes
    bounds: np.ndarray


class SequenceReader:
    """Strings, or an Arrow column of them, read without making Python objects.

    Args:
        sequences: a list of strings, or an Arrow array or chunked array of strings, where null is empty.

    Attributes:
        lengths: `[n]`, bases of each text before anything is removed (bytes, where it comes from Arrow).

    Raises:
        ValueError: a single string, or an Arrow column that holds no text.
    """

    def __init__(self, sequences: Sequences):
        self._columns = _as_columns(sequences)
        self.lengths = np.concatenate([np.zeros(0, np.int64), *map(_lengths, self._columns)])

    def __len__(self) -> int:
        return len(self.lengths)

    def blocks(self, table: bytes, num_rows: int) -> Iterator[Block]:
        """Normalised base codes, by a table of `base_codes`, of `num_rows` sequences at a time."""
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
