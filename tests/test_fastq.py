"""Reading of FASTQ; a damaged record is reported with its line, and the next ones are read."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.data import read_records
from barcodemae.data.fastq import read_fastq
from barcodemae.data.schema import BATCH_ROWS
from barcodemae.data.text import Lines
from barcodemae.errors import UnreadableFileError


def rows(text):
    """Line, id, nucleotides and problem of each row."""
    found = []
    for piece in read_fastq(Lines(io.StringIO(text, newline=""), "a")):
        table = piece.table
        found += zip(
            piece.lines, *(table[name].to_pylist() for name in ("id", "nucleotides")), piece.problems, strict=True
        )
    return found


def test_reads_records_of_four_lines():
    assert rows("\n@x 1:N\r\nACGT\r\n+x\r\n@II+\r\n\n@y\nac\n+\n>>\n@empty\n\n+\n\n@\nA\n+\nI") == [
        (2, "x", "ACGT", ""),
        (7, "y", "ac", ""),
        (11, "empty", "", ""),
        (15, "", "A", ""),
    ]


@pytest.mark.parametrize(
    ("damaged", "problem"),
    [
        ("@b\nACGT\n+\nIII\n", "expected as many qualities as nucleotides, got 3 and 4"),
        ("@b\nACGT\nIIII\n", "expected '+' on the third line of a FASTQ record, got 'IIII'"),
        ("@b\nAC\nGT\n+\nII\nI\n", "expected as many qualities as nucleotides, got 5 and 4"),
        ("b\nACGT\n+\nIIII\n", "expected a FASTQ record: a line that starts with '@', got 'b'"),
        # Its qualities look like a header.
        ("@b\nACGT\n+\n@I\n", "expected as many qualities as nucleotides, got 2 and 4"),
    ],
)
def test_reading_continues_after_a_damaged_record(damaged, problem):
    undamaged = "@{}\nAC\n+\n@I\n"
    assert rows(undamaged.format("a") + damaged + undamaged.format("c")) == [
        (1, "a", "AC", ""),
        (5, "b", "", problem),
        (5 + damaged.count("\n"), "c", "AC", ""),
    ]


def test_file_that_ends_within_a_record():
    problem = "expected the 4 lines of a FASTQ record, got 2 before the end of the file"
    assert rows("@a\nAC\n+\nII\n@b\nAC\n")[1:] == [(5, "b", "", problem)]


def test_on_error_applies(tmp_path):
    path = tmp_path / "a.fq"
    path.write_bytes(b"@a\nAC\n+\nII\n@b\nA\xff\n+\nII\n@c\nGT\n+\n\xff\xff\n")
    with pytest.raises(UnreadableFileError, match=r"a.fq, line 5: expected UTF-8 text, got byte 0xff"):
        read_records(path)
    records = read_records(path, on_error="skip")
    assert records["id"].to_pylist() == ["a", "b", "c"]
    assert [bool(problem) for problem in records["problem"].to_pylist()] == [False, True, False]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected records, got an empty file"),
        ("\n\n", "expected records, got an empty file"),
        ("\nx\nAC\n", r"line 2: expected FASTQ: a line that starts with '@', got 'x'"),
        ("@x\nAC\n", r"line 1: expected the 4 lines of a FASTQ record, got 2"),
    ],
)
def test_other_formats(tmp_path, content, message):
    path = tmp_path / "a.fastq"
    path.write_text(content)
    with pytest.raises(UnreadableFileError, match=message):
        read_records(path, on_error="skip")


def test_pieces_are_of_limited_size():
    text = "@x\nAC\n+\nII\n" * (BATCH_ROWS + 2)
    pieces = list(read_fastq(Lines(io.StringIO(text), "a")))
    assert [len(piece.table) for piece in pieces] == [BATCH_ROWS, 2]
    assert pieces[1].lines.tolist() == [4 * BATCH_ROWS + 1, 4 * BATCH_ROWS + 5]


@given(
    st.lists(st.tuples(st.from_regex("[a-z]{1,5}", fullmatch=True), st.text("ACGTN", max_size=20)), min_size=1),
    st.randoms(use_true_random=False),
)
def test_round_trip(records, random):
    text = "".join(
        f"@{name} words\n{sequence}\n+\n{''.join(random.choices('@+>#I', k=len(sequence)))}\n"
        for name, sequence in records
    )
    assert rows(text) == [(4 * index + 1, *record, "") for index, record in enumerate(records)]


@given(st.text("@+AI\n", max_size=60))
def test_records_before_damage_are_read(damage):
    found = rows(f"@a\nA\n+\nI\n{damage}")
    lines = [line for line, *_ in found]
    assert found[0] == (1, "a", "A", "")
    assert lines == sorted(set(lines))
