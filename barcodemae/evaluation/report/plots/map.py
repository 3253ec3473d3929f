"""Barcodes as points."""

from collections import Counter

import numpy as np
from matplotlib.figure import Figure

from barcodemae.evaluation.report.plots.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, YELLOW, png

_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW)


def draw_map(points: np.ndarray, orders: np.ndarray) -> bytes:
    """UMAP of barcodes, coloured by order; the eighth order and all smaller ones share one colour.

    Args:
        points: `[n, 2]`.
        orders: `[n]`, names; "" is unknown.
    """
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.add_subplot()
    common = [name for name, _ in Counter(orders[orders != ""].tolist()).most_common(len(_COLOURS))]
    size = float(np.clip(8_000 / len(points), 3, 30))
    others = ~np.isin(orders, common)
    groups = [(name, orders == name, colour) for name, colour in zip(common, _COLOURS, strict=False)]
    if others.any():
        groups.append(("other", others, GREY))
    for name, rows, colour in groups:
        label = f"{name} ({rows.sum():,})"
        x, y = points[rows].T
        axes.scatter(x, y, s=size, color=colour, linewidths=0, alpha=0.8, label=label)
    axes.set(xlabel="UMAP 1", ylabel="UMAP 2", title="Barcodes by order", xticks=[], yticks=[])
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=(40 / size) ** 0.5)
    return png(figure)
