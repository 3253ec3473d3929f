"""Curves of accuracy against damage, bytes and labelled barcodes; and the map of barcodes."""

from collections import Counter
from typing import Any

import numpy as np
from matplotlib.ticker import NullLocator

from barcodemae.plotting import (
    GREY,
    INTERVAL,
    PALETTE,
    PlainFigure,
    draw_series,
    finish,
    legend_above,
    marker,
    percent_with_errors,
    png,
)

_COLUMNS = 3


def draw_robustness(robustness: dict[str, list[dict[str, Any]]], colours: dict[str, str]) -> bytes:
    """Genus accuracy of changed queries, a panel for each change, beside that of unchanged ones.

    Args:
        robustness: name -> entries, the unchanged queries first, all with the same changes.
        colours: name -> colour.
    """
    changes: dict[str, list[float | None]] = {}
    for entry in next(iter(robustness.values()))[1:]:
        changes.setdefault(entry["change"], []).append(entry["amount"])
    num_columns = min(len(changes), _COLUMNS)
    num_rows = -(-len(changes) // num_columns)
    figure = PlainFigure(figsize=(3.4 * num_columns, 3 * num_rows + 0.6), layout="constrained")
    panels = figure.subplots(num_rows, num_columns, sharey=True, squeeze=False)
    for axes in panels.flat[len(changes) :]:
        axes.remove()
    for axes, (change, amounts) in zip(panels.flat, changes.items(), strict=False):
        found = {
            name: [entries[0], *(entry for entry in entries if entry["change"] == change)]
            for name, entries in robustness.items()
        }
        positions = range(len(amounts) + 1)
        draw_series(axes, positions, found, "genus_accuracy", colours, line="-")
        axes.set_xticks(positions, ["none", *map(_amount, amounts)])
        axes.set(title=change.replace("_", " "), xlim=(-0.5, len(amounts) + 0.5), ylim=(-3, 104))
        finish(axes)
    for axes in panels[:, 0]:
        axes.set_ylabel("genus accuracy (%)")
    legend_above(figure, panels[0, 0])
    return png(figure)


def draw_compression(compression: dict[str, list[dict[str, Any]]], colours: dict[str, str]) -> bytes:
    """Genus accuracy against the bytes of a vector: a line for each form, by increasing dimension.

    Args:
        compression: name -> entries.
        colours: name -> colour.
    """
    figure = PlainFigure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    forms = list(dict.fromkeys(entry["form"] for entries in compression.values() for entry in entries))
    for name, entries in compression.items():
        for number, form in enumerate(forms):
            drawn = sorted((entry for entry in entries if entry["form"] == form), key=lambda entry: entry["bytes"])
            sizes = [entry["bytes"] for entry in drawn]
            accuracies, _ = percent_with_errors(drawn, "genus_accuracy")
            axes.plot(sizes, accuracies, marker=marker(number), lw=1, color=colours[name])
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda size, _: f"{size:,.0f}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(ylim=(-3, 104), xlabel="bytes per barcode", ylabel="genus accuracy (%)")
    finish(axes)
    of_form = [
        axes.plot([], [], color=GREY, lw=0, marker=marker(number), label=form)[0] for number, form in enumerate(forms)
    ]
    axes.legend(handles=of_form, frameon=False, loc="lower right", ncols=len(forms))
    of_name = [axes.plot([], [], color=colours[name], label=name)[0] for name in compression]
    figure.legend(handles=of_name, frameon=False, loc="outside upper left", ncols=len(of_name))
    return png(figure)


def draw_few_shot(few_shot: dict[str, list[dict[str, Any]]], colours: dict[str, str]) -> bytes:
    """Species accuracy against the number of labelled barcodes per species.

    Args:
        few_shot: name -> entries, all with the same numbers.
        colours: name -> colour.
    """
    figure = PlainFigure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    shots = [entry["shots"] for entry in next(iter(few_shot.values()))]
    draw_series(axes, range(len(shots)), few_shot, "species_accuracy", colours, line="-")
    axes.set_xticks(range(len(shots)), shots)
    axes.set(ylim=(-3, 104), xlabel="labelled barcodes per species", ylabel=f"species accuracy (%; {INTERVAL})")
    finish(axes)
    legend_above(figure, axes)
    return png(figure)


def _amount(amount: float | None) -> str:
    """Rates are below 1; other amounts are nucleotides."""
    if amount is None:
        return "applied"
    return f"{100 * amount:g} %" if amount < 1 else f"{amount:g} nt"


def draw_map(points: np.ndarray, orders: np.ndarray) -> bytes:
    """UMAP of barcodes, coloured by order; all orders from the eighth on share one colour.

    Args:
        points: `[n, 2]`.
        orders: `[n]`, names; "" is unknown.
    """
    figure = PlainFigure(figsize=(8, 6), layout="constrained")
    axes = figure.add_subplot()
    common = [name for name, _ in Counter(orders[orders != ""].tolist()).most_common(len(PALETTE))]
    size = float(np.clip(8_000 / len(points), 3, 30))
    others = ~np.isin(orders, common)
    groups = [(name, orders == name, colour) for name, colour in zip(common, PALETTE, strict=False)]
    if others.any():
        groups.append(("other", others, GREY))
    for name, rows, colour in groups:
        label = f"{name} ({rows.sum():,})"
        x, y = points[rows].T
        axes.scatter(x, y, s=size, color=colour, linewidths=0, alpha=0.8, label=label)
    axes.set(xlabel="UMAP 1", ylabel="UMAP 2", title="Barcodes by order", xticks=[], yticks=[])
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=(40 / size) ** 0.5)
    return png(figure)
