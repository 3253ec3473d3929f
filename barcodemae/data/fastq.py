"""Reader of FASTQ: reads of a sequencer, without their qualities; sequences and qualities may be wrapped.

As for FASTA, no library is used, so that a damaged record is reported with its line and does not end the reading.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from barcodemae.data.annotations import read_annotations
from barcodemae.data.schema import BY_NAMES, STRING, Piece, Preset
from barcodemae.data.text import Lines, in_batches, text_column, utf8_problem
from barcodemae.errors import UnreadableFileError

_LINES = 4  # of a record that is not wrapped: @ and header, nucleotides, +, qualities
_NUCLEOTIDES = re.compile(r"^[ACGTUNRYSWKMBDHVacgtunryswkmbdhv.*-]+$")


class _Record(NamedTuple):
    line: int
    header: str
    nucleotides: str
    problem: str


def read_fastq(lines: Lines, preset: Preset = BY_NAMES) -> Iterator[Piece]:
    """Read FASTQ records, each of four lines, or with its nucleotides and its qualities in several lines.

    After a damaged record, reading continues at the next lines that are a valid record, since qualities may start with
    `@` too. All lines before them are one row with a problem.

    Args:
        lines: lines of the text.
        preset: whether ids are complete headers.

    Yields:
        `id`, the first word of the header, and `nucleotides`; the line of a record is that of its header.

    Raises:
        UnreadableFileError: the text is not FASTQ.
    """
    for batch in in_batches(_records(lines), lines):
        yield _piece(batch, lines, preset)


def _records(lines: Lines) -> Iterator[_Record]:
    is_first, is_lost = True, False
    for line in lines:
        begin, header = lines.number, line.strip()
        if not header and not is_lost:
            continue
        if is_first and not header.startswith("@"):
            problem = f"expected FASTQ: a line that starts with '@', got {header[:20]!a}"
            raise UnreadableFileError(lines.file, problem, lines.number)
        is_first = False
        nucleotides, problem, read = _read_record(header, lines)
        if not problem:
            yield _Record(begin, header[1:].strip(), nucleotides, utf8_problem(nucleotides))
        else:
            if not is_lost:
                yield _Record(begin, header.removeprefix("@").strip(), "", problem)
            for line_read in reversed(read):
                lines.unread(line_read)
        is_lost = bool(problem)
    if is_first:
        raise UnreadableFileError(lines.file, "expected records, got an empty file")


def _read_record(header: str, lines: Lines) -> tuple[str, str, list[str]]:
    """The nucleotides of a record after its header, its problem or "", and the lines that were read.

    Of a record that is too long, the lines are not stored, and nucleotides only until they exceed the maximum.
    """
    read: list[str] = []
    if not header.startswith("@"):
        return "", f"expected a FASTQ record: a line that starts with '@', got {header[:20]!a}", read
    parts: list[str] = []
    length = num_parts = 0
    for line in lines:
        text = line.strip()
        read.append(line)
        if num_parts and text.startswith("+"):
            break
        if num_parts and not (_NUCLEOTIDES.match(text) and _NUCLEOTIDES.match(parts[0])):
            return "", f"expected '+' on the third line of a FASTQ record, got {text[:20]!a}", read
        num_parts += 1
        if length <= lines.max_length:
            parts.append(text)
        length += len(text)
        if num_parts > 1 and length > 2 * lines.max_length:
            read.clear()
    else:
        num = len(read) + 1
        problem = f"expected the {_LINES} lines of a FASTQ record, got {num} before the end of the file"
        return "", problem, [] if num < _LINES else read
    num_qualities = 0
    while num_parts == 1 or num_qualities < length:
        line = next(lines, "")
        if not line:
            if num_parts == 1:
                num = len(read) + 1
                return "", f"expected the {_LINES} lines of a FASTQ record, got {num} before the end of the file", []
            break
        if length <= 2 * lines.max_length:
            read.append(line)
        num_qualities += len(line.strip())
        if num_parts == 1:
            break
    if num_qualities != length:
        return "", f"expected as many qualities as nucleotides, got {num_qualities} and {length}", read
    return "".join(parts), "", read


def _piece(batch: list[_Record], lines: Lines, preset: Preset) -> Piece:
    numbers, texts, sequences, problems = zip(*batch, strict=True)
    headers = [lines.as_text(text) for text in texts]
    ids = headers if preset.whole_headers else [header.split(maxsplit=1)[0] if header else "" for header in headers]
    columns = {"id": pa.array(ids, STRING), "nucleotides": text_column(sequences, problems)}
    annotations = read_annotations(pa.array(headers, STRING))
    return Piece(pa.table(columns), np.array(numbers), list(problems), annotations)
