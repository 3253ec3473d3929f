"""Conversion of tables to the schema of records."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data.annotations import read_annotations
from barcodemae.data.headers import read_taxa
from barcodemae.data.names import clean_names
from barcodemae.data.schema import BY_NAMES, COLUMNS, MISSING, RANKS, SCHEMA, STRING, TOO_LONG, Preset, recognise
from barcodemae.data.sources import MAX_LENGTH
from barcodemae.errors import UnreadableFileError, printable_lines

# Number of characters of each text that are read of a record that is too long.
_TRUNCATED_LENGTH = 100


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
    if "taxon" in texts:
        texts |= read_taxa(texts.pop("taxon").to_pylist())
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
    texts["id"] = _named(texts.get("id", nothing), file, lines)
    texts |= clean_names({rank: texts[rank] for rank in RANKS if rank in texts} or {"species": nothing})
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


def _named(ids: pa.Array | pa.ChunkedArray, file: str, lines: np.ndarray) -> pa.ChunkedArray:
    """Ids, with the file and the line for a record that has none."""
    is_missing = pc.equal(ids, "")
    if not pc.any(is_missing).as_py():
        return ids
    name = pa.scalar(printable_lines(Path(file).name), STRING)
    substitutes = pc.binary_join_element_wise(name, pa.array(lines, pa.int64()).cast(STRING), pa.scalar(":", STRING))
    return pc.if_else(is_missing, substitutes, ids)


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
