"""Reads files and data sets of the Hub into records: Arrow tables of one schema, with the file and line of each."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data.columnar import hub_version, read_hub, read_parquet
from barcodemae.data.conforming import conform, plain_text
from barcodemae.data.formats import NAMES, STANDARD_INPUT_NAME, is_parquet, open_standard_input, text_reader
from barcodemae.data.headers import FORMATS
from barcodemae.data.identifiers import IdCheck
from barcodemae.data.opening import open_content
from barcodemae.data.schema import BY_NAMES, STRING, Piece, Preset, recognise
from barcodemae.data.sources import HUB, MAX_LENGTH, SAMPLE, STANDARD_INPUT, check_file, sample_path
from barcodemae.errors import BadRecordError, ConfigurationError, UnreadableFileError

logger = logging.getLogger(__name__)


def read_records(
    sources: str | Path | Sequence[str | Path],
    preset: Preset = BY_NAMES,
    on_error: str = "raise",
    max_length: int = MAX_LENGTH,
) -> pa.Table:
    """Read all records of some sources into memory; see `stream_records` for arguments and errors.

    Examples:
        >>> from barcodemae.data import read_records
        >>> records = read_records("sample")
        >>> len(records)
        18104
        >>> records.column_names[:3]
        ['id', 'nucleotides', 'phylum']
    """
    return pa.concat_tables(stream_records(sources, preset, on_error, max_length)).unify_dictionaries()


def stream_records(
    sources: str | Path | Sequence[str | Path],
    preset: Preset = BY_NAMES,
    on_error: str = "raise",
    max_length: int = MAX_LENGTH,
) -> Iterator[pa.Table]:
    """Read barcode records from one or more files or data sets of the Hub, in tables of limited size.

    The format of a file follows from its content, which may be compressed (gzip, bzip2, xz, Zstandard, or ZIP of one
    file): FASTA, FASTQ, Parquet, or a table separated by tabs, commas or semicolons. `hub:ORG/NAME` is a data set
    of the Hugging Face Hub with all its splits; if it has no column `split`, their names become that column. `-` is
    standard input, in any format but Parquet, and `sample` the barcodes that come with the package.

    Args:
        sources: one source, or several that are read one after the other.
        preset: the layout of the collection.
        on_error: for a damaged row of a text file (another number of columns than the header, an incomplete FASTQ
            record, bytes that are not UTF-8) or a record that is too long: "raise" to stop, "skip" to yield it with the
            problem in the column `problem`, so that `quality.QualityFilter` drops it.
        max_length: maximum number of nucleotides of a record. Only the beginning of a longer one is read into memory.

    A record without an id gets the name of its file and its line as its id, and a warning says so. Other warnings give
    the number of records that share their id with another one, and the first header whose names can't be read.

    Yields:
        Tables of `schema.SCHEMA` that are not empty: text columns, "" where a value is unknown, and for each record its
        `file` and 1-based `line` (text) or row (Parquet, Hub). Unusable barcodes are included: see `quality`.

    Raises:
        UnreadableFileError: a source is missing, empty, truncated, of unknown kind, without nucleotides, or without an
            undamaged row; or a row is damaged, and `on_error` is "raise".
        BadRecordError: a record is too long, and `on_error` is "raise".
        ConfigurationError: no source is given, or `max_length` is not positive.
    """
    if isinstance(sources, str | Path):
        sources = [sources]
    if not sources:
        raise ConfigurationError("expected at least one file or Hub data set to read, got none")
    if max_length < 1:
        raise ConfigurationError(f"--max-length {max_length}: expected 1 nucleotide or more")
    ids = IdCheck()
    for name in map(_resolved, sources):
        is_standard_input = name == STANDARD_INPUT
        pieces = _standard_input(preset, max_length) if is_standard_input else _pieces(name, preset, max_length)
        for records in _stream(
            STANDARD_INPUT_NAME if is_standard_input else name, pieces, preset, on_error, max_length
        ):
            ids.add(records["id"])
            yield records
    ids.log(offers_whole_headers=preset.whole_headers is False)


def source_version(source: str | Path) -> dict[str, str | int]:
    """The version of a source, by which a change is noticed: path, size and time, or the version of a Hub data set.

    Raises:
        UnreadableFileError: there is no such source.
        ConfigurationError: the source is standard input, which can be read only once.
    """
    name = _resolved(source)
    if name == STANDARD_INPUT:
        raise ConfigurationError("expected a file or a Hub data set, got '-': standard input can't be read again")
    if name.startswith(HUB):
        return {"name": name, "version": hub_version(name)}
    path = Path(name)
    check_file(path)
    status = path.stat()
    return {"name": str(path.resolve()), "bytes": status.st_size, "modified": status.st_mtime_ns}


def _resolved(source: str | Path) -> str:
    return str(sample_path()) if str(source) == SAMPLE else str(source)


def _stream(source: str, pieces: Iterator[Piece], preset: Preset, on_error: str, max_length: int) -> Iterator[pa.Table]:
    num_rows = num_undamaged = num_selected = num_nameless = num_unread = 0
    first_nameless: int | None = None
    unread = ""
    formats: Counter[str] = Counter()
    damage: UnreadableFileError | None = None
    for piece in pieces:
        problems = piece.problems or []
        num_damaged = len(problems) - problems.count("")
        if num_damaged and damage is None:
            first = next(i for i, problem in enumerate(problems) if problem)
            damage = UnreadableFileError(source, problems[first], int(piece.lines[first]))
        if damage is not None and on_error == "raise":
            raise damage
        problems_found = piece.problems if num_damaged else None
        records = conform(piece.table, source, piece.lines, preset, problems_found, max_length, piece.annotations)
        if on_error == "raise":
            _refuse_long(source, records)
        formats.update(piece.formats)
        if piece.unread is not None and not unread:
            unread = f"line {piece.lines[piece.unread[0]]}: {piece.unread[1]}"
        num_unread += piece.num_unread
        nameless = np.flatnonzero(_nameless(piece, source, preset))
        num_nameless += len(nameless)
        if len(nameless) and first_nameless is None:
            first_nameless = int(piece.lines[nameless[0]])
        num_rows += len(piece.table)
        num_undamaged += len(piece.table) - num_damaged
        num_selected += len(records)
        if len(records):
            yield records
    if damage is not None and not num_undamaged:
        raise damage
    if not num_rows:
        raise UnreadableFileError(source, "expected records, got none")
    if formats:
        counts = ", ".join(f"{count:,} records ({form})" for form, count in formats.most_common())
        logger.info("%s: read %s", source, counts)
    if num_unread:
        logger.warning(
            "%s: names in %s of %s headers are not read, the first on %s; known formats: %s",
            source,
            f"{num_unread:,}",
            f"{num_rows:,}",
            unread,
            "; ".join(FORMATS),
        )
    if num_nameless:
        logger.warning(
            "%s: %s of %s records have no id, the first on line %d: their ids are the file and the line, such as %s:%d",
            source,
            f"{num_nameless:,}",
            f"{num_rows:,}",
            first_nameless,
            Path(source).name,
            first_nameless,
        )
    if preset.marker is not None and num_selected < num_rows:
        if not num_selected:
            raise UnreadableFileError(
                source, f"expected records of the marker {preset.marker[1]}, got {num_rows} of others"
            )
        logger.info(
            "%s: %d rows of other markers than %s are left out", source, num_rows - num_selected, preset.marker[1]
        )


def _refuse_long(source: str, records: pa.Table) -> None:
    rows = np.flatnonzero(pc.not_equal(records["problem"], ""))
    if len(rows):
        record, problem, line = (records[column][int(rows[0])].as_py() for column in ("id", "problem", "line"))
        raise BadRecordError(source, record, problem, line)


def _nameless(piece: Piece, source: str, preset: Preset) -> np.ndarray:
    """Which rows have no id, bool `[n]`; damaged ones do not count."""
    column = recognise(piece.table.column_names, source, preset).get("id")
    undamaged = np.ones(len(piece.table), bool) if piece.problems is None else np.array(piece.problems) == ""
    if column is None:
        return undamaged
    ids = piece.table[column]
    if ids.null_count == 0 and (pa.types.is_string(ids.type) or pa.types.is_large_string(ids.type)):
        ids = plain_text(ids.cast(STRING))
        return pc.equal(ids, "").to_numpy() & undamaged
    return pc.is_null(ids).to_numpy() & undamaged


def _standard_input(preset: Preset, max_length: int) -> Iterator[Piece]:
    with open_standard_input(max_length) as (read, lines):
        yield from _named_format(read(lines, preset), NAMES[read])


def _pieces(source: str, preset: Preset, max_length: int) -> Iterator[Piece]:
    if source.startswith(HUB):
        yield from read_hub(source, preset)
        return
    path = Path(source)
    check_file(path)
    with open_content(path, source) as (first, content):
        if not first:
            raise UnreadableFileError(path, "expected records, got an empty file")
        if is_parquet(first):
            yield from read_parquet(path, content, preset)
            return
        read, lines = text_reader(first, content, source, max_length)
        yield from _named_format(read(lines, preset), NAMES[read])


def _named_format(pieces: Iterator[Piece], name: str) -> Iterator[Piece]:
    """Pieces whose formats begin with that of their file."""
    for piece in pieces:
        formats = {f"{name}, {form}": count for form, count in piece.formats.items()} or {name: len(piece.table)}
        yield piece._replace(formats=formats)
