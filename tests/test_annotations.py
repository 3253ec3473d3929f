"""Numbers of reads and samples in ids and headers."""

import pyarrow as pa
import pytest

from barcodemae.data import read_records
from barcodemae.data.annotations import read_annotations, reads_by_sample, with_size

HEADERS = {
    "ASV1;size=12;sample=S1;": (12, "S1"),
    "ASV1;size=12": (12, ""),
    "ASV1;sample=S-1.a;size=3": (3, "S-1.a"),
    "r1;barcodelabel=mock2;size=7;": (7, "mock2"),
    "ASV1;tax=p:Arthropoda,g:Apis;size=4;": (4, ""),
    "r1 count=5; sample=S1; direction=forward;": (5, "S1"),
    "r1 sample='S1'; count=2;": (2, "S1"),
    'r1 {"count":9,"sample":"S1","definition":"x"}': (9, "S1"),
    "size=3": (3, ""),
    "r1": (1, ""),
    "": (1, ""),
    "r1;resample=S1;oversize=3": (1, ""),  # other words that end like an annotation
    "r1 merged_sample={'S1': 3}; count=4": (4, "S1=3;"),
    "r1 count=8; merged_sample={'S1': 3, 'S 2:a': 5}; direction=forward;": (8, "S1=3;S 2:a=5;"),
    'r1 {"count":8,"merged_sample":{"S1":3,"size":5},"sample":"S9"}': (8, "S1=3;size=5;"),
    "r1 merged_sample={'count': 3, 'S2': 5};": (8, "count=3;S2=5;"),
    "r1 merged_sample={}; count=3; sample=S1;": (3, "S1"),
    "r1 merged_sample={'S1': many}; count=3": (3, ""),
    "r1 merged_sample={'S1': 3": (1, ""),
    "r1 merged_sample={'S;1': 3}; count=3": (3, ""),
    "r1;size=0;": (1, ""),
    "r1;size=-3": (1, ""),
    "r1;size=2.5": (1, ""),
    "r1;size=12x": (1, ""),
    "r1;size=99999999999999999999": (1, ""),
}


@pytest.mark.parametrize(("header", "expected"), HEADERS.items())
def test_annotations_of_a_header(header, expected):
    found = read_annotations(pa.array([header], pa.large_string()))
    assert (found["size"].to_pylist(), found["sample"].to_pylist()) == ([expected[0]], [expected[1]])


def test_headers_are_read_together():
    found = read_annotations(pa.array(list(HEADERS), pa.large_string()))
    assert list(zip(found["size"].to_pylist(), found["sample"].to_pylist(), strict=True)) == list(HEADERS.values())


def test_reads_by_sample():
    assert reads_by_sample("S1=3;S=2=5;") == {"S1": 3, "S=2": 5}
    for single in ("", "S1", "S=1", "a;b"):
        assert reads_by_sample(single) == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.fasta", ">r1;size=3 sample=S1;\nACGT\n>r2\nACGT\n"),
        ("a.fastq", "@r1;size=3 sample=S1;\nACGT\n+\nIIII\n@r2\nACGT\n+\nIIII\n"),
        ("a.tsv", "id\tnucleotides\nr1;size=3;sample=S1\tACGT\nr2\tACGT\n"),
    ],
)
def test_records_have_size_and_sample(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    records = read_records(tmp_path / name)
    assert records["size"].to_pylist() == [3, 1]
    assert records["sample"].to_pylist() == ["S1", ""]


@pytest.mark.parametrize(
    ("id", "expected"),
    [
        ("a", "a;size=7"),
        ("a;size=3", "a;size=7"),
        ("a;size=3;", "a;size=7"),
        ("a;size=3;sample=S1;", "a;sample=S1;size=7"),
        ("a;oversize=3", "a;oversize=3;size=7"),
        ("size=3", ";size=7"),
    ],
)
def test_size_in_an_id_is_replaced(id, expected):
    assert with_size(id, 7) == expected
