"""The one schema of records, and how other people's columns become ours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data.sources import MAX_LENGTH
from barcodemae.errors import UnreadableFileError, printable_lines

RANKS = ("phylum", "class", "order", "family", "genus", "species")
COLUMNS = ("id", "nucleotides", *RANKS, "bin", "split", "country", "source")

# Other names of a column, lower case; where a file has several, the first one listed is read.
ALIASES: dict[str, tuple[str, ...]] = {
    "id": ("id", "processid", "sampleid"),
    "nucleotides": ("nucleotides", "dna_barcode", "nucraw", "nuc"),
    **{rank: (rank, f"{rank}_name") for rank in RANKS},
    "bin": ("bin", "dna_bin", "bin_uri", "uri"),
    "split": ("split",),
    "country": ("country", "country/ocean"),
    "source": ("source",),
}

# What other people write for an unknown value; ours is the empty string.
MISSING = ("None", "not_classified", "NaN", "nan", "NA", "null")

# 32-bit string offsets end at 2 GiB, which is three million barcodes.
STRING = pa.large_string()

SCHEMA = pa.schema(
    [pa.field(column, STRING, nullable=False) for column in COLUMNS]
    + [
        pa.field("file", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("line", pa.int64(), nullable=False),
        pa.field("problem", STRING, nullable=False),
    ]
)

# Records that are read, judged and placed together: some ten megabytes of barcodes. Where records are long, they are
# fewer, so that what is in memory does not depend on what a file holds.
BATCH_ROWS = 16_384
BATCH_BYTES = 1 << 25

# So many characters of each text are kept of a record that is too long.
_KEPT_LENGTH = 100

# What the problem of a record begins with that is whole, but not read.
TOO_LONG = "too long"


@dataclass(frozen=True)
class Preset:
    """The layout of a collection of barcodes.

    Attributes:
        columns: column of the schema -> column that the file must have; other columns are found by their names.
        splits: name of a split in the collection -> name in the schema; other names are unchanged.
        file_splits: stem of a file name -> split, if each split has its own file.
        marker: a column, and its value in the rows to read; rows of other markers are left out.
        bases: number of bases that are read of a sequence in the file; the rest is of low quality.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)
    file_splits: Mapping[str, str] = field(default_factory=dict)
    marker: tuple[str, str] | None = None
    bases: int | None = None


BY_NAMES = Preset()
"""The layout of a file whose columns are all found by their names."""


class Piece(NamedTuple):
    """Some rows of a file.

    Attributes:
        table: columns under the file's own names.
        lines: `[n]`, the 1-based line (text) or row (Parquet, Hub) of each.
        problems: `[n]`, what is wrong with a row as it stands in the file, "" where nothing is; None if no row has one.
    """

    table: pa.Table
    lines: np.ndarray
    problems: list[str] | None = None


def recognise(names: Sequence[str], file: str, preset: Preset = BY_NAMES) -> dict[str, str]:
    """Find the columns of the schema among a file's own.

    Args:
        names: the file's column names; letter case and outer spaces don't count.
        file: its name, for the error.
        preset: says which columns there must be.

    Returns:
        Our name -> the file's name, for each column that the file has; `marker` among them, if the preset names it.

    Raises:
        UnreadableFileError: there is no column of nucleotides, one of the preset's is missing, or a needed one stands
            twice.
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
                came = ", ".join(names)
                raise UnreadableFileError(file, f"expected a column {wanted[column][0]!r}, got the columns {came}")
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
) -> pa.Table:
    """Bring rows of a file into the schema.

    Args:
        table: columns under any name that `recognise` knows, of any type that has a text form.
        file: where the rows come from.
        lines: `[n]`, the 1-based line or row of each.
        preset: the layout of the collection.
        problems: `[n]`, what is wrong with a row, or "".
        max_length: most nucleotides of a record, and characters of any other text; a row that has more has a problem,
            and of each text the first characters alone.

    Returns:
        A table of `SCHEMA`: every column of `COLUMNS` as trimmed text, "" where unknown, and `file`, `line` and
        `problem`. Rows of another marker than the preset's are left out.

    Raises:
        UnreadableFileError: as `recognise`, a column is not of text, or the preset has no split for such a file.
    """
    found = recognise(table.column_names, file, preset)
    texts = {column: _text(table, name, file) for column, name in found.items()}
    if preset.bases is not None:
        texts["nucleotides"] = pc.utf8_slice_codeunits(texts["nucleotides"], 0, preset.bases)
    if preset.file_splits:
        texts["split"] = pa.repeat(pa.scalar(_file_split(file, preset), STRING), len(table))
    for theirs, ours in preset.splits.items():
        if "split" in texts:
            texts["split"] = pc.if_else(pc.equal(texts["split"], theirs), pa.scalar(ours, STRING), texts["split"])

    nothing = pa.repeat(pa.scalar("", STRING), len(table))
    problem = nothing if problems is None else pa.array(problems, STRING)
    for column in list(texts):
        texts, problem = _without_long(texts, column, problem, max_length)
    arrays = [texts.get(column, nothing) for column in COLUMNS]
    # A file's name need not be UTF-8.
    arrays.append(pa.DictionaryArray.from_arrays(np.zeros(len(table), np.int32), [printable_lines(file)]))
    arrays.append(pa.array(lines, pa.int64()))
    arrays.append(problem)
    records = pa.table(arrays, schema=SCHEMA)
    if preset.marker is None:
        return records
    is_ours = pc.equal(texts["marker"], preset.marker[1])
    return records.filter(pc.or_(is_ours, pc.not_equal(records["problem"], "")))


def _without_long(
    texts: dict[str, pa.ChunkedArray], column: str, problem: pa.Array | pa.ChunkedArray, max_length: int
) -> tuple[dict[str, pa.ChunkedArray], pa.Array | pa.ChunkedArray]:
    """The same texts and problems, but for rows in which one column's text is too long."""
    is_long = pc.greater(pc.binary_length(texts[column]), max_length)  # bytes, of which a character has one or more
    if not pc.any(is_long).as_py():
        return texts, problem
    expected = f"{max_length:,} nucleotides" if column == "nucleotides" else f"{max_length:,} bytes of {column}"
    told = pa.scalar(f"{TOO_LONG}: expected at most {expected}, got more", STRING)
    begins = {name: pc.utf8_slice_codeunits(text, 0, _KEPT_LENGTH) for name, text in texts.items()}
    return (
        {name: pc.if_else(is_long, begins[name], text) for name, text in texts.items()},
        pc.if_else(pc.and_(is_long, pc.equal(problem, "")), told, problem),
    )


def plain_text(text: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Text without white space around it, and "" for what means that a value is unknown."""
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
