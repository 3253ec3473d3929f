"""Metrics of a run: summed over batches and processes, logged to `metrics.jsonl` and a tracker, and read back."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import is_tensorboard_available, is_wandb_available
from torch import Tensor

from barcodemae.errors import ConfigurationError
from barcodemae.files import written_atomically

logger = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"

_WANDB_PROJECT = "barcodemae"


class Totals:
    """Adds up, on the device, what an objective returns. Nothing is copied to the host before `reduced`."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}

    def add(self, sums: Mapping[str, Tensor], weight: float = 1.0) -> None:
        for name, value in sums.items():
            value = value.detach().float() * weight
            self._sums[name] = self._sums[name] + value if name in self._sums else value

    def reduced(self, accelerator: Accelerator) -> dict[str, float]:
        """The sums over all processes, the same in each."""
        names = sorted(self._sums)
        values = accelerator.reduce(torch.stack([self._sums[name] for name in names]), "sum")
        return dict(zip(names, values.tolist(), strict=True))


def add_sums(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """The sums of two dictionaries, name by name; a missing name counts as 0."""
    return {name: first.get(name, 0.0) + second.get(name, 0.0) for name in {**first, **second}}


def means(sums: Mapping[str, float]) -> dict[str, float]:
    """All sums divided by their `count`; empty where the count is 0."""
    count = sums.get("count", 0.0)
    return {name: value / count for name, value in sums.items() if name != "count"} if count else {}


class MetricsLog:
    """`metrics.jsonl`, one JSON object per line, and the trackers of the accelerator.

    Args:
        folder: the run's folder; created if it does not exist.
        num_steps_done: steps already made; lines of later steps are dropped, because they will be written again.
        accelerator: only its main process writes.
    """

    def __init__(self, folder: Path, num_steps_done: int, accelerator: Accelerator):
        self._path = folder / METRICS_FILE
        self._accelerator = accelerator
        if accelerator.is_main_process:
            has_lines = num_steps_done and self._path.exists()
            lines = self._path.read_text().splitlines(keepends=True) if has_lines else []
            # A killed run may leave an incomplete last line. It belongs to a step that was not saved.
            valid = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= num_steps_done]
            with written_atomically(folder) as scratch:
                (scratch / METRICS_FILE).write_text("".join(valid))

    def write(self, step: int, **values: float) -> None:
        self._accelerator.log(values, step=step)
        if self._accelerator.is_main_process:
            with self._path.open("a") as file:
                file.write(json.dumps({"step": step} | {name: float(f"{v:.7g}") for name, v in values.items()}) + "\n")


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """The lines of a run's `metrics.jsonl`.

    Raises:
        OSError: the file can't be read.
        ValueError: a line is not valid JSON.
    """
    return [json.loads(line) for line in (folder / METRICS_FILE).read_text(encoding="utf-8").splitlines()]


def barcodes_and_seconds(lines: Sequence[Mapping[str, float]], step_size: int) -> tuple[int, float]:
    """Number of barcodes and duration of all steps of a run, however often it was interrupted and resumed.

    Args:
        lines: lines of `read_metrics` with `barcodes_per_second`, the rate since the previous line.
        step_size: records in a step, over all processes and accumulated batches.
    """
    barcodes, seconds, previous = 0, 0.0, 0
    for line in lines:
        since = int(line["step"] - previous) * step_size
        barcodes, seconds, previous = barcodes + since, seconds + since / line["barcodes_per_second"], int(line["step"])
    return barcodes, seconds


def choose_tracker(report_to: str) -> str | None:
    """The value for `Accelerator(log_with=...)`.

    TensorBoard is the default: if it is not installed, a warning is logged. Weights & Biases is used only on request,
    so that its absence is an error.

    Args:
        report_to: tensorboard, wandb or none.

    Raises:
        ConfigurationError: Weights & Biases is requested and not installed.
    """
    if report_to == "none":
        return None
    if report_to == "tensorboard" and not is_tensorboard_available():
        logger.warning("no TensorBoard curves: it is not installed (pip install 'barcodemae[train]')")
        return None
    if report_to == "wandb" and not is_wandb_available():
        raise ConfigurationError("--report-to wandb: it is not installed (pip install 'barcodemae[wandb]')")
    return report_to


def start_tracker(accelerator: Accelerator, report_to: str | None, folder: Path, settings: dict[str, Any]) -> None:
    """Open the tracker that `choose_tracker` chose.

    Args:
        accelerator: was created with that tracker.
        report_to: the result of `choose_tracker`.
        folder: the run's folder; its name is the run's name in Weights & Biases.
        settings: the options of the run.
    """
    if report_to == "tensorboard":
        accelerator.init_trackers("tensorboard")  # the name of a subfolder
    elif report_to == "wandb":
        run = {"name": folder.resolve().name, "dir": str(folder)}
        accelerator.init_trackers(_WANDB_PROJECT, config=settings, init_kwargs={"wandb": run})
