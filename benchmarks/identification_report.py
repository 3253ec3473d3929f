"""The page and the frontier that `identification.py` writes."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from barcodemae.evaluation.report.content import Table, as_markdown, percent, percent_within
from barcodemae.plotting import BLUE, GREEN, GREY, ORANGE, SKY, VERMILION, PlainFigure, finish

BLAST, VSEARCH = "BLAST", "VSEARCH"
_COLOURS = (GREY, SKY, ORANGE, VERMILION, BLUE, GREEN)


def write_report(results: Mapping[str, Any]) -> str:
    """All tables as Markdown."""
    programs = ", ".join(f"{name} {version}" for name, version in results["programs"].items())
    settings = "; ".join(f"{name}: `{options or 'defaults'}`" for name, options in results["settings"].items())
    parts = [
        f"# {results['title']}",
        f"{results['n_references']:,} references (`train`); {results['n_new']:,} queries of new species "
        f"(`test_unseen`) and {results['n_known']:,} of known ones (`test`). {programs}. {settings}. "
        f"{results['machine']}; {results['date']}.",
        "## Names and speed",
        as_markdown(names_table(results)),
        "Genus of new species: rows whose genus the library holds. Whole: the command from its start to its end, "
        "library loaded, answers written. Net: without what it takes to answer a single query.",
        "## Less BLAST, points",
        as_markdown(differences_table(results)),
        "Paired by barcode, resampled and exchanged by species.",
        "## Trust",
        as_markdown(trust_table(results)),
        "Coverage: the largest share of queries that can be named, surest first, with 95 % of the names right; at "
        "species, known and new ones count alike. BLAST and VSEARCH are ordered by the identity of the best hit.",
        "## Calibration",
        as_markdown(calibration_table(results)),
        f"All {results['n_judged']:,} rows of `test` and `test_unseen`; learnt from the library's own records, held "
        f"out, or from {results['n_named']:,} named queries (`val` and `val_unseen`). Error: expected calibration "
        "error, 15 bins, with its 95 % interval over species.",
    ]
    return "\n\n".join(parts) + "\n"


def names_table(results: Mapping[str, Any]) -> Table:
    """A line for each method."""
    rows = []
    for name, found in results["contenders"].items():
        speed = found["speed"]
        ratios = [
            f"{speed[which] / results['methods'][baseline]['speed'][which]:,.1f}"
            for baseline in (BLAST, VSEARCH)
            for which in ("per_second", "net")
        ]
        accuracy = [
            percent_within(
                found["accuracy"][rank][f"{rank}_accuracy"], found["accuracy"][rank][f"{rank}_accuracy_interval"]
            )
            for rank in ("genus", "species")
        ]
        rates = [f"{speed['per_second']:,.0f}", f"{speed['net']:,.0f}", f"{speed['start']:.1f}"]
        rows.append([name, *accuracy, *rates, *ratios])
    of = results["contenders"][BLAST]["accuracy"]
    columns = [
        "",
        f"genus of new species ({of['genus']['n_rows']:,})",
        f"species of known ones ({of['species']['n_rows']:,})",
        "queries/s, whole",
        "net",
        "start, s",
        "times BLAST, whole",
        "net",
        "times VSEARCH, whole",
        "net",
    ]
    return Table(columns, rows)


def differences_table(results: Mapping[str, Any]) -> Table:
    """A line for each rank and engine."""
    rows = []
    for rank, engines in results["differences"].items():
        for engine, found in engines.items():
            low, high = found["interval"]
            told = f"{100 * found['difference']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
            rows.append([rank, engine, told, f"{found['p_value']:.4f}"])
    return Table(["", "engine", "difference", "p"], rows)


def trust_table(results: Mapping[str, Any]) -> Table:
    """A line for each method."""
    keys = ("coverage_genus_new", "coverage_genus_known", "coverage_species")
    rows = [
        [name, *(percent(found["trust"][key]) for key in keys), f"{found['trust']['novelty_auroc']:.4f}"]
        for name, found in results["contenders"].items()
    ]
    columns = ["", "coverage, genus of new species", "genus of known ones", "species of both", "novelty AUROC"]
    return Table(columns, rows)


def calibration_table(results: Mapping[str, Any]) -> Table:
    """A line for each engine, source of the calibration, thing that is foretold, and kind of queries."""
    rows = []
    for engine, sources in results["calibration"].items():
        for by, judged in sources.items():
            for what, kinds in judged.items():
                for kind, found in kinds.items():
                    error = percent_within(found["calibration_error"], found["calibration_error_interval"])
                    told = [percent(found["foretold"]), percent(found["came"]), error, f"{found['brier']:.4f}"]
                    rows.append([engine, by, what, kind, *told])
    return Table(["engine", "learnt from", "of", "species", "foretold", "came", "error", "Brier"], rows)


def draw_frontier(results: Mapping[str, Any]) -> Figure:
    """Accuracy against queries a second, for new and for known species: filled net, hollow with the start."""
    figure = PlainFigure(figsize=(11, 4.2), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, rank, title in zip(
        panels, ("genus", "species"), ("genus of new species", "species of known ones"), strict=True
    ):
        for colour, (name, found) in zip(_COLOURS, results["contenders"].items(), strict=True):
            share = 100 * found["accuracy"][rank][f"{rank}_accuracy"]
            whole, net = found["speed"]["per_second"], found["speed"]["net"]
            axes.plot([whole, net], [share, share], color=colour, lw=1)
            axes.plot([whole], [share], "o", color=colour, markerfacecolor="white")
            axes.plot([net], [share], "o", color=colour, label=name)
        axes.set(xscale="log", xlabel="queries a second (hollow: start counted)", ylabel="right, %", title=title)
        finish(axes)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, fontsize=8, loc="outside lower center", ncols=len(names))
    return figure
