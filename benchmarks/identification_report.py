"""The page and the frontier that `identification.py` writes."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from barcodemae.embedding.engines import ENGINES
from barcodemae.evaluation.report.content import Table, accuracy, as_markdown, percent, percent_within
from barcodemae.plotting import BLACK, BLUE, PlainFigure, draw_rows, name_rows, rows_from_top

BLAST, VSEARCH = "BLAST", "VSEARCH"
_TITLES = ("genus of new species", "species of known ones")


def write_report(results: Mapping[str, Any]) -> str:
    """All tables as Markdown."""
    programs = ", ".join(f"{name} {version}" for name, version in results["programs"].items())
    settings = "; ".join(f"{name}: `{options or 'defaults'}`" for name, options in results["settings"].items())
    parts = [
        f"# {results['title']}",
        f"{results['n_references']:,} references (`train`); {results['n_new']:,} queries of new species "
        f"(`test_unseen`) and {results['n_known']:,} of known ones (`test`). {programs}. {settings}. "
        f"{results['machine']}; {results['date']}.",
        "## Accuracy",
        as_markdown(accuracy_table(results)),
        "Accuracy in percent, with its 95 % interval over species. Genus of new species: rows whose genus is in the "
        "library.",
        "## Speed",
        as_markdown(speed_table(results)),
        "Queries/s: of the complete command, from loading the library to writing the results. Start: the time for a "
        "single query. Net: queries/s without the start.",
        "## Differences from BLAST, percentage points",
        as_markdown(differences_table(results)),
        "Paired by barcode, resampled and exchanged by species.",
        "## Confidence",
        as_markdown(trust_table(results)),
        "Coverage: the largest share of queries that can be assigned, most confident first, with an accuracy of 95 %; "
        "for species, known and new ones have equal weight. BLAST and VSEARCH are ordered by the identity of the best "
        "hit.",
        "## Calibration",
        as_markdown(calibration_table(results)),
        f"All {results['n_judged']:,} rows of `test` and `test_unseen`; fitted to the library's own records, held "
        f"out, or to {results['n_named']:,} identified queries (`val` and `val_unseen`). Error: expected calibration "
        "error, 15 bins, with its 95 % interval over species.",
    ]
    return "\n\n".join(parts) + "\n"


def accuracy_table(results: Mapping[str, Any]) -> Table:
    """A line for each method: the genus of new species, and the species of known ones."""
    rows = [
        [name, *(accuracy(found["accuracy"][rank], f"{rank}_accuracy") for rank in ("genus", "species"))]
        for name, found in results["methods"].items()
    ]
    num_rows = {rank: found["n_rows"] for rank, found in results["methods"][BLAST]["accuracy"].items()}
    columns = [f"genus of new species ({num_rows['genus']:,})", f"species of known ones ({num_rows['species']:,})"]
    return Table(["", *columns], rows)


def speed_table(results: Mapping[str, Any]) -> Table:
    """A line for each method: queries a second, and the ratio to those of BLAST and VSEARCH."""
    rows = []
    for name, found in results["methods"].items():
        speed = found["speed"]
        ratios = [
            f"{speed[rate] / results['methods'][baseline]['speed'][rate]:,.1f}"
            for rate in ("per_second", "net")
            for baseline in (BLAST, VSEARCH)
        ]
        total, net = f"{speed['per_second']:,.0f}", f"{speed['net']:,.0f}"
        rows.append([name, f"{speed['start']:.1f}", total, *ratios[:2], net, *ratios[2:]])
    columns = ["start, s", "queries/s", "times BLAST", "times VSEARCH", "net", "times BLAST", "times VSEARCH"]
    return Table(["", *columns], rows)


def differences_table(results: Mapping[str, Any]) -> Table:
    """A line for each rank and engine."""
    rows = []
    for rank, engines in results["differences"].items():
        for engine, found in engines.items():
            low, high = found["interval"]
            shown = f"{100 * found['difference']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
            rows.append([rank, engine, shown, f"{found['p_value']:.4f}"])
    return Table(["", "engine", "difference", "p"], rows)


def trust_table(results: Mapping[str, Any]) -> Table:
    """A line for each method."""
    keys = ("coverage_genus_new", "coverage_genus_known", "coverage_species")
    rows = [
        [name, *(percent(found["trust"][key]) for key in keys), f"{found['trust']['novelty_auroc']:.4f}"]
        for name, found in results["methods"].items()
    ]
    columns = ["", "coverage, genus of new species", "genus of known ones", "species of both", "novelty AUROC"]
    return Table(columns, rows)


def calibration_table(results: Mapping[str, Any]) -> Table:
    """A line for each engine, source of the calibration, rank and kind of queries."""
    rows = []
    for engine, sources in results["calibration"].items():
        for by, judged in sources.items():
            for what, kinds in judged.items():
                for kind, found in kinds.items():
                    error = percent_within(found["calibration_error"], found["calibration_error_interval"])
                    shown = [percent(found["predicted"]), percent(found["observed"]), error, f"{found['brier']:.4f}"]
                    rows.append([engine, by, what, kind, *shown])
    return Table(["engine", "fitted to", "rank", "species", "predicted", "observed", "error", "Brier"], rows)


def draw_frontier(results: Mapping[str, Any]) -> Figure:
    """Accuracy, with its interval, for new and for known species, and queries a second: each method has a row."""
    methods = results["methods"]
    colours = [BLUE if name in ENGINES else BLACK for name in methods]
    figure = PlainFigure(figsize=(11, 1.5 + 0.3 * len(methods)), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for axes, rank, title in zip(panels, ("genus", "species"), _TITLES, strict=False):
        draw_rows(axes, [found["accuracy"][rank] for found in methods.values()], f"{rank}_accuracy", colours)
        axes.set(title=title, xlabel="right, %")
    for row, found, colour in zip(rows_from_top(len(methods)), methods.values(), colours, strict=True):
        total, net = found["speed"]["per_second"], found["speed"]["net"]
        panels[-1].plot([total, net], [row, row], color=colour, lw=1)
        panels[-1].plot([net], [row], "o", color=colour, markersize=5)
    panels[-1].set(xscale="log", xlabel="queries a second", title="speed, a line from that with the start-up")
    panels[-1].xaxis.set_major_formatter("{x:,g}")
    panels[-1].xaxis.set_minor_locator(NullLocator())
    name_rows(panels, list(methods), colours)
    figure.supxlabel("Bars are 95 % intervals over species; barcodemae identify is blue, by its engines.", fontsize=9)
    return figure
