"""Files of results: round trips, and harmless text from headers."""

import csv
import gzip
import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.data.schema import RANKS
from barcodemae.errors import ConfigurationError
from barcodemae.library.results.lines import TSV_HEADER, json_lines, tsv_lines
from barcodemae.library.results.other_programs import blast6_lines, qiime2_lines, sintax_lines
from barcodemae.library.results.schema import RESULTS
from barcodemae.library.results.writers import open_writer, results_format
from barcodemae.library.settings import FORMATS
from helpers.result_records import MOTH, hit, moth, result, table, tables

ALIGNED = {
    "identity": 0.98764,
    "columns": 658,
    "mismatches": 7,
    "gap_openings": 1,
    "query_start": 1,
    "query_end": 657,
    "reference_start": 2,
    "reference_end": 658,
    "evalue": 3.5e-100,
    "bitscore": 1118.2,
}


def write(path: Path, *pieces: pa.Table, format: str | None = None) -> Path:
    with open_writer(path, format) as writer:
        for piece in pieces:
            writer.write(piece)
    return path


def read_tsv(lines: list[str]) -> list[dict[str, str]]:
    return list(csv.DictReader([TSV_HEADER, *lines], delimiter="\t", strict=True))


@pytest.mark.parametrize(
    ("name", "format"),
    [("a.tsv", "tsv"), ("a.b.tsv.gz", "tsv"), ("a.parquet", "parquet"), ("a.jsonl", "jsonl"), ("a.jsonl.gz", "jsonl")],
)
def test_format_of_the_suffix(name, format):
    assert results_format(Path(name)) == format


@pytest.mark.parametrize(
    ("name", "format", "problem"),
    [
        ("results", None, "expected a name that ends with"),
        ("results.csv", None, "expected a name that ends with"),
        ("results.gz", None, "expected a name that ends with"),
        ("results.tsv", "xml", "expected one of the formats tsv, parquet.*got 'xml'"),
        ("results.parquet.gz", None, "expected a name without .gz"),
        ("results.gz", "parquet", "expected a name without .gz"),
        ("folder", "tsv", "folder: expected the name of a file, a pipe or a device, got a folder"),
    ],
)
def test_output_that_cannot_be_written_is_an_error_before_any_work(tmp_path, name, format, problem):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigurationError, match=problem), open_writer(tmp_path / name, format):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


def test_parquet_and_json_lines_round_trip(tmp_path):
    pieces = [table(moth(hits=[hit(**MOTH, **ALIGNED), hit()])), table(result(id="é\n"), moth(strand="-"))]
    everything = pa.concat_tables(pieces)
    assert pq.read_table(write(tmp_path / "a.parquet", *pieces)).equals(everything)
    lines = write(tmp_path / "a.jsonl", *pieces).read_text().splitlines()
    assert table(*map(json.loads, lines)).equals(everything)


@given(tables)
def test_json_lines_round_trip_except_nan(results):
    def without_nan(value):
        if isinstance(value, dict):
            return {key: without_nan(part) for key, part in value.items()}
        if isinstance(value, list):
            return [without_nan(part) for part in value]
        return None if isinstance(value, float) and math.isnan(value) else value

    def refuse(constant):
        raise AssertionError(constant)

    lines = json_lines(results)
    read = [json.loads(line, parse_constant=refuse) for line in lines]
    assert table(*read).to_pylist() == without_nan(results.to_pylist())
    assert "".join(lines).isprintable()


def test_json_numbers_are_as_short_as_float32_allows():
    assert '"novelty": 0.1,' in json_lines(table(result(novelty=0.1)))[0]


def test_tsv_columns():
    near = hit(id="r2", **MOTH | {"species": ""}, similarity=0.25)
    (line,) = read_tsv(tsv_lines(table(moth(hits=[hit(**MOTH, **ALIGNED, frame_identity=0.75), near, hit(id="r3")]))))
    assert line["id"] == "q1"
    assert [line[rank] for rank in RANKS] == list(MOTH.values())
    assert [line[f"{rank}_confidence"] for rank in RANKS] == [
        "1.0000",
        "0.9900",
        "0.9800",
        "0.9700",
        "0.9600",
        "0.9500",
    ]
    assert (line["novelty"], line["strand"], line["start"], line["bases"]) == ("0.0500", "+", "1", "658")
    assert (line["hit_ids"], line["hit_names"]) == ("r1;r2;r3", "Agrotis ipsilon;Agrotis;")
    assert line["hit_similarities"] == "0.5000;0.2500;0.5000"
    assert (line["hit_frame_identities"], line["hit_identities"]) == ("0.7500;;", "0.9876;;")


def test_null_is_empty_in_tsv():
    (line,) = read_tsv(
        tsv_lines(table(result(call="unreliable", strand="", start=None, bases=None, indels=None, hits=None)))
    )
    not_empty = {name: value for name, value in line.items() if value}
    assert not_empty == {"id": "q1", "call": "unreliable", "size": "1"}


@pytest.mark.parametrize(
    "formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1", "\n@x", "\xa0\x00=1"]
)
def test_formulas_are_defused_in_tsv(formula):
    record = result(id=formula, name=formula, reason=formula, hits=[hit(id=formula, genus=formula)])
    (line,) = read_tsv(tsv_lines(table(record | dict.fromkeys(RANKS, formula))))
    for column in ("id", "name", "reason", *RANKS, "hit_ids", "hit_names"):
        assert line[column].startswith("'")


