"""The pages: `report.md` and `report.html` of one evaluation, `leaderboard.md` of many."""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jinja2

from barcodemae.evaluation.catalogue import BASELINES, title_of
from barcodemae.evaluation.report.content import NOT_RUN, Section, Table, as_markdown, one_line, percent, percent_within
from barcodemae.evaluation.report.leaderboard import BOARD_MEASURES
from barcodemae.evaluation.report.measures import Measure, measured, measures_table, scores_by_method
from barcodemae.evaluation.report.nearest_sections import (
    breakdown_section,
    comparisons_section,
    compression_section,
    novelty_section,
    p_value,
    ranks_section,
    robustness_section,
)
from barcodemae.evaluation.report.vector_sections import (
    clustering_section,
    few_shot_section,
    fine_tuning_section,
    probes_section,
)

_SECTIONS: tuple[Callable[[dict[str, Any]], Section | None], ...] = (
    comparisons_section,
    ranks_section,
    breakdown_section,
    probes_section,
    few_shot_section,
    fine_tuning_section,
    clustering_section,
    novelty_section,
    robustness_section,
    compression_section,
)


def results_table(results: dict[str, Any]) -> str:
    """The model and its baselines as a Markdown table, in percent.

    Args:
        results: as in `results.json`.
    """
    return as_markdown(measures_table(scores_by_method(results)))


def report_sections(results: dict[str, Any], plots: Sequence[str]) -> list[Section]:
    """All sections of a report, in its order.

    Args:
        results: as in `results.json`.
        plots: file names of all pictures; those that belong to no section come last.
    """
    tasks = [section for make in _SECTIONS if (section := make(results)) is not None]
    sections = [_summary(results), *tasks]
    placed = {name for section in sections for name in section.pictures}
    if others := [name for name in plots if name not in placed]:
        sections.append(Section("More pictures", pictures=others))
    return sections


def render_report(results: dict[str, Any], plots: Sequence[str]) -> str:
    """The page `report.md`.

    Args:
        results: as in `results.json`.
        plots: file names of the pictures beside the page.
    """
    return render_template("report.md.jinja", results, plots, autoescape=False)


def render_template(template: str, results: dict[str, Any], plots: Sequence[str], autoescape: bool, **more: Any) -> str:
    """Fill one of the templates of the report.

    Args:
        template: its file name.
        results: as in `results.json`.
        plots: file names of the pictures.
        autoescape: whether the template is HTML.
        more: further variables of the template.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("barcodemae.evaluation.report"),
        undefined=jinja2.StrictUndefined,
        autoescape=autoescape,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"markdown": as_markdown, "one_line": one_line, "caption": _caption}
    return environment.get_template(template).render(
        run=results["provenance"],
        splits=results["splits"],
        knn=results.get("knn"),
        tokenizations={
            name: scores["tokenization"]
            for name, scores in scores_by_method(results).items()
            if "tokenization" in scores
        },
        programs={
            title_of(key): scores["program"] for key, scores in results["baselines"].items() if "program" in scores
        },
        sections=report_sections(results, plots),
        plots=set(plots),
        **more,
    )


def _summary(results: dict[str, Any]) -> Section:
    found = scores_by_method(results)
    meanings = {measure.title: measure.meaning for measure in measured(found.values())}
    rows = [BASELINES[key] for key in results["baselines"] if key in BASELINES]
    baselines = {title_of(row.name): row.meaning for row in rows if row.meaning}
    return Section(
        "Summary",
        "In percent.",
        terms=meanings | baselines,
        tables=[measures_table(found)],
        pictures=["accuracy.png"],
    )


def _caption(picture: str) -> str:
    return picture.removesuffix(".png").replace("_", " ")


def render_html(results: dict[str, Any], pictures: Mapping[str, bytes]) -> str:
    """The page `report.html`: the content of `report.md`, with all pictures included.

    Args:
        results: as in `results.json`.
        pictures: file name -> PNG.
    """
    encoded = {name: base64.b64encode(picture).decode("ascii") for name, picture in pictures.items()}
    return render_template("report.html.jinja", results, list(pictures), autoescape=True, encoded=encoded)


_INTRODUCTION = """\
In percent; in brackets 95 % intervals over species. *Less best*: genus accuracy less that of the first row, on the same
barcodes, with interval and p-value, where the assignments of both are at hand; p-values are not corrected for the
number of rows. Results on other data or splits are in separate tables."""


def render_leaderboard(boards: Sequence[dict[str, Any]]) -> str:
    """The page `leaderboard.md`.

    Args:
        boards: as `leaderboard.merge_results` gives them.
    """
    parts = ["# Leaderboard", _INTRODUCTION]
    for board in boards:
        sizes = ", ".join(f"`{name}` {rows:,}" for name, rows in board["splits"].items())
        sha256 = board["data"]["sha256"] or "unknown: data are identified by name alone"
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
    """A note for each method about which the files disagree."""
    notes = [
        f"- {one_line(row['name'])}: {len(row['files'])} files have different numbers for "
        f"{'; '.join(row['disagreements'])}; those of the newest are shown."
        for row in rows
        if row["disagreements"]
    ]
    return ["\n".join(notes)] if notes else []
