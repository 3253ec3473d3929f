"""One leaderboard from many evaluations: a table for each set of barcodes, a row for each method."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.assignments import ASSIGNMENTS_FILE, compare_assignments, read_assignments
from barcodemae.evaluation.catalogue import title_of
from barcodemae.evaluation.report.content import look_up
from barcodemae.evaluation.report.measures import MEASURES, interval_of
from barcodemae.evaluation.report.schema import load_results

RESULTS_FILE = "results.json"

# Extra queries come from a file of their own, which may differ where the data are the same.
BOARD_MEASURES = tuple(measure for measure in MEASURES if measure.path[0] != "extra_queries")

_HEADLINE = "genus, unseen"
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Entry:
    """One method in one file of results.

    Attributes:
        name: for readers.
        identity: equal for the same method in other files.
        weights_sha256: of a model; None for baselines, and where it is not known.
        scores: of its tasks.
        provenance: of the file.
        file: the file.
        column: of the method in the assignments beside the file.
    """

    name: str
    identity: tuple[str, ...]
    weights_sha256: str | None
    scores: dict[str, Any]
    provenance: dict[str, Any]
    file: Path
    column: str


def read_entries(results: dict[str, Any], file: Path) -> list[Entry]:
    """The model and its baselines.

    Args:
        results: as in `results.json`.
        file: that they come from.
    """
    run = results["provenance"]
    name, weights = run["model"], run["weights_sha256"]
    # One model may be read in several ways (pooling, layer), which are as many methods.
    model = ("model", weights or name, json.dumps(run.get("identity", {}), sort_keys=True))
    entries = [Entry(name, model, weights, results, run, file, name)]
    for key, scores in results["baselines"].items():
        baseline_name = title_of(key)
        identity: tuple[str, ...] = ("baseline", key)
        if key == "without_frame":
            baseline_name, identity = f"{name}, {baseline_name}", ("baseline", key, *model)
        elif key == "untrained":
            # Models of one architecture have the same untrained model, which is recognised by its scores.
            shares = [look_up(scores, ("knn", f"genus_accuracy{kind}")) for kind in ("", "_by_species")]
            baseline_name = f"untrained (as {name})"
            identity = ("baseline", key, str(run["seed"]), *(model if None in shares else map(str, shares)))
        entries.append(Entry(baseline_name, identity, None, scores, run, file, key))
    return entries


def find_results(sources: Iterable[str | Path]) -> list[Path]:
    """All files of results: those that are given, and every `results.json` in a folder that is given; each once.

    Raises:
        ConfigurationError: a file or folder does not exist, or holds no results.
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

    A model is identified by the SHA-256 of its weights (by its name, where there is none) and the way it is read, a
    baseline by its name. Where several files have the same measure of one method, that of the newest counts.

    Args:
        files: of results. Where `assignments.parquet` is beside a file, its rows can be compared.
        seed: random seed of the comparisons.

    Returns:
        Boards, those with the most rows first: `data` (`name`, `sha256`), `splits`, and `rows`, best genus accuracy
        first: `name, weights_sha256, date, machine`; `files`, each with its folder; `scores`, title of a measure ->
        `value, interval` (None where there is none); `disagreements`, titles of measures of which the files have
        different numbers; and `less_best`, the row compared with the best one by `compare_assignments`, or None.

    Raises:
        UnreadableFileError: a file is not JSON, or its assignments are not Parquet.
        ConfigurationError: a file does not hold results, or assignments on one board are of different barcodes.
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
    """Rows of one board; files of one method in the order of their dates."""
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


def add_comparisons(rows: Sequence[dict[str, Any]], groups: Sequence[Sequence[Entry]], seed: int = 0) -> None:
    """Set `less_best` of every row but the first, where both have assignments.

    Args:
        rows: of one board, the best one first.
        groups: the files of each row, the newest last.
        seed: random seed of the comparisons.

    Raises:
        UnreadableFileError: assignments are not Parquet.
        ConfigurationError: the assignments of two rows are of different barcodes.
    """
    read = cache(read_assignments)
    assignments = [_newest_assignments(group, read) for group in groups]
    if not assignments or assignments[0] is None:
        return
    best_table, best_column, best_file = assignments[0]
    for row, found in zip(rows[1:], assignments[1:], strict=True):
        if found is None:
            continue
        table, column, file = found
        try:
            row["less_best"] = compare_assignments(table, column, best_table, best_column, seed)
        except ConfigurationError as error:
            raise ConfigurationError(f"{file} and {best_file}: {error}") from error


def _newest_assignments(group: Sequence[Entry], read: Callable[[Path], pa.Table]) -> tuple[pa.Table, str, Path] | None:
    for entry in reversed(group):
        file = entry.file.parent / ASSIGNMENTS_FILE
        if file.is_file() and entry.column in (table := read(file)).column_names:
            return table, entry.column, file
    return None
