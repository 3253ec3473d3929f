"""Genera that are taken for their sisters."""

from typing import Any

from matplotlib.figure import Figure

from barcodemae.evaluation.report.plots.style import BLUE, png

_N_SHOWN = 20


def draw_confusions(confusions: list[dict[str, Any]]) -> bytes:
    """The most frequent wrong answers within a family, as ranked bars.

    Args:
        confusions: `genus, answered, family, n`, most frequent first.
    """
    shown = confusions[:_N_SHOWN]
    figure = Figure(figsize=(8, 1 + 0.32 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    names = [f"{one['genus']} → {one['answered']} ({one['family']})" for one in shown]
    bars = axes.barh(range(len(shown)), [one["n"] for one in shown], color=BLUE)
    axes.bar_label(bars, padding=3)
    axes.set_yticks(range(len(shown)), names)
    axes.invert_yaxis()
    axes.set(xlabel="barcodes", title="Right genus → answered genus, same family")
    axes.spines[["top", "right"]].set_visible(False)
    return png(figure)
