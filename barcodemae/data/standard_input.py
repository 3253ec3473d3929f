"""Standard input as a source of records: its format is told by its first bytes."""

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
    """Standard input, decompressed where it is gzip, and the reader of its format.

    The first line that is neither blank nor a comment tells the format: it begins with `>` in FASTA and with `@` in
    FASTQ, else it is TSV where it holds a tab, and CSV.

    Args:
        max_length: most nucleotides of a record.

    Raises:
        UnreadableFileError: it is Parquet, which is read from its end, or can't be read to its end.
    """
    with readable(NAME):
        first, content = _look_at(sys.stdin.buffer)
        if first.startswith(_GZIP):
            first, content = _look_at(cast(BinaryIO, gzip.GzipFile(fileobj=content)))
        if first == _PARQUET:
            raise UnreadableFileError(NAME, "expected FASTA, FASTQ, TSV or CSV, got Parquet, which needs a file")
        with decode(content, max_length) as text:
            num_before, line = 0, ""
            for line in text:
                if line.strip() and not line.strip().startswith("#"):
                    break
                num_before, line = num_before + 1, ""
            # What stands before is read past, but counts as lines.
            before = itertools.repeat("\n", num_before)
            lines = itertools.chain(before, [line] if line else [], text)
            yield _reader(line.strip()), Lines(lines, NAME, max_length)


def _reader(line: str) -> Callable[[Lines, Preset], Iterator[Piece]]:
    if line.startswith(">"):
        return read_fasta
    if line.startswith("@"):
        return read_fastq
    return read_tsv if "\t" in line else read_csv


def _look_at(content: BinaryIO) -> tuple[bytes, BinaryIO]:
    """The first bytes, and the whole content again."""
    first = content.read(_FIRST_BYTES)
    return first, io.BufferedReader(_Again(first, content))


class _Again(io.RawIOBase):
    """Content of which the first bytes have been read already. Closing it leaves the content open."""

    def __init__(self, first: bytes, content: BinaryIO):
        self._first = first
        self._content = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        taken = self._first[: len(buffer)] or self._content.read(len(buffer))
        self._first = self._first[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)
