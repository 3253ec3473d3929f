"""Files that are whole or not there."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCRATCH_PREFIX = ".saving-"


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """A scratch folder whose files take their place in `folder` when all of them are written, and else are dropped.

    Args:
        folder: is made where it does not exist; files of the same names are replaced, others stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=SCRATCH_PREFIX) as scratch:
        yield Path(scratch)
        for file in sorted(Path(scratch).rglob("*")):
            place = folder / file.relative_to(scratch)
            if file.is_dir():
                place.mkdir(exist_ok=True)
            else:
                file.replace(place)
