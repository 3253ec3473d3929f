"""Results as pictures."""

from typing import Any

from barcodemae.evaluation.report.names import of_same_queries, ran
from barcodemae.evaluation.report.plots.accuracy import (
    draw_accuracies,
    draw_genus_sizes,
    draw_orders,
    draw_similarities,
)
from barcodemae.evaluation.report.plots.confusions import draw_confusions
from barcodemae.evaluation.report.plots.curves import draw_compression, draw_few_shot, draw_robustness
from barcodemae.evaluation.report.plots.map import draw_map
from barcodemae.evaluation.report.plots.ranks import draw_ranks
from barcodemae.evaluation.report.plots.style import colours

__all__ = ["draw_all", "draw_map"]

_N_RIVALS = 3
_N_BREAKDOWN_RIVALS = 2
_BREAKDOWNS = (
    ("by_genus_size", "genus_size.png", draw_genus_sizes),
    ("by_order", "orders.png", draw_orders),
    ("by_similarity", "similarity.png", draw_similarities),
)
_CURVES = {"few_shot": draw_few_shot, "robustness": draw_robustness, "compression": draw_compression}


def draw_all(results: dict[str, Any]) -> dict[str, bytes]:
    """Every plot that can be drawn from results alone: of the model and of its best rivals.

    Args:
        results: as in `results.json`.

    Returns:
        File name -> PNG.
    """
    pictures: dict[str, bytes] = {}
    colour = colours(results)
    if knn := ran(results, "knn"):
        pictures["accuracy.png"] = draw_accuracies(knn)
        pictures["ranks.png"] = draw_ranks(ran(results, "knn", _N_RIVALS), colour)
        for key, file, draw in _BREAKDOWNS:
            shown = of_same_queries(ran(results, "knn", _N_BREAKDOWN_RIVALS))
            if having := {name: scores for name, scores in shown.items() if scores.get(key)}:
                pictures[file] = draw(having, colour)
        if confusions := results.get("knn", {}).get("confusions"):
            pictures["confusions.png"] = draw_confusions(confusions)
    for task, draw_curves in _CURVES.items():
        if scores := ran(results, task, _N_RIVALS):
            pictures[f"{task}.png"] = draw_curves(scores, colour)
    return pictures
