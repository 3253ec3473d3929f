"""A segment of a library: records are read, placed, embedded and indexed; an interrupted build is resumed."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from barcodemae.checkpoints import ALL
from barcodemae.data import QualityFilter, Report, log_report, stream_records
from barcodemae.data.known_markers import MAX_OTHERS
from barcodemae.data.readers import source_version
from barcodemae.data.schema import Preset
from barcodemae.data.taxonomy import join_taxonomy
from barcodemae.errors import BadRecordError, BarcodeMAEError, LibraryError
from barcodemae.files import written_atomically
from barcodemae.library.models import Embedder, embed
from barcodemae.library.search.indexing import MAX_EXACT_RECORDS, build_index, describe_exact
from barcodemae.library.search.marker import MIN_BASES, OnMarker, find_others, marker_of
from barcodemae.library.search.primers import Region
from barcodemae.library.store.manifest import BUILDING_FILE, INDEX_FILE, Manifest, Segment, Source, fingerprint
from barcodemae.library.store.records import as_matrix, map_part, write_part
from barcodemae.library.store.stored import StoredLibrary
from barcodemae.library.store.writing import check_segment_folder, drop_segment
from barcodemae.provenance import sha256

_PART_RECORDS = 16_384

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inputs:
    """The sources of a segment, and how they are read.

    Attributes:
        names: of files or Hub data sets, as for `stream_records`.
        sources: their names and versions, in the same order.
        on_error: for a record that is not DNA, or not on the marker: "raise", or "skip" to leave it out.
        taxonomy: names by id, for sources without names.
        max_length: maximum number of nucleotides of a record; `on_error` applies to a longer one.
        whole_headers: whether ids are complete headers of FASTA and FASTQ.
        primers: of the barcodes, see `search.primers.find_region`; bases outside of the region are left out. "" for
            none.
    """

    names: tuple[str, ...]
    sources: tuple[Source, ...]
    on_error: str
    taxonomy: pa.Table | None
    max_length: int
    whole_headers: bool = False
    primers: str = ""

    @classmethod
    def from_names(
        cls,
        names: Sequence[str],
        on_error: str,
        taxonomy: pa.Table | None,
        max_length: int,
        whole_headers: bool = False,
        primers: str | None = None,
    ) -> "Inputs":
        """The inputs with the present versions of files and data sets; of equal ones only the first.

        Raises:
            UnreadableFileError: there is no such file or data set.
            ConfigurationError: a name is standard input, which can't be read twice.
        """
        name_by_source: dict[Source, str] = {}
        name_by_version: dict[str, str] = {}
        for name in names:
            source = _source(name)
            first = name_by_version.setdefault(source.version, name)
            if first == name:
                name_by_source[source] = name
            else:
                logger.warning("%s: same content as %s; it is read once", name, first)
        names, versions = tuple(name_by_source.values()), tuple(name_by_source)
        return cls(names, versions, on_error, taxonomy, max_length, whole_headers, primers or "")

    @cached_property
    def taxonomy_digest(self) -> str:
        """Digest of the taxonomy; empty if there is none."""
        if self.taxonomy is None:
            return ""
        digest = hashlib.blake2b(digest_size=16)
        for batch in self.taxonomy.combine_chunks().to_batches():
            digest.update(batch.serialize())
        return digest.hexdigest()

    def without(self, segments: Sequence[Segment]) -> "Inputs":
        """The inputs without the sources of some segments, if made with the same taxonomy and primers."""
        key = (self.taxonomy_digest, self.primers)
        same = [segment for segment in segments if (segment.taxonomy, segment.primers) == key]
        added = {source.version for segment in same for source in segment.sources}
        left = [pair for pair in zip(self.names, self.sources, strict=True) if pair[1].version not in added]
        names, sources = zip(*left, strict=True) if left else ((), ())
        return replace(self, names=names, sources=sources)


def next_segment_folder(folder: Path, manifest: Manifest) -> Path:
    """The folder of the next segment of a library."""
    return folder / f"segment-{len(manifest.segments):05d}"


def make_segment(
    folder: Path, manifest: Manifest, inputs: Inputs, embedder: Embedder, refuse_mixture: bool = False
) -> tuple[Segment, Report, dict[str, int]]:
    """Make the next segment of a library, which is not yet in its manifest.

    An interrupted one of the same input is resumed after its last part. On bad input it is deleted.

    Args:
        folder: of the library, locked for other writers.
        manifest: of the library.
        inputs: at least one source.
        embedder: of the library's marker.
        refuse_mixture: whether a mixture of markers is an error.

    Returns:
        The segment, the report on the records that were read, and the number of records of each other known marker
        that were left out, except in parts that an interrupted build had written.

    Raises:
        LibraryError: the segment's folder has other contents, no record is a barcode of the marker, or the records are
            a mixture of markers.
        BarcodeMAEError: bad input.
    """
    segment_folder = next_segment_folder(folder, manifest)
    _begin(segment_folder, manifest, inputs)
    try:
        report, off_marker = _write_parts(segment_folder, inputs, embedder)
        log_report(report)
        others = {name: count for name, count in off_marker.most_common() if name}
        if not any(segment_folder.glob("*.arrow")):
            recognised = f" ({describe_markers(others)})" if others else ""
            raise LibraryError(
                f"{folder}: expected barcodes of the marker {manifest.marker}, got none in {report.num_read:,} "
                f"records{recognised}"
            )
        num_others, num_usable = sum(others.values()), report.num_read - report.num_dropped
        if refuse_mixture and num_others > MAX_OTHERS * num_usable:
            found = {manifest.marker: num_usable - sum(off_marker.values())} | others
            raise LibraryError(
                f"{folder}: expected records of one marker, got {describe_markers(found)}; "
                f"--marker {manifest.marker} leaves the others out, --marker {ALL} makes a library of each"
            )
    except BarcodeMAEError:
        drop_segment(segment_folder)
        (folder / BUILDING_FILE).unlink()
        raise
    segment = finish_segment(segment_folder, manifest)
    segment = replace(segment, sources=inputs.sources, taxonomy=inputs.taxonomy_digest, primers=inputs.primers)
    return segment, report, others


def copy_segment(folder: Path, library: StoredLibrary, source: int, number: int, records: np.ndarray) -> Segment:
    """Write some records of one segment of a library as a segment of another one.

    Args:
        folder: of the other library, locked for other writers.
        library: has the records.
        source: number of the segment that they are in.
        number: of the new segment in the other library.
        records: int64, at least one.

    Returns:
        The new segment, with the same sources.
    """
    segment_folder = folder / f"segment-{number:05d}"
    segment_folder.mkdir()
    for part, begin in enumerate(range(0, len(records), _PART_RECORDS)):
        some = records[begin : begin + _PART_RECORDS]
        file = segment_folder / f"part-{part:05d}.arrow"
        write_part(file, library.records(some), library.bases(some), library.vectors(some))
    begin, end = np.cumsum([0, *(segment.num_records for segment in library.manifest.segments)])[source : source + 2]
    segment = library.manifest.segments[source]
    return replace(
        finish_segment(segment_folder, library.manifest),
        sources=segment.sources,
        taxonomy=segment.taxonomy,
        primers=segment.primers,
        distilled_from=int(((library.live >= begin) & (library.live < end)).sum()),
    )


def finish_segment(segment_folder: Path, manifest: Manifest) -> Segment:
    """Make the index of a segment whose parts are written, if it is too large for an exact search, and describe it."""
    files = sorted(segment_folder.glob("*.arrow"))
    parts = (map_part(file, manifest.comparison, manifest.dimension) for file in files)
    vectors = np.concatenate([as_matrix(part["vector"]) for part in parts])
    index = describe_exact()
    if len(vectors) > MAX_EXACT_RECORDS:
        with written_atomically(segment_folder) as scratch:
            index = build_index(vectors, scratch / INDEX_FILE)
        files.append(segment_folder / INDEX_FILE)
    fingerprints = {file.name: fingerprint(file) for file in sorted(files)}
    return Segment(segment_folder.name, len(vectors), fingerprints, index)


def describe_markers(markers: dict[str, int]) -> str:
    """Numbers of records by marker, in words."""
    return ", ".join(f"{name} {count:,}" for name, count in markers.items())


def _source(name: str) -> Source:
    found = source_version(name)
    if "version" in found:  # on the Hub: the path of a folder on this machine
        return Source(str(found["name"]), Path(str(found["version"])).name)
    file = Path(str(found["name"]))
    return Source(file.name, sha256(file))


def _begin(segment_folder: Path, manifest: Manifest, inputs: Inputs) -> None:
    """Prepare the folder: resume an interrupted build of the same input, or begin a new one."""
    check_segment_folder(segment_folder)
    key = {
        "segment": segment_folder.name,
        "sources": [asdict(source) for source in inputs.sources],
        "taxonomy": inputs.taxonomy_digest,
        "on_error": inputs.on_error,
        "max_length": inputs.max_length,
        "whole_headers": inputs.whole_headers,
        "primers": inputs.primers,
        "model": manifest.model,
        "made_by": version("barcodemae"),
    }
    text = json.dumps(key, sort_keys=True)
    file = segment_folder.parent / BUILDING_FILE
    if file.is_file() and file.read_bytes() == text.encode():
        logger.info("%s: resuming an interrupted build", segment_folder.parent)
    else:
        drop_segment(segment_folder)
        with written_atomically(segment_folder.parent) as scratch:
            (scratch / BUILDING_FILE).write_text(text)
    segment_folder.mkdir(exist_ok=True)


def _write_parts(segment_folder: Path, inputs: Inputs, embedder: Embedder) -> tuple[Report, Counter[str]]:
    """Write the parts of a segment; the report on its records, and the markers of those left out, "" if unknown."""
    off_marker: Counter[str] = Counter()
    region = marker_of(embedder).region(inputs.primers) if inputs.primers else None
    quality_filter = QualityFilter(drop_duplicates=False, on_error=inputs.on_error)
    with tqdm(desc="building the library", unit=" records", unit_scale=True) as progress:
        preset = Preset(whole_headers=inputs.whole_headers)
        tables = stream_records(inputs.names, preset, inputs.on_error, inputs.max_length)
        for number, table in enumerate(tables):
            file = segment_folder / f"part-{number:05d}.arrow"
            records = quality_filter(table if inputs.taxonomy is None else join_taxonomy(table, inputs.taxonomy))
            if not file.exists():
                records, read, others = _on_marker(records, embedder, region, inputs.on_error)
                off_marker.update(others)
                if len(records):
                    vectors = embed(embedder, read)
                    write_part(file, records, read.bases, vectors)
            progress.update(len(table))
    return quality_filter.report, off_marker


def _on_marker(
    records: pa.Table, embedder: Embedder, region: Region | None, on_error: str
) -> tuple[pa.Table, OnMarker, list[str]]:
    """The records that are barcodes of the marker, read as such, without bases outside of primers; and for each of the
    others the name of its marker, "" where it is not known."""
    marker = marker_of(embedder)
    sequences = records["nucleotides"].to_pylist()
    read = marker.read(sequences, region)
    fits = read.fits
    if on_error == "raise" and not fits.all():
        row = int(np.argmin(fits))
        file, record, line = (records[column][row].as_py() for column in ("file", "id", "line"))
        where = "on it" if region is None else "between the primers"
        problem = f"expected a barcode of the marker, with {MIN_BASES} bases or more {where}"
        raise BadRecordError(file, record, problem, line)
    if region is not None:
        position = records.column_names.index("nucleotides")
        trimmed = pa.array([text.strip("N") for text in read.sequences], records.schema.field(position).type)
        records = records.set_column(position, "nucleotides", trimmed)
    others = find_others([sequences[row] for row in np.flatnonzero(~fits)], marker.name).tolist()
    return records.filter(pa.array(fits)), read.take(np.flatnonzero(fits)), others
