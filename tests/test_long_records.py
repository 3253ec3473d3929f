"""Records that are too long are bad records, and files of any size are read with limited memory."""

import contextlib
import gzip
import io
import itertools

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.data import filter_records, read_records, stream_records
from barcodemae.data.columnar import bounded
from barcodemae.data.parquet_pages import bytes_per_row
from barcodemae.data.text import decode, is_cut, max_line_bytes
from barcodemae.errors import BadRecordError, ConfigurationError, UnreadableFileError
from barcodemae.library.search.marker import read_on_marker, why_unusable
from helpers.limited_memory import count_records
from tokenization_barcodemae import ReferenceFrame

LIMIT = 20
TOO_LONG = "too long: expected at most 20 nucleotides, got more"
# Longer than a line may be in addition to 20 nucleotides.
LINE = "ACGT" * 20_000


def skipped(path, **options):
    """Line, id and problem of each record."""
    records = read_records(path, on_error="skip", max_length=LIMIT, **options)
    return list(zip(*(records[name].to_pylist() for name in ("line", "id", "problem")), strict=True))


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        content = text.encode("utf-8", "surrogateescape")
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write


FASTA = f">a\n{'A' * 20}\n>b x\n{{}}\n>c\nACGT\n"
FASTQ = f"@a\n{'A' * 20}\n+\n{'I' * 20}\n@b x\n{{0}}\n+\n{{0}}\n@c\nAC\n+\nII\n"


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("sequence", ["A" * 21, "ACGTACG\nACGTACG\nACGTACG", LINE, f"{LINE}\n{LINE}"])
def test_long_record_of_fasta(write, sequence, ending):
    last = 4 + len(sequence.splitlines())
    path = write(f"a.fasta{ending}", FASTA.format(sequence))
    assert skipped(path) == [(1, "a", ""), (3, "b", TOO_LONG), (last, "c", "")]


@pytest.mark.parametrize("sequence", ["A" * 21, LINE])
def test_long_record_of_fastq(write, sequence):
    assert skipped(write("a.fastq", FASTQ.format(sequence))) == [(1, "a", ""), (5, "b", TOO_LONG), (9, "c", "")]


def test_long_qualities(write):
    path = write("a.fastq", f"@a\nAC\n+\nII\n@b\nAC\n+\n{LINE}\n@c\nAC\n+\nII\n")
    (_, _, problem) = skipped(path)[1]
    assert problem.startswith("expected as many qualities as nucleotides")
    assert [row[:2] for row in skipped(path)] == [(1, "a"), (5, "b"), (9, "c")]


@pytest.mark.parametrize(("name", "comma"), [("a.tsv", "\t"), ("a.csv", ",")])
def test_long_value_of_a_table(write, name, comma):
    rows = [["id", "nuc", "note"], ["a", "A" * 20, ""], ["b", "A" * 21, ""], ["c", "AC", "x" * 1000], ["d", "AC", LINE]]
    path = write(name, "".join(comma.join(row) + "\n" for row in [*rows, ["e", "AC", ""]]))
    problem = f"expected a {name[2:].upper()} row, got: more than {max_line_bytes(LIMIT):,} bytes"
    assert skipped(path) == [(2, "a", ""), (3, "b", TOO_LONG), (4, "c", ""), (5, f"{name}:5", problem), (6, "e", "")]


def test_only_the_first_line_of_an_unfinished_row_is_lost(write):
    count = 3 * max_line_bytes(LIMIT) // 5
    path = write("a.csv", 'id,nuc\na,AC\n"\n' + "b,AC\n" * count)
    found = skipped(path)
    assert [row[1] for row in found] == ["a", "a.csv:3"] + ["b"] * count
    assert found[1][2] == f"expected a CSV row, got: more than {max_line_bytes(LIMIT):,} bytes"


def test_long_header_of_a_table(write):
    with pytest.raises(UnreadableFileError, match="line 1: expected a CSV row, got: more than"):
        skipped(write("a.csv", f"{LINE}\nA,C\n"))


def test_long_headers_and_comments_of_fasta(write):
    path = write("a.fasta", f"# {LINE}\n>a {LINE}\nAC\n#{LINE}\nGT\n>{LINE}\nAC\n>c\nAC\n")
    problem = "too long: expected at most 20 bytes of id, got more"
    assert skipped(path) == [(2, "a", ""), (6, LINE[:100], problem), (8, "c", "")]


