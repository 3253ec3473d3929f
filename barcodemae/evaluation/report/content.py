"""The parts of a report: sections, tables, and numbers as text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NOT_RUN = "not run"


@dataclass(frozen=True)
class Table:
    """Text in columns; the first column names the row.

    Attributes:
        header: the columns' titles.
        rows: as many cells each.
        title: what the table shows, where it is one of several.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the report, as plain text: Markdown and HTML are made of the same sections.

    Attributes:
        title: its heading.
        text: what was done, and how to read the numbers.
        terms: term -> its meaning.
        tables: the numbers.
        pictures: file names of the plots that belong to it; those that were not drawn are skipped.
    """

    title: str
    text: str = ""
    terms: Mapping[str, str] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    pictures: Sequence[str] = ()


def as_markdown(table: Table) -> str:
    """A pipe table, the first column to the left and the others to the right."""
    rows = [[one_line(cell) for cell in row] for row in (table.header, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    return "\n".join(f"| {' | '.join(map(str.ljust, row, widths))} |" for row in rows)


def look_up(scores: Any, path: Iterable[str]) -> Any:
    """The value at a path of keys, or None where one of them is missing."""
    for key in path:
        scores = scores.get(key) if scores is not None else None
    return scores


def percent(share: float | None) -> str:
    """`0.5` as `50.0`; None was not run."""
    return NOT_RUN if share is None else f"{100 * share:.1f}"


def percent_within(share: float, interval: Sequence[float]) -> str:
    """`50.0 (40.0-60.0)`."""
    low, high = (f"{100 * bound:.1f}" for bound in interval)
    # Two numbers with a sign are hard to read around a dash.
    between = " to " if min(interval) < 0 else "-"
    return f"{percent(share)} ({low}{between}{high})"


def accuracy(scores: Mapping[str, Any] | None, key: str) -> str:
    """A share of some scores in percent, with its interval: one without the other is an error.

    Raises:
        KeyError: there is no interval.
    """
    if scores is None or key not in scores:
        return NOT_RUN
    return percent_within(scores[key], scores[f"{key}_interval"])


def count(number: int | None) -> str:
    """`1000` as `1,000`; None was not run."""
    return NOT_RUN if number is None else f"{number:,}"


def one_line(text: str) -> str:
    """Text for Markdown that ends neither a line nor a cell, and begins no HTML tag."""
    return " ".join(text.split()).replace("|", r"\|").replace("<", "&lt;")
