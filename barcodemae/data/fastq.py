"""Reader of FASTQ: reads of a sequencer, four lines each, without their qualities.

As for FASTA, no library is used, so that a damaged record is reported with its line and does not end the reading.
"""

from collections import deque
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from barcodemae.data.annotations import read_annotations
from barcodemae.data.schema import BY_NAMES, Piece, Preset
from barcodemae.data.text import Lines, in_batches, text_column, utf8_problem
from barcodemae.errors import UnreadableFileError

_LINES = 4  # a record: @ and header, nucleotides, +, qualities


def read_fastq(lines: Lines, preset: Preset = BY_NAMES) -> Iterator[Piece]:
    """Read FASTQ records of four lines.

    After a damaged record, reading continues at the next four lines that are a valid record, since qualities may start
    with `@` too. All lines before them are one row with a problem.

    Args:
        lines: lines of the text.
        preset: not used, since FASTQ has no columns.

    Yields:
        `id`, the first word of the header, and `nucleotides`; the line of a record is that of its header.

    Raises:
        UnreadableFileError: the text is not FASTQ.
    """
    yield from map(_piece, in_batches(_records(lines), lines))


def _records(lines: Lines) -> Iterator[tuple[int, str, str, str]]:
    """The line of each record, its header, its nucleotides, and its problem or ""."""
    window: deque[str] = deque(maxlen=_LINES)
    is_first, is_lost = True, False
    for line in lines:
        text = line.strip()
        if not window and not text:
            continue
        window.append(text)
        if is_first and not text.startswith("@"):
            problem = f"expected FASTQ: a line that starts with '@', got {text[:20]!a}"
            raise UnreadableFileError(lines.file, problem, lines.number)
        is_first = False
        if len(window) < _LINES:
            continue
        problem = _problem(window)
        if not problem:
            header, nucleotides = window[0][1:], window[1]
            yield lines.number - _LINES + 1, header, nucleotides, utf8_problem(header + nucleotides)
            window.clear()
        elif not is_lost:
            yield lines.number - _LINES + 1, window[0].removeprefix("@"), "", problem
        is_lost = bool(problem)
    if is_first:
        raise UnreadableFileError(lines.file, "expected records, got an empty file")
    if window and not is_lost:
        problem = f"expected the {_LINES} lines of a FASTQ record, got {len(window)} before the end of the file"
        yield lines.number - len(window) + 1, window[0].removeprefix("@"), "", problem


def _problem(window: deque[str]) -> str:
    header, nucleotides, separator, qualities = window
    if not header.startswith("@"):
        return f"expected a FASTQ record: a line that starts with '@', got {header[:20]!a}"
    if not separator.startswith("+"):
        return f"expected '+' on the third line of a FASTQ record, got {separator[:20]!a}"
    if len(nucleotides) != len(qualities):
        return f"expected as many qualities as nucleotides, got {len(qualities)} and {len(nucleotides)}"
    return ""


def _piece(batch: list[tuple[int, str, str, str]]) -> Piece:
    numbers, headers, sequences, problems = zip(*batch, strict=True)
    ids = [header.split(maxsplit=1)[0] if header.strip() else "" for header in headers]
    columns = {"id": text_column(ids, problems), "nucleotides": text_column(sequences, problems)}
    annotations = read_annotations(text_column(headers, problems))
    return Piece(pa.table(columns), np.array(numbers), list(problems), annotations)
