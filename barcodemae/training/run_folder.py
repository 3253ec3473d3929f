"""The folder of a run belongs to one run, and to one process of it that writes."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from barcodemae.errors import ConfigurationError
from barcodemae.files import SCRATCH_PREFIX
from barcodemae.training.state import METRICS_FILE

LOCK_FILE = ".lock"


def refuse_another_run(folder: Path, resume: bool) -> None:
    """Keep a new run out of the folder of an old one.

    Raises:
        ConfigurationError: the folder holds a run, and this one does not go on with it.
    """
    if not resume and (folder / METRICS_FILE).exists():
        raise ConfigurationError(
            f"{folder} holds a run already: go on with --resume true, or name another --output_dir"
        )


@contextmanager
def claimed(folder: Path, resume: bool) -> Iterator[None]:
    """Keep all others out of a run's folder. The claim dies with its process, however that dies.

    Args:
        folder: is made where it does not exist. What a killed process left half-written in it is removed.
        resume: whether this run goes on with the one that the folder holds.

    Raises:
        ConfigurationError: another process writes to the folder, or it holds another run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ConfigurationError(
            f"{folder}: another process is writing to it; wait for its end, or name another --output_dir"
        ) from error
    try:
        refuse_another_run(folder, resume)
        for scratch in [*folder.glob(f"{SCRATCH_PREFIX}*"), *folder.glob(f"*/{SCRATCH_PREFIX}*")]:
            shutil.rmtree(scratch)
        yield
    finally:
        lock.release()
