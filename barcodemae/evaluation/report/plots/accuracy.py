"""Genus accuracy of unseen species: all representations, and by class of query."""

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from barcodemae.evaluation.report.plots.style import (
    BLUE,
    GREY,
    INTERVAL,
    draw_series,
    finish,
    legend_above,
    percent_with_errors,
    png,
)

_N_TAXA = 12


def draw_accuracies(knn: dict[str, dict[str, Any]]) -> bytes:
    """Genus accuracy of each representation with its interval.

    Args:
        knn: name -> `knn` scores, the model first.
    """
    names = list(knn)
    figure = Figure(figsize=(8, 1.2 + 0.5 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    accuracies, errors = percent_with_errors(list(knn.values()), "genus_accuracy")
    colours = [BLUE] + [GREY] * (len(names) - 1)
    axes.barh(names, accuracies, xerr=errors, color=colours, capsize=3, error_kw={"lw": 1})
    for place, accuracy in enumerate(accuracies):
        axes.text(1, place, f"{accuracy:.1f}", va="center", color="white", fontweight="bold")
    axes.invert_yaxis()
    axes.set(xlim=(0, 100), xlabel=f"genus of unseen species, 1-NN (%; {INTERVAL})")
    axes.spines[["top", "right"]].set_visible(False)
    return png(figure)


def draw_genus_sizes(knn: dict[str, dict[str, Any]], colours: dict[str, str]) -> bytes:
    """Genus accuracy by the number of `train` barcodes of the right genus.

    Args:
        knn: name -> `knn` scores that have `by_genus_size`.
        colours: name -> colour.
    """
    found = {name: scores["by_genus_size"] for name, scores in knn.items()}
    label = "barcodes of the right genus in train (in brackets: queries)"
    return _draw_classes(found, colours, lambda entry: _range(*entry["n_keys"]), label)


def draw_orders(knn: dict[str, dict[str, Any]], colours: dict[str, str]) -> bytes:
    """Genus accuracy by order, for the orders with the most queries.

    Args:
        knn: name -> `knn` scores that have `by_order`.
        colours: name -> colour.
    """
    first = next(iter(knn.values()))["by_order"]
    largest = sorted(first, key=lambda entry: -entry["n_answerable"])[:_N_TAXA]
    taxa = [entry["taxon"] for entry in largest]
    found = {}
    for name, scores in knn.items():
        by_taxon = {entry["taxon"]: entry for entry in scores["by_order"]}
        found[name] = [by_taxon[taxon] for taxon in taxa]
    return _draw_classes(found, colours, lambda entry: entry["taxon"] or "unknown", "order (in brackets: queries)", 25)


def draw_similarities(knn: dict[str, dict[str, Any]], colours: dict[str, str]) -> bytes:
    """Genus accuracy by similarity to the nearest key: a panel each, for similarities cannot be compared.

    Args:
        knn: name -> `knn` scores that have `by_similarity`.
        colours: name -> colour.
    """
    figure = Figure(figsize=(4 * len(knn), 4), layout="constrained")
    panels = figure.subplots(1, len(knn), sharey=True, squeeze=False)[0]
    for axes, (name, scores) in zip(panels, knn.items(), strict=True):
        entries = scores["by_similarity"]
        places = range(len(entries))
        draw_series(axes, places, {name: entries}, "genus_accuracy", colours, line="-")
        axes.set_xticks(places, ["{:.4g} to {:.4g}".format(*entry["similarity"]) for entry in entries])
        axes.tick_params(axis="x", rotation=40)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
        axes.set(title=name, xlabel="similarity to the nearest train barcode", ylim=(-3, 104))
        finish(axes)
    panels[0].set_ylabel(f"genus right (%; {INTERVAL})")
    return png(figure)


def _draw_classes(
    found: dict[str, list[dict[str, Any]]],
    colours: dict[str, str],
    name_of: Callable[[dict[str, Any]], str],
    label: str,
    rotation: int = 0,
) -> bytes:
    """Classes of queries along the axis, the same for all representations."""
    entries = next(iter(found.values()))
    figure = Figure(figsize=(max(8, 0.9 * len(entries) + 1), 4.5), layout="constrained")
    axes = figure.add_subplot()
    draw_series(axes, range(len(entries)), found, "genus_accuracy", colours, line="")
    ticks = [f"{name_of(entry)}\n({entry['n_answerable']:,})" for entry in entries]
    axes.set_xticks(range(len(entries)), ticks, rotation=rotation)
    axes.set(ylim=(-3, 104), xlabel=label, ylabel=f"genus right (%; {INTERVAL})")
    finish(axes)
    legend_above(figure, axes)
    return png(figure)


def _range(fewest: int, most: int) -> str:
    return f"{fewest:,}" if fewest == most else f"{fewest:,}-{most:,}"