def test_on_error_applies_to_long_records(write):
    path = write("a.fasta", FASTA.format("A" * 21))
    with pytest.raises(BadRecordError, match=r"a\.fasta, line 3, record 'b': too long: expected at most 20"):
        read_records(path, max_length=LIMIT)
    records, report = filter_records(read_records(path, on_error="skip", max_length=LIMIT), on_error="skip")
    assert records["id"].to_pylist() == ["a", "c"]
    assert report.counts == {"too long": 1}
    assert report.dropped.to_pylist() == [{"file": str(path), "line": 3, "id": "b", "why": TOO_LONG}]
    with pytest.raises(BadRecordError, match="record 'b': too long"):
        filter_records(read_records(path, on_error="skip", max_length=LIMIT))


def test_file_of_one_long_record(write):
    assert skipped(write("chr1.fasta", ">chr1\n" + "A" * 21)) == [(1, "chr1", TOO_LONG)]


def test_result_of_a_long_query(write, full_length_barcodes):
    barcode = full_length_barcodes[0]
    path = write("a.fasta", f">a\n{barcode}\n>b\n{barcode * 2}\n")
    records = read_records(path, on_error="skip", max_length=1000)
    read = read_on_marker(records["nucleotides"].to_pylist(), ReferenceFrame.coi())
    assert why_unusable(records["problem"], read, "COI-5P").tolist() == ["", "too long"]


def test_mitogenome_is_read_and_chromosome_is_not(write):
    path = write("a.fasta", f">mitochondrion\n{'ACGT' * 4_000}\n>chromosome\n{'ACGT' * 250_001}\n")
    problems = read_records(path, on_error="skip")["problem"].to_pylist()
    assert problems == ["", "too long: expected at most 1,000,000 nucleotides, got more"]


def test_length_of_zero_is_refused(write):
    with pytest.raises(ConfigurationError, match="--max-length 0: expected 1 nucleotide or more"):
        read_records(write("a.fasta", ">a\nAC\n"), max_length=0)


def test_tables_of_long_records_are_smaller(write, monkeypatch):
    monkeypatch.setattr("barcodemae.data.text.BATCH_BYTES", 10_000)
    path = write("a.fasta", "".join(f">r{i}\n{'ACGT' * 500}\n" for i in range(50)))
    sizes = [len(table) for table in stream_records(path)]
    assert sum(sizes) == 50
    assert max(sizes) <= 6


# Lines


@given(st.lists(st.text("ab\r\né", max_size=30), max_size=20), st.integers(1, 12), st.integers(1, 40))
def test_only_long_lines_are_cut(parts, limit, block):
    """Equal to lines that are cut one by one, for any size of the blocks in which the file is read."""
    text = "".join(parts)
    content = text.encode()

    class Blocks(io.RawIOBase):
        left = io.BytesIO(content)

        def readable(self):
            return True

        def readinto(self, buffer):
            got = self.left.read(min(len(buffer), block))
            buffer[: len(got)] = got
            return len(got)

    uncut = [line.rstrip(b"\r\n") for line in content.splitlines(keepends=True)]
    expected = [line[: limit + 1].decode("utf-8", "surrogateescape") for line in uncut]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("barcodemae.data.text._OTHER_BYTES", 0)
        lines = list(decode(io.BufferedReader(Blocks(), block), limit))
        cut = [is_cut(line, limit) for line in lines]
    assert [line.rstrip("\r\n") for line in lines] == expected
    assert [line[len(line.rstrip("\r\n")) :] for line in lines] == [
        line[len(line.rstrip("\r\n")) :] for line in io.StringIO(text, newline="")
    ]
    assert cut == [len(line) > limit for line in uncut]


# Parquet


def parquet(path, sequences, **options):
    ids = [f"r{i}" for i in range(len(sequences))]
    pq.write_table(pa.table({"id": ids, "nucleotides": sequences}), path, **options)
    return path


KINDS = {
    "plain": {"use_dictionary": False},
    "compressed": {"use_dictionary": False, "compression": "zstd"},
    "version 2": {"use_dictionary": False, "compression": "gzip", "data_page_version": "2.0"},
    "dictionary": {},
    **{f"dictionary, {name}": {"compression": name} for name in ("none", "gzip", "brotli", "lz4", "zstd")},
    "lengths": {"use_dictionary": False, "column_encoding": {"nucleotides": "DELTA_LENGTH_BYTE_ARRAY"}},
    "prefixes": {"use_dictionary": False, "column_encoding": {"nucleotides": "DELTA_BYTE_ARRAY"}},
    "row groups": {"row_group_size": 7},
}


