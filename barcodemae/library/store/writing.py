"""Writing to a library: one process at a time, which changes only its files, and cleans up after killed ones."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from barcodemae.errors import LibraryError
from barcodemae.files import clear_abandoned, is_scratch
from barcodemae.library.store.manifest import (
    BUILDING_FILE,
    CALIBRATION_NAME,
    MANIFEST_FILE,
    REMOVED_NAME,
    SEGMENT_FILE_NAME,
    SEGMENT_NAME,
    Manifest,
    read_manifest,
    refuse_hub,
)
from barcodemae.locks import BusyError, locked

LOCK_FILE = ".lock"

_FILES = (MANIFEST_FILE, BUILDING_FILE, REMOVED_NAME, CALIBRATION_NAME)


@contextmanager
def writing_to(folder: Path, is_new: bool = False) -> Iterator[None]:
    """Lock a library for other writers; readers are not affected.

    Args:
        folder: of the library.
        is_new: whether the library may not exist yet.

    Raises:
        LibraryError: there is no library; or a new one, but its folder has other contents; or a file of the library is
            a link; or another process is writing to it.
        ConfigurationError: the folder can't be locked.
    """
    if is_new:
        _make_folder(folder)
    else:
        read_manifest(folder)
    for path in folder.iterdir():
        if path.is_symlink() and (_has_name(path, *_FILES, SEGMENT_NAME)):
            raise LibraryError(f"{path}: expected a file of the library, got a link")
    try:
        with locked(folder / LOCK_FILE, timeout=0):
            yield
    except BusyError as error:
        raise LibraryError(f"{folder}: another process is writing to this library") from error


def clear_leftovers(folder: Path, manifest: Manifest, in_progress: Path | None = None) -> None:
    """Delete what killed processes left: files with names of a library's that are not in the manifest.

    Args:
        folder: of the library, locked for other writers.
        manifest: of the library.
        in_progress: folder of a segment that is being made, which stays, with `building.json`.
    """
    named = {MANIFEST_FILE, *manifest.removed, *manifest.calibration, *(segment.name for segment in manifest.segments)}
    if in_progress is not None:
        named |= {in_progress.name, BUILDING_FILE}
        clear_abandoned(in_progress)
    clear_abandoned(folder)
    for path in folder.iterdir():
        if path.name not in named and _is_ours(path):
            if path.is_dir():
                drop_segment(path)
            else:
                path.unlink()


def drop_segment(folder: Path) -> None:
    """Delete the files of a segment, and its folder if it has no other contents."""
    clear_abandoned(folder)
    for file in folder.glob("*"):
        if _is_file(file, SEGMENT_FILE_NAME):
            file.unlink()
    with suppress(OSError):  # it has other contents
        folder.rmdir()


def check_segment_folder(folder: Path) -> None:
    """Check that the folder of a new segment does not exist, or has no contents but those of a segment.

    Raises:
        LibraryError: it is not a folder, or has other contents.
    """
    if folder.exists() and not _is_ours(folder):
        raise LibraryError(f"{folder}: expected a folder for a new segment, got a file")
    for path in folder.glob("*"):
        if not (_is_file(path, SEGMENT_FILE_NAME) or is_scratch(path)):
            raise LibraryError(f"{path}: expected no other files in the folder of a new segment; move it elsewhere")


def _make_folder(folder: Path) -> None:
    refuse_hub(folder)
    if folder.exists() and not folder.is_dir():
        raise LibraryError(f"{folder}: expected a folder for the library, got a file")
    folder.mkdir(parents=True, exist_ok=True)
    begun = (folder / MANIFEST_FILE).exists() or (folder / BUILDING_FILE).exists()
    for path in sorted(folder.iterdir()):
        if not path.name.startswith(".") and not (begun and _is_ours(path)):
            raise LibraryError(
                f"{folder}: expected a new or empty folder for the library, got one with {path.name}; name another"
            )


def _is_ours(path: Path) -> bool:
    """Whether a path in the folder of a library is one of its files or folders, by name and kind."""
    if path.is_symlink():
        return False
    return _has_name(path, SEGMENT_NAME) if path.is_dir() else _is_file(path, *_FILES)


def _is_file(path: Path, *names: str | re.Pattern[str]) -> bool:
    return path.is_file() and not path.is_symlink() and _has_name(path, *names)


def _has_name(path: Path, *names: str | re.Pattern[str]) -> bool:
    return any(path.name == name if isinstance(name, str) else name.fullmatch(path.name) for name in names)
