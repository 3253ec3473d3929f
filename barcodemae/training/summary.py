"""What a finished run leaves beside its model: `training.json`, `summary.md` and the training curve."""

import dataclasses
import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator

from barcodemae.checkpoints.files import find_checkpoint, weights_sha256
from barcodemae.data import Report
from barcodemae.files import written_atomically
from barcodemae.provenance import describe_data, describe_machine, describe_versions, without_folder
from barcodemae.training.arguments import DataArguments, LoopArguments, ModelArguments
from barcodemae.training.dataset import TrainingData
from barcodemae.training.metrics import METRICS_FILE, barcodes_and_seconds, read_metrics
from barcodemae.training.state import STATE_FOLDER

logger = logging.getLogger(__name__)

TRAINING_FILE, SUMMARY_FILE, CURVE_FILE = "training.json", "summary.md", "training.png"

_PACKAGES = ("barcodemae", "torch", "transformers", "accelerate", "numpy")

# Recorded without local paths, or without effect on the model.
_NOT_AMONG_SETTINGS = {
    "output_dir",
    "resume",
    "data",
    "frame",
    "cache_dir",
    "init_from",
    "tokenizer",
    "report_to",
    "dry_run",
}

_CONTENT = {
    "model.safetensors": "the model, with its configuration, tokenizer and code",
    "run.yaml": "all options, as `--config` reads them",
    METRICS_FILE: "the metrics, one line for each logged step",
    CURVE_FILE: "the training curve",
    TRAINING_FILE: "data, versions and machine",
    "tensorboard": "curves for TensorBoard",
    "wandb": "local files of Weights & Biases",
    STATE_FOLDER: "the states from which `--resume` continues",
}


def describe_training(
    model_args: ModelArguments,
    data_args: DataArguments,
    args: LoopArguments,
    training: TrainingData,
    validation: TrainingData,
    accelerator: Accelerator,
) -> dict[str, Any]:
    """The content of `training.json`, from which a model card is made.

    Returns:
        Settings, data files with SHA-256, numbers of records, precision, versions, machine and date.
    """
    settings: dict[str, Any] = {}
    for arguments in (model_args, data_args, args):
        settings |= dataclasses.asdict(arguments)
    return {
        "settings": {name: value for name, value in settings.items() if name not in _NOT_AMONG_SETTINGS},
        "data": describe_data(data_args.data),
        "init_from": _describe_checkpoint(model_args.init_from),
        "records": {"training": len(training), "validation": len(validation), "fingerprint": training.fingerprint()},
        "records_per_step": args.batch_size * args.accumulation * accelerator.num_processes,
        "processes": accelerator.num_processes,
        "mixed_precision": accelerator.mixed_precision,
        "machine": describe_machine(),
        "versions": describe_versions(_PACKAGES),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def write_summary(folder: Path, report: Report, num_training: int, num_validation: int, step_size: int) -> str:
    """Write `summary.md` and, if matplotlib is installed, `training.png` beside a run's metrics.

    Args:
        folder: the run's folder.
        report: records read and dropped.
        num_training: number of training records.
        num_validation: number of validation records.
        step_size: records in a step, over all processes and accumulated batches.

    Returns:
        The text of `summary.md`.
    """
    lines = read_metrics(folder)
    with written_atomically(folder) as scratch:
        _draw_curve(lines, scratch / CURVE_FILE)
    text = "\n".join(
        [
            f"# {folder.resolve().name}",
            "",
            *describe_records(report, num_training, num_validation),
            *_describe_steps(lines, step_size),
            "",
            f"In {folder}:",
            "",
            *(f"- `{name}`: {content}" for name, content in _CONTENT.items() if (folder / name).exists()),
            "",
        ]
    )
    with written_atomically(folder) as scratch:
        (scratch / SUMMARY_FILE).write_text(text)
    return text


def describe_records(report: Report, num_training: int, num_validation: int) -> list[str]:
    """The lines on records in `summary.md`; arguments as in `write_summary`."""
    return [
        f"- {report}",
        f"- training: {num_training:,} records; validation: {num_validation:,}",
    ]


def draw_training(lines: Iterable[Mapping[str, float]]) -> bytes:
    """Draw training and validation loss, and validation accuracy, over the steps of a run.

    Args:
        lines: lines of `metrics.jsonl`. Missing values are left out.

    Returns:
        A PNG.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from barcodemae.plotting import BLUE, SKY, PlainFigure, finish, png  # matplotlib may be absent

    lines = list(lines)
    figure = PlainFigure(figsize=(8, 4.5), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    for key, name, colour in (("loss", "training", SKY), ("val_loss", "validation", BLUE)):
        marker = "o" if key == "val_loss" else None
        losses.plot(*_series(lines, key), color=colour, label=name, marker=marker, markersize=4)
    steps, accuracy = _series(lines, "val_accuracy")
    accuracies.plot(steps, 100 * accuracy, color=BLUE, marker="o", markersize=4)
    losses.set(xlabel="step", ylabel="loss")
    losses.legend(frameon=False)
    accuracies.set(xlabel="step", ylabel="accuracy on masked k-mers, validation (%)")
    for axes in (losses, accuracies):
        finish(axes)
    return png(figure)


def _describe_checkpoint(name: str | None) -> dict[str, Any] | None:
    """The checkpoint that training started from, with its own `training.json` if it has one."""
    if name is None:
        return None
    file = Path(find_checkpoint(name)) / TRAINING_FILE
    training = {"training": json.loads(file.read_text(encoding="utf-8"))} if file.is_file() else {}
    return {"name": without_folder(name), "weights_sha256": weights_sha256(name)} | training


def _describe_steps(lines: Sequence[Mapping[str, float]], step_size: int) -> list[str]:
    trained = [line for line in lines if "barcodes_per_second" in line]
    validated = [line for line in lines if math.isfinite(line.get("val_loss", math.nan))]
    barcodes, seconds = barcodes_and_seconds(trained, step_size)
    last = trained[-1]
    text = [
        f"- steps: {last['step']:,} of {step_size:,} records ({last['epoch']:.4g} epochs)",
        f"- steps skipped because loss or gradient was not finite: {last['skipped_steps']:,.0f}",
        f"- duration of the steps: {timedelta(seconds=round(seconds))}, {barcodes / seconds:,.1f} barcodes/s",
        f"- training loss at the end: {last.get('loss', math.nan):.4f}",
    ]
    if validated:
        best = min(validated, key=lambda line: line["val_loss"])
        text += [
            f"- validation at the end: {_metrics(validated[-1])}",
            f"- lowest validation loss: at step {best['step']:,}: {_metrics(best)}; the model is that of the last step",
        ]
    return text


def _metrics(line: Mapping[str, float]) -> str:
    values = {name.removeprefix("val_"): value for name, value in line.items() if name.startswith("val_")}
    return ", ".join(f"{name} {value:.4f}" for name, value in values.items())


def _draw_curve(lines: Sequence[Mapping[str, float]], file: Path) -> None:
    try:
        file.write_bytes(draw_training(lines))
    except ImportError:
        logger.warning("no %s: matplotlib is not installed (pip install 'barcodemae[train]')", file.name)


def _series(lines: list[Mapping[str, float]], key: str) -> tuple[np.ndarray, np.ndarray]:
    points = np.array([(line["step"], line[key]) for line in lines if key in line], dtype=float)
    steps, values = points.reshape(-1, 2).T
    return steps, values
