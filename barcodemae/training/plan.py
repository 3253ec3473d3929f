"""The plan of a run for `--dry-run`: options, data, and measured time and memory."""

import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import torch
import yaml
from accelerate import Accelerator
from torch import nn
from transformers import PreTrainedModel

from barcodemae.provenance import describe_machine
from barcodemae.training.arguments import LoopArguments
from barcodemae.training.dataset import TrainingData
from barcodemae.training.loop import evaluate, train
from barcodemae.training.metrics import read_metrics
from barcodemae.training.objectives import Objective
from barcodemae.training.state import STATE_FOLDER
from barcodemae.training.summary import describe_records

# The first steps include preparation and compilation; the median of the later ones is reported.
_WARMUP_STEPS, _MEASURED_STEPS = 3, 5
_VALIDATION_BATCHES = 3


@dataclasses.dataclass(frozen=True)
class Costs:
    """Time, memory and disk space, measured in a trial.

    Attributes:
        step_seconds: duration of a training step.
        validation_seconds: duration of a validation on all records.
        peak_bytes: peak memory of this process, or of its GPU if it has one.
        state_bytes: size of a saved state on disk.
    """

    step_seconds: float
    validation_seconds: float
    peak_bytes: int
    state_bytes: int


def measure_costs(
    accelerator: Accelerator,
    model: PreTrainedModel,
    objective: Objective,
    training: TrainingData,
    validation: TrainingData,
    args: LoopArguments,
) -> Costs | None:
    """Run some steps and validation batches of the training loop in a temporary folder.

    All processes must call it together.

    Args:
        accelerator: device, precision and processes, without trackers.
        model: its weights do not change, because the learning rate is 0; it is prepared by the accelerator.
        objective: turns batches into losses.
        training: records to train on.
        validation: records to validate on; may be empty.
        args: options of the loop.

    Returns:
        The costs in the main process, None in others.
    """
    batches_per_step = args.accumulation * accelerator.num_processes
    step_size = args.batch_size * batches_per_step
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        trial = dataclasses.replace(
            args,
            output_dir=scratch,
            resume=False,
            epochs=(_WARMUP_STEPS + _MEASURED_STEPS) / training.steps_in_epoch(args.batch_size, batches_per_step),
            learning_rate=0.0,
            schedule="cosine",
            log_every=1,
            save_every=sys.maxsize,
        )
        train(accelerator, model, objective, training, _first(validation, 0), trial, {})
        sample = _first(validation, args.batch_size * accelerator.num_processes * _VALIDATION_BATCHES)
        begin = time.perf_counter()
        if len(sample):
            evaluate(accelerator, model, objective, sample, args.batch_size)
        validation_seconds = (time.perf_counter() - begin) * len(validation) / max(len(sample), 1)
        if not accelerator.is_main_process:
            return None
        lines = read_metrics(folder)
        state_bytes = sum(file.stat().st_size for file in (folder / STATE_FOLDER).iterdir())
    return Costs(
        step_seconds=step_size / statistics.median(line["barcodes_per_second"] for line in lines[_WARMUP_STEPS:]),
        validation_seconds=validation_seconds,
        peak_bytes=_peak_bytes(accelerator.device),
        state_bytes=state_bytes,
    )


def describe_plan(
    settings: Mapping[str, Any],
    args: LoopArguments,
    accelerator: Accelerator,
    model: PreTrainedModel,
    training: TrainingData,
    validation: TrainingData,
    costs: Costs,
) -> str:
    """Text for a terminal: options (as YAML), records, parameters, steps, and time, memory and disk space.

    Args:
        settings: all options with their resolved values.
        args: options of the loop.
        accelerator: device, precision and processes.
        model: the model to train.
        training: records to train on.
        validation: records to validate on.
        costs: result of `measure_costs`.
    """
    batches_per_step = args.accumulation * accelerator.num_processes
    step_size = args.batch_size * batches_per_step
    per_epoch = training.steps_in_epoch(args.batch_size, batches_per_step)
    num_steps = max(1, round(args.epochs * per_epoch))
    num_validations = -(-num_steps // args.eval_every) if len(validation) else 0
    seconds = num_steps * costs.step_seconds + num_validations * costs.validation_seconds
    tokens = training.num_tokens
    lines = [
        yaml.safe_dump(dict(settings), sort_keys=False),
        *describe_records(training.report, len(training), len(validation)),
        f"- known tokens per barcode: {tokens.min()} to {tokens.max()}, {tokens.mean():.1f} on average",
        f"- parameters: {_num_parameters(model):,}, of which {_num_parameters(model.base_model):,} in the encoder",
        f"- steps: {num_steps:,} of {step_size:,} records, {per_epoch:,} per epoch; validations: {num_validations:,}",
        f"- machine: {describe_machine()}; processes: {accelerator.num_processes}; "
        f"mixed precision: {accelerator.mixed_precision}",
        "",
        f"Measured on this machine in {_MEASURED_STEPS} steps and {_VALIDATION_BATCHES} validation batches:",
        "",
        f"- step: {costs.step_seconds:.3f} s, {step_size / costs.step_seconds:,.1f} barcodes/s",
        f"- validation: {costs.validation_seconds:.1f} s",
        f"- peak memory per process: {costs.peak_bytes / 2**30:.2f} GiB",
        f"- saved state: {costs.state_bytes / 2**20:,.0f} MiB on disk; the last {args.save_total_limit} are retained",
        f"- estimated duration of the complete run: {timedelta(seconds=round(seconds))}",
        "",
        f"This was a dry run: nothing was written to {args.output_dir}.",
    ]
    return "\n".join(lines)


class _First:
    """The first records of a `TrainingData`, with the attributes that `evaluate` uses."""

    def __init__(self, data: TrainingData, count: int):
        self.arrays, self.num_tokens = data.arrays, data.num_tokens[:count]

    def __len__(self) -> int:
        return len(self.num_tokens)


def _first(data: TrainingData, count: int) -> TrainingData:
    return cast(TrainingData, _First(data, count))


def _num_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    import resource  # does not exist on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
