"""All plots of one evaluation; those of accuracies, by rank and by class of query, are drawn here."""

from typing import Any

from barcodemae.data.schema import RANKS
from barcodemae.evaluation.report.curves import draw_compression, draw_few_shot, draw_robustness
from barcodemae.evaluation.report.measures import by_accuracy, of_same_queries, scores_of
from barcodemae.evaluation.report.nearest_sections import class_name
from barcodemae.plotting import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    INTERVAL,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    PlainFigure,
    draw_series,
    finish,
    legend_above,
    percent_with_errors,
    png,
)

_NUM_BASELINES = 3
_NUM_BREAKDOWN_BASELINES = 2
_NUM_TAXA = 12
_MAX_CONFUSIONS = 20

_BASELINE_COLOURS = (ORANGE, GREEN, PURPLE, VERMILION, SKY, BLACK)


def draw_accuracies(knn: dict[str, dict[str, Any]]) -> bytes:
    """Genus accuracy of each method with its interval.

    Args:
        knn: name -> `knn` scores, the model first.
    """
    names = list(knn)
    figure = PlainFigure(figsize=(8, 1.2 + 0.5 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    accuracies, errors = percent_with_errors(list(knn.values()), "genus_accuracy")
    colours = [BLUE] + [GREY] * (len(names) - 1)
    axes.barh(names, accuracies, xerr=errors, color=colours, capsize=3, error_kw={"lw": 1})
    for bar, accuracy in enumerate(accuracies):
        axes.text(1, bar, f"{accuracy:.1f}", va="center", color="white", fontweight="bold")
    axes.invert_yaxis()
    axes.set(xlim=(0, 100), xlabel=f"genus of unseen species, 1-NN (%; {INTERVAL})")
    axes.spines[["top", "right"]].set_visible(False)
    return png(figure)


def draw_genus_sizes(knn: dict[str, dict[str, Any]], colours: dict[str, str]) -> bytes:
    """Genus accuracy by the number of `train` barcodes of the true genus.

    Args:
        knn: name -> `knn` scores that have `by_genus_size`.
        colours: name -> colour.
    """
    found = {name: scores["by_genus_size"] for name, scores in knn.items()}
    return _draw_classes(found, colours, "barcodes of the true genus in train (in brackets: queries)")


def draw_orders(knn: dict[str, dict[str, Any]], colours: dict[str, str]) -> bytes:
    """Genus accuracy by order, for the orders with the most queries.

    Args:
        knn: name -> `knn` scores that have `by_order`.
        colours: name -> colour.
    """
    first = next(iter(knn.values()))["by_order"]
    largest = sorted(first, key=lambda entry: -entry["n_answerable"])[:_NUM_TAXA]
    taxa = [entry["taxon"] for entry in largest]
    found = {}
    for name, scores in knn.items():
        by_taxon = {entry["taxon"]: entry for entry in scores["by_order"]}
        found[name] = [by_taxon[taxon] for taxon in taxa]
    return _draw_classes(found, colours, "order (in brackets: queries)", rotation=25)


def draw_similarities(knn: dict[str, dict[str, Any]], colours: dict[str, str]) -> bytes:
    """Genus accuracy by similarity to the nearest reference: a panel per method, as similarities cannot be compared.

    Args:
        knn: name -> `knn` scores that have `by_similarity`.
        colours: name -> colour.
    """
    figure = PlainFigure(figsize=(4 * len(knn), 4), layout="constrained")
    panels = figure.subplots(1, len(knn), sharey=True, squeeze=False)[0]
    for axes, (name, scores) in zip(panels, knn.items(), strict=True):
        entries = scores["by_similarity"]
        positions = range(len(entries))
        draw_series(axes, positions, {name: entries}, "genus_accuracy", colours, line="-")
        axes.set_xticks(positions, ["{:.4g} to {:.4g}".format(*entry["similarity"]) for entry in entries])
        axes.tick_params(axis="x", rotation=40)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
        axes.set(title=name, xlabel="similarity to the nearest train barcode", ylim=(-3, 104))
        finish(axes)
    panels[0].set_ylabel(f"genus accuracy (%; {INTERVAL})")
    return png(figure)


def _draw_classes(
    found: dict[str, list[dict[str, Any]]],
    colours: dict[str, str],
    label: str,
    rotation: int = 0,
) -> bytes:
    """Classes of queries along the axis, the same for all methods."""
    entries = next(iter(found.values()))
    figure = PlainFigure(figsize=(max(8, 0.9 * len(entries) + 1), 4.5), layout="constrained")
    axes = figure.add_subplot()
    draw_series(axes, range(len(entries)), found, "genus_accuracy", colours, line="")
    ticks = [f"{class_name(entry)}\n({entry['n_answerable']:,})" for entry in entries]
    axes.set_xticks(range(len(entries)), ticks, rotation=rotation)
    axes.set(ylim=(-3, 104), xlabel=label, ylabel=f"genus accuracy (%; {INTERVAL})")
    finish(axes)
    legend_above(figure, axes)
    return png(figure)


def draw_ranks(knn: dict[str, dict[str, Any]], colours: dict[str, str]) -> bytes:
    """Accuracy of the nearest neighbour at each rank, in the open and in the closed world.

    Args:
        knn: name -> `knn` scores, for the same queries, so that they have the same ranks.
        colours: name -> colour.
    """
    seen = {name: scores["seen_species"] for name, scores in knn.items() if "seen_species" in scores}
    worlds = {"open world: species never seen": knn, "closed world: species of train": seen}
    worlds = {title: found for title, found in worlds.items() if found}
    figure = PlainFigure(figsize=(4.5 * len(worlds), 4.5), layout="constrained")
    panels = figure.subplots(1, len(worlds), sharey=True, squeeze=False)[0]
    for axes, (title, found) in zip(panels, worlds.items(), strict=True):
        ranks = [rank for rank in RANKS if all(f"{rank}_accuracy" in scores for scores in found.values())]
        by_rank = {name: [_at_rank(scores, rank) for rank in ranks] for name, scores in found.items()}
        draw_series(axes, range(len(ranks)), by_rank, "accuracy", colours, line="-")
        axes.set_xticks(range(len(ranks)), ranks)
        axes.set(title=title, xlim=(-0.5, len(ranks) - 0.5), ylim=(-3, 104))
        finish(axes)
    panels[0].set_ylabel(f"accuracy of 1-NN (%; {INTERVAL})")
    legend_above(figure, panels[0])
    return png(figure)


def _at_rank(scores: dict[str, Any], rank: str) -> dict[str, Any]:
    return {"accuracy": scores[f"{rank}_accuracy"], "accuracy_interval": scores[f"{rank}_accuracy_interval"]}


def draw_confusions(confusions: list[dict[str, Any]]) -> bytes:
    """The most frequent wrong genera within a family, as ranked bars.

    Args:
        confusions: `genus, predicted, family, n`, most frequent first.
    """
    shown = confusions[:_MAX_CONFUSIONS]
    figure = PlainFigure(figsize=(8, 1 + 0.32 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    names = [f"{one['genus']} → {one['predicted']} ({one['family']})" for one in shown]
    bars = axes.barh(range(len(shown)), [one["n"] for one in shown], color=BLUE)
    axes.bar_label(bars, padding=3)
    axes.set_yticks(range(len(shown)), names)
    axes.invert_yaxis()
    axes.set(xlabel="barcodes", title="True genus → predicted genus, same family")
    axes.spines[["top", "right"]].set_visible(False)
    return png(figure)


def colours(results: dict[str, Any]) -> dict[str, str]:
    """Readable name -> colour, the same in every plot: blue for the model, grey from the seventh baseline on."""
    model, *baselines = by_accuracy(results)
    named = dict(zip(baselines, _BASELINE_COLOURS, strict=False))
    return {model: BLUE} | {name: named.get(name, GREY) for name in baselines}


_BREAKDOWNS = (
    ("by_genus_size", "genus_size.png", draw_genus_sizes),
    ("by_order", "orders.png", draw_orders),
    ("by_similarity", "similarity.png", draw_similarities),
)
_CURVES = {"few_shot": draw_few_shot, "robustness": draw_robustness, "compression": draw_compression}


def draw_all(results: dict[str, Any]) -> dict[str, bytes]:
    """Every plot that can be drawn from results alone: of the model and of its best baselines.

    Args:
        results: as in `results.json`.

    Returns:
        File name -> PNG.
    """
    pictures: dict[str, bytes] = {}
    colour = colours(results)
    if knn := scores_of(results, "knn"):
        pictures["accuracy.png"] = draw_accuracies(knn)
        pictures["ranks.png"] = draw_ranks(scores_of(results, "knn", _NUM_BASELINES), colour)
        for key, file, draw in _BREAKDOWNS:
            shown = of_same_queries(scores_of(results, "knn", _NUM_BREAKDOWN_BASELINES))
            if having := {name: scores for name, scores in shown.items() if scores.get(key)}:
                pictures[file] = draw(having, colour)
        if confusions := results.get("knn", {}).get("confusions"):
            pictures["confusions.png"] = draw_confusions(confusions)
    for task, draw_curves in _CURVES.items():
        if scores := scores_of(results, task, _NUM_BASELINES):
            pictures[f"{task}.png"] = draw_curves(scores, colour)
    return pictures
