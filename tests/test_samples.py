"""Taxa by sample."""

import csv

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from barcodemae.errors import ConfigurationError
from barcodemae.library.results.samples import SampleCounts, distinct_names, open_samples
from helpers.result_records import MOTH, moth, result, table


def counted(*records):
    counts = SampleCounts()
    for record in records:  # also in pieces
        counts.write(table(record))
    return counts


def test_reads_are_summed_by_taxon_and_sample():
    found = counted(
        moth(file="a/S1.fasta.gz", size=3),
        result(file="a/S2.fasta.gz", size=50),
        moth(file="a/S2.fasta.gz"),
        moth(file="a/S1.fasta.gz", size=10),
        moth(call="genus", file="a/S1.fasta.gz", size=20),
        result(call="unreliable", reason="too short", file="a/S2.fasta.gz", size=70),
    )
    rows = found.table().to_pylist()
    assert [(row["call"], row["name"], row["S1"], row["S2"]) for row in rows] == [
        ("genus", "Agrotis", 20, 0),
        ("species", "Agrotis ipsilon", 13, 1),
        ("novel", "", 0, 50),
        ("unreliable", "", 0, 70),
    ]
    assert found.table().column_names == ["call", "name", *MOTH, "S1", "S2"]
    assert [rows[0]["species"], rows[1]["species"]] == ["", "Agrotis ipsilon"]
    assert found.sources() == (0, 2)


def test_sample_of_the_id_comes_before_the_file():
    found = counted(
        moth(file="all.fasta", sample="S1"), moth(file="more.fasta", sample="S1"), moth(file="all.fasta"), result()
    )
    assert found.sources() == (1, 2)
    assert found.table().column_names[-3:] == ["S1", "all", ""]
    assert found.table()["S1"].to_pylist() == [2, 0]


def test_record_of_several_samples_is_counted_in_each():
    found = counted(
        moth(file="all.fasta", sample="S1=3;S2=5;", size=8),
        moth(file="all.fasta", sample="S1=3;S2=5;", size=8),
        result(file="all.fasta", sample="S2=4;", size=4),
        moth(file="all.fasta", sample="S1", size=10),
    )
    assert found.sources() == (2, 0)
    rows = found.table().to_pylist()
    assert [(row["call"], row["S1"], row["S2"]) for row in rows] == [("species", 16, 10), ("novel", 0, 4)]


def test_sample_called_like_a_column():
    names = counted(moth(sample="genus"), moth(sample="call")).table().column_names
    assert names[-2:] == ["genus (sample)", "call (sample)"]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["S1.fasta", "b/S2.fastq.gz", "S3.fa.zst", "S4", "S.5.fa"], ["S1", "S2", "S3", "S4", "S.5"]),
        (["a/x/S.fa", "b/x/S.fa", "c/T.fa"], ["a/x/S", "b/x/S", "T"]),
        (["S.fa", "b/S.fa"], ["S", "b/S"]),
        (["S.fa", "S.fq"], ["S.fa", "S.fq"]),
        (["hub:org/one", "hub:org/two", "standard input"], ["one", "two", "standard input"]),
        ([], []),
    ],
)
def test_files_have_distinct_names(files, names):
    assert distinct_names(files) == names


def test_table_is_safe_in_a_spreadsheet_and_complete_in_parquet(tmp_path):
    for name in ("a.tsv", "a.parquet"):
        with open_samples(tmp_path / name) as counts:
            counts.write(table(moth(sample="=cmd()", size=5), moth(genus="=x", sample='a"b')))
    rows = list(csv.DictReader((tmp_path / "a.tsv").open(newline=""), delimiter="\t"))
    assert [(row["genus"], row["'=cmd()"], row['a"b']) for row in rows] == [("Agrotis", "5", "0"), ("'=x", "0", "1")]
    assert pq.read_table(tmp_path / "a.parquet")["=cmd()"].to_pylist() == [5, 0]
    assert pq.read_table(tmp_path / "a.parquet").schema.field("=cmd()").type == pa.int64()


def test_other_format_is_an_error_before_any_work(tmp_path):
    with pytest.raises(ConfigurationError, match=r"a\.xlsx: expected a name that ends with \.tsv or \.parquet"):
        open_samples(tmp_path / "a.xlsx").__enter__()
