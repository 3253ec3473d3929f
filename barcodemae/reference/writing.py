"""One writer at a time, and nothing left of those that were interrupted."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from barcodemae.errors import LibraryError
from barcodemae.files import SCRATCH_PREFIX
from barcodemae.reference.manifest import Manifest, read_manifest, refuse_hub

LOCK_FILE = ".lock"
SEGMENT_PREFIX = "segment-"
REMOVED_PREFIX = "removed-"
CALIBRATION_PREFIX = "calibration-"


@contextmanager
def writing_to(folder: Path, is_new: bool = False) -> Iterator[None]:
    """Hold a library against all other writers; readers go on with what it was.

    Args:
        folder: of the library.
        is_new: whether it is to be made; else there is one.

    Raises:
        LibraryError: there is no library, or another process writes to it.
    """
    if is_new:
        refuse_hub(folder)
        folder.mkdir(parents=True, exist_ok=True)
    else:
        read_manifest(folder)
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise LibraryError(f"{folder}: another process is writing to this library") from error
    try:
        yield
    finally:
        lock.release()


def clear_leftovers(folder: Path, manifest: Manifest, keep: Path | None = None) -> None:
    """Delete what interrupted writers left: whatever of ours the manifest does not name.

    Args:
        folder: the library's, held against other writers.
        manifest: the library's.
        keep: the segment that is being made; of it only what was half written goes.
    """
    named = {*manifest.removed, *manifest.calibration, *(segment.name for segment in manifest.segments)}
    half_written = [] if keep is None else keep.glob(f"{SCRATCH_PREFIX}*")
    for place in [*folder.iterdir(), *half_written]:
        ours = place.name.startswith((SEGMENT_PREFIX, REMOVED_PREFIX, CALIBRATION_PREFIX, SCRATCH_PREFIX))
        if ours and place.name not in named and place != keep:
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink()
