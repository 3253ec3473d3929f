"""The curve of a training run as a picture."""

from collections.abc import Iterable, Mapping

import numpy as np

from barcodemae.plotting import BLUE, SKY, PlainFigure, finish, png


def draw_training(lines: Iterable[Mapping[str, float]]) -> bytes:
    """Training and validation loss, and validation accuracy, over the steps of a run.

    Args:
        lines: of `metrics.jsonl`.

    Returns:
        A PNG. Missing values are left out.
    """
    lines = list(lines)
    figure = PlainFigure(figsize=(8, 4.5), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    for key, name, colour in (("loss", "training", SKY), ("val_loss", "validation", BLUE)):
        marker = "o" if key == "val_loss" else None
        losses.plot(*_series(lines, key), color=colour, label=name, marker=marker, markersize=4)
    steps, shares = _series(lines, "val_accuracy")
    accuracies.plot(steps, 100 * shares, color=BLUE, marker="o", markersize=4)
    losses.set(xlabel="step", ylabel="loss")
    losses.legend(frameon=False)
    accuracies.set(xlabel="step", ylabel="accuracy on masked k-mers, validation (%)")
    for axes in (losses, accuracies):
        finish(axes)
    return png(figure)


def _series(lines: list[Mapping[str, float]], key: str) -> tuple[np.ndarray, np.ndarray]:
    found = np.array([(line["step"], line[key]) for line in lines if key in line], dtype=float)
    steps, values = found.reshape(-1, 2).T
    return steps, values
