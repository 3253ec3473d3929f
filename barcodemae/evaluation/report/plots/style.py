"""What the plots share: colours that colour-blind readers can tell apart (Okabe and Ito), percent, and PNG."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from barcodemae.evaluation.report.names import by_accuracy

BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW, BLACK, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000", "#999999",
)  # fmt: skip
INTERVAL = "95 % interval over species"

_RIVALS = (ORANGE, GREEN, PURPLE, VERMILION, SKY, BLACK)
_MARKERS = "osD^vPX"
_LEGEND_COLUMNS = 4
_APART = 0.13


def colours(results: dict[str, Any]) -> dict[str, str]:
    """Readable name -> colour, the same in every plot: blue for the model, grey from the seventh rival on."""
    model, *rivals = by_accuracy(results)
    return {model: BLUE} | {name: _RIVALS[place] if place < len(_RIVALS) else GREY for place, name in enumerate(rivals)}


def percent_with_errors(scores: Sequence[dict[str, Any]], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Shares in percent `[n]`, and how far their intervals reach below and above `[2, n]`.

    Args:
        scores: one of each.
        key: of the share; that of its interval ends with `_interval`.
    """
    shares = np.array([one[key] for one in scores], dtype=float)
    intervals = np.array([one[f"{key}_interval"] for one in scores], dtype=float).reshape(-1, 2).T
    # The share itself may lie outside of its percentile interval by a rounding error.
    errors = np.maximum(0, [shares - intervals[0], intervals[1] - shares])
    return 100 * shares, 100 * errors


def draw_series(
    axes: Axes,
    places: Sequence[int],
    found: dict[str, list[dict[str, Any]]],
    key: str,
    colours: dict[str, str],
    line: str,
) -> None:
    """Shares of several representations with their intervals, next to each other at each place.

    Args:
        axes: to draw on.
        places: `[n]`, along the axis.
        found: name -> scores `[n]`.
        key: of the share.
        colours: name -> colour.
        line: `-` joins the points of a representation, "" does not.
    """
    for number, (name, scores) in enumerate(found.items()):
        shares, errors = percent_with_errors(scores, key)
        axes.errorbar(
            np.asarray(places) + _APART * (number - (len(found) - 1) / 2),
            shares,
            yerr=errors,
            fmt=f"{marker(number)}{line}",
            lw=1,
            capsize=3,
            markersize=5,
            color=colours[name],
            label=name,
        )


def marker(place: int) -> str:
    """Of the series at this place: grey prints have no colours."""
    return _MARKERS[place % len(_MARKERS)]


def finish(axes: Axes) -> None:
    """No frame, and a quiet grid across the numbers."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)


def legend_above(figure: Figure, axes: Axes) -> None:
    """One legend for all panels, above them."""
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, loc="outside upper left", ncols=min(len(names), _LEGEND_COLUMNS))


def png(figure: Figure) -> bytes:
    """The figure as a file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
