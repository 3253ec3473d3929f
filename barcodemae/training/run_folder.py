"""The folder of a run belongs to one run, and to one process of it that writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from barcodemae.errors import ConfigurationError
from barcodemae.files import clear_abandoned
from barcodemae.locks import BusyError, locked, refuse_link
from barcodemae.training.state import METRICS_FILE, STATE_FOLDER

LOCK_FILE = ".lock"


def refuse_another_run(folder: Path, resume: bool) -> None:
    """Keep a new run out of the folder of an old one.

    Raises:
        ConfigurationError: the folder holds a run, and this one does not go on with it.
    """
    if not resume and (folder / METRICS_FILE).exists():
        raise ConfigurationError(f"{folder} holds a run already: go on with --resume, or name another --output_dir")


@contextmanager
def claimed(folder: Path, resume: bool) -> Iterator[None]:
    """Keep all others out of a run's folder. The claim dies with its process, however that dies.

    Args:
        folder: is made where it does not exist. What a killed process left half-written in it is removed.
        resume: whether this run goes on with the one that the folder holds.

    Raises:
        ConfigurationError: another process writes to the folder, it holds another run, or a link.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder / LOCK_FILE, timeout=0):
            refuse_another_run(folder, resume)
            for path in [*folder.iterdir(), *folder.glob(f"{STATE_FOLDER}/*")]:
                refuse_link(path)
            for place in (folder, folder / STATE_FOLDER):
                clear_abandoned(place)
            yield
    except BusyError as error:
        raise ConfigurationError(
            f"{folder}: another process is writing to it; wait for its end, or name another --output_dir"
        ) from error
