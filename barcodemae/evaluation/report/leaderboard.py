"""One leaderboard from many evaluations: a table for each set of barcodes, a row for each representation."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.report.content import look_up
from barcodemae.evaluation.report.entries import Entry, read_entries
from barcodemae.evaluation.report.measures import MEASURES, interval_of
from barcodemae.evaluation.report.paired import add_comparisons
from barcodemae.evaluation.report.schema import load_results

RESULTS_FILE = "results.json"

# Extra queries come from a file of their own, which may differ where the data are the same.
BOARD_MEASURES = tuple(measure for measure in MEASURES if measure.path[0] != "extra_queries")

_HEADLINE = "genus, unseen"
_TOLERANCE = 1e-9


def find_results(sources: Iterable[str | Path]) -> list[Path]:
    """Files of results: those that are named, and every `results.json` under a folder that is named; each once.

    Raises:
        ConfigurationError: there is no such file or folder, or no results are in it.
    """
    found: dict[Path, Path] = {}
    for source in map(Path, sources):
        files = sorted(source.rglob(RESULTS_FILE)) if source.is_dir() else [source] if source.is_file() else []
        if not files:
            raise ConfigurationError(f"{source}: expected a file of results, or a folder with a {RESULTS_FILE} in it")
        for file in files:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def merge_results(files: Sequence[Path], seed: int = 0) -> list[dict[str, Any]]:
    """Make boards of results; those on other data or with other splits never share a board.

    A model is known by the SHA-256 of its weights (by its name, where there is none) and the way it is read, a rival
    by its name. Where several files have the same number of one representation, that of the newest counts.

    Args:
        files: of results, of any version. Where `answers.parquet` stands beside a file, its rows can be compared.
        seed: of the comparisons.

    Returns:
        Boards, those with the most rows first: `data` (`name`, `sha256`), `splits`, and `rows`, best genus accuracy
        first: `name, weights_sha256, date, machine`; `files`, each with its folder; `scores`, title of a measure ->
        `value, interval` (None where there is none); `disagreements`, titles of measures of which the files have
        different numbers; and `less_best`, what `comparison.compare_answers` says of the row and the best one, or None.

    Raises:
        UnreadableFileError: a file is not JSON, or its answers are not Parquet.
        ConfigurationError: a file does not hold results, or answers on one board are of different barcodes.
    """
    entries: dict[tuple[Any, ...], list[Entry]] = {}
    boards: dict[tuple[Any, ...], dict[str, Any]] = {}
    for file in files:
        results = load_results(file)
        data, splits = results["provenance"]["data"][0], results["splits"]
        key = (data["sha256"] or data["name"], *sorted(splits.items()))
        boards.setdefault(key, {"data": data, "splits": splits})
        entries.setdefault(key, []).extend(read_entries(results, file))
    merged = [board | {"rows": _rows(entries[key], seed)} for key, board in boards.items()]
    return sorted(merged, key=lambda board: -len(board["rows"]))


def _rows(entries: list[Entry], seed: int) -> list[dict[str, Any]]:
    """Rows of one board; files of one representation in the order of their dates."""
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.provenance["date"]):
        groups.setdefault(entry.identity, []).append(entry)
    ranked = sorted(((_row(group), group) for group in groups.values()), key=lambda pair: _rank(pair[0]))
    rows = [row for row, _ in ranked]
    names = [row["name"] for row in rows]
    for row in rows:
        if names.count(row["name"]) > 1 and row["weights_sha256"]:
            row["name"] += f" ({row['weights_sha256'][:8]})"
    add_comparisons(rows, [group for _, group in ranked], seed)
    return rows


def _row(group: list[Entry]) -> dict[str, Any]:
    newest = group[-1]
    scores: dict[str, dict[str, Any]] = {}
    disagreements = []
    for measure in BOARD_MEASURES:
        having = [entry.scores for entry in group if look_up(entry.scores, measure.path) is not None]
        if not having:
            continue
        values = [look_up(one, measure.path) for one in having]
        scores[measure.title] = {"value": values[-1], "interval": interval_of(having[-1], measure)}
        if max(values) - min(values) > _TOLERANCE:
            disagreements.append(measure.title)
    return {
        "name": newest.name,
        "weights_sha256": newest.weights_sha256,
        "date": newest.provenance["date"],
        "machine": newest.provenance["machine"],
        "files": [f"{entry.file.parent.name}/{entry.file.name}" for entry in group],
        "scores": scores,
        "disagreements": disagreements,
        "less_best": None,
    }


def _rank(row: dict[str, Any]) -> float:
    """Best genus accuracy first; rows without one come last."""
    return -row["scores"].get(_HEADLINE, {"value": -1})["value"]
