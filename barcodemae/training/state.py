"""A run's folder: written by one run and one process at a time, with saved states that are complete or absent."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_state_dict,
)

from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.files import clear_abandoned, written_atomically
from barcodemae.locks import BusyError, locked, refuse_link
from barcodemae.provenance import sha256
from barcodemae.training.metrics import METRICS_FILE

logger = logging.getLogger(__name__)

STATE_FOLDER = "state"
LOCK_FILE = ".lock"

_FULL = StateDictOptions(full_state_dict=True, cpu_offload=True)
_NUM_DIGITS = 16  # of the SHA-256 in a file's name


def refuse_another_run(folder: Path, resume: bool) -> None:
    """Keep a new run out of the folder of an old one.

    Raises:
        ConfigurationError: the folder holds a run, and this one does not resume it.
    """
    if not resume and (folder / METRICS_FILE).exists():
        raise ConfigurationError(
            f"{folder} already holds a run: continue it with --resume, or choose another --output-dir"
        )


@contextmanager
def claimed(folder: Path, resume: bool) -> Iterator[None]:
    """Keep other processes out of a run's folder. The lock is released when the process ends, in whatever way.

    Args:
        folder: created if it does not exist. Incomplete files that a killed process left in it are removed.
        resume: whether this run resumes the one in the folder.

    Raises:
        ConfigurationError: another process writes to the folder, or it holds another run or a symbolic link.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder / LOCK_FILE, timeout=0):
            refuse_another_run(folder, resume)
            for path in [*folder.iterdir(), *folder.glob(f"{STATE_FOLDER}/*")]:
                refuse_link(path)
            for directory in (folder, folder / STATE_FOLDER):
                clear_abandoned(directory)
            yield
    except BusyError as error:
        raise ConfigurationError(
            f"{folder}: another process is writing to it; wait until it ends, or choose another --output-dir"
        ) from error


def full_weights(model: nn.Module) -> dict[str, Any]:
    """All weights on the host, however the processes share the model.

    All processes must call it together; the result may be empty in all but the main one.
    """
    return get_model_state_dict(model, options=_FULL)


def full_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Weights and optimizer on the host, by name, so that any number of processes can resume from them.

    All processes must call it together; the result may be empty in all but the main one.
    """
    return {
        "model": full_weights(model),
        "optimizer": get_optimizer_state_dict(model, optimizer, options=_FULL),
    }


def restore(model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load the result of `full_state` into model and optimizer."""
    set_state_dict(
        model,
        optimizer,
        model_state_dict=state["model"],
        optim_state_dict=state["optimizer"],
        options=_FULL,
    )


def save_state(folder: Path, state: dict[str, Any], limit: int) -> None:
    """Write a run's state beside the older ones, and then delete the oldest beyond the limit.

    A file gets its name once it is complete. The name holds the SHA-256 of the content.

    Args:
        folder: the run's folder.
        state: tensors, numbers and plain containers, with `step`, the number of steps made.
        limit: number of states to retain.
    """
    stem = f"step-{state['step']:08d}"
    with written_atomically(folder / STATE_FOLDER) as scratch:
        unnamed = scratch / "state.pt"
        with unnamed.open("wb") as content:  # torch.save itself would hide why a file can't be written
            torch.save(state, content)
        named = unnamed.rename(scratch / f"{stem}-{sha256(unnamed)[:_NUM_DIGITS]}.pt")
    for file in _states(folder):
        # A state of a later step was damaged, or this run would have resumed from it.
        if file.name > stem and file.name != named.name:
            file.unlink()
    for file in _states(folder)[:-limit]:
        file.unlink()


def load_state(folder: Path) -> dict[str, Any] | None:
    """The latest undamaged state, or None if none was ever saved. A damaged one is skipped with a warning.

    Raises:
        CheckpointError: all states are damaged.
    """
    files = _states(folder)
    for file in reversed(files):
        try:
            if not file.stem.endswith(sha256(file)[:_NUM_DIGITS]):
                raise ValueError("its content does not match the SHA-256 in its name")
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many classes for a damaged file
            logger.warning("%s is damaged and skipped: %s", file, error)
    if files:
        raise CheckpointError(f"{folder / STATE_FOLDER}: expected the state of a run, but all of them are damaged")
    return None


def newest_step(folder: Path) -> int | None:
    """The step of the latest saved state, or None."""
    files = _states(folder)
    return int(files[-1].name.split("-")[1]) if files else None


def _states(folder: Path) -> list[Path]:
    return sorted((folder / STATE_FOLDER).glob("step-*.pt"))