@pytest.mark.parametrize("kind", KINDS)
def test_long_rows_of_parquet_are_read_in_small_tables(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("barcodemae.data.columnar.BATCH_BYTES", 10_000)
    sequences = ["ACGT" * 500 + "A" * (i % 3) for i in range(100)]
    path = parquet(tmp_path / "a.parquet", sequences, **KINDS[kind])
    requested = []
    monkeypatch.setattr(
        "pyarrow.parquet.ParquetFile.iter_batches",
        lambda file, size, *given, read=pq.ParquetFile.iter_batches, **more: (
            requested.append(size) or read(file, size, *given, **more)
        ),
    )
    tables = list(stream_records(path))
    assert max(requested) <= 5
    assert max(len(table) for table in tables) <= 5
    assert pa.concat_tables(tables)["nucleotides"].to_pylist() == sequences
    assert list(itertools.chain(*(table["line"].to_pylist() for table in tables))) == list(range(1, 101))


@pytest.mark.parametrize("kind", KINDS)
def test_short_rows_of_parquet_are_read_in_large_tables(kind, tmp_path):
    options = KINDS[kind] | ({"row_group_size": 20_000} if kind == "row groups" else {})
    path = parquet(tmp_path / "a.parquet", ["ACGT"] * 40_000, **options)
    with path.open("rb") as file:
        size = bytes_per_row(file, pq.ParquetFile(path).metadata.row_group(0), ["id", "nucleotides"])
    if kind != "prefixes":  # there a value may be as long as its page
        assert 4 <= size < 40
    assert [len(table) for table in stream_records(path)] == [16_384, 16_384, 7_232]


def test_long_row_of_parquet(tmp_path):
    path = parquet(tmp_path / "a.parquet", ["A" * 20, "A" * 21, "ACGT"])
    assert skipped(path) == [(1, "r0", ""), (2, "r1", TOO_LONG), (3, "r2", "")]


def test_long_name(tmp_path):
    table = pa.table({"nucleotides": ["AC"] * 2, "species": ["Apis mellifera", "x" * 21]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert skipped(tmp_path / "a.parquet")[1][2] == "too long: expected at most 20 bytes of species, got more"


def test_large_page_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("barcodemae.data.parquet_pages.MAX_PAGE_BYTES", 100_000)
    path = parquet(tmp_path / "a.parquet", ["A" * 200_000], use_dictionary=False, compression="zstd")
    with pytest.raises(UnreadableFileError, match=r"a page of 200,0\d\d bytes in column 'nucleotides'"):
        read_records(path)


@pytest.mark.parametrize("column", [[["AC"]], [{"a": "AC"}], pa.array([b"AC"], pa.binary(2))])
def test_columns_that_are_not_text_are_refused_before_reading(column, tmp_path):
    path = parquet(tmp_path / "a.parquet", column)
    with pytest.raises(UnreadableFileError, match="expected text in column 'nucleotides', got"):
        read_records(path)


@pytest.mark.parametrize("seed", range(40))
def test_damaged_page_headers(seed, tmp_path):
    path = parquet(tmp_path / "a.parquet", ["ACGT" * 10] * 50, use_dictionary=False, compression="none")
    content = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(0).column(1).data_page_offset
    rng = np.random.default_rng(seed)
    for position in rng.integers(start, start + 20, 3):
        content[position] = rng.integers(256)
    path.write_bytes(content)
    # The file may be read if Arrow accepts it; otherwise the only error is ours.
    with contextlib.suppress(UnreadableFileError):
        assert len(read_records(path, on_error="skip")) == 50


@given(st.lists(st.lists(st.integers(0, 50), max_size=30), max_size=5))
def test_tables_are_cut_and_joined_to_limited_size(lengths):
    tables = [pa.table({"a": pa.array(["x" * n for n in one], pa.string())}) for one in lengths]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("barcodemae.data.columnar.BATCH_ROWS", 7)
        patch.setattr("barcodemae.data.columnar.BATCH_BYTES", 60)
        found = [[len(text) for text in table["a"].to_pylist()] for table in bounded(tables)]
    assert list(itertools.chain(*found)) == list(itertools.chain(*lengths))
    assert all(0 < len(one) <= 7 and (sum(one) <= 60 or len(one) == 1) for one in found)
    pairs = itertools.pairwise(found)
    assert all(len(first) == 7 or sum(first) + second[0] > 60 for first, second in pairs)


# With limited memory


def bomb_fasta(path):
    member = gzip.compress(b"ACGT" * (1 << 22), 1)  # 16 MiB
    path.write_bytes(gzip.compress(b">a\nACGT\n>b\n") + member * 128 + gzip.compress(b"\n>c\nACGT\n"))


def bomb_parquet(path):
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), ["ACGT" * 25_000])
    pq.write_table(pa.table({"nucleotides": text}), path, store_schema=False)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "make"), [("a.fasta.gz", bomb_fasta), ("a.parquet", bomb_parquet)])
def test_small_file_that_expands_to_two_gigabytes(name, make, tmp_path):
    path = tmp_path / name
    make(path)
    assert path.stat().st_size < 11_000_000
    assert count_records(path) in (3, 20_000)
