"""Files that are whole or not there."""

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from barcodemae.errors import BarcodeMAEError, ConfigurationError, why_not_written
from barcodemae.locks import BusyError, locked

SCRATCH_PREFIX = ".saving-"

# A scratch folder is known by its name, and by what it holds.
_SCRATCH = re.compile(rf"{re.escape(SCRATCH_PREFIX)}[a-z0-9_]{{8}}")
_LOCK, _FILES = "lock", "files"


@contextmanager
def written_atomically(folder: Path) -> Iterator[Path]:
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
    with naming(folder), _made(folder):
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
    except BarcodeMAEError:  # says itself what was wrong
        raise
    except Exception as error:
        code = why_not_written(error)
        if isinstance(error, OSError):
            names = [str(name) for name in (error.filename, error.filename2) if name is not None]
            if (code and not names) or any(SCRATCH_PREFIX in name for name in names):
                raise OSError(error.errno, error.strerror, str(path)) from error
        elif code is not None:
            raise OSError(code, os.strerror(code), str(path)) from error
        raise


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """A folder that is there; what had to be made of it goes again where nothing comes into it."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # others may have put something there
            for path in new:
                path.rmdir()
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
            with written_atomically(target.parent) as scratch:
                shutil.copyfile(entry, scratch / target.name)
        else:
            _allow(entry, stat.S_IMODE(place.stat().st_mode) if place.exists() else mode)
            entry.replace(place)


def _allow(path: Path, mode: int) -> None:
    if path.is_file() and stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)
