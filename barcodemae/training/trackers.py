"""Where a run's metrics go beside `metrics.jsonl`."""

import logging
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import is_tensorboard_available, is_wandb_available

from barcodemae.errors import ConfigurationError

logger = logging.getLogger(__name__)

_PROJECT = "barcodemae"


def choose_tracker(report_to: str) -> str | None:
    """What `Accelerator(log_with=...)` is to be told.

    TensorBoard is the default and may be missing, which is told; what was asked for by name may not.

    Args:
        report_to: tensorboard, wandb or none.

    Raises:
        ConfigurationError: Weights & Biases is not installed.
    """
    if report_to == "none":
        return None
    if report_to == "tensorboard" and not is_tensorboard_available():
        logger.warning("no TensorBoard curves: it is not installed (pip install 'barcodemae[train]')")
        return None
    if report_to == "wandb" and not is_wandb_available():
        raise ConfigurationError("--report_to wandb: it is not installed (pip install 'barcodemae[wandb]')")
    return report_to


def start_tracker(accelerator: Accelerator, report_to: str | None, folder: Path, settings: dict[str, Any]) -> None:
    """Open the tracker that `choose_tracker` chose.

    Args:
        accelerator: was made with it.
        report_to: what `choose_tracker` returned.
        folder: the run's; its name is the run's name in Weights & Biases.
        settings: what the run was told.
    """
    if report_to == "tensorboard":
        accelerator.init_trackers("tensorboard")  # the name of a folder
    elif report_to == "wandb":
        run = {"name": folder.resolve().name, "dir": str(folder)}
        accelerator.init_trackers(_PROJECT, config=settings, init_kwargs={"wandb": run})
