"""Results as pictures, in colours that colour-blind readers can tell apart (Okabe and Ito)."""

import io
from collections import Counter
from typing import Any

import numpy as np
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999",
)  # fmt: skip
_MAP_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW)


def draw_map(points: np.ndarray, orders: np.ndarray) -> bytes:
    """UMAP of barcodes, coloured by order; the eighth order and all smaller ones share one colour.

    Args:
        points: `[n, 2]`.
        orders: `[n]`, names; "" is unknown.
    """
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.add_subplot()
    common = [name for name, _ in Counter(orders[orders != ""].tolist()).most_common(len(_MAP_COLOURS))]
    size = float(np.clip(8_000 / len(points), 3, 30))
    others = ~np.isin(orders, common)
    groups = [(name, orders == name, colour) for name, colour in zip(common, _MAP_COLOURS, strict=False)]
    if others.any():
        groups.append(("other", others, GREY))
    for name, rows, colour in groups:
        label = f"{name} ({rows.sum():,})"
        x, y = points[rows].T
        axes.scatter(x, y, s=size, color=colour, linewidths=0, alpha=0.8, label=label)
    axes.set(xlabel="UMAP 1", ylabel="UMAP 2", title="Barcodes by order", xticks=[], yticks=[])
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=(40 / size) ** 0.5)
    return _png(figure)


def draw_accuracies(knn: dict[str, dict[str, Any]]) -> bytes:
    """Genus accuracy of each representation with its interval.

    Args:
        knn: name -> `knn` scores, the model first.
    """
    names = list(knn)
    figure = Figure(figsize=(8, 1.2 + 0.5 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    accuracies, errors = _percent_with_errors(list(knn.values()))
    colours = [BLUE] + [GREY] * (len(names) - 1)
    axes.barh(names, accuracies, xerr=errors, color=colours, capsize=3, error_kw={"lw": 1})
    for place, accuracy in enumerate(accuracies):
        axes.text(1, place, f"{accuracy:.1f}", va="center", color="white", fontweight="bold")
    axes.invert_yaxis()
    axes.set(xlim=(0, 100), xlabel="genus of unseen species, 1-NN (%; 95 % interval over species)")
    axes.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def draw_genus_sizes(knn: dict[str, dict[str, Any]]) -> bytes:
    """Genus accuracy by the number of `train` barcodes of the right genus: the model and its two best rivals.

    Args:
        knn: name -> `knn` scores, the model first.
    """
    model, *rivals = knn
    best = sorted(rivals, key=lambda name: knn[name]["genus_accuracy"], reverse=True)[:2]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    entries = knn[model]["by_genus_size"]
    places = np.arange(len(entries))
    for name, shift, colour in zip([model, *best], (0, -0.15, 0.15), (BLUE, ORANGE, GREEN), strict=False):
        accuracies, errors = _percent_with_errors(knn[name]["by_genus_size"])
        axes.errorbar(places + shift, accuracies, yerr=errors, fmt="o", capsize=3, color=colour, label=name)
    ticks = [f"{_range(*entry['n_keys'])}\n({entry['n_answerable']:,})" for entry in entries]
    axes.set_xticks(places, ticks)
    axes.set(
        ylim=(0, 104),
        xlabel="barcodes of the right genus in train (in brackets: queries)",
        ylabel="genus right (%; 95 % interval over species)",
    )
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    axes.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def _percent_with_errors(scores: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    accuracies = np.array([one["genus_accuracy"] for one in scores])
    intervals = np.array([one["genus_accuracy_interval"] for one in scores]).T
    # The share itself may lie outside of its percentile interval by a rounding error.
    errors = np.maximum(0, [accuracies - intervals[0], intervals[1] - accuracies])
    return 100 * accuracies, 100 * errors


def _range(fewest: int, most: int) -> str:
    return f"{fewest:,}" if fewest == most else f"{fewest:,}-{most:,}"


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
