"""Reads text files, plain or gzip, line by line."""

import gzip
import io
import logging
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import pyarrow as pa

from barcodemae.data.schema import BATCH_BYTES, BATCH_ROWS, STRING
from barcodemae.data.sources import MAX_LENGTH
from barcodemae.errors import UnreadableFileError

# Maximum number of bytes of a line besides the nucleotides of its record, for names and other columns.
_OTHER_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 16

_Row = TypeVar("_Row")

logger = logging.getLogger(__name__)


class Lines:
    """Iterates over lines, and counts them.

    A byte that isn't UTF-8 becomes a lone surrogate in its line: see `utf8_problem`.

    Args:
        lines: the lines, with their line breaks.
        file: name of their file, for errors.
        max_length: maximum number of nucleotides of a record.

    Attributes:
        file, max_length: as above.
        number: 1-based number of the line that was read last.
        characters: number of characters read.
        may_be_latin_1: whether to read a line that isn't UTF-8 as Latin-1.
    """

    def __init__(self, lines: Iterable[str], file: str, max_length: int = MAX_LENGTH):
        self._lines = iter(lines)
        self._is_latin_1_logged = False
        self.file = file
        self.max_length = max_length
        self.number = 0
        self.characters = 0
        self.may_be_latin_1 = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        self.characters += len(line)
        if self.may_be_latin_1 and utf8_problem(line):
            if not self._is_latin_1_logged:
                logger.warning("%s is not UTF-8: it is read as Latin-1, as BOLD version 3 writes it", self.file)
                self._is_latin_1_logged = True
            line = line.encode("utf-8", "surrogateescape").decode("latin-1")
        return line


def utf8_problem(text: str) -> str:
    """The problem of a text that was not UTF-8 in its file, or ""."""
    if text.isascii():
        return ""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"expected UTF-8 text, got byte {ord(text[error.start]) & 0xFF:#04x}"
    return ""


def as_utf8(text: str) -> str:
    """The text with a question mark for each byte that was not UTF-8."""
    return text.encode("utf-8", "replace").decode()


def text_column(texts: Sequence[str], problems: Sequence[str]) -> pa.Array:
    """Texts as a column; bytes that were not UTF-8, in texts with a problem, become question marks."""
    pairs = zip(texts, problems, strict=True)
    return pa.array([as_utf8(text) if problem else text for text, problem in pairs], STRING)


def in_batches(rows: Iterable[_Row], lines: Lines) -> Iterator[list[_Row]]:
    """Rows that are read from lines, in batches of `BATCH_ROWS`, or fewer if their text is long."""
    batch: list[_Row] = []
    begin = lines.characters
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH_ROWS or lines.characters - begin > BATCH_BYTES:
            yield batch
            batch, begin = [], lines.characters
    if batch:
        yield batch


def max_line_bytes(max_length: int) -> int:
    """Maximum number of bytes of a line, if records have at most `max_length` nucleotides."""
    return max_length + _OTHER_BYTES


def is_cut(line: str, max_length: int) -> bool:
    """Whether a line was longer in its file than allowed, so that `decode` has cut its end."""
    limit = max_line_bytes(max_length)
    if 4 * len(line) <= limit:  # a character has up to four bytes
        return False
    return len(line.rstrip("\r\n").encode("utf-8", "surrogateescape")) > limit


@contextmanager
def open_lines(path: Path, max_length: int = MAX_LENGTH) -> Iterator[Lines]:
    """Open the lines of a text file, in which records have at most `max_length` nucleotides.

    Raises:
        UnreadableFileError: as from `open_binary`.
    """
    with open_binary(path) as content, decode(content, max_length) as text:
        yield Lines(text, str(path), max_length)


def decode(content: BinaryIO, max_length: int = MAX_LENGTH) -> io.TextIOWrapper:
    """Decode bytes to text for `Lines`; lines that are too long are cut (see `is_cut`)."""
    short = io.BufferedReader(_CutLines(content, max_line_bytes(max_length) + 1), _BLOCK_BYTES)
    return io.TextIOWrapper(short, "utf-8-sig", errors="surrogateescape", newline="")


class _CutLines(io.RawIOBase):
    """Content whose long lines are cut to their first bytes and their line break, so that memory is limited."""

    def __init__(self, content: BinaryIO, limit: int):
        self._content = content
        self._limit = limit
        self._length = 0  # of the unfinished line at the end of the last block

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while block := self._content.read(min(len(buffer), _BLOCK_BYTES)):
            if self._length + len(block) > self._limit:
                block = b"".join(map(self._cut, block.splitlines(keepends=True)))
            else:
                end = max(block.rfind(b"\n"), block.rfind(b"\r")) + 1
                self._length = len(block) - end + (0 if end else self._length)
            if block:
                buffer[: len(block)] = block
                return len(block)
        return 0

    def _cut(self, part: bytes) -> bytes:
        """A line, or a part of one, without the bytes beyond the limit."""
        text = part.rstrip(b"\r\n")
        cut = text[: max(0, self._limit - self._length)]
        self._length = self._length + len(text) if len(text) == len(part) else 0
        return cut + part[len(text) :]


@contextmanager
def open_binary(path: Path) -> Iterator[BinaryIO]:
    """Open the bytes of a file, decompressed if its name ends with `.gz`.

    Raises:
        UnreadableFileError: as from `readable`.
    """
    with readable(path), gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as content:
        yield cast(BinaryIO, content)


@contextmanager
def readable(name: str | Path) -> Iterator[None]:
    """Raise the errors of reading a file as one that names it.

    Raises:
        UnreadableFileError: the file can't be read to its end.
    """
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableFileError(name, f"expected a complete gzip file, got: {error}") from error
    except OSError as error:
        raise UnreadableFileError(name, f"expected a readable file, got {error.strerror!r}") from error
