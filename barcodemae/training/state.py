"""The state of a run on disk: complete, or not there."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_state_dict,
)

from barcodemae.errors import CheckpointError
from barcodemae.files import written_atomically
from barcodemae.provenance import sha256

logger = logging.getLogger(__name__)

STATE_FOLDER = "state"
METRICS_FILE = "metrics.jsonl"

_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)
_DIGITS = 16  # of the SHA-256 that stand in a file's name


def full_weights(model: nn.Module) -> dict[str, Any]:
    """All weights on the host, however the processes share the model.

    All processes must call it together; all but the main one may get nothing.
    """
    return get_model_state_dict(model, options=_WHOLE)


def full_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Weights and optimizer on the host, by name: any number of processes can go on with them.

    All processes must call it together; all but the main one may get nothing.
    """
    return {
        "model": full_weights(model),
        "optimizer": get_optimizer_state_dict(model, optimizer, options=_WHOLE),
    }


def restore(model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Put back what `full_state` gave."""
    set_state_dict(
        model,
        optimizer,
        model_state_dict=state["model"],
        optim_state_dict=state["optimizer"],
        options=_WHOLE,
    )


def save_state(folder: Path, state: dict[str, Any], limit: int) -> None:
    """Write a run's state beside the older ones, and then drop those that are too old.

    A file appears under its name when it is complete. Its name holds the SHA-256 of its content.

    Args:
        folder: the run's.
        state: tensors, numbers and plain containers, with the `step` that is done.
        limit: how many states stay.
    """
    stem = f"step-{state['step']:08d}"
    with written_atomically(folder / STATE_FOLDER) as scratch:
        unnamed = scratch / "state.pt"
        with unnamed.open("wb") as content:  # torch.save itself would hide why a file can't be written
            torch.save(state, content)
        named = unnamed.rename(scratch / f"{stem}-{sha256(unnamed)[:_DIGITS]}.pt")
    for file in _states(folder):
        # Older ones count. A later one was damaged, or this run would have gone on from it.
        if file.name > stem and file.name != named.name:
            file.unlink()
    for file in _states(folder)[:-limit]:
        file.unlink()


def load_state(folder: Path) -> dict[str, Any] | None:
    """The last undamaged state, or None where none was ever saved. A damaged one is told and passed over.

    Raises:
        CheckpointError: all of them are damaged.
    """
    files = _states(folder)
    for file in reversed(files):
        try:
            if not file.stem.endswith(sha256(file)[:_DIGITS]):
                raise ValueError("its content is not what was written")
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a broken file shows itself in many classes
            logger.warning("%s is damaged and passed over: %s", file, error)
    if files:
        raise CheckpointError(f"{folder / STATE_FOLDER}: expected the state of a run, but all of them are damaged")
    return None


def newest_step(folder: Path) -> int | None:
    """The step of the last state that was saved."""
    files = _states(folder)
    return int(files[-1].name.split("-")[1]) if files else None


def _states(folder: Path) -> list[Path]:
    return sorted((folder / STATE_FOLDER).glob("step-*.pt"))


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """The lines of a run's `metrics.jsonl`.

    Raises:
        OSError, ValueError: the file can't be read, or a line is no JSON.
    """
    return [json.loads(line) for line in (folder / METRICS_FILE).read_text(encoding="utf-8").splitlines()]


def barcodes_and_seconds(lines: Sequence[Mapping[str, float]], step_size: int) -> tuple[int, float]:
    """What all steps took, over all sittings of a run: a line tells the rate since the one before it.

    Args:
        lines: those of `read_metrics` that tell a rate, `barcodes_per_second`.
        step_size: records in a step, over all processes and accumulated batches.
    """
    barcodes, seconds, previous = 0, 0.0, 0
    for line in lines:
        since = int(line["step"] - previous) * step_size
        barcodes, seconds, previous = barcodes + since, seconds + since / line["barcodes_per_second"], int(line["step"])
    return barcodes, seconds


class MetricsLog:
    """`metrics.jsonl`, one JSON object a line, and whatever trackers the accelerator has.

    Args:
        folder: the run's; it is made where it does not exist.
        done: steps that are done; lines of later ones are dropped, for they will be written again.
        accelerator: only its main process writes.
    """

    def __init__(self, folder: Path, done: int, accelerator: Accelerator):
        self._path = folder / METRICS_FILE
        self._accelerator = accelerator
        if accelerator.is_main_process:
            lines = self._path.read_text().splitlines(keepends=True) if done and self._path.exists() else []
            # Where writing was cut short, the last line is no line. It is of a step that was not saved.
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= done]
            with written_atomically(folder) as scratch:
                (scratch / METRICS_FILE).write_text("".join(kept))

    def write(self, step: int, **values: float) -> None:
        self._accelerator.log(values, step=step)
        if self._accelerator.is_main_process:
            with self._path.open("a") as file:
                file.write(json.dumps({"step": step} | {name: float(f"{v:.7g}") for name, v in values.items()}) + "\n")
