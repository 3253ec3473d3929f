"""Quality control: which records are dropped, and how they are counted and listed."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.data import QualityFilter, filter_records, log_report, normalise_nucleotides
from barcodemae.data.conforming import conform
from barcodemae.data.quality import TOO_FEW_KMERS, USABLE, FirstSeen
from barcodemae.data.schema import SCHEMA
from barcodemae.errors import BadRecordError, ConfigurationError


def records_of(*sequences: str) -> pa.Table:
    """Records `r0, r1, ...` of the file `a.fa`, two lines each."""
    ids = [f"r{i}" for i in range(len(sequences))]
    table = pa.table({"id": ids, "nucleotides": pa.array(sequences, pa.string())})
    return conform(table, "a.fa", 1 + 2 * np.arange(len(sequences)))


def ids(table: pa.Table) -> list[str]:
    return table["id"].to_pylist()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("acgtn", "ACGT"),
        ("ACGU", "ACGT"),
        ("--AC-G.T--", "ACGT"),
        ("A C\tG\nT", "ACGT"),
        ("NNACNNGTNN", "ACNNGT"),
        ("-NN-ACGT-N-", "ACGT"),
        ("RYACGT", "RYACGT"),
        ("NNN", ""),
        ("", ""),
    ],
)
def test_normalise_nucleotides(written, expected):
    assert normalise_nucleotides(pa.chunked_array([[written]])).to_pylist() == [expected]


@given(st.lists(st.text("ACGTUNRYacgtunry-. \t")))
def test_normalising_is_idempotent(sequences):
    once = normalise_nucleotides(pa.chunked_array([sequences], pa.large_string()))
    assert normalise_nucleotides(once).equals(once)


def test_usable_records_are_normalised():
    usable, report = filter_records(records_of("acgt--acgt", "NNGGCC"))
    assert usable.schema == SCHEMA
    assert usable["nucleotides"].to_pylist() == ["ACGTACGT", "GGCC"]
    assert (report.num_read, report.counts, len(report.dropped)) == (2, {}, 0)
    assert str(report) == "read 2 records"


def test_every_dropped_record_is_counted_and_listed():
    records = records_of(
        "ACGTACGT", "ACGT", "--", "", "nnn-N", "acgt-acgt", "xyz", "ACGTRYNNNN", "ACNTACGT", "CCCCCCCC"
    )
    usable, report = filter_records(records, min_length=6, max_ambiguous=0.125, on_error="skip")
    assert ids(usable) == ["r0", "r8", "r9"]
    assert report.dropped.to_pylist() == [
        {"file": "a.fa", "line": 3, "id": "r1", "why": "too short"},
        {"file": "a.fa", "line": 5, "id": "r2", "why": "without DNA"},
        {"file": "a.fa", "line": 7, "id": "r3", "why": "without DNA"},
        {"file": "a.fa", "line": 9, "id": "r4", "why": "all N"},
        {"file": "a.fa", "line": 13, "id": "r6", "why": "without DNA"},
        {"file": "a.fa", "line": 15, "id": "r7", "why": "too ambiguous"},
    ]
    assert str(report) == (
        "read 10 records; dropped 7: 1 all N, 3 without DNA, 1 too short, 1 too ambiguous, 1 duplicate"
    )


def test_damaged_records_are_counted_and_listed_with_their_problem():
    table = pa.table({"id": ["a", "", "c"], "nucleotides": ["ACGT", "", "GGGG"]})
    records = conform(table, "a.tsv", np.array([2, 3, 4]), problems=["", "expected 2 columns, got 1", ""])
    usable, report = filter_records(records, on_error="skip")
    assert ids(usable) == ["a", "c"]
    assert report.counts == {"damaged": 1}
    (dropped,) = report.dropped.to_pylist()
    assert dropped == {"file": "a.tsv", "line": 3, "id": "a.tsv:3", "why": "damaged: expected 2 columns, got 1"}
    with pytest.raises(BadRecordError, match=r"a.tsv, line 3, record 'a.tsv:3': expected 2 columns, got 1"):
        filter_records(records, on_error="raise")


def test_several_tables_equal_one():
    records = records_of("ACGT", "", "CCCC", "acgt", "NN", "GGGG", "cccc", "ACGT")
    usable, report = filter_records(records, on_error="skip")
    quality_filter = QualityFilter(on_error="skip")
    parts = [quality_filter(records.slice(begin, 3)) for begin in (0, 3, 6)]
    assert pa.concat_tables(parts).equals(usable)
    assert (quality_filter.report.num_read, quality_filter.report.counts) == (report.num_read, report.counts)
    assert quality_filter.report.dropped.equals(report.dropped)
    assert report.counts == {"all N": 1, "without DNA": 1, "duplicate": 3}


def test_records_are_dropped_by_the_caller():
    quality_filter = QualityFilter()
    usable = quality_filter(records_of("ACGT", "CCCC"))
    quality_filter.drop(usable, np.array([USABLE, TOO_FEW_KMERS]))
    report = quality_filter.report
    assert str(report) == "read 2 records; dropped 1: 1 too few known k-mers"
    assert report.dropped["id"].to_pylist() == ["r1"]


@given(st.lists(st.lists(st.text("ACGT", max_size=2))))
def test_first_seen_equals_a_set(calls):
    is_first, seen = FirstSeen(), set()
    for texts in calls:
        expected = []
        for text in texts:
            expected.append(text not in seen)
            seen.add(text)
        assert is_first(texts).tolist() == expected


def test_limits_are_inclusive():
    usable, _ = filter_records(records_of("ACGR", "ACGT"), min_length=4, max_ambiguous=0.25)
    assert len(usable) == 2


@pytest.mark.parametrize(
    ("sequence", "problem"),
    [
        ("é", "expected DNA, got no A, C, G or T"),
        ("ACGT", "expected at least 6 nucleotides, got 4"),
        ("NNN", "expected DNA, got only N"),
        ("", "expected DNA, got no A, C, G or T"),
        ("RYRYRYRY", "expected DNA, got no A, C, G or T"),
        ("ACGTNRNA", "expected at most 10% of bases other than A, C, G and T, got 3 of 8"),
    ],
)
def test_first_bad_record_is_raised(sequence, problem):
    records = records_of("ACGTACGT", sequence, "")
    with pytest.raises(BadRecordError) as caught:
        filter_records(records, min_length=6, max_ambiguous=0.1, on_error="raise")
    assert str(caught.value) == f"a.fa, line 3, record 'r1': {problem}"


def test_duplicates_are_dropped_without_error():
    records = records_of("ACGT", "CCCC", "nacgt", "GGGG", "cccc")
    usable, report = filter_records(records, on_error="raise")
    assert ids(usable) == ["r0", "r1", "r3"]
    assert report.counts == {"duplicate": 2}
    usable, report = filter_records(records, drop_duplicates=False)
    assert ids(usable) == ["r0", "r1", "r2", "r3", "r4"]


def test_dropped_records_have_no_duplicates():
    usable, report = filter_records(records_of("", "ACGT", "", "ACGT"), on_error="skip")
    assert ids(usable) == ["r1"]
    assert report.counts == {"without DNA": 2, "duplicate": 1}


@given(st.lists(st.text("ACGNacgn-", max_size=4), max_size=30), st.integers(0, 30))
def test_filter_equals_a_plain_loop(sequences, cut):
    table = records_of(*sequences)
    records = pa.concat_tables([table.slice(0, cut), table.slice(cut)])  # in more than one chunk
    usable, report = filter_records(records, min_length=2, max_ambiguous=0.5, on_error="skip")

    expected, seen = [], set()
    for record, sequence in zip(ids(records), sequences, strict=True):
        dna = sequence.upper().replace("-", "").strip("N")
        share = dna.count("N") / max(len(dna), 1)
        if len(dna) >= 2 and share <= 0.5 and dna not in seen:
            seen.add(dna)
            expected.append((record, dna))
    assert list(zip(ids(usable), usable["nucleotides"].to_pylist(), strict=True)) == expected
    assert report.num_dropped == sum(report.counts.values()) == len(sequences) - len(usable)
    assert len(report.dropped) == report.num_dropped - report.counts.get("duplicate", 0)


def test_no_records():
    usable, report = filter_records(records_of())
    assert (len(usable), str(report)) == (0, "read 0 records")


def test_unknown_on_error():
    with pytest.raises(ConfigurationError, match="'raise' or 'skip', got 'ignore'"):
        filter_records(records_of("ACGT"), on_error="ignore")


def test_log_of_a_report(caplog):
    caplog.set_level("INFO", "barcodemae")
    table = records_of("ACGT", "ACGT", *["NNN"] * 25)
    log_report(filter_records(table, on_error="skip")[1])
    first, *records_listed, last = caplog.messages
    assert first == "read 27 records; dropped 26: 25 all N, 1 duplicate"
    assert len(records_listed) == 20
    assert "a.fa, line 5, record 'r2'" in records_listed[0]
    assert records_listed[0].endswith("all N")
    assert last == "and 5 more"
