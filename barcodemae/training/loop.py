"""The one training loop: it reads top to bottom, and knows nothing of what is learnt."""

import contextlib
import logging
import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from tqdm import tqdm
from transformers import PreTrainedModel

from barcodemae.data.randomness import Stream, generator_seed
from barcodemae.data.sampling import epoch_steps, split_step, steps_in_epoch
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.training.ahead import map_ahead
from barcodemae.training.arguments import LoopArguments
from barcodemae.training.dataset import TrainingData
from barcodemae.training.objectives import Objective
from barcodemae.training.schedule import build_optimizer
from barcodemae.training.state import MetricsLog, full_state, load_state, restore, save_state
from barcodemae.training.stopping import stop_signals
from barcodemae.training.totals import Totals, added, means

logger = logging.getLogger(__name__)

VALIDATION_EPOCH = -1  # its masks are the same every time

# Records of one validation step: how many are masked in each depends on all of them, but not on the batch size.
_VALIDATION_STEP = 128

_MAX_NAMED = 20  # records in an error message


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
        accelerator: where and in which precision.
        model: is trained in place.
        objective: what is learnt.
        training: records to learn from.
        validation: records to validate on; may be empty.
        args: how.
        run: what a run that resumes must have in common with this one.

    Returns:
        The signal that stopped it before its last step (its state is saved), or None.

    Raises:
        CheckpointError: `args.resume` finds the state of another run, or no undamaged one.
        ConfigurationError: `args.max_bad_steps` steps in a row had a loss or gradient that is not finite. The state
            is saved: its weights are those after the last good step.
    """
    folder = Path(args.output_dir)
    processes, rank = accelerator.num_processes, accelerator.process_index
    step_size = args.batch_size * args.accumulation * processes
    per_epoch = steps_in_epoch(len(training), step_size)
    num_steps = max(1, round(args.epochs * per_epoch))
    if args.compile:
        model.compile(dynamic=True)
    raw_optimizer, schedule = build_optimizer(model, args, step_size, num_steps)
    prepared, optimizer = accelerator.prepare(model, raw_optimizer)

    done, skipped, skipped_in_row, recent = 0, 0, 0, dict[str, float]()
    if args.resume and (state := load_state(folder)) is not None:
        if state["run"] != run:
            raise CheckpointError(f"{folder}: the saved state is of another run: {_difference(state['run'], run)}")
        restore(prepared, raw_optimizer, state)
        schedule.load_state_dict(state["schedule"])
        done, skipped, skipped_in_row, recent = (
            state[name] for name in ("step", "skipped", "skipped_in_row", "recent")
        )
        logger.info("going on after step %d of %d", done, num_steps)

    def arrays_of(planned: tuple[int, int, np.ndarray]) -> tuple[int, np.ndarray, dict[str, Any]]:
        step, epoch, records = planned
        return step, records, training.arrays(records, epoch, objective)

    log = MetricsLog(folder, done, accelerator)
    bar = tqdm(total=num_steps, initial=done, unit="step", disable=not accelerator.is_main_process)
    seen, since = 0, time.perf_counter()
    with stop_signals() as signals, bar as progress:
        for step, records, arrays in map_ahead(arrays_of, _steps(training, step_size, args.seed, done, num_steps)):
            prepared.train()
            torch.manual_seed(generator_seed(args.seed, Stream.DROPOUT, step, rank))
            totals = Totals()
            batches = _batches(len(records), args.batch_size, rank, processes)
            for i, (rows, weight) in enumerate(batches):
                is_last = i + 1 == len(batches)
                with contextlib.nullcontext() if is_last else accelerator.no_sync(prepared):
                    sums = objective.sums(prepared, _to_device(arrays, rows, accelerator))
                    accelerator.backward(sums["loss"] * weight)
                totals.add(sums, weight)
            # Processes must agree on what to do, so this goes the same way as the loss.
            unscaled = _gradient_norm(prepared)
            totals.add({"norm": unscaled, "signals": torch.tensor(float(len(signals)), device=unscaled.device)})
            reduced = totals.reduced(accelerator)
            norm, was_signalled = reduced.pop("norm") / processes, reduced.pop("signals") > 0
            if math.isfinite(norm) and math.isfinite(reduced["loss"]):
                # So far it is a sum, averaged over processes: what is wanted is the mean over all that is counted.
                # With no place or name in the whole step that counts, its gradient is zero.
                factor = processes / max(reduced["count"], 1.0)
                if args.max_grad_norm:
                    factor *= min(1.0, args.max_grad_norm / (norm * factor + 1e-6))
                _scale_gradients(prepared, factor)
                optimizer.step()
                recent = added(recent, reduced)
                skipped_in_row = 0
            else:
                skipped, skipped_in_row = skipped + 1, skipped_in_row + 1
                logger.warning("step %d: the loss or its gradient is not finite; the step is skipped", step)
            schedule.step()
            optimizer.zero_grad()

            seen += len(records)
            progress.update()
            is_over = step == num_steps
            passed = step / per_epoch
            if is_over or step % args.log_every == 0:
                rate = seen / (time.perf_counter() - since)
                lr = float(schedule.get_last_lr()[0])
                log.write(step, epoch=passed, **means(recent), skipped_steps=skipped, lr=lr, barcodes_per_second=rate)
                progress.set_postfix_str(f"loss {means(recent).get('loss', math.nan):.3f}, {rate:,.0f} barcodes/s")
                recent, seen, since = {}, 0, time.perf_counter()
            if len(validation) and (is_over or step % args.eval_every == 0):
                began = time.perf_counter()
                found = evaluate(accelerator, prepared, objective, validation, args.batch_size)
                log.write(step, epoch=passed, **{f"val_{name}": value for name, value in found.items()})
                progress.write(f"step {step}: " + ", ".join(f"val_{name} {value:.4f}" for name, value in found.items()))
                since += time.perf_counter() - began
            has_failed = skipped_in_row >= args.max_bad_steps
            if is_over or was_signalled or has_failed or step % args.save_every == 0:
                state = full_state(prepared, raw_optimizer) | {"schedule": schedule.state_dict(), "run": run}
                state |= {"step": step, "skipped": skipped, "skipped_in_row": skipped_in_row, "recent": recent}
                if accelerator.is_main_process:
                    save_state(folder, state, args.save_total_limit)
            if has_failed:
                raise ConfigurationError(_why_failed(step, skipped_in_row, training.barcodes.origins(records), folder))
            if was_signalled and not is_over:
                number = signal.Signals(signals[0]) if signals else signal.SIGTERM
                logger.warning("%s: stopped after step %d of %d; its state is saved", number.name, step, num_steps)
                return number
    return None


@torch.no_grad()
def evaluate(
    accelerator: Accelerator, model: nn.Module, objective: Objective, data: TrainingData, batch_size: int
) -> dict[str, float]:
    """Mean loss and metrics over all records, which the processes share; each process returns the same."""
    model.eval()
    totals = Totals()
    by_length = np.argsort(data.num_tokens, kind="stable")
    steps = [by_length[i : i + _VALIDATION_STEP] for i in range(0, len(data), _VALIDATION_STEP)]
    for arrays in map_ahead(lambda records: data.arrays(records, VALIDATION_EPOCH, objective), steps):
        num_rows = len(arrays["input_ids"])
        for rows, weight in _batches(num_rows, batch_size, accelerator.process_index, accelerator.num_processes):
            totals.add(objective.sums(model, _to_device(arrays, rows, accelerator)), weight)
    return means(totals.reduced(accelerator))


def _steps(
    training: TrainingData, step_size: int, seed: int, done: int, num_steps: int
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Step (from 1), epoch (from 0) and records of all steps that are still to be done."""
    per_epoch = steps_in_epoch(len(training), step_size)
    for epoch in range(done // per_epoch, -(-num_steps // per_epoch)):
        for i, records in enumerate(epoch_steps(training.num_tokens, step_size, seed, epoch)):
            step = epoch * per_epoch + i + 1
            if done < step <= num_steps:
                yield step, epoch, records


def _batches(num_rows: int, batch_size: int, rank: int, processes: int) -> list[tuple[np.ndarray, float]]:
    """The rows of each batch of a process, with weight 1.

    All processes get the same number of batches, for each waits for the others in every one of them. Where a process
    has fewer rows than another, the last is one of weight 0.
    """
    batches = split_step(np.arange(num_rows), batch_size, rank, processes)
    most = len(split_step(np.arange(num_rows), batch_size, 0, processes))
    return [(rows, 1.0) for rows in batches] + [(np.zeros(1, np.int64), 0.0)] * (most - len(batches))


def _to_device(arrays: dict[str, Any], rows: np.ndarray, accelerator: Accelerator) -> dict[str, Any]:
    return {
        name: torch.from_numpy(value[rows]).to(accelerator.device, non_blocking=True)
        if isinstance(value, np.ndarray)
        else value
        for name, value in arrays.items()
    }


def _gradients(model: nn.Module) -> list[Tensor]:
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


def _gradient_norm(model: nn.Module) -> Tensor:
    norm = nn.utils.get_total_norm(_gradients(model))
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def _scale_gradients(model: nn.Module, factor: float) -> None:
    torch._foreach_mul_(_gradients(model), factor)


def _why_failed(step: int, count: int, records: list[str], folder: Path) -> str:
    named = ", ".join(records[:_MAX_NAMED]) + (f" and {len(records) - _MAX_NAMED} more" * (len(records) > _MAX_NAMED))
    return (
        f"the loss or its gradient was not finite in {count} steps in a row, the last of them step {step}. The state "
        f"in {folder} has the last good weights. Try a lower --learning_rate, or look at this step's records: {named}"
    )


def _difference(saved: dict[str, Any], current: dict[str, Any]) -> str:
    names = [name for name in current if saved.get(name) != current[name]]
    return "; ".join(f"{name} was {saved.get(name)} and is now {current[name]}" for name in names)
