"""Readers of CSV and TSV tables."""

import csv
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from barcodemae.data.schema import BY_NAMES, STRING, Piece, Preset, recognise
from barcodemae.data.text import Lines, as_utf8, in_batches, is_cut, max_line_bytes, utf8_problem
from barcodemae.errors import UnreadableFileError


def read_csv(lines: Lines, preset: Preset = BY_NAMES) -> Iterator[Piece]:
    """Read comma-separated text; a quoted value may contain commas, quotes and line breaks. See `read_tsv`."""
    return _read(lines, preset, csv_rows(lines))


def read_tsv(lines: Lines, preset: Preset = BY_NAMES) -> Iterator[Piece]:
    """Read tab-separated text as BOLD writes it: quotation marks have no special meaning.

    Args:
        lines: the lines; the first that isn't blank names the columns.
        preset: the layout of the file, with the columns that it must have.

    Yields:
        The columns that the schema knows, under the file's own names. A row has a problem if it has more or fewer
        values than the header, can't be split into values, or contains a byte that isn't UTF-8.

    Raises:
        UnreadableFileError: the columns don't fit the schema.
    """
    return _read(lines, preset, tsv_rows(lines))


def csv_rows(lines: Lines) -> "Rows":
    """The rows of comma-separated text."""
    return Rows(lines, "CSV", delimiter=",")


def tsv_rows(lines: Lines) -> "Rows":
    """The rows of tab-separated text, in which quotation marks have no special meaning."""
    return Rows(lines, "TSV", delimiter="\t", quoting=csv.QUOTE_NONE)


def _read(lines: Lines, preset: Preset, rows: "Rows") -> Iterator[Piece]:
    _, names = read_header(lines.file, rows)
    columns = list(recognise(names, lines.file, preset).values())
    indices = [names.index(column) for column in columns]
    lines.may_be_latin_1 = "species_name" in names  # BOLD's tables of version 3
    rows.width = len(names)

    def cells_of(row: tuple[int, list[str], str]) -> tuple[int, list[str], str]:
        number, values, problem = row
        cells = [""] * len(indices) if problem else [values[index] for index in indices]
        if not problem and (problem := utf8_problem("".join(cells))):
            cells = [as_utf8(cell) for cell in cells]
        return number, cells, problem

    for batch in in_batches(map(cells_of, rows), lines):
        numbers, cells, problems = zip(*batch, strict=True)
        texts = zip(*cells, strict=True)
        table = pa.table({name: pa.array(values, STRING) for name, values in zip(columns, texts, strict=True)})
        yield Piece(table, np.array(numbers), list(problems))


def read_header(file: str, rows: "Rows") -> tuple[int, list[str]]:
    """The first row that isn't blank: its line and its values.

    Raises:
        UnreadableFileError: there is no such row, or it is damaged.
    """
    for number, names, problem in rows:
        if problem := problem or utf8_problem("".join(names)):
            raise UnreadableFileError(file, problem, number)
        if any(map(str.strip, names)):
            return number, names
    raise UnreadableFileError(file, "expected records, got an empty file")


class Rows:
    """The rows of a text: the line on which each starts, its values, and its problem or "".

    A damaged row may include the lines of good ones, as when a quotation mark is not closed. So only the first line of
    a damaged row is skipped, and the others are read again.

    Attributes:
        width: number of values that a row must have; None for any number.
    """

    def __init__(self, lines: Lines, kind: str, **dialect: Any):
        # The limit applies to all readers of this process, so it is never lowered.
        csv.field_size_limit(max(csv.field_size_limit(), max_line_bytes(lines.max_length) + 1))
        self._lines = _RewindableLines(lines)
        self._reader = csv.reader(self._lines, strict=True, **dialect)
        self._kind = kind
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
        if not problem and self.width not in (None, len(row)):
            problem = f"expected {self.width} columns, as in the header, got {len(row)}"
        if problem:
            self._lines.rewind_to_second()
        return self._lines.number - len(self._lines.row) + 1, row, problem


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
        self.number = 0
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
