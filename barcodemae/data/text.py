"""Reads text files line by line, compressed or not, in UTF-8, UTF-16 or Latin-1."""

import codecs
import io
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import pyarrow as pa

from barcodemae.data.opening import open_content
from barcodemae.data.schema import BATCH_BYTES, BATCH_ROWS, STRING
from barcodemae.data.sources import MAX_LENGTH
from barcodemae.errors import UnreadableFileError

# Maximum number of bytes of a line besides the nucleotides of its record, for names and other columns.
_OTHER_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 16

_Row = TypeVar("_Row")

_SURROGATE = re.compile("[\udc80-\udcff]")
# Windows-1252 lacks five characters, which Latin-1 has.
_LATIN_1 = [bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(256)]

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
    """

    def __init__(self, lines: Iterable[str], file: str, max_length: int = MAX_LENGTH):
        self._lines = iter(lines)
        self._waiting: list[str] = []
        self._is_logged = False
        self.file = file
        self.max_length = max_length
        self.number = 0
        self.characters = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._waiting.pop() if self._waiting else next(self._lines)
        self.number += 1
        self.characters += len(line)
        return line

    def unread(self, line: str) -> None:
        """Put back the line that was read last."""
        self._waiting.append(line)
        self.number -= 1
        self.characters -= len(line)

    def as_text(self, text: str) -> str:
        """A text of these lines in which bytes that are not UTF-8 are read as Windows-1252, which includes Latin-1."""
        if not utf8_problem(text):
            return text
        if not self._is_logged:
            logger.warning(
                "%s, about line %d: some text is not UTF-8; it is read as Latin-1 (Windows-1252)",
                self.file,
                self.number,
            )
            self._is_logged = True
        return _SURROGATE.sub(lambda found: _LATIN_1[ord(found[0]) & 0xFF], text)


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
def open_lines(path: Path) -> Iterator[Lines]:
    """Open the lines of a text file, compressed or not.

    Raises:
        UnreadableFileError: as from `opening.open_content`; or it is not text.
    """
    with open_content(path, str(path)) as (first, content), decode_text(first, content, str(path)) as text:
        yield Lines(text, str(path))


def decode_text(first: bytes, content: BinaryIO, name: str, max_length: int = MAX_LENGTH) -> io.TextIOWrapper:
    """Decode a content, of which the first bytes are known, to text for `Lines`.

    Raises:
        UnreadableFileError: it is not text.
    """
    encoding = _wide_encoding(first)
    if encoding is not None:
        content = cast(BinaryIO, io.BufferedReader(_Recoded(content, encoding), _BLOCK_BYTES))
    elif b"\0" in first:
        raise UnreadableFileError(name, "expected FASTA, FASTQ, a table or Parquet, got a file that is not text")
    return decode(content, max_length)


def _wide_encoding(first: bytes) -> str | None:
    """UTF-16 or UTF-32, as Excel writes Unicode text; None for others."""
    for mark, encoding in ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32")):
        if first.startswith(mark):
            return encoding
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    even, odd = first[::2], first[1::2]
    if len(odd) > 3 and not any(odd) and all(even):
        return "utf-16-le"
    return "utf-16-be" if len(odd) > 3 and not any(even) and all(odd) else None


class _Recoded(io.RawIOBase):
    """Content in another encoding, as UTF-8."""

    def __init__(self, content: BinaryIO, encoding: str):
        self._content = content
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            block = self._content.read(_BLOCK_BYTES)
            self._left = self._decoder.decode(block, final=not block).encode("utf-8", "replace")
            if not block and not self._left:
                return 0
        block, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(block)] = block
        return len(block)


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
