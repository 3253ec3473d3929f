"""The schema of records, and the conversion of other tables to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data.annotations import read_annotations
from barcodemae.data.sources import MAX_LENGTH
from barcodemae.errors import UnreadableFileError, printable_lines

RANKS = ("phylum", "class", "order", "family", "genus", "species")
COLUMNS = ("id", "nucleotides", *RANKS, "bin", "split", "country", "source")

# Other names of a column, in lower case; if a file has several, the first of the list is read.
ALIASES: dict[str, tuple[str, ...]] = {
    "id": ("id", "processid", "sampleid"),
    "nucleotides": ("nucleotides", "dna_barcode", "nucraw", "nuc"),
    **{rank: (rank, f"{rank}_name") for rank in RANKS},
    "bin": ("bin", "dna_bin", "bin_uri", "uri"),
    "split": ("split",),
    "country": ("country", "country/ocean"),
    "source": ("source",),
}

# Words for an unknown value, which is the empty string in the schema.
MISSING = ("None", "not_classified", "NaN", "nan", "NA", "null")

# 32-bit offsets of strings are limited to 2 GiB, which is three million barcodes.
STRING = pa.large_string()

SCHEMA = pa.schema(
    [pa.field(column, STRING, nullable=False) for column in COLUMNS]
    + [
        # How many reads a record is for, and their sample, by an annotation of the id; 1 and "" without.
        pa.field("size", pa.int64(), nullable=False),
        pa.field("sample", STRING, nullable=False),
        pa.field("file", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("line", pa.int64(), nullable=False),
        pa.field("problem", STRING, nullable=False),
    ]
)

# Number of records that are processed together: some ten megabytes of barcodes, and fewer if records are long, so that
# the memory does not depend on the content of a file.
BATCH_ROWS = 16_384
BATCH_BYTES = 1 << 25

# Number of characters of each text that are read of a record that is too long.
_TRUNCATED_LENGTH = 100

# Beginning of the problem of a record that is too long to be read.
TOO_LONG = "too long"


@dataclass(frozen=True)
class Preset:
    """The layout of a collection of barcodes.

    Attributes:
        columns: column of the schema -> column that the file must have; other columns are found by their names.
        splits: name of a split in the collection -> name in the schema; other names are unchanged.
        file_splits: stem of a file name -> split, if each split has its own file.
        marker: a column, and its value in the rows to read; rows of other markers are left out.
        max_bases: number of bases that are read of a sequence in the file; the rest is of low quality.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)
    file_splits: Mapping[str, str] = field(default_factory=dict)
    marker: tuple[str, str] | None = None
    max_bases: int | None = None


BY_NAMES = Preset()
"""The layout of a file whose columns are all found by their names."""


class Piece(NamedTuple):
    """Some rows of a file.

    Attributes:
        table: columns under the file's own names.
        lines: `[n]`, the 1-based line (text) or row (Parquet, Hub) of each row.
        problems: `[n]`, the problem of each row, "" if it has none; None if no row has one.
        annotations: of complete headers, as `read_annotations` returns them; None where there are only ids.
    """

    table: pa.Table
    lines: np.ndarray
    problems: list[str] | None = None
    annotations: Mapping[str, pa.Array] | None = None


def recognise(names: Sequence[str], file: str, preset: Preset = BY_NAMES) -> dict[str, str]:
    """Find the columns of the schema among the columns of a file.

    Args:
        names: the file's column names; upper and lower case and outer spaces don't matter.
        file: name of the file, for errors.
        preset: the layout of the file, with the columns that it must have.

    Returns:
        Column of the schema -> column of the file, for each that the file has; also `marker`, if the preset has one.

    Raises:
        UnreadableFileError: the column of nucleotides or one of the preset is missing, or there are two of one name.
    """
    plain = [name.strip().lower() for name in names]
    wanted = ALIASES | {column: (name.lower(),) for column, name in preset.columns.items()}
    if preset.marker is not None:
        wanted["marker"] = (preset.marker[0],)
    found = {}
    for column, aliases in wanted.items():
        alias = next((alias for alias in aliases if alias in plain), None)
        if alias is None:
            if column in preset.columns or column == "marker":
                got = ", ".join(names)
                raise UnreadableFileError(file, f"expected a column {wanted[column][0]!r}, got the columns {got}")
            continue
        if plain.count(alias) > 1:
            raise UnreadableFileError(file, f"expected one column {alias!r}, got {plain.count(alias)}")
        found[column] = names[plain.index(alias)]
    if "nucleotides" not in found:
        wanted_names = ", ".join(ALIASES["nucleotides"])
        raise UnreadableFileError(
            file, f"expected a column of nucleotides (one of {wanted_names}), got the columns {', '.join(names)}"
        )
    return found


