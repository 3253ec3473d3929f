"""A cache of folders that take long to make; a folder that is damaged or of other data is made again."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from barcodemae.errors import ConfigurationError
from barcodemae.locks import locked, refuse_link
from barcodemae.provenance import sha256

MANIFEST_FILE = "manifest.json"

logger = logging.getLogger(__name__)


class _UnusableError(Exception):
    """The content of a folder can't be used; the message says why."""


def cached_folder(folder: Path, key: dict[str, Any], make: Callable[[Path], None]) -> dict[str, str]:
    """Return a cached folder, or make it.

    The folder is reused if its checksums are right and it was made with the same key. Otherwise this is logged, and a
    new folder is made next to the old one, which it then replaces. If there are several processes, one makes the folder
    and the others wait.

    Args:
        folder: path of the folder.
        key: description of the data that the folder is made of, as JSON.
        make: writes files, without subfolders, into the folder that it is given.

    Returns:
        The SHA-256 of each file, by its name.

    Raises:
        ConfigurationError: the folder can't be written, or it or a file in it is a link.
        BarcodeMAEError: raised by `make`; nothing is left behind then.
    """
    refuse_links_in(folder, _scratch_of(folder))
    try:
        return _checked(folder, key)
    except _UnusableError:
        pass
    with explaining_unwritable(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_name(f"{folder.name}.lock")):
            try:
                return _checked(folder, key)  # another process may have made it in the meantime
            except _UnusableError as error:
                if folder.exists():
                    logger.warning("%s %s: it is made again", folder, error)
            return _make(folder, key, make)


def refuse_links_in(*folders: Path) -> None:
    """Refuse folders of a cache that are links or contain links.

    Raises:
        ConfigurationError: one is a link.
    """
    for folder in folders:
        for path in (folder, *folder.glob("*")):
            refuse_link(path)


@contextmanager
def explaining_unwritable(folder: Path) -> Iterator[None]:
    """Raise errors of the file system as one error that names the folder.

    Raises:
        ConfigurationError: the folder can't be written.
    """
    try:
        yield
    except (OSError, NotImplementedError) as error:  # the latter if the file system has no locks
        problem = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{folder}: expected a folder to write to, got: {problem}") from error


def _make(folder: Path, key: dict[str, Any], make: Callable[[Path], None]) -> dict[str, str]:
    scratch = _scratch_of(folder)
    shutil.rmtree(scratch, ignore_errors=True)  # left by a process that was killed, as this one holds the lock
    scratch.mkdir()
    try:
        make(scratch)
        checksums = {file.name: sha256(file) for file in sorted(scratch.iterdir())}
        (scratch / MANIFEST_FILE).write_text(json.dumps({"key": key, "sha256": checksums}, indent=2) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return checksums


def _scratch_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.making")


def _checked(folder: Path, key: dict[str, Any]) -> dict[str, str]:
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text())
        recorded_key, checksums = manifest["key"], manifest["sha256"]
        damaged = [name for name, checksum in checksums.items() if sha256(folder / name) != checksum]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _UnusableError(f"is damaged ({type(error).__name__})") from error
    if recorded_key != key:
        raise _UnusableError("was made from data that have changed since, or by another version")
    if damaged:
        raise _UnusableError(f"is damaged: {damaged[0]} has another checksum")
    return checksums
