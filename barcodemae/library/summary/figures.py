"""The figures of a summary, as plotly.js draws them: plain dictionaries of data and layout."""

from collections import Counter
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np

from barcodemae.data.schema import RANKS
from barcodemae.library.results.schema import NOVEL, UNRELIABLE
from barcodemae.library.summary.counts import MIN_NOVELTY, NUM_BINS, SummaryCounts

Figure = dict[str, Any]

MAX_TAXA = 2000
"""Maximum number of taxa that are drawn, the largest ones; with more, a browser takes seconds."""

_MAX_NAME_LENGTH = 60

# An order and the taxa within it have one colour, given to the largest orders in turn. The colours can be distinguished
# by people with red-green colour blindness.
_COLOURS = (
    "#4477aa",
    "#ee8866",
    "#228833",
    "#ddaa33",
    "#66ccee",
    "#aa4488",
    "#99bb55",
    "#bb5566",
    "#44aa99",
    "#8877bb",
)
_GREYS = ("#d7dbe0", "#e6e9ec")
_NOT_NAMED = "#b0b6bd"
_ORDER = RANKS.index("order")
_RANK_COLOURS = ("#dde3e8", "#bccbd8", "#97b4cb", "#6f9abf", "#4477aa", "#22406e")

_FONT = {"family": "system-ui, sans-serif", "size": 14, "color": "#1d2733"}
_TRANSPARENT = "rgba(0,0,0,0)"
_BUTTONS = {"bgcolor": _TRANSPARENT, "color": "#8b95a1", "activecolor": "#1d2733"}
_LAYOUT = {"font": _FONT, "paper_bgcolor": _TRANSPARENT, "plot_bgcolor": _TRANSPARENT, "modebar": _BUTTONS}


def sunburst(counts: SummaryCounts) -> Figure:
    """Reads by taxon, from the highest rank with a name outwards; a click on a taxon zooms in.

    Ranks at which the library has no name are left out. Reads called at a higher rank, and taxa that are not drawn (see
    `MAX_TAXA`), leave a gap in the outer rings.
    """
    totals = named_totals(counts)
    # A taxon is never larger than its parent, and comes after it if equally large: parents are always drawn.
    drawn = sorted(totals, key=lambda lineage: (-totals[lineage], len(lineage), lineage))[:MAX_TAXA]
    orders = [lineage for lineage in drawn if lineage[-1][0] == _ORDER]
    colour_of_order = {lineage: _COLOURS[number % len(_COLOURS)] for number, lineage in enumerate(orders)}
    # Ids are numbers, because a name can occur in several lineages and is arbitrary text from a file.
    number_of = {lineage: number for number, lineage in enumerate(drawn, 1)}

    nodes = [("0", "", f"all {counts.unit}", "", counts.reads, "#ffffff")]
    for lineage in drawn:
        depth, name = lineage[-1]
        order = next((lineage[: i + 1] for i, (depth, _) in enumerate(lineage) if depth == _ORDER), None)
        colour = _GREYS[min(depth, len(_GREYS) - 1)] if order is None else colour_of_order[order]
        parent = str(number_of.get(lineage[:-1], 0))
        nodes.append((str(number_of[lineage]), parent, _label(name), RANKS[depth], totals[lineage], colour))
    for call in (NOVEL, UNRELIABLE):
        if counts.calls[call]:
            nodes.append((call, "0", call, "no name", counts.calls[call], _NOT_NAMED))
    ids, parents, labels, ranks, values, colours = (list(column) for column in zip(*nodes, strict=True))
    trace = {
        "type": "sunburst",
        "ids": ids,
        "parents": parents,
        "labels": labels,
        "customdata": ranks,
        "values": values,
        "branchvalues": "total",
        "maxdepth": 5,
        "leaf": {"opacity": 1},
        "marker": {"colors": colours, "line": {"width": 1, "color": "#ffffff"}},
        "hovertemplate": f"<b>%{{label}}</b> %{{customdata}}<br>%{{value:,}} {counts.unit}, %{{percentRoot:.1%}}"
        "<extra></extra>",
    }
    margin = {"l": 4, "r": 4, "t": 4, "b": 4}
    return {"data": [trace], "layout": _LAYOUT | {"margin": margin, "uniformtext": {"minsize": 11, "mode": "hide"}}}


def confidence_histogram(counts: SummaryCounts) -> Figure:
    """Reads with a name, by confidence at the called rank."""
    traces = [
        _bars(counts.confidences[depth], _RANK_COLOURS[depth], rank)
        for depth, rank in reversed(list(enumerate(RANKS)))
        if counts.confidences[depth].any()
    ]
    return _histogram(traces, "confidence at the called rank", counts.unit)


def novelty_histogram(counts: SummaryCounts) -> Figure:
    """Reads by the probability that their species is not in the library."""
    figure = _histogram([_bars(counts.novelties, "#44aa99", counts.unit)], "novelty", counts.unit)
    line = {"width": 1.5, "dash": "dash", "color": "#555f6b"}
    edge = {"type": "line", "x0": MIN_NOVELTY, "x1": MIN_NOVELTY, "y0": 0, "y1": 1, "yref": "paper", "line": line}
    figure["layout"] |= {"showlegend": False, "shapes": [edge]}
    return figure


def _bars(numbers: np.ndarray, colour: str, name: str) -> Figure:
    edges = np.linspace(0, 1, NUM_BINS + 1)
    return {
        "type": "bar",
        "name": name,
        "x": ((edges[1:] + edges[:-1]) / 2).tolist(),
        "y": numbers.tolist(),
        "width": 1 / NUM_BINS,
        "customdata": [f"{low:.2f} to {high:.2f}" for low, high in pairwise(edges)],
        "marker": {"color": colour, "line": {"width": 1, "color": "#ffffff"}},
        "hovertemplate": f"<b>%{{y:,}}</b> {name}<br>%{{customdata}}<extra></extra>",
    }


def _histogram(traces: list[Figure], title: str, unit: str) -> Figure:
    shares = {"range": [0, 1], "dtick": 0.2, "ticks": "outside", "title": {"text": title}, "fixedrange": True}
    queries = {"title": {"text": unit}, "gridcolor": "#e3e7eb", "rangemode": "tozero", "fixedrange": True}
    layout = {
        "barmode": "stack",
        "xaxis": shares,
        "yaxis": queries,
        "showlegend": True,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
        "margin": {"l": 64, "r": 16, "t": 36, "b": 56},
    }
    return {"data": traces, "layout": _LAYOUT | layout}


def named_totals(counts: SummaryCounts) -> Counter[tuple[tuple[int, str], ...]]:
    """Number of reads by taxon, with those of the taxa within it: index of the rank and name, for each known name from
    the highest down to the taxon."""
    totals: Counter[tuple[tuple[int, str], ...]] = Counter()
    for lineage, n in counts.taxa.items():
        named = tuple((depth, name) for depth, name in enumerate(lineage) if name)
        for end in range(1, len(named) + 1):
            totals[named[:end]] += n
    return totals


def _label(name: str) -> str:
    """A name as plotly.js can show it: escaped, because some tags in a text are interpreted."""
    short = name if len(name) <= _MAX_NAME_LENGTH else f"{name[: _MAX_NAME_LENGTH - 1]}…"
    return escape(short)