def conform(
    table: pa.Table,
    file: str,
    lines: np.ndarray,
    preset: Preset = BY_NAMES,
    problems: list[str] | None = None,
    max_length: int = MAX_LENGTH,
    annotations: Mapping[str, pa.Array] | None = None,
) -> pa.Table:
    """Convert rows of a file to the schema.

    Args:
        table: columns with names that `recognise` knows, of any type that can be converted to text.
        file: name of the file.
        lines: `[n]`, the 1-based line or row of each row.
        preset: the layout of the collection.
        problems: `[n]`, the problem of each row, or "".
        max_length: maximum number of nucleotides of a record, and of bytes of any other text. A longer row has a
            problem, and its texts are truncated.
        annotations: `size` and `sample` of each row, as `read_annotations` returns them; by default those of the ids.

    Returns:
        A table of `SCHEMA`: every column of `COLUMNS` as trimmed text, "" where unknown, and `size`, `sample`, `file`,
        `line` and `problem`. Rows of another marker than that of the preset are left out.

    Raises:
        UnreadableFileError: as from `recognise`; a column can't be converted to text; or the preset has no split for a
            file of this name.
    """
    found = recognise(table.column_names, file, preset)
    texts = {column: _text(table, name, file) for column, name in found.items()}
    if preset.max_bases is not None:
        texts["nucleotides"] = pc.utf8_slice_codeunits(texts["nucleotides"], 0, preset.max_bases)
    if preset.file_splits:
        texts["split"] = pa.repeat(pa.scalar(_file_split(file, preset), STRING), len(table))
    for theirs, ours in preset.splits.items():
        if "split" in texts:
            texts["split"] = pc.if_else(pc.equal(texts["split"], theirs), pa.scalar(ours, STRING), texts["split"])

    nothing = pa.repeat(pa.scalar("", STRING), len(table))
    problem = nothing if problems is None else pa.array(problems, STRING)
    for column in list(texts):
        texts, problem = _truncate_long(texts, column, problem, max_length)
    arrays = [texts.get(column, nothing) for column in COLUMNS]
    annotations = read_annotations(texts.get("id", nothing)) if annotations is None else annotations
    arrays += [annotations["size"], annotations["sample"]]
    # The name of a file need not be UTF-8.
    arrays.append(pa.DictionaryArray.from_arrays(np.zeros(len(table), np.int32), [printable_lines(file)]))
    arrays.append(pa.array(lines, pa.int64()))
    arrays.append(problem)
    records = pa.table(arrays, schema=SCHEMA)
    if preset.marker is None:
        return records
    is_marker = pc.equal(texts["marker"], preset.marker[1])
    return records.filter(pc.or_(is_marker, pc.not_equal(records["problem"], "")))


def _truncate_long(
    texts: dict[str, pa.ChunkedArray], column: str, problem: pa.Array | pa.ChunkedArray, max_length: int
) -> tuple[dict[str, pa.ChunkedArray], pa.Array | pa.ChunkedArray]:
    """Truncate the texts of rows in which the text of one column is too long, and add the problem."""
    is_long = pc.greater(pc.binary_length(texts[column]), max_length)  # bytes, of which a character has one or more
    if not pc.any(is_long).as_py():
        return texts, problem
    expected = f"{max_length:,} nucleotides" if column == "nucleotides" else f"{max_length:,} bytes of {column}"
    message = pa.scalar(f"{TOO_LONG}: expected at most {expected}, got more", STRING)
    begins = {name: pc.utf8_slice_codeunits(text, 0, _TRUNCATED_LENGTH) for name, text in texts.items()}
    return (
        {name: pc.if_else(is_long, begins[name], text) for name, text in texts.items()},
        pc.if_else(pc.and_(is_long, pc.equal(problem, "")), message, problem),
    )


def plain_text(text: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Text without outer white space, and "" for words that mean an unknown value."""
    text = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.is_in(text, value_set=pa.array(MISSING, STRING)), pa.scalar("", STRING), text)


def _text(table: pa.Table, name: str, file: str) -> pa.ChunkedArray:
    try:
        text = table[name].cast(STRING).fill_null("")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UnreadableFileError(file, f"expected text in column {name!r}, got {table[name].type}") from error
    return plain_text(text)


def _file_split(file: str, preset: Preset) -> str:
    stem = Path(file).name.partition(".")[0]
    if stem not in preset.file_splits:
        known = ", ".join(preset.file_splits)
        raise UnreadableFileError(file, f"expected the file of a split, named one of {known}, got {stem!r}")
    return preset.file_splits[stem]
