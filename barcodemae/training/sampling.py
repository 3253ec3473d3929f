"""Which records a training step takes, and how it reads them, as a function of (seed, epoch)."""

import numpy as np

from barcodemae.training.randomness import Stream, generator_seed, uniform

# Within a window of so many steps, barcodes of like length share a step, so that its rows are nearly of one length.
_WINDOW_STEPS = 64


def epoch_steps(num_tokens: np.ndarray, step_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Cut one pass over the records into steps.

    Args:
        num_tokens: `[n]`, how many tokens each record has.
        step_size: records in a step, over all processes and accumulated batches.
        seed: of the run.
        epoch: from 0.

    Returns:
        Indices of records, an array for each step. Every record stands in just one; the last to be cut may be short.
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


def steps_in_epoch(num_records: int, step_size: int) -> int:
    """How many steps `epoch_steps` cuts."""
    return -(-num_records // step_size)


def split_step(rows: np.ndarray, batch_size: int, rank: int, world_size: int) -> list[np.ndarray]:
    """The batches of one process in a step: `rows` dealt out in turn, then cut into batches."""
    own = rows[rank::world_size]
    return [own[i : i + batch_size] for i in range(0, len(own), batch_size)]


def unaligned_rows_and_offsets(
    seed: int, epoch: int, records: np.ndarray, unaligned_share: float, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which records an epoch reads freely, and how many nucleotides (0 to k - 1) it cuts off their front."""
    free = uniform(seed, Stream.FREE, epoch, records, 1)[:, 0] < unaligned_share
    offsets = (uniform(seed, Stream.OFFSET, epoch, records, 1)[:, 0] * k).astype(np.int64)
    return free, offsets
