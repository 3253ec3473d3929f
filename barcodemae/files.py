"""Files that are whole or not there."""

import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from barcodemae.errors import NOT_WRITTEN, ConfigurationError
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
        folder: is made where it does not exist; files of the same names are replaced, others stay. A file that is
            replaced hands on its permissions; where a link stands, what it leads to is replaced. A folder within that
            is new appears at once, with all that it holds.

    Raises:
        ConfigurationError: a device, a pipe or a folder stands in the place of a file, or a file in that of a folder.
        OSError: the system refuses; it names a file.
    """
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
        clear_abandoned(folder)
        scratch, lock = _make_scratch(folder)
        try:
            yield scratch / _FILES
            _refuse_others(scratch / _FILES, folder)
            # What the umask leaves of all permissions. Not every library asks for them: safetensors makes files that
            # nobody else may read.
            _move(scratch / _FILES, folder, stat.S_IMODE((scratch / _FILES).stat().st_mode) & 0o666)
        finally:
            lock.release()
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Have an error of the system name what could not be written: it may know no name, or that of a scratch file."""
    try:
        yield
    except OSError as error:
        is_nameless = error.filename is None and error.errno in NOT_WRITTEN
        if is_nameless or SCRATCH_PREFIX in str(error.filename):
            error.filename = str(path)
            error.filename2 = None
        raise


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


def _refuse_others(source: Path, folder: Path) -> None:
    """Before anything is moved: each thing can take its place."""
    for entry in sorted(source.rglob("*")):
        place = folder / entry.relative_to(source)
        if place.exists() and not (place.is_dir() if entry.is_dir() else place.is_file()):
            raise ConfigurationError(
                f"{place}: expected a {'folder' if entry.is_dir() else 'file'}, got something else"
            )


def _move(source: Path, folder: Path, mode: int) -> None:
    for entry in sorted(source.iterdir()):
        place = folder / entry.name
        if entry.is_dir():
            if place.is_dir():
                _move(entry, place, mode)
                continue
            for file in entry.rglob("*"):
                _allow(file, mode)
            entry.replace(place)
        elif place.is_symlink():  # what it leads to may be on another disk
            target = place.resolve()
            with written_whole(target.parent) as scratch:
                shutil.copyfile(entry, scratch / target.name)
        else:
            _allow(entry, stat.S_IMODE(place.stat().st_mode) if place.exists() else mode)
            entry.replace(place)


def _allow(path: Path, mode: int) -> None:
    if path.is_file() and stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)
