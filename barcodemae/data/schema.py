"""The schema of records, and the names of columns in other tables."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from barcodemae.errors import UnreadableFileError

RANKS = ("phylum", "class", "order", "family", "genus", "species")
COLUMNS = ("id", "nucleotides", *RANKS, "bin", "split", "country", "source")

# Other names of a column, as `plain_column` writes them; if a file has several, the first of the list is read.
ALIASES: dict[str, tuple[str, ...]] = {
    "id": (
        *("id", "processid", "seqid", "sequenceid", "featureid", "otuid", "asvid", "otu", "asv", "zotu", "readid"),
        *("queryid", "accession", "accessionnumber", "accessionid", "genbankaccession", "recordid", "sampleid"),
        *("specimenid", "sequencename", "seqname", "label", "header", "name"),
    ),
    "nucleotides": (
        *(
            "nucleotides",
            "dnabarcode",
            "nucraw",
            "nuc",
            "sequence",
            "seq",
            "dnasequence",
            "dnaseq",
            "dna",
            "nucleotide",
        ),
        *("nucleotidesequence", "barcodesequence", "consensus", "consensussequence", "asvsequence", "coisequence"),
        *("barcode", "sequences"),
    ),
    **{rank: (rank, f"{rank}name") for rank in RANKS[:-1]},
    "species": ("species", "speciesname", "scientificname", "binomial", "organism", "specificepithet"),
    "taxon": ("taxon", "taxonomy", "lineage", "taxonomicpath"),
    "bin": ("bin", "dnabin", "binuri", "uri", "boldbin", "boldid", "binid"),
    "split": ("split",),
    "country": ("country", "countryocean"),
    "source": ("source",),
}

# The name of a column without one, such as the row names of R.
NO_NAME = ""

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

_MAX_SHOWN = 40

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
        whole_headers: whether ids are complete headers of FASTA and FASTQ, instead of their first words; None where the
            user cannot choose: first words, without an offer of complete headers for ids that occur more than once.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)
    file_splits: Mapping[str, str] = field(default_factory=dict)
    marker: tuple[str, str] | None = None
    max_bases: int | None = None
    whole_headers: bool | None = None


BY_NAMES = Preset()
"""The layout of a file whose columns are all found by their names."""


class Piece(NamedTuple):
    """Some rows of a file.

    Attributes:
        table: columns under the file's own names.
        lines: `[n]`, the 1-based line (text) or row (Parquet, Hub) of each row.
        problems: `[n]`, the problem of each row, "" if it has none; None if no row has one.
        annotations: of complete headers, as `read_annotations` returns them; None where there are only ids.
        formats: format, of a table or of a header -> number of rows.
        unread: for the first header with names in no known format: index of the row, what was expected and what came.
        num_unread: number of such headers.
    """

    table: pa.Table
    lines: np.ndarray
    problems: list[str] | None = None
    annotations: dict[str, pa.Array | pa.ChunkedArray] | None = None
    formats: Mapping[str, int] = {}
    unread: tuple[int, str] | None = None
    num_unread: int = 0


def plain_column(name: str) -> str:
    """The name of a column without case, spaces and punctuation: `processid` for `Process ID`."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _shown(name: str) -> str:
    """The name of a column in a message; that of a table without a header may be a complete sequence."""
    return name if len(name) <= _MAX_SHOWN else f"{name[:_MAX_SHOWN]}.."


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
    plain = [plain_column(name) for name in names]
    wanted = ALIASES | {column: (plain_column(name),) for column, name in preset.columns.items()}
    if preset.marker is not None:
        wanted["marker"] = (plain_column(preset.marker[0]),)
    required = {**preset.columns, **({} if preset.marker is None else {"marker": preset.marker[0]})}
    found = {}
    for column, aliases in wanted.items():
        alias = next((alias for alias in aliases if alias in plain), None)
        if alias is None:
            if column in required:
                got = ", ".join(names)
                raise UnreadableFileError(file, f"expected a column {required[column]!r}, got the columns {got}")
            continue
        if plain.count(alias) > 1:
            raise UnreadableFileError(file, f"expected one column {alias!r}, got {plain.count(alias)}")
        found[column] = names[plain.index(alias)]
    if "taxon" in found and any(rank in found for rank in RANKS):
        del found["taxon"]
    if "nucleotides" not in found:
        raise UnreadableFileError(
            file,
            "expected FASTA, FASTQ, Parquet, or a table with a column of nucleotides (nucleotides, sequence, seq, nuc, "
            f"dna_barcode, ..), got the columns {', '.join(map(_shown, names))}",
        )
    if "id" not in found and NO_NAME in names and plain.count(NO_NAME) == 1:
        found["id"] = NO_NAME
    return found