def test_quotation_marks_neither_hide_formulas_nor_join_lines():
    ids = ['"=1+1"', 'a"b', '"', "plain"]
    lines = tsv_lines(table(*(result(id=name) for name in ids)))
    assert [line["id"] for line in read_tsv(lines)] == ids
    assert lines[3].startswith("plain\t")


@given(tables)
def test_tsv_has_one_line_for_each_query_and_no_formula(results):
    lines = tsv_lines(results)
    read = read_tsv(lines)
    assert len(read) == len(results) == len("\n".join(lines).splitlines())
    for line, call in zip(read, results["call"].to_pylist(), strict=True):
        assert line["call"] == call
        assert None not in line
        assert None not in line.values()
        assert not any(value.lstrip().startswith(("=", "@", "\uff1d")) for value in line.values())


@pytest.mark.parametrize("lines", [sintax_lines, qiime2_lines, blast6_lines])
@given(results=tables)
def test_text_from_files_adds_neither_lines_nor_columns(lines, results):
    width = {sintax_lines: 4, qiime2_lines: 3, blast6_lines: 12}[lines]
    for line in lines(results):
        assert len(line.splitlines()) == 1
        assert len(line.split("\t")) == width


def test_sintax_columns():
    called = moth(call="genus", strand="-", family="", family_confidence=None)
    assert sintax_lines(table(called, result(id="q2", call="unreliable", strand=""))) == [
        "q1\tp:Arthropoda(1.00),c:Insecta(0.99),o:Lepidoptera(0.98),g:Agrotis(0.96),s:Agrotis_ipsilon(0.95)\t-\t"
        "p:Arthropoda,c:Insecta,o:Lepidoptera,g:Agrotis",
        "q2\t\t\t",
    ]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_names_do_not_contain_sintax_separators(name):
    (line,) = sintax_lines(table(moth(call="phylum", **dict.fromkeys(RANKS, "") | {"phylum": name})))
    _, predicted, _, called = line.split("\t")
    assert predicted == f"{called}(1.00)"
    assert called.startswith("p:")
    assert not set(called) & set(",;() ")


def test_qiime2_names_down_to_the_called_rank():
    called = moth(call="genus", family="", family_confidence=None, genus="A;b")
    assert qiime2_lines(table(called, result(id="q2"), moth(call="species"))) == [
        "q1\tk__; p__Arthropoda; c__Insecta; o__Lepidoptera; f__; g__A b\t0.9600",
        "q2\tUnassigned\t",
        "q1\tk__; p__Arthropoda; c__Insecta; o__Lepidoptera; f__Noctuidae; g__Agrotis; s__Agrotis ipsilon\t0.9500",
    ]


def test_blast6_has_one_line_for_each_aligned_hit():
    aligned = hit(id="r 1", **ALIGNED)
    lines = blast6_lines(table(result(), result(id="q2", hits=[hit(), aligned]), result(id="q3", hits=[aligned])))
    rest = "r 1\t98.764\t658\t7\t1\t1\t657\t2\t658\t3.5e-100\t1118.2"
    assert lines == [f"q2\t{rest}", f"q3\t{rest}"]


@pytest.mark.parametrize("lines", [tsv_lines, json_lines, sintax_lines, qiime2_lines, blast6_lines])
def test_lines_do_not_depend_on_how_results_are_split(lines):
    rows = [result(id=f"q{i}", hits=[hit(id=f"r{i}{j}", **ALIGNED) for j in range(i)]) for i in range(4)]
    results = table(*rows)
    pieces = pa.concat_tables([table(*rows[:1]), table(*rows[1:])])
    assert lines(pieces) == lines(results)
    assert [*lines(results.slice(0, 2)), *lines(results.slice(2))] == lines(results)


@pytest.mark.parametrize("format", FORMATS)
def test_file_without_results(tmp_path, format):
    path = write(tmp_path / "results", table(), format=format)
    if format == "parquet":
        assert pq.read_table(path).schema == RESULTS
    else:
        header = {"tsv": TSV_HEADER + "\n", "qiime2": "Feature ID\tTaxon\tConfidence\n"}.get(format, "")
        assert path.read_text() == header == write(tmp_path / "none", format=format).read_text()


@pytest.mark.parametrize("format", ["tsv", "jsonl", "sintax", "qiime2", "blast6"])
def test_gzip_has_the_same_text_and_is_reproducible(tmp_path, format):
    results = table(moth(hits=[hit(**ALIGNED)]))
    plain = write(tmp_path / "a", results, results, format=format)
    packed = [write(tmp_path / name, results, results, format=format) for name in ("a.gz", "b.gz")]
    assert gzip.decompress(packed[0].read_bytes()) == plain.read_bytes()
    assert packed[0].read_bytes() == packed[1].read_bytes()


@pytest.mark.parametrize("format", FORMATS)
def test_failure_leaves_the_old_file(tmp_path, format):
    path = tmp_path / "results"
    path.write_text("old")

    def fail():
        with open_writer(path, format) as writer:
            writer.write(table(moth()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("results", "old")]


def test_missing_folder_is_created(tmp_path):
    assert write(tmp_path / "new" / "a.jsonl", table(moth())).read_text().startswith('{"id": "q1"')
