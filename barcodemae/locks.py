"""Lock files, which are released when the process that holds them ends, even if it is killed."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from barcodemae.errors import ConfigurationError


class BusyError(Exception):
    """Another process holds the lock."""


@contextmanager
def locked(file: Path, timeout: float = -1) -> Iterator[None]:
    """Hold a lock file.

    Symbolic and hard links are refused, since a folder may come from anyone, and some versions of filelock truncate the
    file that they lock.

    Args:
        file: the lock file; created if it does not exist, and not removed.
        timeout: seconds to wait for another process; -1 waits without limit.

    Raises:
        BusyError: another process holds the lock.
        ConfigurationError: the file can't be locked.
    """
    _refuse_other_files(file)
    lock = FileLock(file, timeout=timeout)
    try:
        lock.acquire()
    except Timeout as error:
        raise BusyError(f"{file} is held by another process") from error
    except (OSError, NotImplementedError) as error:  # the latter if the file system has no locks
        problem = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{file}: expected a file to lock, got: {problem}") from error
    try:
        yield
    finally:
        lock.release()


def refuse_link(path: Path) -> None:
    """Refuse a link instead of a file or folder that the package manages, since writing would follow it.

    Raises:
        ConfigurationError: the path is a link.
    """
    if path.is_symlink():
        raise ConfigurationError(f"{path}: expected a file or folder, got a link")


def _refuse_other_files(file: Path) -> None:
    refuse_link(file)
    try:
        found = file.lstat()
    except OSError:
        return  # the error is raised when the file is locked
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise ConfigurationError(f"{file}: expected a lock file, got a folder, a device, or another name of a file")
