"""What takes long to make, kept on disk: whole, of what it was asked to be of, or made again."""

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
    """What stands in a folder can't be used; the message says why."""


def cached_folder(folder: Path, key: dict[str, Any], make: Callable[[Path], None]) -> dict[str, str]:
    """See to it that a folder holds what `make` makes.

    What stands there is left if it is whole, by checksum, and made of the same key; else that is told, and it is made
    again, beside the old one, which it then replaces. Of several processes, one makes it and the others wait.

    Args:
        folder: where it is kept.
        key: what it is made of, as JSON has it.
        make: writes files, without folders, into the folder that it is given.

    Returns:
        The SHA-256 of each file, by its name.

    Raises:
        ConfigurationError: nothing can be written there, or a link stands in the place of the folder or a file.
        BarcodeMAEError: whatever `make` raises; nothing is left behind then.
    """
    refuse_links(folder, _scratch_of(folder))
    try:
        return _checked(folder, key)
    except _UnusableError:
        pass
    with explaining_unwritable(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_name(f"{folder.name}.lock")):
            try:
                return _checked(folder, key)  # another process may have made it in the meantime
            except _UnusableError as trouble:
                if folder.exists():
                    logger.warning("%s %s: it is made again", folder, trouble)
            return _made(folder, key, make)


def refuse_links(*folders: Path) -> None:
    """See to it that folders of a cache, and what lies in them, are the cache's own.

    Raises:
        ConfigurationError: one of them is a link.
    """
    for folder in folders:
        for path in (folder, *folder.glob("*")):
            refuse_link(path)


@contextmanager
def explaining_unwritable(folder: Path) -> Iterator[None]:
    """What a file system refuses within, as one error of ours that names the folder.

    Raises:
        ConfigurationError: nothing can be written there.
    """
    try:
        yield
    except (OSError, NotImplementedError) as error:  # the latter where a file system has no locks
        problem = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{folder}: expected a place to write to, got: {problem}") from error


def _made(folder: Path, key: dict[str, Any], make: Callable[[Path], None]) -> dict[str, str]:
    scratch = _scratch_of(folder)
    shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed: the lock is ours
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
        made_of, checksums = manifest["key"], manifest["sha256"]
        damaged = [name for name, checksum in checksums.items() if sha256(folder / name) != checksum]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _UnusableError(f"is damaged ({type(error).__name__})") from error
    if made_of != key:
        raise _UnusableError("was made of data that have changed since, or by another version")
    if damaged:
        raise _UnusableError(f"is damaged: {damaged[0]} is not what was written")
    return checksums
