"""One writer at a time, who touches the library's own files alone, and nothing is left of those that were killed."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from barcodemae.errors import LibraryError
from barcodemae.files import clear_abandoned, is_scratch
from barcodemae.library.store.manifest import (
    BUILDING_FILE,
    CALIBRATION_NAME,
    FILE_OF_SEGMENT,
    MANIFEST_FILE,
    REMOVED_NAME,
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
    """Hold a library against all other writers; readers go on with what it was.

    Args:
        folder: of the library.
        is_new: whether it may have to be made; else there is one.

    Raises:
        LibraryError: there is no library, where one is made lie other things, a link stands in the place of a file, or
            another process writes to it.
        ConfigurationError: the folder can't be locked.
    """
    if is_new:
        _make_folder(folder)
    else:
        read_manifest(folder)
    for path in folder.iterdir():
        if path.is_symlink() and (_is_called(path, *_FILES, SEGMENT_NAME)):
            raise LibraryError(f"{path}: expected a file of the library, got a link, which is not written through")
    try:
        with locked(folder / LOCK_FILE, timeout=0):
            yield
    except BusyError as error:
        raise LibraryError(f"{folder}: another process is writing to this library") from error


def clear_leftovers(folder: Path, manifest: Manifest, keep: Path | None = None) -> None:
    """Delete what killed writers left: files of ours that the manifest does not name.

    Args:
        folder: the library's, held against other writers.
        manifest: the library's.
        keep: a segment that is being made, on which `building.json` stays too.
    """
    named = {MANIFEST_FILE, *manifest.removed, *manifest.calibration, *(segment.name for segment in manifest.segments)}
    if keep is not None:
        named |= {keep.name, BUILDING_FILE}
        clear_abandoned(keep)
    clear_abandoned(folder)
    for path in folder.iterdir():
        if path.name not in named and _is_ours(path):
            if path.is_dir():
                drop_segment(path)
            else:
                path.unlink()


def drop_segment(place: Path) -> None:
    """Delete the files of a segment, and its folder if nothing else lies there."""
    clear_abandoned(place)
    for file in place.glob("*"):
        if _is_file(file, FILE_OF_SEGMENT):
            file.unlink()
    with suppress(OSError):  # it holds other things
        place.rmdir()


def check_place(place: Path) -> None:
    """See to it that nothing but a segment lies where one is to be made, and nothing that leads elsewhere.

    Raises:
        LibraryError: something else does.
    """
    if place.exists() and not _is_ours(place):
        raise LibraryError(f"{place}: expected the folder of a segment that is to be made, got a file")
    for path in place.glob("*"):
        if not (_is_file(path, FILE_OF_SEGMENT) or is_scratch(path)):
            raise LibraryError(f"{path}: expected no other files where records are to be added; move it elsewhere")


def _make_folder(folder: Path) -> None:
    refuse_hub(folder)
    if folder.exists() and not folder.is_dir():
        raise LibraryError(f"{folder}: expected a folder for the library, got a file")
    folder.mkdir(parents=True, exist_ok=True)
    begun = (folder / MANIFEST_FILE).exists() or (folder / BUILDING_FILE).exists()
    for path in sorted(folder.iterdir()):
        if not path.name.startswith(".") and not (begun and _is_ours(path)):
            raise LibraryError(
                f"{folder}: expected a new or empty folder for the library, but {path.name} lies there; name another"
            )


def _is_ours(path: Path) -> bool:
    """Whether a file or folder in a library's is called as we call them, and of that kind."""
    if path.is_symlink():
        return False
    return _is_called(path, SEGMENT_NAME) if path.is_dir() else _is_file(path, *_FILES)


def _is_file(path: Path, *names: str | re.Pattern[str]) -> bool:
    return path.is_file() and not path.is_symlink() and _is_called(path, *names)


def _is_called(path: Path, *names: str | re.Pattern[str]) -> bool:
    return any(path.name == name if isinstance(name, str) else name.fullmatch(path.name) for name in names)
