"""The page and the picture that `goals.py` writes."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from barcodemae.evaluation.report.content import Table, as_markdown, percent, percent_within
from barcodemae.evaluation.report.plots.style import (
    BLUE,
    GREEN,
    GREY,
    INTERVAL,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    finish,
    percent_with_errors,
)

_PALETTE = (GREY, ORANGE, SKY, GREEN, BLUE, VERMILION, PURPLE)
_ABSENT = ""


def write_report(results: Mapping[str, Any]) -> str:
    """All tables as Markdown."""
    parts = [
        f"# {results['title']}",
        _head(results),
        as_markdown(goals_table(results)),
        "Accuracies with their 95 % interval over species; nearest `train` barcode, `encode()` at its defaults. BINs: "
        "adjusted mutual information; the threshold of vectors was chosen without labels, VSEARCH's identity by them. "
        "Speed: times VSEARCH in the same run.",
        "## Differences: model less rival, points",
        as_markdown(differences_table(results)),
        "Paired by barcode, resampled and exchanged by species.",
        "## BINs",
        as_markdown(bins_table(results)),
        "The best threshold is picked by labels: it shows what the choice without labels costs.",
        "## Speed",
        as_markdown(speed_table(results)),
        f"## Where {results['models'][0]} fails",
        as_markdown(confusions_table(results)),
        "Genera of `test_unseen` by rows that it names wrongly, and how many of these BLAST names wrongly too.",
    ]
    return "\n\n".join(parts) + "\n"


def _head(results: Mapping[str, Any]) -> str:
    programs = ", ".join(f"{name} {version}" for name, version in results["programs"].items())
    return (
        f"{results['n_keys']:,} keys (`train`); {programs}; {results['machine']}; {results['date']}; peak memory "
        f"{results['peak_mb']:,.0f} MB."
    )


def goals_table(results: Mapping[str, Any]) -> Table:
    """A column for each contender and one for the goal, a line for each measure."""
    names = results["contenders"]
    rows = [
        [f"{title} ({asked['n_rows']:,} rows)", *(_accuracy(asked, name) for name in names), asked["goal"]]
        for title, asked in results["accuracy"].items()
    ]
    for title, asked in results["bins"].items():
        cells = [percent(asked["scores"][name]["bin_ami"]) if name in asked["scores"] else _ABSENT for name in names]
        rows.append([f"{title} ({asked['n_rows']:,} rows)", *cells, "at least VSEARCH's best"])
    for title, found in results["speed"].items():
        ratios = found["times_vsearch"]
        rows.append([title, *(f"{ratios[name]:.2g}" if name in ratios else _ABSENT for name in names), "at least 2"])
    return Table(["", *names, "goal"], rows)


def _accuracy(asked: Mapping[str, Any], name: str) -> str:
    if name not in asked["scores"]:
        return _ABSENT
    scores, rank = asked["scores"][name], asked["rank"]
    return percent_within(scores[f"{rank}_accuracy"], scores[f"{rank}_accuracy_interval"])


def differences_table(results: Mapping[str, Any]) -> Table:
    """A line for each question and model, a column for each rival."""
    rivals = [name for name in results["contenders"] if name not in results["models"]]
    rows = [
        [title, model, *(_difference(asked["comparisons"][model].get(rival)) for rival in rivals)]
        for title, asked in results["accuracy"].items()
        for model in results["models"]
    ]
    return Table(["", "model", *(f"less {rival}" for rival in rivals)], rows)


def _difference(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return _ABSENT
    low, high = found["interval"]
    return f"{100 * found['difference']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f}), p = {found['p_value']:.4f}"


def bins_table(results: Mapping[str, Any]) -> Table:
    """A line for each set of rows and contender."""
    rows = []
    for title, asked in results["bins"].items():
        for name, found in asked["scores"].items():
            best = _ABSENT
            if "threshold" in found:
                chosen = f"cosine {1 - found['threshold']:.3f}, without labels"
                best = f"{percent(found['best_bin_ami'])} at {1 - found['best_threshold']:.3f}"
            elif "share_of_letters" in found:
                chosen = f"{found['share_of_letters']:.1%} of letters, from `train`"
            else:
                chosen = f"identity {found['best_identity']:g}, by labels"
            shown = [percent(found["bin_ami"]), chosen, f"{found['n_clusters']:,} of {asked['n_bins']:,}", best]
            rows.append([title, name, *shown])
    return Table(["", "", "AMI", "threshold", "clusters of BINs", "at the best threshold"], rows)


def speed_table(results: Mapping[str, Any]) -> Table:
    """Barcodes or queries a second, and their ratio to VSEARCH's."""
    rows = [
        [title, name, f"{rate:,.0f}", f"{found['times_vsearch'][name]:.2f}"]
        for title, found in results["speed"].items()
        for name, rate in found["per_second"].items()
    ]
    return Table(["", "", "a second", "times VSEARCH"], rows)


