"""Reference libraries are built, added to and taken from: each time whole, or as if nothing had happened."""

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from barcodemae.data import Judge, Report, stream_records, tell
from barcodemae.data.readers import version_of
from barcodemae.data.taxonomy import join_taxonomy
from barcodemae.errors import BadRecordError, ConfigurationError, LibraryError
from barcodemae.files import written_whole
from barcodemae.reference.calibration import Calibration
from barcodemae.reference.embedder import Embedder
from barcodemae.reference.indexing import EXACT_RECORDS, build_index, describe_exact
from barcodemae.reference.library import INDEX_FILE, Library
from barcodemae.reference.manifest import (
    MANIFEST_FILE,
    Manifest,
    Segment,
    check_files,
    fingerprint,
    fingerprints,
    read_manifest,
    write_manifest,
)
from barcodemae.reference.marker import LEAST_LETTERS, OnMarker, read_on_marker
from barcodemae.reference.records import as_matrix, map_part, write_part
from barcodemae.reference.writing import (
    CALIBRATION_PREFIX,
    REMOVED_PREFIX,
    SEGMENT_PREFIX,
    clear_leftovers,
    writing_to,
)
from tokenization_barcodemae import ReferenceFrame

BUILDING_FILE = "building.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Added:
    """What a build or an append did.

    Attributes:
        num_records: added to the library.
        off_marker: so many do not lie on the reference frame, or on less than 100 letters of it.
        report: what was read, and what was no DNA.
        index: how the new segment is searched.
    """

    num_records: int
    off_marker: int
    report: Report
    index: dict[str, Any]


def build_library(
    folder: Path,
    sources: Sequence[str],
    embedder: Embedder,
    model: dict[str, str],
    on_error: str = "raise",
    taxonomy: pa.Table | None = None,
) -> Added:
    """Make a library of barcodes; a build that was interrupted goes on where it was.

    Args:
        folder: must not hold a library yet.
        sources: files or Hub data sets, as `stream_records` takes them.
        embedder: has a reference frame.
        model: `name, weights_sha256, engine`, by which the library knows what its vectors were made with.
        on_error: a record that is no DNA, or does not lie on the marker: "raise", or "skip" to leave it out.
        taxonomy: names by id (`data.taxonomy.read_taxonomy`), for sources without.

    Raises:
        LibraryError: there is a library already, or another process is writing to it.
        BarcodeMAEError: bad input; the library is not there then.
    """
    with writing_to(folder, is_new=True):
        if (folder / MANIFEST_FILE).exists():
            raise LibraryError(f"{folder}: expected a folder without a library; to add to this one, append")
        frame = _frame_of(embedder, model)
        manifest = Manifest(model, embedder.dimension, frame.length)
        return _add_segment(folder, manifest, sources, embedder, on_error, taxonomy)


def append_records(
    folder: Path,
    sources: Sequence[str],
    embedder: Embedder,
    model: dict[str, str],
    on_error: str = "raise",
    taxonomy: pa.Table | None = None,
) -> Added:
    """Add records to a library; what is there stays as it is. See `build_library`.

    Raises:
        LibraryError: there is no library, it was made with another model, or another process is writing to it.
        BarcodeMAEError: bad input; the library is what it was then.
    """
    with writing_to(folder):
        manifest = read_manifest(folder)
        check_files(folder, manifest)
        check_model(folder, manifest, model)
        return _add_segment(folder, manifest, sources, embedder, on_error, taxonomy)


def remove_records(folder: Path, ids: Sequence[str]) -> int:
    """Take records out of a library, by id; all of that id.

    Returns:
        How many were removed.

    Raises:
        LibraryError: there is no library, it holds no record of such an id, or another process is writing to it.
    """
    with writing_to(folder):
        library = Library.open(folder)
        held = library.names()["id"]
        wanted = pa.array(sorted(set(ids)), pa.large_string())
        live = np.setdiff1d(np.flatnonzero(pc.is_in(held, value_set=wanted).to_numpy()), library.removed)
        absent = pc.is_in(wanted, value_set=held.take(pa.array(live))).to_numpy(zero_copy_only=False)
        if not absent.all():
            missing = wanted.filter(pa.array(~absent)).to_pylist()
            raise LibraryError(f"{folder}: expected records to remove, but it holds none of the id {missing[0]!r}")
        name = f"{REMOVED_PREFIX}{len(library.manifest.removed):05d}.npy"
        clear_leftovers(folder, library.manifest)
        with written_whole(folder) as scratch:
            np.save(scratch / name, live)
        removed = library.manifest.removed | {name: fingerprint(folder / name)}
        write_manifest(folder, replace(library.manifest, removed=removed))
        return len(live)


