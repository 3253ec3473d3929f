"""Rows of a leaderboard against its best one, where the files have their answers beside them."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from barcodemae.errors import ConfigurationError, UnreadableFileError
from barcodemae.evaluation.comparison import compare_answers
from barcodemae.evaluation.report.entries import Entry

ANSWERS_FILE = "answers.parquet"


def add_comparisons(rows: Sequence[dict[str, Any]], groups: Sequence[Sequence[Entry]], seed: int = 0) -> None:
    """Set `less_best` of every row but the first, where both have answers.

    Args:
        rows: of one board, the best one first.
        groups: the files of each row, the newest last.
        seed: of the comparisons.

    Raises:
        UnreadableFileError: answers are not Parquet.
        ConfigurationError: two answers are of different barcodes.
    """
    read = cache(_read_answers)
    answers = [_newest_answers(group, read) for group in groups]
    if not answers or answers[0] is None:
        return
    best_table, best_column, best_file = answers[0]
    for row, found in zip(rows[1:], answers[1:], strict=True):
        if found is None:
            continue
        table, column, file = found
        try:
            row["less_best"] = compare_answers(table, column, best_table, best_column, seed)
        except ConfigurationError as error:
            raise ConfigurationError(f"{file} and {best_file}: {error}") from error


def _newest_answers(group: Sequence[Entry], read: Callable[[Path], pa.Table]) -> tuple[pa.Table, str, Path] | None:
    for entry in reversed(group):
        file = entry.file.parent / ANSWERS_FILE
        if file.is_file() and entry.column in (table := read(file)).column_names:
            return table, entry.column, file
    return None


def _read_answers(file: Path) -> pa.Table:
    try:
        return pq.read_table(file)
    except (OSError, pa.ArrowInvalid) as error:
        raise UnreadableFileError(file, f"expected answers in Parquet: {error}") from error
