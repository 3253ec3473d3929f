"""The records of each training or validation step: planned, encoded ahead of their use, and shared among processes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import torch

from barcodemae.training.randomness import Stream, generator_seed

Item = TypeVar("Item")
Result = TypeVar("Result")

# Within this many steps, barcodes are sorted by length, so that those of a step have nearly equal lengths.
_WINDOW_STEPS = 64


def steps_in_epoch(num_records: int, step_size: int) -> int:
    """Number of steps of `epoch_steps`."""
    return -(-num_records // step_size)


def epoch_steps(num_tokens: np.ndarray, step_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Divide one pass over the records into steps.

    Args:
        num_tokens: `[n]`, number of tokens of each record.
        step_size: records in a step, over all processes and accumulated batches.
        seed: seed of the run.
        epoch: from 0.

    Returns:
        Indices of records, an array for each step. Every record is in exactly one step; one step may be shorter.
    """
    generator = np.random.default_rng(generator_seed(seed, Stream.ORDER, epoch))
    order = generator.permutation(len(num_tokens))
    window = step_size * _WINDOW_STEPS
    steps: list[np.ndarray] = []
    for begin in range(0, len(order), window):
        rows = order[begin : begin + window]
        rows = rows[np.argsort(num_tokens[rows], kind="stable")]
        steps += [rows[i : i + step_size] for i in range(0, len(rows), step_size)]
    return [steps[i] for i in generator.permutation(len(steps))]


def remaining_steps(
    plan_epoch: Callable[[int], list[np.ndarray]], per_epoch: int, num_steps_done: int, num_steps: int
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Step (from 1), epoch (from 0) and records of all steps after the first `num_steps_done`.

    Args:
        plan_epoch: gives the records of each step of an epoch, as `epoch_steps` does.
        per_epoch: number of steps in an epoch.
        num_steps_done: steps to leave out.
        num_steps: number of the last step.
    """
    for epoch in range(num_steps_done // per_epoch, -(-num_steps // per_epoch)):
        for i, records in enumerate(plan_epoch(epoch)):
            step = epoch * per_epoch + i + 1
            if num_steps_done < step <= num_steps:
                yield step, epoch, records


def map_ahead(function: Callable[[Item], Result], items: Iterable[Item], depth: int = 2) -> Iterator[Result]:
    """Like `map`, but the next results are computed in a thread while the caller uses the current one.

    Args:
        function: called in one thread, in the order of the items.
        items: its arguments; drawn in the caller's thread.
        depth: maximum number of results computed in advance.

    Returns:
        The results in order. An exception of `function` is raised in place of its result.
    """
    waiting: deque[Future[Result]] = deque()
    executor = ThreadPoolExecutor(1, "ahead")
    try:
        for item in items:
            waiting.append(executor.submit(function, item))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)


def process_batches(num_rows: int, batch_size: int, rank: int, world_size: int) -> list[tuple[np.ndarray, float]]:
    """The rows of each batch of one process in a step, with weight 1; processes take rows in turn.

    All processes get the same number of batches, because they wait for each other in every one of them. A process
    with fewer rows than another one ends with a batch of weight 0.
    """
    own = np.arange(rank, num_rows, world_size)
    batches = [(own[i : i + batch_size], 1.0) for i in range(0, len(own), batch_size)]
    max_batches = -(-num_rows // (world_size * batch_size))
    return batches + [(np.zeros(1, np.int64), 0.0)] * (max_batches - len(batches))


def to_device(arrays: dict[str, Any], rows: np.ndarray, device: torch.device) -> dict[str, Any]:
    """The chosen rows of each array as tensors; plain values stay as they are."""
    return {
        name: torch.from_numpy(value[rows]).to(device, non_blocking=True) if isinstance(value, np.ndarray) else value
        for name, value in arrays.items()
    }
