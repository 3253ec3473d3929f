"""The one training loop, for every objective."""

import contextlib
import logging
import math
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from tqdm import tqdm
from transformers import PreTrainedModel, get_cosine_schedule_with_warmup

from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.training.arguments import LoopArguments
from barcodemae.training.dataset import TrainingData
from barcodemae.training.metrics import MetricsLog, Totals, add_sums, means
from barcodemae.training.objectives import Objective
from barcodemae.training.randomness import Stream, generator_seed
from barcodemae.training.state import full_state, load_state, restore, save_state
from barcodemae.training.steps import map_ahead, process_batches, remaining_steps, to_device
from barcodemae.training.stopping import stop_signals

logger = logging.getLogger(__name__)

VALIDATION_EPOCH = -1  # so that each validation has the same masks

# The published learning rate is for 64 records in a step, and grows with their number.
_REFERENCE_STEP_SIZE = 64

# Records of one validation step: the number of masked tokens depends on all of them, but not on the batch size.
_VALIDATION_STEP_SIZE = 128

_MAX_LISTED_RECORDS = 20  # in an error message


def train(
    accelerator: Accelerator,
    model: PreTrainedModel,
    objective: Objective,
    training: TrainingData,
    validation: TrainingData,
    args: LoopArguments,
    run: dict[str, Any],
) -> signal.Signals | None:
    """Train a model, log to `metrics.jsonl` and the trackers, and save states to resume from.

    Args:
        accelerator: device, precision and processes.
        model: trained in place.
        objective: turns batches into losses.
        training: records to train on.
        validation: records to validate on; may be empty.
        args: options of the loop.
        run: identifies the run: only a state with an equal `run` is resumed.

    Returns:
        The signal that stopped the run before its last step (its state is saved), or None.

    Raises:
        CheckpointError: with `args.resume`, the saved state belongs to another run, or all saved states are damaged.
        ConfigurationError: loss or gradient was not finite in `args.max_bad_steps` steps in a row. The state is saved,
            with the weights after the last good step.
    """
    folder = Path(args.output_dir)
    processes, rank = accelerator.num_processes, accelerator.process_index
    step_size = args.batch_size * args.accumulation * processes
    per_epoch = training.steps_in_epoch(args.batch_size, args.accumulation * processes)
    num_steps = max(1, round(args.epochs * per_epoch))
    if args.compile:
        model.compile(dynamic=True)
    raw_optimizer, schedule = build_optimizer(model, args, step_size, num_steps)
    prepared, optimizer = accelerator.prepare(model, raw_optimizer)

    num_done, num_skipped, num_skipped_in_row, recent = 0, 0, 0, dict[str, float]()
    if args.resume and (state := load_state(folder)) is not None:
        if state["run"] != run:
            raise CheckpointError(f"{folder}: the saved state belongs to another run: {_difference(state['run'], run)}")
        restore(prepared, raw_optimizer, state)
        schedule.load_state_dict(state["schedule"])
        num_done, num_skipped, num_skipped_in_row, recent = (
            state[name] for name in ("step", "skipped", "skipped_in_row", "recent")
        )
        logger.info("resuming after step %d of %d", num_done, num_steps)

    def encode(planned: tuple[int, int, np.ndarray]) -> tuple[int, np.ndarray, dict[str, Any]]:
        step, epoch, records = planned
        return step, records, training.arrays(records, epoch, objective)

    log = MetricsLog(folder, num_done, accelerator)
    bar = tqdm(total=num_steps, initial=num_done, unit="step", disable=not accelerator.is_main_process)
    seen, since = 0, time.perf_counter()
    with stop_signals() as signals, bar as progress:
        plan_epoch = partial(training.epoch_steps, args.batch_size, args.accumulation, processes)
        planned_steps = remaining_steps(plan_epoch, per_epoch, num_done, num_steps)
        for step, records, arrays in map_ahead(encode, planned_steps):
            prepared.train()
            torch.manual_seed(generator_seed(args.seed, Stream.DROPOUT, step, rank))
            totals = Totals()
            batches = process_batches(len(records), args.batch_size, rank, processes)
            for i, (rows, weight) in enumerate(batches):
                is_last = i + 1 == len(batches)
                with contextlib.nullcontext() if is_last else accelerator.no_sync(prepared):
                    sums = objective.sums(prepared, to_device(arrays, rows, accelerator.device))
                    accelerator.backward(sums["loss"] * weight)
                totals.add(sums, weight)
            # Processes must agree on whether to step and to stop, so both values are summed along with the loss.
            unscaled = _gradient_norm(prepared)
            totals.add({"norm": unscaled, "signals": torch.tensor(float(len(signals)), device=unscaled.device)})
            reduced = totals.reduced(accelerator)
            norm, was_signalled = reduced.pop("norm") / processes, reduced.pop("signals") > 0
            if math.isfinite(norm) and math.isfinite(reduced["loss"]):
                # The gradient is that of a sum, averaged over processes; the mean over all counted tokens (or names) is
                # wanted. If the step has none, its gradient is zero.
                factor = processes / max(reduced["count"], 1.0)
                if args.max_grad_norm:
                    factor *= min(1.0, args.max_grad_norm / (norm * factor + 1e-6))
                _scale_gradients(prepared, factor)
                optimizer.step()
                recent = add_sums(recent, reduced)
                num_skipped_in_row = 0
            else:
                num_skipped, num_skipped_in_row = num_skipped + 1, num_skipped_in_row + 1
                logger.warning("step %d: loss or gradient is not finite; the step is skipped", step)
            schedule.step()
            optimizer.zero_grad()

            seen += len(records)
            progress.update()
            is_over = step == num_steps
            passed = step / per_epoch
            if is_over or step % args.log_every == 0:
                averages, rate = means(recent), seen / (time.perf_counter() - since)
                lr = float(schedule.get_last_lr()[0])
                log.write(step, epoch=passed, **averages, skipped_steps=num_skipped, lr=lr, barcodes_per_second=rate)
                progress.set_postfix_str(f"loss {averages.get('loss', math.nan):.3f}, {rate:,.0f} barcodes/s")
                recent, seen, since = {}, 0, time.perf_counter()
            if len(validation) and (is_over or step % args.eval_every == 0):
                validation_start = time.perf_counter()
                metrics = evaluate(accelerator, prepared, objective, validation, args.batch_size)
                metrics = {f"val_{name}": value for name, value in metrics.items()}
                log.write(step, epoch=passed, **metrics)
                progress.write(f"step {step}: " + ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
                since += time.perf_counter() - validation_start
            has_failed = num_skipped_in_row >= args.max_bad_steps
            if is_over or was_signalled or has_failed or step % args.save_every == 0:
                state = full_state(prepared, raw_optimizer) | {"schedule": schedule.state_dict(), "run": run}
                state |= {"step": step, "skipped": num_skipped, "skipped_in_row": num_skipped_in_row, "recent": recent}
                if accelerator.is_main_process:
                    save_state(folder, state, args.save_total_limit)
            if has_failed:
                origins = training.barcodes.origins(records)
                raise ConfigurationError(_describe_failure(step, num_skipped_in_row, origins, folder))
            if was_signalled and not is_over:
                received = signal.Signals(signals[0]) if signals else signal.SIGTERM
                logger.warning("%s: stopped after step %d of %d; its state is saved", received.name, step, num_steps)
                return received
    return None


def build_optimizer(
    model: PreTrainedModel, args: LoopArguments, step_size: int, num_steps: int
) -> tuple[torch.optim.Optimizer, LRScheduler]:
    """AdamW over all parameters, and its learning-rate schedule.

    Args:
        model: its parameters are trained.
        args: learning rate, weight decay and schedule.
        step_size: records in a step.
        num_steps: steps of the complete run.
    """
    peak = args.learning_rate * step_size / _REFERENCE_STEP_SIZE
    encoder = list(model.base_model.parameters())
    encoder_ids = {id(parameter) for parameter in encoder}
    head = [parameter for parameter in model.parameters() if id(parameter) not in encoder_ids]
    peaks = [peak, peak * args.head_learning_rate_factor]
    groups = [{"params": parameters, "lr": rate} for parameters, rate in zip((encoder, head), peaks, strict=True)]
    optimizer = torch.optim.AdamW(groups, weight_decay=args.weight_decay, fused=True)
    if args.schedule == "cosine":
        return optimizer, get_cosine_schedule_with_warmup(optimizer, round(num_steps * args.warmup_share), num_steps)
    # OneCycleLR raises at the step after its last, which the loop makes once: hence one more.
    total_steps = num_steps + 1
    # A warm-up of exactly one step would divide by zero inside OneCycleLR, so it is made slightly longer.
    warmup_share = args.warmup_share * (1 + 1e-6) if total_steps * args.warmup_share == 1 else args.warmup_share
    return optimizer, OneCycleLR(optimizer, peaks, total_steps=total_steps, pct_start=warmup_share)


@torch.no_grad()
def evaluate(
    accelerator: Accelerator, model: nn.Module, objective: Objective, data: TrainingData, batch_size: int
) -> dict[str, float]:
    """Mean loss and metrics over all records, which the processes share; each process returns the same values."""
    model.eval()
    totals = Totals()
    by_length = np.argsort(data.num_tokens, kind="stable")
    steps = [by_length[i : i + _VALIDATION_STEP_SIZE] for i in range(0, len(data), _VALIDATION_STEP_SIZE)]
    for arrays in map_ahead(lambda records: data.arrays(records, VALIDATION_EPOCH, objective), steps):
        num_rows = len(arrays["input_ids"])
        for rows, weight in process_batches(num_rows, batch_size, accelerator.process_index, accelerator.num_processes):
            totals.add(objective.sums(model, to_device(arrays, rows, accelerator.device)), weight)
    return means(totals.reduced(accelerator))


def _gradients(model: nn.Module) -> list[Tensor]:
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


def _gradient_norm(model: nn.Module) -> Tensor:
    norm = nn.utils.get_total_norm(_gradients(model))
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def _scale_gradients(model: nn.Module, factor: float) -> None:
    torch._foreach_mul_(_gradients(model), factor)


def _describe_failure(step: int, num_steps: int, origins: list[str], folder: Path) -> str:
    listed, rest = ", ".join(origins[:_MAX_LISTED_RECORDS]), len(origins) - _MAX_LISTED_RECORDS
    return (
        f"loss or gradient was not finite in {num_steps} steps in a row, up to step {step}. The state in {folder} has "
        "the weights after the last good step. Try a lower --learning-rate, or check the records of this step: "
        f"{listed}{f' and {rest} more' if rest > 0 else ''}"
    )


def _difference(saved: dict[str, Any], current: dict[str, Any]) -> str:
    names = [name for name in current if saved.get(name) != current[name]]
    return "; ".join(f"{name} was {saved.get(name)} and is now {current[name]}" for name in names)
