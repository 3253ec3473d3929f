"""The style of all plots: colours that colour-blind readers can distinguish (Okabe and Ito), intervals, PNG."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.text import Text

BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW, BLACK, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000", "#999999",
)  # fmt: skip
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW)
INTERVAL = "95 % interval over species"

_MARKERS = "osD^vPX"
_LEGEND_COLUMNS = 4
_SPACING = 0.13


class PlainFigure(Figure):
    """A figure without TeX: names of taxa and models may contain a `$`, which matplotlib would take for math."""

    def draw(self, renderer: RendererBase) -> None:
        """Draw the figure; called by matplotlib."""
        for text in self.findobj(Text):
            text.set_parse_math(False)
        with rc_context({"text.parse_math": False}):  # for labels that are created while drawing
            super().draw(renderer)


def percent_with_errors(scores: Sequence[dict[str, Any]], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Shares in percent `[n]`, and the lengths of their intervals below and above `[2, n]`.

    Args:
        scores: `[n]`, the scores of each.
        key: key of the share; that of its interval ends with `_interval`.
    """
    shares = np.array([one[key] for one in scores], dtype=float)
    intervals = np.array([one[f"{key}_interval"] for one in scores], dtype=float).reshape(-1, 2).T
    # A rounding error may put a share outside of its percentile interval.
    errors = np.maximum(0, [shares - intervals[0], intervals[1] - shares])
    return 100 * shares, 100 * errors


def draw_series(
    axes: Axes,
    positions: Sequence[int],
    found: dict[str, list[dict[str, Any]]],
    key: str,
    colours: dict[str, str],
    line: str,
) -> None:
    """Shares of several methods with their intervals, side by side at each position.

    Args:
        axes: axes to draw on.
        positions: `[n]`, along the axis.
        found: name -> scores `[n]`.
        key: key of the share.
        colours: name -> colour.
        line: `-` joins the points of a method, "" does not.
    """
    for number, (name, scores) in enumerate(found.items()):
        shares, errors = percent_with_errors(scores, key)
        axes.errorbar(
            np.asarray(positions) + _SPACING * (number - (len(found) - 1) / 2),
            shares,
            yerr=errors,
            fmt=f"{marker(number)}{line}",
            lw=1,
            capsize=3,
            markersize=5,
            color=colours[name],
            label=name,
        )


def draw_rows(axes: Axes, scores: Sequence[dict[str, Any]], key: str, colours: Sequence[str]) -> None:
    """Draw shares as points with intervals, one row for each method, the first at the top.

    Args:
        axes: axes to draw on.
        scores: `[n]`, the scores of each method.
        key: key of the share.
        colours: `[n]`.
    """
    shares, errors = percent_with_errors(scores, key)
    for row, share, error, colour in zip(rows_from_top(len(scores)), shares, errors.T, colours, strict=True):
        axes.errorbar([share], [row], xerr=error[:, None], fmt="o", color=colour, markersize=5, lw=1, capsize=3)


def name_rows(panels: Sequence[Axes], names: Sequence[str], colours: Sequence[str]) -> None:
    """Write the names of methods before the rows of `draw_rows`, in their colours, and draw light grids."""
    panels[0].set_yticks(rows_from_top(len(names)), names)
    for label, colour in zip(panels[0].get_yticklabels(), colours, strict=True):
        label.set_color(colour)
    for axes in panels:
        axes.title.set_fontsize(10)
        finish(axes)
        axes.grid(axis="x", alpha=0.3)


def rows_from_top(n: int) -> np.ndarray:
    """The positions of rows, the first at the top: n - 1 to 0."""
    return np.arange(n)[::-1]


def marker(number: int) -> str:
    """The marker of a series, which distinguishes it in a grey print."""
    return _MARKERS[number % len(_MARKERS)]


def finish(axes: Axes) -> None:
    """Remove the frame, and draw a light horizontal grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)


def legend_above(figure: Figure, axes: Axes) -> None:
    """One legend for all panels, above them."""
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, loc="outside upper left", ncols=min(len(names), _LEGEND_COLUMNS))


def png(figure: Figure) -> bytes:
    """The figure as the content of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
