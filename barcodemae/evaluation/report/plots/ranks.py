"""Accuracy at every rank."""

from typing import Any

from matplotlib.figure import Figure

from barcodemae.evaluation.report.plots.style import INTERVAL, draw_series, finish, legend_above, png
from barcodemae.evaluation.report.sections.ranks import RANKS


def draw_ranks(knn: dict[str, dict[str, Any]], colours: dict[str, str]) -> bytes:
    """Accuracy of the nearest neighbour at each rank, in the open and in the closed world.

    Args:
        knn: name -> `knn` scores, of the same queries, so that they have the same ranks.
        colours: name -> colour.
    """
    seen = {name: scores["seen_species"] for name, scores in knn.items() if "seen_species" in scores}
    worlds = {"open world: species never seen": knn, "closed world: species of train": seen}
    worlds = {title: found for title, found in worlds.items() if found}
    figure = Figure(figsize=(4.5 * len(worlds), 4.5), layout="constrained")
    panels = figure.subplots(1, len(worlds), sharey=True, squeeze=False)[0]
    for axes, (title, found) in zip(panels, worlds.items(), strict=True):
        ranks = [rank for rank in RANKS if all(f"{rank}_accuracy" in scores for scores in found.values())]
        by_rank = {name: [_at_rank(scores, rank) for rank in ranks] for name, scores in found.items()}
        draw_series(axes, range(len(ranks)), by_rank, "accuracy", colours, line="-")
        axes.set_xticks(range(len(ranks)), ranks)
        axes.set(title=title, xlim=(-0.5, len(ranks) - 0.5), ylim=(-3, 104))
        finish(axes)
    panels[0].set_ylabel(f"right by 1-NN (%; {INTERVAL})")
    legend_above(figure, panels[0])
    return png(figure)


def _at_rank(scores: dict[str, Any], rank: str) -> dict[str, Any]:
    return {"accuracy": scores[f"{rank}_accuracy"], "accuracy_interval": scores[f"{rank}_accuracy_interval"]}
