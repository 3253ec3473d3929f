"""Where a pretrained model comes from: what its card is made of."""

import dataclasses
from datetime import datetime, timezone
from typing import Any

from accelerate import Accelerator

from barcodemae.checkpoints.loading import weights_sha256
from barcodemae.provenance import describe_data, describe_machine, describe_versions, without_folder
from barcodemae.training.arguments import DataArguments, LoopArguments, ModelArguments
from barcodemae.training.dataset import TrainingData

TRAINING_FILE = "training.json"

_PACKAGES = ("barcodemae", "torch", "transformers", "accelerate", "numpy")
_ELSEWHERE = {
    "output_dir",
    "resume",
    "data",
    "frame",
    "cache_dir",
    "init_from",
    "tokenizer",
    "report_to",
    "dry_run",
}  # told without paths, or not worth telling


def describe_training(
    model_args: ModelArguments,
    data_args: DataArguments,
    args: LoopArguments,
    training: TrainingData,
    validation: TrainingData,
    accelerator: Accelerator,
) -> dict[str, Any]:
    """Settings, data files with SHA-256, numbers of records, precision, versions, machine and date."""
    settings: dict[str, Any] = {}
    for kind in (model_args, data_args, args):
        settings |= dataclasses.asdict(kind)
    return {
        "settings": {name: value for name, value in settings.items() if name not in _ELSEWHERE},
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


def _describe_checkpoint(name: str | None) -> dict[str, str] | None:
    return None if name is None else {"name": without_folder(name), "weights_sha256": weights_sha256(name)}
