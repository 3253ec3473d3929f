"""What ends a run before its last step: a signal, or a lack of memory or disk space."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from barcodemae.errors import CheckpointError, ConfigurationError, is_out_of_memory, why_not_written
from barcodemae.training.state import newest_step


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collect SIGTERM and SIGINT in the yielded list, so that they do not end the process.

    Outside the main thread, where Python allows no signal handlers, the list stays empty.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    previous = {number: signal.signal(number, lambda number, _: received.append(number)) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler or signal.SIG_DFL)


@contextmanager
def shortage_explained(folder: Path, batch_size: int) -> Iterator[None]:
    """Turn a lack of memory or disk space into one clear message.

    Args:
        folder: the run's folder.
        batch_size: the option on which memory depends most.

    Raises:
        ConfigurationError: memory ran out.
        CheckpointError: the disk is full, or a quota or file size limit is reached.
    """
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise ConfigurationError(
                f"out of memory: lower --batch-size (now {batch_size}) and raise --accumulation by the same factor, "
                "which trains the same model, or choose a smaller --size or --max-nucleotides"
            ) from error
        if (code := why_not_written(error)) is not None:
            step = newest_step(folder)
            rest = "no state was saved" if step is None else f"the latest saved state is that of step {step}"
            raise CheckpointError(f"{folder}: can't write: {os.strerror(code)}; {rest}") from error
        raise
