"""Reader of tables as text: TSV of BOLD and R, CSV of databases, R and Excel."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from barcodemae.data.schema import ALIASES, BY_NAMES, NO_NAME, STRING, Piece, Preset, plain_column, recognise
from barcodemae.data.text import Lines, as_utf8, in_batches, is_cut, max_line_bytes, utf8_problem
from barcodemae.errors import UnreadableFileError

_KNOWN = {alias for aliases in ALIASES.values() for alias in aliases}
_DELIMITERS = ("\t", ",", ";", "|")
_SEPARATOR_LINE = re.compile(r"^\"?sep=([,;|\t])\"?$")  # the first line that Excel understands
_SEQUENCE = re.compile(r"^[ACGTUNRYSWKMBDHVacgtunryswkmbdhv.-]{20,}$")
_BARCODE = re.compile(r"^[ACGTUNacgtun.-]{100,}$")  # longer than primers, which other columns may have


@dataclass(frozen=True)
class Dialect:
    """How the values of a table are separated.

    Attributes:
        delimiter: between two values.
        is_quoted: whether values may be in quotation marks, which then have no other meaning.
    """

    delimiter: str
    is_quoted: bool

    @property
    def name(self) -> str:
        """TSV or CSV, for messages."""
        return {"\t": "TSV", ",": "CSV"}.get(self.delimiter, f"CSV separated by {self.delimiter}")


def read_table(lines: Lines, preset: Preset = BY_NAMES) -> Iterator[Piece]:
    """Read a table whose first line names the columns, separated by tabs, commas, semicolons or `|`.

    In a table with tabs, quotation marks have no special meaning, as BOLD writes it, unless all names of columns are
    quoted, as R writes it; in others, a quoted value may contain separators, quotation marks and line breaks. A table
    of R may lack the name of its first column, the names of rows. Nucleotides are also found by what they are, in a
    column whose name is not known.

    Args:
        lines: the lines.
        preset: the layout of the file, with the columns that it must have.

    Yields:
        The columns that the schema knows, under the file's own names. A row has a problem if it has more or fewer
        values than the header, can't be split into values, or has a byte in its nucleotides that isn't UTF-8.

    Raises:
        UnreadableFileError: the columns don't fit the schema.
    """
    dialect = find_dialect(lines)
    rows = Rows(lines, dialect)
    _, names = read_header(rows)
    rows.width = None
    first = next(rows, None)
    values = [] if first is None else first[1]
    names = with_row_names(names, values)
    if preset is BY_NAMES:
        names = with_name_of_sequences(names, values)
    rows.width = len(names)
    found = recognise(names, lines.file, preset)
    columns = list(dict.fromkeys(found.values()))
    indices = [names.index(column) for column in columns]
    nucleotides = columns.index(found["nucleotides"])

    def cells_of(row: tuple[int, list[str], str]) -> tuple[int, list[str], str]:
        number, values, problem = row
        cells = [""] * len(indices) if problem else [values[index] for index in indices]
        if not problem and (problem := utf8_problem(cells[nucleotides])):
            cells[nucleotides] = as_utf8(cells[nucleotides])
        return number, [lines.as_text(cell) for cell in cells], problem

    read = rows if first is None else rows.from_first(first)
    for batch in in_batches(map(cells_of, read), lines):
        numbers, cells, problems = zip(*batch, strict=True)
        texts = zip(*cells, strict=True)
        table = pa.table({name: pa.array(values, STRING) for name, values in zip(columns, texts, strict=True)})
        yield Piece(table, np.array(numbers), list(problems), formats={f"rows of {dialect.name}": len(batch)})


def find_dialect(lines: Lines) -> Dialect:
    """How a table is separated, from its header, before which comments (`#`) are skipped."""
    header = before = ""
    for line in lines:
        if separator := _SEPARATOR_LINE.match(line.strip()):
            return _dialect_of(_peeked(lines), separator[1])
        if line.strip().startswith("#"):
            before = line
        elif line.strip():
            header = line
            break
    if before:
        # Some programs write # before the names of columns.
        names, values = before.lstrip("# "), header
        delimiter = _best_delimiter(names)
        num_names, num_values = (len(_cells(text, delimiter)) for text in (names, values))
        is_header = _num_known(names, delimiter) > _num_known(values, _best_delimiter(values))
        if is_header or not header or (num_names == num_values > 1 and not _num_known(values, delimiter)):
            if header:
                lines.unread(header)
            lines.unread(names)
            return _dialect_of(names, delimiter)
    if header:
        lines.unread(header)
    return _dialect_of(header, _best_delimiter(header))


def _peeked(lines: Lines) -> str:
    line = next(lines, "")
    if line:
        lines.unread(line)
    return line


def _dialect_of(header: str, delimiter: str) -> Dialect:
    cells = header.strip("\r\n").split(delimiter)
    is_quoted = all(len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in map(str.strip, cells))
    return Dialect(delimiter, is_quoted or delimiter != "\t")


def _best_delimiter(header: str) -> str:
    """The one that gives most names of columns that are known; else the first that occurs."""
    scores = [_num_known(header, delimiter) for delimiter in _DELIMITERS]
    if max(scores):
        # A header of one column has any delimiter.
        return max(_DELIMITERS, key=lambda one: (_num_known(header, one), one in header, -_DELIMITERS.index(one)))
    return next((delimiter for delimiter in _DELIMITERS if delimiter in header), ",")


def _num_known(header: str, delimiter: str) -> int:
    return sum(plain_column(cell) in _KNOWN for cell in _cells(header, delimiter))


def _cells(line: str, delimiter: str) -> list[str]:
    return line.rstrip("\r\n").split(delimiter)


def with_row_names(names: list[str], first: list[str]) -> list[str]:
    """The names of columns, of which R may leave out that of the names of rows.

    Args:
        names: in the header.
        first: values of the first row.
    """
    plain = [plain_column(name) for name in names]
    number = next((plain.index(alias) for alias in ALIASES["nucleotides"] if alias in plain), None)
    if len(first) == len(names) + 1:
        is_shifted = first[-1] != "" if number is None else bool(_SEQUENCE.match(first[number + 1]))
        if is_shifted and (number is None or not _SEQUENCE.match(first[number])):
            names = [NO_NAME, *names]
    if number is None and names[:1] == [NO_NAME] and first and _SEQUENCE.match(first[0]):
        return ["sequence", *names[1:]]  # a table of DADA2, whose names of rows are sequences
    return names


def with_name_of_sequences(names: list[str], first: list[str]) -> list[str]:
    """The names of columns, of which one is `sequence` that has DNA, if none has a known name of nucleotides.

    Tables of ASVs have their sequences as the names of rows, or as their ids.

    Args:
        names: in the header.
        first: values of the first row.
    """
    plain = [plain_column(name) for name in names]
    if any(alias in plain for alias in ALIASES["nucleotides"]) or any(map(_BARCODE.match, names)):
        return names  # or there is no header
    number = next((index for index, value in enumerate(first[: len(names)]) if _BARCODE.match(value)), None)
    return names if number is None else [*names[:number], "sequence", *names[number + 1 :]]


def read_header(rows: "Rows") -> tuple[int, list[str]]:
    """The first row that isn't blank: its line and its values.

    Raises:
        UnreadableFileError: there is no such row, or it is damaged.
    """
    for number, names, problem in rows:
        if problem:
            raise UnreadableFileError(rows.lines.file, problem, number)
        if any(map(str.strip, names)):
            return number, [rows.lines.as_text(name).strip() for name in names]
    raise UnreadableFileError(rows.lines.file, "expected records, got an empty file")


class Rows:
    """The rows of a text: the line on which each starts, its values, and its problem or "".

    A damaged row may include the lines of good ones, as when a quotation mark is not closed. So only the first line of
    a damaged row is skipped, and the others are read again.

    Attributes:
        lines: of the text.
        width: number of values that a row must have; None for any number.
    """

    def __init__(self, lines: Lines, dialect: Dialect):
        # The limit applies to all readers of this process, so it is never lowered.
        csv.field_size_limit(max(csv.field_size_limit(), max_line_bytes(lines.max_length) + 1))
        self.lines = lines
        self._lines = _RewindableLines(lines)
        options: dict[str, Any] = {"quoting": csv.QUOTE_MINIMAL if dialect.is_quoted else csv.QUOTE_NONE}
        if dialect.is_quoted and dialect.delimiter == "\t":
            options["escapechar"] = "\\"  # as write.table of R
        self._reader = csv.reader(self._lines, strict=True, delimiter=dialect.delimiter, **options)
        self._kind = dialect.name
        self.width: int | None = None

    def __iter__(self) -> Iterator[tuple[int, list[str], str]]:
        return self

    def __next__(self) -> tuple[int, list[str], str]:
        row: list[str] = []
        problem = ""
        while not row and not problem:  # an empty row is a blank line
            self._lines.begin_row()
            try:
                row = next(self._reader)
            except csv.Error as error:
                problem = utf8_problem("".join(self._lines.row)) or f"expected a {self._kind} row, got: {error}"
        problem = problem or self._wrong_width(row)
        if problem:
            self._lines.rewind_to_second()
        return self._lines.number - len(self._lines.row) + 1, row, problem

    def from_first(self, first: tuple[int, list[str], str]) -> Iterator[tuple[int, list[str], str]]:
        """The rows, beginning with one that was read before `width` was known."""
        number, row, problem = first
        problem = problem or self._wrong_width(row)
        if problem:
            self._lines.rewind_to_second()
        yield number, row, problem
        yield from self

    def _wrong_width(self, row: list[str]) -> str:
        is_right = self.width in (None, len(row))
        return "" if is_right else f"expected {self.width} columns, as in the header, got {len(row)}"


class _RewindableLines:
    """Lines that can be read again; a row that is longer than a line may be is damaged.

    Attributes:
        number: 1-based number of the line that was read last.
        row: the lines of the current row.
    """

    def __init__(self, lines: Lines):
        self._lines = lines
        self._waiting: list[str] = []
        self._limit = max_line_bytes(lines.max_length)
        self._characters = 0  # of the current row
        self.number = lines.number
        self.row: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._waiting.pop() if self._waiting else next(self._lines)
        self.number += 1
        self.row.append(line)
        self._characters += len(line)
        if 4 * self._characters > self._limit:  # a character has up to four bytes
            is_unended = len(self.row) > 1 and self._characters > self._limit
            if is_unended or is_cut(line, self._lines.max_length):
                raise csv.Error(f"more than {self._limit:,} bytes")
        return line

    def begin_row(self) -> None:
        self.row.clear()
        self._characters = 0

    def rewind_to_second(self) -> None:
        self._waiting += reversed(self.row[1:])
        self.number -= len(self.row) - 1
        del self.row[1:]
