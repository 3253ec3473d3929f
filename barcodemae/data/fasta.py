"""Reader of FASTA, with the taxonomies in its headers.

dnaio is not used, as it neither gives the line of a record nor continues after a damaged one.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from barcodemae.data.annotations import read_annotations
from barcodemae.data.headers import ONLY_IDS, read_header
from barcodemae.data.schema import BY_NAMES, RANKS, STRING, Piece, Preset
from barcodemae.data.text import Lines, in_batches, text_column, utf8_problem
from barcodemae.errors import UnreadableFileError


def read_fasta(lines: Lines, preset: Preset = BY_NAMES) -> Iterator[Piece]:
    """Read FASTA records.

    Ids and ranks are read from the headers by `headers`. Lines that start with `#` are comments.

    Args:
        lines: lines of the text.
        preset: whether ids are complete headers.

    Yields:
        `id`, `nucleotides`, the ranks and `bin`; the line of a record is that of its header. A record has a problem if
        its sequence contains a byte that isn't UTF-8.

    Raises:
        UnreadableFileError: the text is not FASTA.
    """
    for batch in in_batches(_records(lines), lines):
        yield _piece(batch, preset)


def _records(lines: Lines) -> Iterator[tuple[int, str, str]]:
    """Line, header and sequence of each record; a sequence that is too long is read until it exceeds the maximum."""
    begin, header, length = 0, "", 0
    parts: list[str] = []
    for line in lines:
        text = line.strip()
        if text.startswith(">"):
            if begin:
                yield begin, header, "".join(parts)
            begin, header, parts, length = lines.number, lines.as_text(text[1:].strip()), [], 0
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


def _piece(batch: list[tuple[int, str, str]], preset: Preset) -> Piece:
    numbers, texts, sequences = zip(*batch, strict=True)
    problems = [utf8_problem(sequence) for sequence in sequences]
    headers = [read_header(text) for text in texts]
    ids = texts if preset.whole_headers else [header.id for header in headers]
    columns = {"id": pa.array(ids, STRING), "nucleotides": text_column(sequences, problems)}
    for column in (*RANKS, "bin"):
        columns[column] = pa.array([header.names.get(column, "") for header in headers], STRING)
    refused = [row for row, header in enumerate(headers) if header.problem]
    formats = Counter(f"headers of {header.format}" if header.names else ONLY_IDS for header in headers)
    annotations = read_annotations(pa.array(texts, STRING))
    unread = (refused[0], f"{texts[refused[0]][:100]!r}: {headers[refused[0]].problem}") if refused else None
    return Piece(pa.table(columns), np.array(numbers), problems, annotations, formats, unread, len(refused))
