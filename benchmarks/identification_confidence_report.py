"""The page and the plot that `identification_confidence.py` writes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from barcodemae.evaluation.report.content import Table, as_markdown, percent, percent_within
from barcodemae.evaluation.scores import draw_species, percentile_interval
from barcodemae.plotting import BLUE, GREEN, GREY, ORANGE, VERMILION, PlainFigure, finish, legend_above, marker

VSEARCH = "VSEARCH, best hit"
_COLOURS = {"SINTAX": ORANGE, "naive Bayes (QIIME 2)": GREEN, "RDP": VERMILION, "barcodemae": BLUE}
_NUM_TENTHS, _MIN_QUERIES, _NUM_RESAMPLES = 10, 20, 300
_MEBIBYTE = 2**20


def write_report(results: Mapping[str, Any]) -> str:
    """All tables as Markdown."""
    known, new = results["splits"]
    number = results["n_queries"]
    parts = [
        "# Names with a confidence",
        f"{results['n_references']:,} references (`train`); queries: {number['known']:,} of known species (`{known}`), "
        f"{number['new']:,} of new ones (`{new}`), {number['strangers']:,} strangers, whose phylum is not among the "
        f"references. VSEARCH {results['vsearch']}. {results['machine']}; {results['date']}. In percent, with 95 % "
        "intervals over species.",
        "## Names that are given",
        as_markdown(calls_table(results)),
        "Minimum: the confidence below which names are left out, the default of each program; of VSEARCH, percent "
        "identity. Any species name of a new species is wrong, and any name below phylum of a stranger.",
        "## Confidence of the genus of new species",
        as_markdown(confidence_table(results, "new", "genus")),
        "## Confidence of the species of known species",
        as_markdown(confidence_table(results, "known", "species")),
        "Calibration error: expected calibration error, 15 bins, in percentage points. Coverage: the largest share of "
        "queries that can be named, most confident first, with this precision.",
        "## Calibration error by rank, percentage points",
        as_markdown(ranks_table(results, "calibration_error")),
        "## Speed and memory",
        as_markdown(speed_table(results)),
        "Queries per second of the processor's time: of the complete command, and (net) without the time for a single "
        "query, in which the references are loaded. Memory: maximum resident size.",
    ]
    return "\n\n".join(parts) + "\n"


def _within(found: Mapping[str, Any], key: str) -> str:
    return percent_within(found[key], found[f"{key}_interval"]) if key in found else ""


def calls_table(results: Mapping[str, Any]) -> Table:
    """A line for each method: what is named at its minimum."""
    rows = []
    for name, found in results["methods"].items():
        species, new = found["known"]["species"], found["new"]
        right = new["genus"]["called"] - new["genus"]["called_wrong"]
        strangers = percent(found["strangers"]["below_phylum"]) if "strangers" in found else ""
        rows.append(
            [
                name,
                f"{found['minimum']:g}",
                percent(species["called"] - species["called_wrong"]),
                _within(species, "called_wrong"),
                _within(new["species"], "called_wrong"),
                percent(right),
                _within(new["genus"], "called_wrong"),
                strangers,
            ]
        )
    columns = ["minimum", "known species: right", "wrong species", "new species: wrong species", "right genus"]
    return Table(["", *columns, "wrong genus", "strangers: a name below phylum"], rows)


def confidence_table(results: Mapping[str, Any], kind: str, rank: str) -> Table:
    """A line for each method: how good its confidence is at one rank."""
    keys = ("accuracy", "calibration_error", "brier", "coverage_95", "coverage_98")
    rows = []
    for name, found in results["methods"].items():
        scores = found[kind][rank]
        cells = {key: _within(scores, key) for key in keys}
        if "brier" in scores:
            low, high = scores["brier_interval"]
            cells["brier"] = f"{scores['brier']:.4f} ({low:.4f}-{high:.4f})"
        rows.append([name, *cells.values()])
    columns = ["best name right", "calibration error", "Brier score", "coverage at 95 %", "coverage at 98 %"]
    return Table(["", *columns], rows)


def ranks_table(results: Mapping[str, Any], key: str) -> Table:
    """A line for each method: a score at each rank, of known and of new species."""
    rows = []
    for name, found in results["methods"].items():
        scores = {f"{kind}: {rank}": one for kind in ("known", "new") for rank, one in found[kind].items()}
        if key in scores["known: species"]:
            rows.append([name, *(percent(one[key]) for one in scores.values())])
    return Table(["", *scores], rows)


def speed_table(results: Mapping[str, Any]) -> Table:
    """A line for each method: queries per second of one core, relative to VSEARCH, and memory."""
    rows = []
    baseline = results["methods"][VSEARCH]["cost"]
    for name, found in results["methods"].items():
        cost = found["cost"]
        cells = [f"{cost['one']['cpu_seconds']:.1f}"]
        for key in ("per_cpu_second", "net_per_cpu_second"):
            cells += [f"{cost[key]:,.0f}", f"{cost[key] / baseline[key]:.1f}"]
        rows.append([name, *cells, f"{cost['all']['memory'] / _MEBIBYTE:,.0f}"])
    columns = ["one query, s", "queries/s", "times VSEARCH", "net", "times VSEARCH", "memory, MiB"]
    return Table(["", *columns], rows)


def draw_confidences(found: Mapping[str, Mapping[tuple[str, str], Any]], seed: int = 0) -> Figure:
    """Whether confidences are right, and what can be named with them.

    Args:
        found: method -> (`known` or `new`, rank) -> names, as `identification_confidence.Names`.
        seed: random seed of the intervals.
    """
    figure = PlainFigure(figsize=(11, 10), layout="constrained")
    panels = figure.subplots(2, 2)
    for number, (name, of_kind) in enumerate(found.items()):
        style = {"color": _COLOURS[name], "label": name}
        genus = of_kind["new", "genus"]
        _draw_reliability(panels[0, 0], [genus], number, style, seed)
        _draw_reliability(panels[0, 1], [of_kind["known", "species"], of_kind["new", "species"]], number, style, seed)
        _draw_precision(panels[1, 0], genus, number, style)
        _draw_species(panels[1, 1], of_kind["known", "species"], of_kind["new", "species"], number, style)
    for axes in panels[0]:
        axes.plot([0, 100], [0, 100], color=GREY, lw=1, zorder=0)
        axes.set(xlim=(-3, 103), ylim=(-3, 103), xlabel="confidence, %", ylabel="names that are right, %")
    panels[0, 0].set_title("Genus of new species: is the confidence right?\n(best: on the grey line)")
    panels[0, 1].set_title("Species, half of the queries new: is the confidence right?\n(best: on the grey line)")
    panels[1, 0].set_title("Genus of new species: how many can be named?\n(best: upper right)")
    panels[1, 0].set(xlim=(-3, 103), xlabel="barcodes that are named, %", ylabel="names that are right, %")
    panels[1, 1].set_title("Species: names of known species, and wrong ones of new species\n(best: upper left)")
    panels[1, 1].set(xscale="log", xlim=(0.1, 110), ylim=(79, 100.5), ylabel="known species named right, %")
    panels[1, 1].set_xlabel("new species that are given a species name, % (logarithmic)")
    panels[1, 1].xaxis.set_major_formatter("{x:g}")
    for axes in panels.ravel():
        axes.title.set_fontsize(10)
        finish(axes)
    legend_above(figure, panels[0, 0])
    figure.supxlabel(
        "Above: tenths of the scale, bars are 95 % intervals over species. Below: each line is one program with all "
        "minimum confidences, the large point is its default.",
        fontsize=9,
    )
    return figure


def _draw_reliability(axes: Axes, kinds: list[Any], number: int, style: dict[str, Any], seed: int) -> None:
    """Share of right names by tenths of the confidence; each kind of queries has the same weight."""
    weights = np.concatenate([np.full(len(one.right), 1 / len(one.right)) for one in kinds])
    confidence, right, species = (
        np.concatenate([getattr(one, field) for one in kinds]) for field in ("confidence", "right", "species")
    )
    tenth = np.minimum((confidence * _NUM_TENTHS).astype(int), _NUM_TENTHS - 1)
    points = []
    for value in range(_NUM_TENTHS):
        rows = tenth == value
        if rows.sum() < _MIN_QUERIES:
            continue
        _, group = np.unique(species[rows], return_inverse=True)
        drawn = draw_species(np.random.default_rng(seed), group.max() + 1, _NUM_RESAMPLES)[:, group] * weights[rows]
        low, high = percentile_interval(drawn @ right[rows] / drawn.sum(axis=1))
        mean = np.average(right[rows], weights=weights[rows])
        points.append(
            [np.average(confidence[rows], weights=weights[rows]), mean, max(mean - low, 0), max(high - mean, 0)]
        )
    x, y, below, above = 100 * np.array(points).T
    axes.errorbar(x, y, (below, above), fmt=f"{marker(number)}-", lw=1, capsize=2, markersize=5, **style)


def _draw_precision(axes: Axes, names: Any, number: int, style: dict[str, Any]) -> None:
    """Precision against the share of queries that are named, for every minimum of the confidence."""
    order = np.argsort(-names.confidence, kind="stable")
    sorted_confidence, num_right = names.confidence[order], np.cumsum(names.right[order])
    ends = np.flatnonzero(np.append(sorted_confidence[1:] != sorted_confidence[:-1], True))
    ends = ends[ends >= _MIN_QUERIES]
    axes.plot(100 * (ends + 1) / len(order), 100 * num_right[ends] / (ends + 1), lw=1.5, **style)
    called = names.called
    axes.plot([100 * called.mean()], [100 * names.right[called].mean()], marker(number), color=style["color"], ms=9)


def _draw_species(axes: Axes, known: Any, new: Any, number: int, style: dict[str, Any]) -> None:
    """Known species that are named right against new ones that are named, for every minimum of the confidence."""
    minimums = np.unique(np.concatenate([known.confidence, new.confidence]))
    right = np.sort(known.confidence[known.right])
    wrong = np.sort(new.confidence)
    axes.plot(
        100 * (1 - np.searchsorted(wrong, minimums) / len(wrong)),
        100 * (len(right) - np.searchsorted(right, minimums)) / len(known.right),
        lw=1.5,
        **style,
    )
    axes.plot(
        [100 * new.called.mean()],
        [100 * (known.called & known.right).mean()],
        marker(number),
        color=style["color"],
        ms=9,
    )