def confusions_table(results: Mapping[str, Any]) -> Table:
    """A line for each genus and what it is taken for."""
    rows = [
        [
            one["genus"],
            one["named"] or "(nothing)",
            f"{one['n_wrong']:,} of {one['n_rows']:,}",
            f"{one['n_species']:,}",
            percent(one["share_blast_wrong"]),
            percent(one["share_blast_same"]),
        ]
        for one in results["confusions"]
    ]
    return Table(["genus", "named as", "rows", "species", "BLAST wrong too, %", "BLAST says the same, %"], rows)


def draw(results: Mapping[str, Any]) -> Figure:
    """Bars of all contenders: accuracies with intervals, BINs, and speed on a logarithmic axis."""
    names = results["contenders"]
    colours = {name: _PALETTE[place % len(_PALETTE)] for place, name in enumerate(names)}
    panels = [*results["accuracy"], *results["bins"], *results["speed"]]
    n_columns = 3
    figure = Figure(figsize=(13, 3.2 * -(-len(panels) // n_columns)), layout="constrained")
    grid = figure.subplots(-(-len(panels) // n_columns), n_columns, squeeze=False).ravel()
    for axes, title in zip(grid, panels, strict=False):
        axes.set_title(textwrap.fill(title.replace("`", ""), 44), fontsize=9)
        finish(axes)
        if title in results["accuracy"]:
            asked = results["accuracy"][title]
            scores = asked["scores"]
            shares, errors = percent_with_errors(list(scores.values()), f"{asked['rank']}_accuracy")
            _bars(axes, list(scores), shares, colours, errors)
            _zoom(axes, shares - errors[0], shares + errors[1])
            axes.set_ylabel(f"{asked['rank']}, % ({INTERVAL})", fontsize=7)
        elif title in results["bins"]:
            scores = results["bins"][title]["scores"]
            shares = np.array([100 * one["bin_ami"] for one in scores.values()])
            _bars(axes, list(scores), shares, colours)
            _zoom(axes, shares, shares)
            axes.set_ylabel("AMI, %", fontsize=7)
        else:
            ratios = results["speed"][title]["times_vsearch"]
            _bars(axes, list(ratios), np.array(list(ratios.values())), colours)
            axes.set(yscale="log", ylabel="times VSEARCH")
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    return figure


def _bars(
    axes: Axes, names: Sequence[str], values: np.ndarray, colours: Mapping[str, str], errors: np.ndarray | None = None
) -> None:
    axes.bar(names, values, yerr=errors, color=[colours[name] for name in names], capsize=3)
    axes.tick_params(axis="x", labelrotation=20, labelsize=7)


def _zoom(axes: Axes, lows: np.ndarray, highs: np.ndarray) -> None:
    """From zero, shares near 100 % could not be told apart."""
    room = 0.1 * (highs.max() - lows.min() + 0.1)
    axes.set_ylim(lows.min() - 3 * room, highs.max() + room)
