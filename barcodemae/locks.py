"""Lock files: each is held by one process, and free again when that process ends, however it ends."""

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

    A folder may come from anyone, and some versions of filelock empty the file that they lock: a link, or a second name
    of a file that is kept elsewhere, is refused.

    Args:
        file: the lock file; is made where it does not exist, and stays.
        timeout: seconds to wait for another process; -1 waits for as long as it takes.

    Raises:
        BusyError: another process held it all that time.
        ConfigurationError: the file can't be locked.
    """
    _refuse_foreign(file)
    lock = FileLock(file, timeout=timeout)
    try:
        lock.acquire()
    except Timeout as error:
        raise BusyError(f"{file} is held by another process") from error
    except (OSError, NotImplementedError) as error:  # the latter where a file system has no locks
        problem = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{file}: expected a file to lock, got: {problem}") from error
    try:
        yield
    finally:
        lock.release()


def refuse_link(path: Path) -> None:
    """Refuse a link where only a file or folder of our own may stand, as what is written there would end up elsewhere.

    Raises:
        ConfigurationError: it is one.
    """
    if path.is_symlink():
        raise ConfigurationError(f"{path}: expected a file or folder, got a link, which is not written through")


def _refuse_foreign(file: Path) -> None:
    refuse_link(file)
    try:
        found = file.lstat()
    except OSError:
        return  # whatever it is, locking tells it
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise ConfigurationError(f"{file}: expected a lock file, got a folder, a device, or another name of a file")
