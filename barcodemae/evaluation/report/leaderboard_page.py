"""A leaderboard for readers, as Markdown."""

from collections.abc import Sequence
from typing import Any

from barcodemae.evaluation.report.content import NOT_RUN, Table, as_markdown, one_line, percent, percent_within
from barcodemae.evaluation.report.leaderboard import BOARD_MEASURES
from barcodemae.evaluation.report.measures import Measure
from barcodemae.evaluation.report.sections.comparisons import p_value

_INTRODUCTION = """\
In percent; in brackets 95 % intervals over species. *Less best*: genus accuracy less that of the first row, on the same
barcodes, with interval and p-value, where the answers to each barcode are at hand; p-values are not corrected for the
number of rows. Results on other data or splits stand in tables of their own."""


def render_leaderboard(boards: Sequence[dict[str, Any]]) -> str:
    """The page `leaderboard.md`.

    Args:
        boards: as `leaderboard.merge_results` gives them.
    """
    parts = ["# Leaderboard", _INTRODUCTION]
    for board in boards:
        sizes = ", ".join(f"`{name}` {rows:,}" for name, rows in board["splits"].items())
        sha256 = board["data"]["sha256"] or "unknown: whether the data are the same is known by name alone"
        parts += [
            f"## {one_line(board['data']['name'])}: {list(board['splits'])[-1]}",
            f"Rows: {sizes}. SHA-256 of the data: {sha256}.",
            as_markdown(_table(board["rows"])),
        ]
        parts += _notes(board["rows"])
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    measures = [measure for measure in BOARD_MEASURES if any(measure.title in row["scores"] for row in rows)]
    compared = any(row["less_best"] for row in rows)
    titles = [measure.title for measure in measures]
    header = ["", *titles, *(["less best", "p"] if compared else []), "date", "machine"]
    cells = []
    for row in rows:
        line = [row["name"], *(_cell(row["scores"].get(measure.title), measure) for measure in measures)]
        if compared:
            line += _less_best(row["less_best"])
        cells.append([*line, row["date"][:10], row["machine"]])
    return Table(header, cells)


def _cell(found: dict[str, Any] | None, measure: Measure) -> str:
    if found is None:
        return NOT_RUN
    return percent_within(found["value"], found["interval"]) if measure.with_interval else percent(found["value"])


def _less_best(compared: dict[str, Any] | None) -> list[str]:
    if compared is None:
        return ["", ""]
    return [percent_within(compared["difference"], compared["interval"]), p_value(compared["p_value"])]


def _notes(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Where files disagree about a representation, a reader should know."""
    notes = [
        f"- {one_line(row['name'])}: {len(row['files'])} files have different numbers for "
        f"{'; '.join(row['disagreements'])}; those of the newest are shown."
        for row in rows
        if row["disagreements"]
    ]
    return ["\n".join(notes)] if notes else []
