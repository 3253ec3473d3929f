"""What a finished run has to tell: one page, and a curve."""

import logging
import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from barcodemae.data import Report
from barcodemae.files import written_atomically
from barcodemae.training.provenance import TRAINING_FILE
from barcodemae.training.state import METRICS_FILE, STATE_FOLDER, barcodes_and_seconds, read_metrics

logger = logging.getLogger(__name__)

SUMMARY_FILE, CURVE_FILE = "summary.md", "training.png"

_PLACES = {
    "model.safetensors": "the model, with its configuration, tokenizer and code",
    "run.yaml": "all options, as `--config` takes them",
    METRICS_FILE: "the metrics, a line for each step that was logged",
    CURVE_FILE: "the curve",
    TRAINING_FILE: "data, versions and machine",
    "tensorboard": "curves for TensorBoard",
    "wandb": "what Weights & Biases keeps here",
    STATE_FOLDER: "what `--resume` goes on from",
}


def write_summary(folder: Path, report: Report, num_training: int, num_validation: int, step_size: int) -> str:
    """Write `summary.md` and, where matplotlib is installed, `training.png` beside a run's metrics.

    Args:
        folder: the run's.
        report: what was read and dropped.
        num_training: records that were trained on.
        num_validation: records that were validated on.
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
            *_describe_training(lines, step_size),
            "",
            f"In {folder}:",
            "",
            *(f"- `{name}`: {what}" for name, what in _PLACES.items() if (folder / name).exists()),
            "",
        ]
    )
    with written_atomically(folder) as scratch:
        (scratch / SUMMARY_FILE).write_text(text)
    return text


def describe_records(report: Report, num_training: int, num_validation: int) -> list[str]:
    """Lines that tell what became of the records; see `write_summary`."""
    return [
        f"- {report}",
        f"- training: {num_training:,} records; validation: {num_validation:,}",
    ]


def _describe_training(lines: Sequence[Mapping[str, float]], step_size: int) -> list[str]:
    trained = [line for line in lines if "barcodes_per_second" in line]
    validated = [line for line in lines if math.isfinite(line.get("val_loss", math.nan))]
    barcodes, seconds = barcodes_and_seconds(trained, step_size)
    last = trained[-1]
    text = [
        f"- steps: {last['step']:,} of {step_size:,} records ({last['epoch']:.4g} epochs)",
        f"- skipped for a loss or gradient that is not finite: {last['skipped_steps']:,.0f}",
        f"- time of the steps: {timedelta(seconds=round(seconds))}, {barcodes / seconds:,.1f} barcodes/s",
        f"- training loss at the end: {last.get('loss', math.nan):.4f}",
    ]
    if validated:
        best = min(validated, key=lambda line: line["val_loss"])
        text += [
            f"- validation at the end: {_metrics(validated[-1])}",
            f"- best validation loss: at step {best['step']:,}: {_metrics(best)}; the model is that of the last step",
        ]
    return text


def _metrics(line: Mapping[str, float]) -> str:
    values = {name.removeprefix("val_"): value for name, value in line.items() if name.startswith("val_")}
    return ", ".join(f"{name} {value:.4f}" for name, value in values.items())


def _draw_curve(lines: Sequence[Mapping[str, float]], file: Path) -> None:
    try:
        from barcodemae.training.curve import draw_training
    except ImportError:
        logger.warning("no %s: matplotlib is not installed (pip install 'barcodemae[train]')", file.name)
        return
    file.write_bytes(draw_training(lines))
