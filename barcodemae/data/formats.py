"""The format of a file or of standard input is recognised by its content, not by its name."""

import itertools
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from barcodemae.data.delimited import read_table
from barcodemae.data.fasta import read_fasta
from barcodemae.data.fastq import read_fastq
from barcodemae.data.opening import PARQUET, open_content
from barcodemae.data.schema import Piece, Preset
from barcodemae.data.sources import MAX_LENGTH
from barcodemae.data.text import Lines, decode_text
from barcodemae.errors import UnreadableFileError

STANDARD_INPUT_NAME = "standard input"

Reader = Callable[[Lines, Preset], Iterator[Piece]]

NAMES: dict[Reader, str] = {read_fasta: "FASTA", read_fastq: "FASTQ", read_table: "table"}
"""Reader of text -> name of its format."""

# For text that does not show what it is.
_BY_EXTENSION = {
    **dict.fromkeys((".fasta", ".fa", ".fna", ".fas", ".fsa", ".ffn"), read_fasta),
    **dict.fromkeys((".fastq", ".fq"), read_fastq),
}
_COMPRESSED = {".gz", ".bz2", ".xz", ".zst", ".zip"}

# First lines of files that are something else.
_OTHERS = {
    r"LOCUS\s": "a GenBank file; download it as FASTA",
    r"ID   \S+; ": "an EMBL file; download it as FASTA",
    r"@(?:HD|SQ|PG|RG)\t": "a SAM file; convert it to FASTQ",
    r"#NEXUS": "a NEXUS file; export it as FASTA",
    r"(?i)<(?:!doctype|html|\?xml)": "a web page or XML; save the data themselves",
    r"[{\[]\s*$|[{\[]\s*[\"{\[]": "JSON; save it as CSV",
    r"CLUSTAL|MUSCLE": "a Clustal alignment; export it as FASTA",
}


def is_parquet(first: bytes) -> bool:
    """Whether a content, of which the first bytes are given, is Parquet."""
    return first.startswith(PARQUET)


def text_reader(first: bytes, content: BinaryIO, name: str, max_length: int = MAX_LENGTH) -> tuple[Reader, Lines]:
    """The reader of a text, and its lines.

    The format follows from the first line that is neither blank nor a comment: FASTA starts with `>`, FASTQ with `@`,
    and anything else is a table.

    Args:
        first: bytes of the content.
        content: the text, decompressed.
        name: of the file.
        max_length: maximum number of nucleotides of a record.

    Raises:
        UnreadableFileError: it is not text, or of a format that is not read.
    """
    text = decode_text(first, content, name, max_length)
    num_before, line, comment = 0, "", ""
    for line in text:
        stripped = line.strip()
        for pattern, what in _OTHERS.items():
            if re.match(pattern, stripped):
                raise UnreadableFileError(name, f"expected FASTA, FASTQ, a table or Parquet, got {what}")
        if stripped and not stripped.startswith("#"):
            break
        comment = line if stripped else ""
        num_before, line = num_before + 1, ""
    read = _reader(line.strip(), name)
    # The lines before are replaced by blank ones, so that the numbers of lines are right.
    before: Iterable[str] = itertools.repeat("\n", num_before)
    if read is read_table and comment:  # which may name the columns
        before = itertools.chain(itertools.repeat("\n", num_before - 1), [comment])
    return read, Lines(itertools.chain(before, [line] if line else [], text), name, max_length)


@contextmanager
def open_standard_input(max_length: int = MAX_LENGTH) -> Iterator[tuple[Reader, Lines]]:
    """Open standard input, decompressed, with the reader of its format.

    Raises:
        UnreadableFileError: it is Parquet or ZIP, which must be files, or can't be read to its end.
    """
    with open_content(sys.stdin.buffer, STANDARD_INPUT_NAME) as (first, content):
        if is_parquet(first):
            raise UnreadableFileError(
                STANDARD_INPUT_NAME, "expected FASTA, FASTQ, TSV or CSV, got Parquet, which needs a file"
            )
        yield text_reader(first, content, STANDARD_INPUT_NAME, max_length)


def _reader(line: str, name: str) -> Reader:
    if line.startswith(">"):
        return read_fasta
    if line.startswith("@"):
        return read_fastq
    extensions = [extension.lower() for extension in Path(name).suffixes]
    while extensions and extensions[-1] in _COMPRESSED:
        extensions.pop()
    return _BY_EXTENSION.get(extensions[-1], read_table) if extensions else read_table
