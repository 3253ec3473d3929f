"""Reference libraries are built, added to and taken from: each time whole, or as if nothing had observed.

Each change is one replacement of `library.json`, with all that it brings: records together with their calibration. So
whoever was killed says the same once more, and the library is what it would have been.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data import Report
from barcodemae.data.sources import MAX_LENGTH
from barcodemae.errors import ConfigurationError, LibraryError
from barcodemae.files import written_atomically
from barcodemae.library.calibration.fitting import calibrate_by_own
from barcodemae.library.calibration.probability import OWN, Calibration
from barcodemae.library.embedder import Embedder
from barcodemae.library.segments import Input, make_segment, segment_place
from barcodemae.library.store.manifest import (
    MANIFEST_FILE,
    Manifest,
    check_files,
    fingerprint,
    read_manifest,
    write_manifest,
)
from barcodemae.library.store.stored import StoredLibrary
from barcodemae.library.store.writing import clear_leftovers, writing_to
from tokenization_barcodemae import ReferenceFrame

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Added:
    """What a build or an append did.

    Attributes:
        num_records: added to the library.
        off_marker: so many do not lie on the reference frame, or on less than 100 bases of it.
        report: what was read, and what was no DNA.
        index: how the new segment is searched.
        is_calibrated: whether the library is now.
        known_ids: ids of new records that other records of the library have too, each once, in order.
    """

    num_records: int
    off_marker: int
    report: Report
    index: dict[str, Any]
    is_calibrated: bool
    known_ids: list[str]


@dataclass(frozen=True)
class Removed:
    """What was taken out of a library.

    Attributes:
        num_records: so many.
        gone: ids of which all records had been removed before.
    """

    num_records: int
    gone: list[str]


def build_library(
    folder: Path,
    sources: Sequence[str],
    embedder: Embedder,
    model: dict[str, str],
    on_error: str = "raise",
    taxonomy: pa.Table | None = None,
    max_length: int = MAX_LENGTH,
) -> Added | None:
    """Make a library of barcodes, calibrated by its own records; a build that was interrupted goes on where it was.

    Args:
        folder: a new or empty one, or one with such a build.
        sources: files or Hub data sets, as `stream_records` takes them.
        embedder: has a reference frame.
        model: `name, weights_sha256, engine`, by which the library knows what its vectors were made with.
        on_error: a record that is no DNA, or does not lie on the marker: "raise", or "skip" to leave it out.
        taxonomy: names by id (`data.taxonomy.read_taxonomy`), for sources without.
        max_length: most nucleotides of a record; a longer one is treated as `on_error` says.

    Returns:
        What was done; None where the folder holds the library of these very sources.

    Raises:
        LibraryError: the folder holds another library or other things, or another process is writing to it.
        BarcodeMAEError: bad input; the library is not there then.
    """
    frame = _frame_of(embedder, model)
    given = Input.of(sources, on_error, taxonomy, max_length)
    with writing_to(folder, is_new=True):
        if not (folder / MANIFEST_FILE).exists():
            return _add(folder, Manifest(model, embedder.dimension, frame.length), given, embedder)
        manifest = read_manifest(folder)
        check_files(folder, manifest)
        clear_leftovers(folder, manifest)
        is_same = manifest.model == model and not manifest.removed and len(manifest.segments) == 1
        if is_same and manifest.segments[0].sources == given.sources and not given.without(manifest.segments).names:
            return None
        raise LibraryError(
            f"{folder}: expected a folder without a library, got one of {manifest.num_records:,} records; to add to "
            "it: --append; to make another: name another folder"
        )


def append_records(
    folder: Path,
    sources: Sequence[str],
    embedder: Embedder,
    model: dict[str, str],
    on_error: str = "raise",
    taxonomy: pa.Table | None = None,
    max_length: int = MAX_LENGTH,
) -> Added | None:
    """Add records to a library; what is there stays as it is. See `build_library`.

    Sources that the library holds already are left out, unless records of them were removed since. A calibration by
    the library's own records is made anew, one by queries stays.

    Returns:
        What was done; None where the library holds all of the sources.

    Raises:
        LibraryError: there is no library, it was made with another model, or another process is writing to it.
        BarcodeMAEError: bad input; the library is what it was then.
    """
    given = Input.of(sources, on_error, taxonomy, max_length)
    with writing_to(folder):
        library = StoredLibrary.open(folder)
        check_model(folder, library.manifest, model)
        left = given.without(library.whole_segments())
        for source in given.sources:
            if source not in left.sources:
                logger.warning("%s: its records are in %s already; they are not added again", source.name, folder)
        if left.names:
            return _add(folder, library.manifest, left, embedder)
        clear_leftovers(folder, library.manifest)
        return None


def remove_records(folder: Path, ids: Sequence[str]) -> Removed:
    """Take records out of a library, by id; all of that id.

    Raises:
        LibraryError: there is no library, it never held a record of such an id, or another process is writing to it.
    """
    with writing_to(folder):
        library = StoredLibrary.open(folder)
        clear_leftovers(folder, library.manifest)
        held = library.names()["id"]
        wanted = pa.array(sorted(set(ids)), pa.large_string())
        absent = _without(wanted, held)
        if len(absent):
            raise LibraryError(
                f"{folder}: expected records to remove, but it holds none of the id {absent[0].as_py()!r}"
            )
        rows = np.setdiff1d(np.flatnonzero(pc.is_in(held, value_set=wanted).to_numpy()), library.removed)
        gone = _without(wanted, held.take(pa.array(rows))).to_pylist()
        if len(rows):
            name = f"removed-{len(library.manifest.removed):05d}.npy"
            with written_atomically(folder) as scratch:
                np.save(scratch / name, rows)
            removed = library.manifest.removed | {name: fingerprint(folder / name)}
            write_manifest(folder, replace(library.manifest, removed=removed))
        return Removed(len(rows), gone)


def save_calibration(library: StoredLibrary, calibration: Calibration) -> None:
    """Keep a calibration with a library, in the place of the one before.

    Args:
        library: as it was calibrated.
        calibration: of it.

    Raises:
        LibraryError: it was changed since or is gone, or another process is writing to it.
    """
    folder = library.folder
    with writing_to(folder):
        manifest = read_manifest(folder)
        if (manifest.segments, manifest.removed) != (library.manifest.segments, library.manifest.removed):
            raise LibraryError(f"{folder}: records were added or removed while it was calibrated; calibrate it again")
        clear_leftovers(folder, manifest)
        kept = _with_calibration(folder, manifest, calibration)
        if kept != manifest:
            write_manifest(folder, kept)
            clear_leftovers(folder, kept)


def check_model(folder: Path, manifest: Manifest, model: dict[str, str]) -> None:
    """See to it that a library is searched with vectors of the model that made its own.

    Raises:
        LibraryError: it was made with another one.
    """
    for key in ("engine", "weights_sha256"):
        if manifest.model[key] != model[key]:
            raise LibraryError(
                f"{folder}: made with {manifest.model['name']} ({key} {manifest.model[key][:12]}), expected the same "
                f"for queries, got {model['name']} ({model[key][:12]})"
            )


def _frame_of(embedder: Embedder, model: dict[str, str]) -> ReferenceFrame:
    if embedder.frame is None:
        raise ConfigurationError(f"{model['name']}: expected a model with a reference frame, got one without")
    return embedder.frame


def _add(folder: Path, manifest: Manifest, given: Input, embedder: Embedder) -> Added:
    clear_leftovers(folder, manifest, keep=segment_place(folder, manifest))
    segment, report = make_segment(folder, manifest, given, embedder)
    grown = replace(manifest, segments=(*manifest.segments, segment))
    library = StoredLibrary(folder, grown)
    grown = _calibrated(library, embedder)
    write_manifest(folder, grown)
    clear_leftovers(folder, grown)
    return Added(
        segment.num_records,
        report.num_read - report.num_dropped - segment.num_records,
        report,
        segment.index,
        bool(grown.calibration),
        _known_ids(library, manifest.num_records),
    )


def _calibrated(library: StoredLibrary, embedder: Embedder) -> Manifest:
    """The manifest with a calibration by the library's own records, if it has none by queries, and they suffice."""
    present = library.calibration()
    if present is not None and present.by != OWN:
        return library.manifest
    try:
        calibration = calibrate_by_own(library, embedder)
    except ConfigurationError:
        return library.manifest
    return _with_calibration(library.folder, library.manifest, calibration)


def _with_calibration(folder: Path, manifest: Manifest, calibration: Calibration) -> Manifest:
    """Write a calibration beside the one before, and name it in the manifest; the same one is not written again."""
    text = json.dumps(calibration.as_json()) + "\n"
    if any((folder / name).read_text(encoding="utf-8") == text for name in manifest.calibration):
        return manifest
    numbers = [int(name.removeprefix("calibration-").removesuffix(".json")) for name in manifest.calibration]
    name = f"calibration-{max(numbers, default=-1) + 1:05d}.json"
    with written_atomically(folder) as scratch:
        (scratch / name).write_text(text, encoding="utf-8")
    return replace(manifest, calibration={name: fingerprint(folder / name)})


def _known_ids(library: StoredLibrary, num_old: int) -> list[str]:
    """Ids of records from a number on that earlier ones, which are not removed, have too."""
    ids = library.names()["id"]
    old = ids.take(pa.array(library.live[library.live < num_old]))
    new = ids.slice(num_old).combine_chunks().unique()
    return new.filter(pc.is_in(new, value_set=old)).to_pylist()


def _without(ids: pa.Array, others: pa.ChunkedArray) -> pa.Array:
    return ids.filter(pc.invert(pc.is_in(ids, value_set=others)))
