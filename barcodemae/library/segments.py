"""A segment of a library is made: records are read, placed, given vectors and an index, going on after a kill."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from barcodemae.data import QualityFilter, Report, log_report, stream_records
from barcodemae.data.readers import source_version
from barcodemae.data.taxonomy import join_taxonomy
from barcodemae.errors import BadRecordError, BarcodeMAEError, LibraryError
from barcodemae.files import written_atomically
from barcodemae.library.embedder import Embedder
from barcodemae.library.search.indexing import EXACT_RECORDS, build_index, describe_exact
from barcodemae.library.search.marker import MIN_BASES, OnMarker, read_on_marker
from barcodemae.library.store.manifest import BUILDING_FILE, INDEX_FILE, Manifest, Segment, Source, fingerprint
from barcodemae.library.store.records import as_matrix, map_part, write_part
from barcodemae.library.store.writing import check_place, drop_segment
from barcodemae.provenance import sha256

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Input:
    """What a segment is made of.

    Attributes:
        names: of files or Hub data sets, as `stream_records` takes them.
        sources: what tells each from another, in the same order.
        on_error: a record that is no DNA, or does not lie on the marker: "raise", or "skip" to leave it out.
        taxonomy: names by id, for sources without.
        max_length: a record of more nucleotides is left out too.
    """

    names: tuple[str, ...]
    sources: tuple[Source, ...]
    on_error: str
    taxonomy: pa.Table | None
    max_length: int

    @classmethod
    def of(cls, names: Sequence[str], on_error: str, taxonomy: pa.Table | None, max_length: int) -> "Input":
        """What these files are now; of two that hold the same, the first.

        Raises:
            UnreadableFileError: there is no such file or data set.
            ConfigurationError: it is standard input, which can't be read again.
        """
        given: dict[Source, str] = {}
        first_of: dict[str, str] = {}
        for name in names:
            source = _source(name)
            first = first_of.setdefault(source.version, name)
            if first == name:
                given[source] = name
            else:
                logger.warning("%s: holds the same as %s; it is read once", name, first)
        return cls(tuple(given.values()), tuple(given), on_error, taxonomy, max_length)

    @cached_property
    def taxonomy_digest(self) -> str:
        """Of the table of names; empty where there is none."""
        if self.taxonomy is None:
            return ""
        digest = hashlib.blake2b(digest_size=16)
        for batch in self.taxonomy.combine_chunks().to_batches():
            digest.update(batch.serialize())
        return digest.hexdigest()

    def without(self, segments: Sequence[Segment]) -> "Input":
        """What is left where segments hold some of it already."""
        taxonomy = self.taxonomy_digest
        held = {source.version for one in segments if one.taxonomy == taxonomy for source in one.sources}
        left = [pair for pair in zip(self.names, self.sources, strict=True) if pair[1].version not in held]
        names, sources = zip(*left, strict=True) if left else ((), ())
        return Input(names, sources, self.on_error, self.taxonomy, self.max_length)


def segment_place(folder: Path, manifest: Manifest) -> Path:
    """The folder of the segment that comes next in a library."""
    return folder / f"segment-{len(manifest.segments):05d}"


def make_segment(folder: Path, manifest: Manifest, given: Input, embedder: Embedder) -> tuple[Segment, Report]:
    """Make the next segment of a library, which names it nowhere yet.

    Where the same was begun and killed, it goes on with the parts that are there. Nothing is left of bad input.

    Args:
        folder: the library's, held against other writers.
        manifest: the library's.
        given: at least one source.
        embedder: has a reference frame.

    Raises:
        LibraryError: other things lie in its place, or no record is a barcode of the marker.
        BarcodeMAEError: bad input.
    """
    place = segment_place(folder, manifest)
    _begin(place, manifest, given)
    try:
        report = _write_parts(place, given, embedder)
        log_report(report)
        files = sorted(place.glob("*.arrow"))
        if not files:
            raise LibraryError(f"{folder}: expected barcodes of the marker, got none in {report.num_read:,} records")
    except BarcodeMAEError:
        drop_segment(place)
        (folder / BUILDING_FILE).unlink()
        raise
    parts = (map_part(file, manifest.frame_length, manifest.dimension) for file in files)
    vectors = np.concatenate([as_matrix(part["vector"]) for part in parts])
    index = describe_exact()
    if len(vectors) > EXACT_RECORDS:
        with written_atomically(place) as scratch:
            index = build_index(vectors, scratch / INDEX_FILE)
        files.append(place / INDEX_FILE)
    fingerprints = {file.name: fingerprint(file) for file in sorted(files)}
    return Segment(place.name, len(vectors), fingerprints, index, given.sources, given.taxonomy_digest), report


def _source(name: str) -> Source:
    told = source_version(name)
    if "version" in told:  # on the Hub: the name of a folder on this machine
        return Source(str(told["name"]), Path(str(told["version"])).name)
    file = Path(str(told["name"]))
    return Source(file.name, sha256(file))


def _begin(place: Path, manifest: Manifest, given: Input) -> None:
    """Go on with a segment of the same sources, or begin a new one."""
    check_place(place)
    key = {
        "segment": place.name,
        "sources": [asdict(source) for source in given.sources],
        "taxonomy": given.taxonomy_digest,
        "on_error": given.on_error,
        "max_length": given.max_length,
        "model": manifest.model,
        "made_by": version("barcodemae"),
    }
    told = json.dumps(key, sort_keys=True)
    file = place.parent / BUILDING_FILE
    if file.is_file() and file.read_bytes() == told.encode():
        logger.info("%s: going on with a build that was interrupted", place.parent)
    else:
        drop_segment(place)
        with written_atomically(place.parent) as scratch:
            (scratch / BUILDING_FILE).write_text(told)
    place.mkdir(exist_ok=True)


def _write_parts(place: Path, given: Input, embedder: Embedder) -> Report:
    quality_filter = QualityFilter(drop_duplicates=False, on_error=given.on_error)
    with tqdm(desc="building the library", unit=" records", unit_scale=True) as progress:
        tables = stream_records(given.names, on_error=given.on_error, max_length=given.max_length)
        for number, table in enumerate(tables):
            file = place / f"part-{number:05d}.arrow"
            records = quality_filter(table if given.taxonomy is None else join_taxonomy(table, given.taxonomy))
            if not file.exists():
                records, read = _on_marker(records, embedder, given.on_error)
                if len(records):
                    vectors = embedder.encode(read.sequences, normalize_embeddings=True, placement=read.placement)
                    write_part(file, records, read.bases, vectors)
            progress.update(len(table))
    return quality_filter.report


def _on_marker(records: pa.Table, embedder: Embedder, on_error: str) -> tuple[pa.Table, OnMarker]:
    """The records that lie on the reference frame, and how."""
    assert embedder.frame is not None
    read = read_on_marker(records["nucleotides"].to_pylist(), embedder.frame)
    fits = read.fits
    if on_error == "raise" and not fits.all():
        row = int(np.argmin(fits))
        file, record, line = (records[column][row].as_py() for column in ("file", "id", "line"))
        problem = f"expected a barcode of the marker, with {MIN_BASES} bases or more on the reference frame"
        raise BadRecordError(file, record, problem, line)
    return records.filter(pa.array(fits)), read.take(np.flatnonzero(fits))