def keep_calibration(folder: Path, calibration: Calibration) -> None:
    """Keep a calibration with a library, in the place of the one before.

    Raises:
        LibraryError: there is no library, or another process is writing to it.
    """
    with writing_to(folder):
        manifest = read_manifest(folder)
        clear_leftovers(folder, manifest)
        numbers = [int(name.removeprefix(CALIBRATION_PREFIX).removesuffix(".json")) for name in manifest.calibration]
        name = f"{CALIBRATION_PREFIX}{max(numbers, default=-1) + 1:05d}.json"
        with written_whole(folder) as scratch:
            (scratch / name).write_text(json.dumps(calibration.as_json()) + "\n", encoding="utf-8")
        kept = replace(manifest, calibration={name: fingerprint(folder / name)})
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


def _add_segment(
    folder: Path,
    manifest: Manifest,
    sources: Sequence[str],
    embedder: Embedder,
    on_error: str,
    taxonomy: pa.Table | None,
) -> Added:
    name = f"{SEGMENT_PREFIX}{len(manifest.segments):05d}"
    place = folder / name
    clear_leftovers(folder, manifest, keep=place)
    key = {
        "sources": [version_of(source) for source in sources],
        "model": manifest.model,
        "on_error": on_error,
        "taxonomy": None if taxonomy is None else _digest(taxonomy),
    }
    _begin(place, key)
    judge = Judge(drop_duplicates=False, on_error=on_error)
    with tqdm(desc="building the library", unit=" records", unit_scale=True) as progress:
        for number, table in enumerate(stream_records(sources, on_error=on_error)):
            file = place / f"part-{number:05d}.arrow"
            records = judge(table if taxonomy is None else join_taxonomy(table, taxonomy))
            if not file.exists():
                records, read = _on_marker(records, embedder, on_error)
                if len(records):
                    vectors = embedder.encode(read.sequences, normalize_embeddings=True, placement=read.placement)
                    write_part(file, records, read.letters, vectors)
            progress.update(len(table))
    tell(judge.report)
    files = sorted(place.glob("*.arrow"))
    if not files:
        shutil.rmtree(place)
        raise LibraryError(f"{folder}: expected barcodes of the marker, got none in {judge.report.n_read:,} records")
    parts = (map_part(file, manifest.frame_length, manifest.dimension) for file in files)
    vectors = np.concatenate([as_matrix(part["vector"]) for part in parts])
    index = build_index(vectors, place / INDEX_FILE) if len(vectors) > EXACT_RECORDS else describe_exact()
    (place / BUILDING_FILE).unlink()
    segment = Segment(name, len(vectors), fingerprints(place), index)
    write_manifest(folder, replace(manifest, segments=(*manifest.segments, segment)))
    off_marker = judge.report.n_read - judge.report.n_dropped - len(vectors)
    return Added(len(vectors), off_marker, judge.report, index)


def _digest(table: pa.Table) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for batch in table.combine_chunks().to_batches():
        digest.update(batch.serialize())
    return digest.hexdigest()


def _begin(place: Path, key: dict[str, Any]) -> None:
    """Go on with a segment of the same sources, or begin a new one."""
    told = json.dumps(key, sort_keys=True)
    file = place / BUILDING_FILE
    if file.is_file() and file.read_bytes() == told.encode():
        logger.info("%s: going on with a build that was interrupted", place.parent)
        return
    shutil.rmtree(place, ignore_errors=True)
    with written_whole(place) as scratch:
        (scratch / BUILDING_FILE).write_text(told)


def _on_marker(records: pa.Table, embedder: Embedder, on_error: str) -> tuple[pa.Table, OnMarker]:
    """The records that lie on the reference frame, and how."""
    assert embedder.frame is not None
    read = read_on_marker(records["nucleotides"].to_pylist(), embedder.frame)
    fits = read.fits
    if on_error == "raise" and not fits.all():
        row = int(np.argmin(fits))
        file, record, line = (records[column][row].as_py() for column in ("file", "id", "line"))
        problem = f"expected a barcode of the marker, with {LEAST_LETTERS} letters or more on the reference frame"
        raise BadRecordError(file, record, problem, line)
    return records.filter(pa.array(fits)), read.take(np.flatnonzero(fits))
