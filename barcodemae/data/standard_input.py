"""Standard input as a source of records; its format is recognised by its first bytes."""

import gzip
import io
import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from barcodemae.data.delimited import read_csv, read_tsv
from barcodemae.data.fasta import read_fasta
from barcodemae.data.fastq import read_fastq
from barcodemae.data.schema import Piece, Preset
from barcodemae.data.sources import MAX_LENGTH
from barcodemae.data.text import Lines, decode, readable
from barcodemae.errors import UnreadableFileError

NAME = "standard input"

_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_FIRST_BYTES = 4


@contextmanager
def open_standard_input(
    max_length: int = MAX_LENGTH,
) -> Iterator[tuple[Callable[[Lines, Preset], Iterator[Piece]], Lines]]:
    """Open standard input, decompressed if it is gzip, with the reader of its format.

    The format follows from the first line that is neither blank nor a comment: FASTA starts with `>`, FASTQ with `@`,
    TSV contains a tab, and anything else is CSV.

    Args:
        max_length: maximum number of nucleotides of a record.

    Yields:
        The reader, and the lines.

    Raises:
        UnreadableFileError: it is Parquet, which must be a file, or can't be read to its end.
    """
    with readable(NAME):
        first, content = _peek(sys.stdin.buffer)
        if first.startswith(_GZIP):
            first, content = _peek(cast(BinaryIO, gzip.GzipFile(fileobj=content)))
        if first == _PARQUET:
            raise UnreadableFileError(NAME, "expected FASTA, FASTQ, TSV or CSV, got Parquet, which needs a file")
        with decode(content, max_length) as text:
            num_before, line = 0, ""
            for line in text:
                if line.strip() and not line.strip().startswith("#"):
                    break
                num_before, line = num_before + 1, ""
            # The lines before are replaced by blank ones, so that the numbers of lines are right.
            before = itertools.repeat("\n", num_before)
            lines = itertools.chain(before, [line] if line else [], text)
            yield _reader(line.strip()), Lines(lines, NAME, max_length)


def _reader(line: str) -> Callable[[Lines, Preset], Iterator[Piece]]:
    if line.startswith(">"):
        return read_fasta
    if line.startswith("@"):
        return read_fastq
    return read_tsv if "\t" in line else read_csv


def _peek(content: BinaryIO) -> tuple[bytes, BinaryIO]:
    """The first bytes, and the content from its beginning."""
    first = content.read(_FIRST_BYTES)
    return first, io.BufferedReader(_Rewound(first, content))


class _Rewound(io.RawIOBase):
    """Content whose first bytes have been read already, from its beginning. Closing it leaves the content open."""

    def __init__(self, first: bytes, content: BinaryIO):
        self._first = first
        self._content = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._first[: len(buffer)] or self._content.read(len(buffer))
        self._first = self._first[len(block) :]
        buffer[: len(block)] = block
        return len(block)
