"""Reference libraries are built and changed: each change is made completely, or not at all.

A change is one replacement of `library.json`, which covers the records and their calibration. After a process was
killed, the same command completes the change.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data import Report
from barcodemae.data.schema import RANKS
from barcodemae.data.sources import MAX_LENGTH
from barcodemae.errors import ConfigurationError, LibraryError
from barcodemae.files import written_atomically
from barcodemae.library.calibration.fitting import calibrate_by_own
from barcodemae.library.calibration.probability import OWN, Calibration
from barcodemae.library.checking.labels import find_suspects
from barcodemae.library.models import Embedder, check_model, find_marker
from barcodemae.library.segments import Inputs, copy_segment, make_segment, next_segment_folder
from barcodemae.library.store.manifest import (
    BUILDING_FILE,
    MANIFEST_FILE,
    Manifest,
    Segment,
    check_files,
    fingerprint,
    read_manifest,
    read_text,
    write_manifest,
)
from barcodemae.library.store.stored import StoredLibrary
from barcodemae.library.store.writing import clear_leftovers, writing_to

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Added:
    """Summary of a build or an append.

    Attributes:
        num_records: number of records added to the library.
        off_marker: number of records left out that are not of the marker, or with fewer than 100 bases on it.
        other_markers: number of these that are of another known marker, by its name, the most frequent first.
        report: on the records that were read, and those that are not DNA.
        index: how the new segment is searched.
        notes: on the calibration, in words: what it did not learn from the library's own records.
        known_ids: ids of new records that are also ids of earlier records, each once, in order.
        names: `id` and the ranks of the records added.
        suspects: ids of the new records with doubtful labels, see `checking.labels`.
        num_excluded: number of these that are left out.
    """

    num_records: int
    off_marker: int
    other_markers: dict[str, int]
    report: Report
    index: dict[str, Any]
    notes: tuple[str, ...]
    known_ids: list[str]
    names: pa.Table
    suspects: list[str]
    num_excluded: int


@dataclass(frozen=True)
class Removed:
    """Summary of a removal.

    Attributes:
        num_records: number of records removed from the library.
        removed_before: ids whose records had all been removed before.
    """

    num_records: int
    removed_before: list[str]


def build_library(
    folder: Path,
    sources: Sequence[str],
    embedder: Embedder,
    model: dict[str, str],
    on_error: str = "raise",
    taxonomy: pa.Table | None = None,
    max_length: int = MAX_LENGTH,
    whole_headers: bool = False,
    exclude_suspects: bool = False,
    primers: str | None = None,
    refuse_mixture: bool = False,
) -> Added | None:
    """Build a library of barcodes, calibrated by its own records; an interrupted build is resumed.

    Args:
        folder: a new or empty one, or one with an interrupted build of the same sources.
        sources: files or Hub data sets, as for `stream_records`.
        embedder: of one marker.
        model: `name, weights_sha256, engine` of the embedder, which are stored in the library.
        on_error: for a record that is not DNA, or not on the marker: "raise", or "skip" to leave it out.
        taxonomy: names by id (`data.taxonomy.read_taxonomy`), for sources without names.
        max_length: maximum number of nucleotides of a record; `on_error` applies to a longer one.
        whole_headers: whether ids are complete headers of FASTA and FASTQ.
        exclude_suspects: whether records with doubtful labels are removed before the library is calibrated.
        primers: of the records, see `search.primers.find_region`; bases outside of the region are left out.
        refuse_mixture: whether more than some records of another known marker are an error; by default, they are left
            out and counted.

    Returns:
        A summary; None if the folder is already the library of the same sources.

    Raises:
        LibraryError: the folder is another library or has other contents, or another process is writing to it.
        BarcodeMAEError: bad input; no library is left.
    """
    marker = find_marker(embedder, model["name"])
    inputs = Inputs.from_names(sources, on_error, taxonomy, max_length, whole_headers, primers)
    with writing_to(folder, is_new=True):
        if not (folder / MANIFEST_FILE).exists():
            manifest = Manifest.of(model, embedder.dimension, marker.comparison, marker.name)
            return _add(folder, manifest, inputs, embedder, exclude_suspects, refuse_mixture)
        manifest = read_manifest(folder)
        check_files(folder, manifest)
        clear_leftovers(folder, manifest)
        is_same = manifest.model == model and len(manifest.segments) == 1 and _is_as_built(manifest, exclude_suspects)
        if is_same and manifest.segments[0].sources == inputs.sources and not inputs.without(manifest.segments).names:
            return None
        raise LibraryError(
            f"{folder}: expected a folder without a library, got one of {manifest.num_records:,} records; add to it "
            "with --append, or name another folder"
        )


def append_records(
    folder: Path,
    sources: Sequence[str],
    embedder: Embedder,
    model: dict[str, str],
    on_error: str = "raise",
    taxonomy: pa.Table | None = None,
    max_length: int = MAX_LENGTH,
    whole_headers: bool = False,
    exclude_suspects: bool = False,
    primers: str | None = None,
    refuse_mixture: bool = False,
) -> Added | None:
    """Add records to a library. See `build_library` for the arguments.

    Sources that were added before are skipped, unless some of their records were removed since. A calibration by the
    library's own records is repeated, one by queries stays.

    Returns:
        A summary; None if all sources were added before.

    Raises:
        LibraryError: there is no library, it was made with another model, or another process is writing to it.
        BarcodeMAEError: bad input; the library is unchanged.
    """
    inputs = Inputs.from_names(sources, on_error, taxonomy, max_length, whole_headers, primers)
    with writing_to(folder):
        library = StoredLibrary.open(folder)
        check_model(folder, library.manifest, model)
        left = inputs.without(library.complete_segments())
        for source in inputs.sources:
            if source not in left.sources:
                logger.warning("%s: its records are in %s already, and are not added again", source.name, folder)
        if left.names:
            return _add(folder, library.manifest, left, embedder, exclude_suspects, refuse_mixture)
        clear_leftovers(folder, library.manifest)
        return None


def remove_records(folder: Path, ids: Sequence[str]) -> Removed:
    """Remove all records with the given ids from a library.

    Raises:
        LibraryError: there is no library, it never had a record with one of the ids, or another process is writing to
            it.
        ConfigurationError: an id is empty.
    """
    if not all(map(str.strip, ids)):
        raise ConfigurationError("expected ids of records to remove, got an empty one")
    with writing_to(folder):
        library = StoredLibrary.open(folder)
        clear_leftovers(folder, library.manifest)
        all_ids = library.names()["id"]
        wanted = pa.array(sorted(set(ids)), pa.large_string())
        absent = _without(wanted, all_ids)
        if len(absent):
            raise LibraryError(
                f"{folder}: expected ids of records in the library, got {absent[0].as_py()!r}, which is not in it"
            )
        rows = np.setdiff1d(np.flatnonzero(pc.is_in(all_ids, value_set=wanted).to_numpy()), library.removed)
        removed_before = _without(wanted, all_ids.take(pa.array(rows))).to_pylist()
        if len(rows):
            write_manifest(folder, _without_records(folder, library.manifest, rows))
        return Removed(len(rows), removed_before)


def copy_records(
    folder: Path,
    library: StoredLibrary,
    options: Mapping[str, object],
    choose: Callable[[], np.ndarray],
    calibrate: Callable[[StoredLibrary], Calibration],
) -> tuple[StoredLibrary, np.ndarray]:
    """Make a library of some records of another one, with their names, vectors and sources.

    Args:
        folder: of the new library, a new or empty one, or one with an interrupted copy, whose choice is used if it was
            made with the same options.
        library: has the records.
        options: by which the records are chosen.
        choose: returns the numbers of the records, int64, ascending, at least one.
        calibrate: called with the new library before it is complete.

    Returns:
        The new library, and the numbers that its records have in the other one.

    Raises:
        LibraryError: the folder is another library or has other contents, or another process is writing to it.
    """
    with writing_to(folder, is_new=True):
        if (folder / MANIFEST_FILE).exists():
            raise LibraryError(f"{folder}: expected a new or empty folder, got one with a library")
        file = folder / BUILDING_FILE
        copied = {"copied": hashlib.sha256(library.manifest.as_text().encode()).hexdigest(), "options": options}
        records = _chosen_before(read_text(file), copied, library.live) if file.exists() else None
        new = replace(library.manifest, segments=(), removed={}, calibration={})
        clear_leftovers(folder, new)
        if records is None:
            records = choose()
        with written_atomically(folder) as scratch:
            (scratch / BUILDING_FILE).write_text(json.dumps(copied | {"records": records.tolist()}) + "\n")
        ends = np.cumsum([segment.num_records for segment in library.manifest.segments])
        number_of = np.searchsorted(ends, records, side="right")
        segments: list[Segment] = []
        for source in np.unique(number_of).tolist():
            segments.append(copy_segment(folder, library, source, len(segments), records[number_of == source]))
        new = replace(new, segments=tuple(segments))
        new = _with_calibration(folder, new, calibrate(StoredLibrary(folder, new)))
        write_manifest(folder, new)
        clear_leftovers(folder, new)
        return StoredLibrary(folder, new), records


def _chosen_before(text: str, copied: Mapping[str, object], live: np.ndarray) -> np.ndarray | None:
    """Those of the live records that an interrupted copy has chosen; None if it was another one."""
    try:
        data = json.loads(text)
        records = np.array(data.pop("records"), np.int64)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    is_same = data == copied and records.ndim == 1 and len(records) and np.isin(records, live).all()
    return np.unique(records) if is_same else None


def save_calibration(library: StoredLibrary, calibration: Calibration) -> None:
    """Save a calibration in a library; it replaces the one before.

    Args:
        library: the one that was calibrated.
        calibration: of it.

    Raises:
        LibraryError: the library has been changed or deleted since, or another process is writing to it.
    """
    folder = library.folder
    with writing_to(folder):
        manifest = read_manifest(folder)
        if (manifest.segments, manifest.removed) != (library.manifest.segments, library.manifest.removed):
            raise LibraryError(f"{folder}: records were added or removed while it was calibrated; calibrate it again")
        clear_leftovers(folder, manifest)
        changed = _with_calibration(folder, manifest, calibration)
        if changed != manifest:
            write_manifest(folder, changed)
            clear_leftovers(folder, changed)


def _is_as_built(manifest: Manifest, exclude_suspects: bool) -> bool:
    """Whether no record of a library of one build has been removed since, and suspects were treated alike."""
    num_excluded = manifest.segments[0].num_excluded
    if manifest.segments[0].distilled_from is not None:
        return False
    return (num_excluded is not None) == exclude_suspects and len(manifest.removed) == bool(num_excluded)


def _add(
    folder: Path,
    manifest: Manifest,
    inputs: Inputs,
    embedder: Embedder,
    exclude_suspects: bool,
    refuse_mixture: bool,
) -> Added:
    clear_leftovers(folder, manifest, in_progress=next_segment_folder(folder, manifest))
    segment, report, other_markers = make_segment(folder, manifest, inputs, embedder, refuse_mixture)
    grown = replace(manifest, segments=(*manifest.segments, segment))
    library = StoredLibrary(folder, grown)
    suspects = np.array([one.record for one in find_suspects(library, manifest.num_records)], np.int64)
    if exclude_suspects:
        segment = replace(segment, num_excluded=len(suspects))
        grown = _without_records(folder, replace(manifest, segments=(*manifest.segments, segment)), suspects)
        library = StoredLibrary(folder, grown)
    grown, notes = _recalibrated(library, embedder)
    write_manifest(folder, grown)
    clear_leftovers(folder, grown)
    return Added(
        segment.num_records,
        report.num_read - report.num_dropped - segment.num_records,
        other_markers,
        report,
        segment.index,
        notes,
        _known_ids(library, manifest.num_records),
        library.names().slice(manifest.num_records).select(["id", *RANKS]),
        library.names()["id"].take(pa.array(suspects)).to_pylist(),
        len(suspects) if exclude_suspects else 0,
    )


def _recalibrated(library: StoredLibrary, embedder: Embedder) -> tuple[Manifest, tuple[str, ...]]:
    """The manifest with a new calibration by its own records, unless it has one by queries; and notes on it."""
    present = library.calibration()
    if present is not None and present.by != OWN:
        return library.manifest, present.notes
    logger.info("calibrating the library with its own records ...")
    calibration = calibrate_by_own(library, embedder)
    return _with_calibration(library.folder, library.manifest, calibration), calibration.notes


def _without_records(folder: Path, manifest: Manifest, records: np.ndarray) -> Manifest:
    """Write numbers of records to a new file, and return the manifest in which they are removed."""
    if not len(records):
        return manifest
    name = f"removed-{len(manifest.removed):05d}.npy"
    with written_atomically(folder) as scratch:
        np.save(scratch / name, records)
    return replace(manifest, removed=manifest.removed | {name: fingerprint(folder / name)})


def _with_calibration(folder: Path, manifest: Manifest, calibration: Calibration) -> Manifest:
    """Write a calibration to a new file, and return the manifest that names it; an equal one is not written again."""
    text = json.dumps(calibration.as_json()) + "\n"
    if any((folder / name).read_text(encoding="utf-8") == text for name in manifest.calibration):
        return manifest
    numbers = [int(name.removeprefix("calibration-").removesuffix(".json")) for name in manifest.calibration]
    name = f"calibration-{max(numbers, default=-1) + 1:05d}.json"
    with written_atomically(folder) as scratch:
        (scratch / name).write_text(text, encoding="utf-8")
    return replace(manifest, calibration={name: fingerprint(folder / name)})


def _known_ids(library: StoredLibrary, num_old: int) -> list[str]:
    """Ids of the records after the first `num_old` that are also ids of earlier records, removed ones excluded."""
    ids = library.names()["id"]
    old = ids.take(pa.array(library.live[library.live < num_old]))
    new = ids.slice(num_old).combine_chunks().unique()
    return new.filter(pc.is_in(new, value_set=old)).to_pylist()


def _without(ids: pa.Array, others: pa.ChunkedArray) -> pa.Array:
    return ids.filter(pc.invert(pc.is_in(ids, value_set=others)))
