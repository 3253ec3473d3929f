"""Text files, plain or gzip, line by line."""

import gzip
import io
import logging
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from barcodemae.data.schema import STRING
from barcodemae.errors import UnreadableFileError

logger = logging.getLogger(__name__)


class Lines:
    """Lines, as they are read, and the number of the last one.

    A byte that isn't UTF-8 stays in its line as a lone surrogate: see `utf8_problem`.

    Args:
        lines: each with its line break.
        file: where they come from, for errors.

    Attributes:
        file: as given.
        number: 1-based number of the line that was read last.
        may_be_latin_1: a line that isn't UTF-8 is read as Latin-1.
    """

    def __init__(self, lines: Iterable[str], file: str):
        self._lines = iter(lines)
        self._told = False
        self.file = file
        self.number = 0
        self.may_be_latin_1 = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        if self.may_be_latin_1 and utf8_problem(line):
            if not self._told:
                logger.warning("%s is not UTF-8: read as Latin-1, as BOLD version 3 writes", self.file)
                self._told = True
            line = line.encode("utf-8", "surrogateescape").decode("latin-1")
        return line


def utf8_problem(text: str) -> str:
    """What is wrong with a text that was not UTF-8 in its file; "" if nothing is."""
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
    """Texts as a column; one that has a problem may hold bytes that were not UTF-8, which become question marks."""
    pairs = zip(texts, problems, strict=True)
    return pa.array([as_utf8(text) if problem else text for text, problem in pairs], STRING)


@contextmanager
def open_lines(path: Path) -> Iterator[Lines]:
    """The lines of a text file.

    Raises:
        UnreadableFileError: as `open_binary`.
    """
    with open_binary(path) as content, decode(content) as text:
        yield Lines(text, str(path))


def decode(content: BinaryIO) -> io.TextIOWrapper:
    """Bytes as the text that `Lines` expects."""
    return io.TextIOWrapper(content, "utf-8-sig", errors="surrogateescape", newline="")


@contextmanager
def open_binary(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, decompressed where its name ends with `.gz`.

    Raises:
        UnreadableFileError: as `readable`.
    """
    with readable(path), gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as content:
        yield cast(BinaryIO, content)


@contextmanager
def readable(name: str | Path) -> Iterator[None]:
    """What is read within the context can be read to its end.

    Raises:
        UnreadableFileError: it can't.
    """
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableFileError(name, f"expected a whole gzip file, got: {error}") from error
    except OSError as error:
        raise UnreadableFileError(name, f"expected a readable file, got {error.strerror!r}") from error
