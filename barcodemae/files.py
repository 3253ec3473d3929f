"""Files that are whole or not there."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from barcodemae.errors import ConfigurationError
from barcodemae.locks import BusyError, locked

SCRATCH_PREFIX = ".saving-"

# A scratch folder is known by its name, and by what it holds.
_SCRATCH = re.compile(rf"{re.escape(SCRATCH_PREFIX)}[a-z0-9_]{{8}}")
_LOCK, _FILES = "lock", "files"


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """A scratch folder whose files take their place in `folder` when all of them are written, and else are dropped.

    What a killed process left of its own scratch folder is removed.

    Args:
        folder: is made where it does not exist; files of the same names are replaced, others stay. A folder within
            that is new appears at once, with all that it holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clear_abandoned(folder)
    scratch, lock = _make_scratch(folder)
    try:
        yield scratch / _FILES
        _move(scratch / _FILES, folder)
    finally:
        lock.release()
        shutil.rmtree(scratch, ignore_errors=True)


def clear_abandoned(folder: Path) -> None:
    """Remove the scratch folders of killed processes; a process that runs holds the lock in its own."""
    for scratch in folder.glob(f"{SCRATCH_PREFIX}*"):
        with suppress(BusyError, ConfigurationError, OSError):
            if is_scratch(scratch):
                with locked(scratch / _LOCK, timeout=0):
                    shutil.rmtree(scratch)


def is_scratch(path: Path) -> bool:
    if path.is_symlink() or not _SCRATCH.fullmatch(path.name):
        return False
    return {entry.name for entry in path.iterdir()} <= {_LOCK, _FILES}


def _make_scratch(folder: Path) -> tuple[Path, FileLock]:
    while True:
        scratch = Path(tempfile.mkdtemp(dir=folder, prefix=SCRATCH_PREFIX))
        lock = FileLock(scratch / _LOCK)
        try:
            with suppress(NotImplementedError):  # a file system without locks: there nobody clears anything
                lock.acquire()
            (scratch / _FILES).mkdir()
            return scratch, lock
        except FileNotFoundError:  # another process cleared it before it was held
            lock.release()


def _move(source: Path, folder: Path) -> None:
    for entry in sorted(source.iterdir()):
        place = folder / entry.name
        if entry.is_dir() and place.is_dir():
            _move(entry, place)
        else:
            entry.replace(place)
