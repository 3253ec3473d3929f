"""Atomic writing: files are complete or do not exist."""

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

# A scratch folder is recognised by its name and its content.
_SCRATCH = re.compile(rf"{re.escape(SCRATCH_PREFIX)}[a-z0-9_]{{8}}")
_LOCK, _FILES = "lock", "files"


@contextmanager
def written_atomically(folder: Path) -> Iterator[Path]:
    """Open a scratch folder whose files are moved to `folder` when the context ends, or removed after an error.

    Scratch folders left by killed processes are removed.

    Args:
        folder: created if it does not exist. Files of the same names are replaced, and their permissions stay; other
            files stay. The target of a link is replaced, not the link. A new subfolder appears with all its files at
            once.

    Yields:
        The scratch folder.

    Raises:
        ConfigurationError: a file would replace a device, a pipe or a folder, or a folder would replace a file.
        OSError: an error of the system, with the name of a file.
    """
    with naming(folder), _created(folder):
        clear_abandoned(folder)
        scratch, lock = _make_scratch(folder)
        try:
            yield scratch / _FILES
            _check_targets(scratch / _FILES, folder)
            # The permissions of new files by the umask; some libraries set others: safetensors creates files that only
            # their owner can read.
            _move(scratch / _FILES, folder, stat.S_IMODE((scratch / _FILES).stat().st_mode) & 0o666)
        finally:
            lock.release()
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Add the path to an error of the system that has no path, or that of a scratch file."""
    try:
        yield
    except BarcodeMAEError:  # its message is complete
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
def _created(folder: Path) -> Iterator[None]:
    """Create a folder, and remove it after an error if it is still empty."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # another process may have written to it
            for path in new:
                path.rmdir()
        raise


def clear_abandoned(folder: Path) -> None:
    """Remove the scratch folders of killed processes; a running process holds the lock in its own."""
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
            with suppress(NotImplementedError):  # a file system without locks, where nothing is cleared
                lock.acquire()
            (scratch / _FILES).mkdir()
            return scratch, lock
        except FileNotFoundError:  # another process removed it before it was locked
            lock.release()


def _check_targets(source: Path, folder: Path) -> None:
    """Check, before anything is moved, that each entry can be moved."""
    for entry in sorted(source.rglob("*")):
        target = folder / entry.relative_to(source)
        if target.exists() and not (target.is_dir() if entry.is_dir() else target.is_file()):
            raise ConfigurationError(
                f"{target}: expected a {'folder' if entry.is_dir() else 'file'}, got something else"
            )


def _move(source: Path, folder: Path, mode: int) -> None:
    for entry in sorted(source.iterdir()):
        target = folder / entry.name
        if entry.is_dir():
            if target.is_dir():
                _move(entry, target, mode)
                continue
            for file in entry.rglob("*"):
                _set_mode(file, mode)
            entry.replace(target)
        elif target.is_symlink():  # the file behind it may be on another disk
            file = target.resolve()
            with written_atomically(file.parent) as scratch:
                shutil.copyfile(entry, scratch / file.name)
        else:
            _set_mode(entry, stat.S_IMODE(target.stat().st_mode) if target.exists() else mode)
            entry.replace(target)


def _set_mode(path: Path, mode: int) -> None:
    if path.is_file() and stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)
