"""CSV and TSV tables."""

import csv
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from barcodemae.data.schema import BY_NAMES, STRING, Piece, Preset, recognise
from barcodemae.data.text import Lines, as_utf8, in_batches, is_cut, max_line_bytes, utf8_problem
from barcodemae.errors import UnreadableFileError


def read_csv(lines: Lines, preset: Preset = BY_NAMES) -> Iterator[Piece]:
    """Read comma-separated text; a quoted value may hold commas, quotes and line breaks. See `read_tsv`."""
    return _read(lines, preset, csv_rows(lines))


def read_tsv(lines: Lines, preset: Preset = BY_NAMES) -> Iterator[Piece]:
    """Read tab-separated text as BOLD writes it: a quotation mark is a base like any other.

    Args:
        lines: the first one that isn't blank names the columns.
        preset: says which columns there must be.

    Yields:
        The columns that the schema knows, under the file's own names. A row has a problem that is wider or narrower
        than the header, can't be split into values, or holds a byte that isn't UTF-8.

    Raises:
        UnreadableFileError: the columns don't fit the schema.
    """
    return _read(lines, preset, tsv_rows(lines))


def csv_rows(lines: Lines) -> "Rows":
    """The rows of comma-separated text."""
    return Rows(lines, "CSV", delimiter=",")


def tsv_rows(lines: Lines) -> "Rows":
    """The rows of tab-separated text, in which a quotation mark is a base like any other."""
    return Rows(lines, "TSV", delimiter="\t", quoting=csv.QUOTE_NONE)


def _read(lines: Lines, preset: Preset, rows: "Rows") -> Iterator[Piece]:
    _, names = read_header(lines.file, rows)
    columns = list(recognise(names, lines.file, preset).values())
    places = [names.index(column) for column in columns]
    lines.may_be_latin_1 = "species_name" in names  # BOLD's tables of version 3
    rows.width = len(names)

    def cells_of(row: tuple[int, list[str], str]) -> tuple[int, list[str], str]:
        number, values, problem = row
        cells = [""] * len(places) if problem else [values[place] for place in places]
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
        UnreadableFileError: there is none, or it is damaged.
    """
    for number, names, problem in rows:
        if problem := problem or utf8_problem("".join(names)):
            raise UnreadableFileError(file, problem, number)
        if any(map(str.strip, names)):
            return number, names
    raise UnreadableFileError(file, "expected records, got an empty file")


class Rows:
    """The rows of a text: the line that each begins on, its values, and what is wrong with it.

    A damaged row may have swallowed good ones, as when a quotation mark is never closed: of a row with a problem, only
    the first line is lost, and the others are read again.

    Attributes:
        width: how many values a row must have; None for any number.
    """

    def __init__(self, lines: Lines, kind: str, **dialect: Any):
        # It is one limit for all that this process reads, so it is only ever raised.
        csv.field_size_limit(max(csv.field_size_limit(), max_line_bytes(lines.max_length) + 1))
        self._lines = _LinesToPutBack(lines)
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
                problem = utf8_problem("".join(self._lines.taken)) or f"expected a {self._kind} row, got: {error}"
        if not problem and self.width not in (None, len(row)):
            problem = f"expected {self.width} columns, as in the header, got {len(row)}"
        if problem:
            self._lines.put_back_all_but_first()
        return self._lines.number - len(self._lines.taken) + 1, row, problem


class _LinesToPutBack:
    """Lines that can be read again; a row that takes more of them than a line may be long is damaged.

    Attributes:
        number: 1-based number of the line that was read last.
        taken: what was read since it was cleared.
    """

    def __init__(self, lines: Lines):
        self._lines = lines
        self._waiting: list[str] = []
        self._limit = max_line_bytes(lines.max_length)
        self._characters = 0  # of those taken
        self.number = 0
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._waiting.pop() if self._waiting else next(self._lines)
        self.number += 1
        self.taken.append(line)
        self._characters += len(line)
        if 4 * self._characters > self._limit:  # a character has up to four bytes
            is_unended = len(self.taken) > 1 and self._characters > self._limit
            if is_unended or is_cut(line, self._lines.max_length):
                raise csv.Error(f"more than {self._limit:,} bytes")
        return line

    def begin_row(self) -> None:
        self.taken.clear()
        self._characters = 0

    def put_back_all_but_first(self) -> None:
        self._waiting += reversed(self.taken[1:])
        self.number -= len(self.taken) - 1
        del self.taken[1:]
