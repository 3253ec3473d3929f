"""Reader of FASTA, with the taxonomies in its headers.

dnaio is not used, as it neither gives the line of a record nor continues after a damaged one.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from barcodemae.data.annotations import read_annotations
from barcodemae.data.headers import read_headers
from barcodemae.data.schema import BY_NAMES, Piece, Preset
from barcodemae.data.text import Lines, in_batches, text_column, utf8_problem
from barcodemae.errors import UnreadableFileError


def read_fasta(lines: Lines, preset: Preset = BY_NAMES) -> Iterator[Piece]:
    """Read FASTA records.

    Ids and ranks are read from the headers by `headers`. Lines that start with `#` are comments.

    Args:
        lines: lines of the text.
        preset: not used, since FASTA has no columns.

    Yields:
        `id`, `nucleotides` and the ranks; the line of a record is that of its header. A record has a problem if it
        contains a byte that isn't UTF-8.

    Raises:
        UnreadableFileError: the text is not FASTA.
    """
    yield from map(_piece, in_batches(_records(lines), lines))


def _records(lines: Lines) -> Iterator[tuple[int, str, str]]:
    """Line, header and sequence of each record; a sequence that is too long is read until it exceeds the maximum."""
    begin, header, length = 0, "", 0
    parts: list[str] = []
    for line in lines:
        text = line.strip()
        if text.startswith(">"):
            if begin:
                yield begin, header, "".join(parts)
            begin, header, parts, length = lines.number, text[1:], [], 0
        elif text and not text.startswith("#"):
            if not begin:
                problem = f"expected FASTA: a line that starts with '>', got {text[:20]!a}"
                raise UnreadableFileError(lines.file, problem, lines.number)
            if length <= lines.max_length:
                parts.append(text)
                length += len(text)
    if not begin:
        raise UnreadableFileError(lines.file, "expected records, got an empty file")
    yield begin, header, "".join(parts)


def _piece(batch: list[tuple[int, str, str]]) -> Piece:
    numbers, headers, sequences = zip(*batch, strict=True)
    problems = [utf8_problem(header + sequence) for header, sequence in zip(headers, sequences, strict=True)]
    texts = text_column(headers, problems)
    columns = {**read_headers(texts), "nucleotides": text_column(sequences, problems)}
    return Piece(pa.table(columns), np.array(numbers), problems, read_annotations(texts))
