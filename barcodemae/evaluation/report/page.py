"""The report of one evaluation: what it says, and the page `report.md`."""

from collections.abc import Callable, Sequence
from typing import Any

import jinja2

from barcodemae.evaluation.report.content import Section, as_markdown, one_line
from barcodemae.evaluation.report.measures import measured, measures_table
from barcodemae.evaluation.report.names import MEANINGS, readable, representations
from barcodemae.evaluation.report.sections.comparisons import comparisons_section
from barcodemae.evaluation.report.sections.learning import few_shot_section, fine_tuning_section, probes_section
from barcodemae.evaluation.report.sections.ranks import breakdown_section, ranks_section
from barcodemae.evaluation.report.sections.stress import compression_section, robustness_section
from barcodemae.evaluation.report.sections.unsupervised import clustering_section, novelty_section

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
    """The model and its rivals as a Markdown table, in percent.

    Args:
        results: as in `results.json`.
    """
    return as_markdown(measures_table(representations(results)))


def report_sections(results: dict[str, Any], plots: Sequence[str]) -> list[Section]:
    """All that a report tells of the results, in its order.

    Args:
        results: as in `results.json`.
        plots: file names of all pictures; those that no section asks for come last.
    """
    tasks = [section for make in _SECTIONS if (section := make(results)) is not None]
    sections = [_summary(results), *tasks]
    asked = {name for section in sections for name in section.pictures}
    if others := [name for name in plots if name not in asked]:
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
        more: what else the template asks for.
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
        readings={name: scores["read"] for name, scores in representations(results).items() if "read" in scores},
        programs={readable(key): rival["run_by"] for key, rival in results["rivals"].items() if "run_by" in rival},
        sections=report_sections(results, plots),
        plots=set(plots),
        **more,
    )


def _summary(results: dict[str, Any]) -> Section:
    found = representations(results)
    meanings = {measure.title: measure.meaning for measure in measured(found.values())}
    rivals = {readable(key): MEANINGS[key] for key in results["rivals"] if key in MEANINGS}
    return Section(
        "Summary",
        "In percent.",
        terms=meanings | rivals,
        tables=[measures_table(found)],
        pictures=["accuracy.png"],
    )


def _caption(picture: str) -> str:
    return picture.removesuffix(".png").replace("_", " ")
