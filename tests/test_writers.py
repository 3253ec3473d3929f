"""Files of answers: what is written is read back, and no text from a header does harm."""

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
from barcodemae.library.results.json_lines import json_lines
from barcodemae.library.results.schema import RESULTS
from barcodemae.library.results.tables import TSV_HEADER, blast6_lines, tsv_lines
from barcodemae.library.results.taxonomies import qiime2_lines, sintax_lines
from barcodemae.library.results.writers import open_writer, results_format
from barcodemae.library.settings import FORMATS
from helpers.result_records import MOTH, answer, hit, moth, table, tables

ALIGNED = {
    "identity": 0.98764,
    "columns": 658,
    "mismatches": 7,
    "gap_openings": 1,
    "query_start": 1,
    "query_end": 657,
    "reference_start": 2,
    "reference_end": 658,
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
def test_the_name_tells_the_format(name, format):
    assert results_format(Path(name)) == format


@pytest.mark.parametrize(
    ("name", "format", "problem"),
    [
        ("answers", None, "expected a name that ends with"),
        ("answers.csv", None, "expected a name that ends with"),
        ("answers.gz", None, "expected a name that ends with"),
        ("answers.tsv", "xml", "expected one of the formats tsv, parquet.*got 'xml'"),
        ("answers.parquet.gz", None, "expected a name without .gz"),
        ("answers.gz", "parquet", "expected a name without .gz"),
        ("folder", "tsv", "folder: expected the name of a file, a pipe or a device, got a folder"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(tmp_path, name, format, problem):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigurationError, match=problem), open_writer(tmp_path / name, format):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


def test_parquet_and_json_lines_hold_everything(tmp_path):
    pieces = [table(moth(hits=[hit(**MOTH, **ALIGNED), hit()])), table(answer(id="é\n"), moth(strand="-"))]
    everything = pa.concat_tables(pieces)
    assert pq.read_table(write(tmp_path / "a.parquet", *pieces)).equals(everything)
    lines = write(tmp_path / "a.jsonl", *pieces).read_text().splitlines()
    assert table(*map(json.loads, lines)).equals(everything)


@given(tables)
def test_json_lines_hold_everything_but_nan(answers):
    def without_nan(value):
        if isinstance(value, dict):
            return {key: without_nan(part) for key, part in value.items()}
        if isinstance(value, list):
            return [without_nan(part) for part in value]
        return None if isinstance(value, float) and math.isnan(value) else value

    def refuse(constant):
        raise AssertionError(constant)

    lines = json_lines(answers)
    read = [json.loads(line, parse_constant=refuse) for line in lines]
    assert table(*read).to_pylist() == without_nan(answers.to_pylist())
    assert "".join(lines).isprintable()


def test_json_numbers_are_as_short_as_float32_allows():
    assert '"novelty": 0.1,' in json_lines(table(answer(novelty=0.1)))[0]


def test_a_line_of_tsv_says_what_the_answer_says():
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
    (line,) = read_tsv(tsv_lines(table(answer(call="unreliable", strand="", start=None, bases=None, hits=None))))
    told = {name: value for name, value in line.items() if value}
    assert told == {"id": "q1", "call": "unreliable"}


@pytest.mark.parametrize(
    "formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1", "\n@x", "\xa0\x00=1"]
)
def test_formulas_are_defused_in_tsv(formula):
    ours = answer(id=formula, name=formula, reason=formula, hits=[hit(id=formula, genus=formula)])
    (line,) = read_tsv(tsv_lines(table(ours | dict.fromkeys(RANKS, formula))))
    for column in ("id", "name", "reason", *RANKS, "hit_ids", "hit_names"):
        assert line[column].startswith("'")


def test_a_quotation_mark_cannot_hide_a_formula_or_swallow_lines():
    ids = ['"=1+1"', 'a"b', '"', "plain"]
    lines = tsv_lines(table(*(answer(id=name) for name in ids)))
    assert [line["id"] for line in read_tsv(lines)] == ids
    assert lines[3].startswith("plain\t")


@given(tables)
def test_tsv_has_a_line_a_query_and_no_formula(answers):
    lines = tsv_lines(answers)
    read = read_tsv(lines)
    assert len(read) == len(answers) == len("\n".join(lines).splitlines())
    for line, call in zip(read, answers["call"].to_pylist(), strict=True):
        assert line["call"] == call
        assert None not in line
        assert None not in line.values()
        assert not any(value.lstrip().startswith(("=", "@", "\uff1d")) for value in line.values())


@pytest.mark.parametrize("lines", [sintax_lines, qiime2_lines, blast6_lines])
@given(answers=tables)
def test_foreign_text_adds_neither_lines_nor_columns(lines, answers):
    width = {sintax_lines: 4, qiime2_lines: 3, blast6_lines: 12}[lines]
    for line in lines(answers):
        assert len(line.splitlines()) == 1
        assert len(line.split("\t")) == width


def test_sintax_names_with_confidence_and_down_to_the_call():
    called = moth(call="genus", strand="-", family="", family_confidence=None)
    assert sintax_lines(table(called, answer(id="q2", call="unreliable", strand=""))) == [
        "q1\tp:Arthropoda(1.00),c:Insecta(0.99),o:Lepidoptera(0.98),g:Agrotis(0.96),s:Agrotis_ipsilon(0.95)\t-\t"
        "p:Arthropoda,c:Insecta,o:Lepidoptera,g:Agrotis",
        "q2\t\t\t",
    ]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_name_cannot_divide_a_sintax_taxonomy(name):
    (line,) = sintax_lines(table(answer(call="phylum", phylum=name, phylum_confidence=1.0)))
    _, guesses, _, called = line.split("\t")
    assert guesses == f"{called}(1.00)"
    assert called.startswith("p:")
    assert not set(called) & set(",;() ")


def test_qiime2_takes_names_down_to_the_call():
    called = moth(call="genus", family="", family_confidence=None, genus="A;b")
    assert qiime2_lines(table(called, answer(id="q2"), moth(call="species"))) == [
        "q1\tk__; p__Arthropoda; c__Insecta; o__Lepidoptera; f__; g__A b\t0.9600",
        "q2\tUnassigned\t",
        "q1\tk__; p__Arthropoda; c__Insecta; o__Lepidoptera; f__Noctuidae; g__Agrotis; s__Agrotis ipsilon\t0.9500",
    ]


def test_blast6_has_a_line_for_each_hit_that_was_aligned():
    aligned = hit(id="r 1", **ALIGNED)
    lines = blast6_lines(table(answer(), answer(id="q2", hits=[hit(), aligned]), answer(id="q3", hits=[aligned])))
    rest = "r 1\t98.764\t658\t7\t1\t1\t657\t2\t658\t*\t*"
    assert lines == [f"q2\t{rest}", f"q3\t{rest}"]


@pytest.mark.parametrize("lines", [tsv_lines, json_lines, sintax_lines, qiime2_lines, blast6_lines])
def test_slices_and_pieces_are_written_as_one_table_is(lines):
    rows = [answer(id=f"q{i}", hits=[hit(id=f"r{i}{j}", **ALIGNED) for j in range(i)]) for i in range(4)]
    answers = table(*rows)
    pieces = pa.concat_tables([table(*rows[:1]), table(*rows[1:])])
    assert lines(pieces) == lines(answers)
    assert [*lines(answers.slice(0, 2)), *lines(answers.slice(2))] == lines(answers)


@pytest.mark.parametrize("format", FORMATS)
def test_no_answers_are_a_file_without_answers(tmp_path, format):
    path = write(tmp_path / "answers", table(), format=format)
    if format == "parquet":
        assert pq.read_table(path).schema == RESULTS
    else:
        header = {"tsv": TSV_HEADER + "\n", "qiime2": "Feature ID\tTaxon\tConfidence\n"}.get(format, "")
        assert path.read_text() == header == write(tmp_path / "none", format=format).read_text()


@pytest.mark.parametrize("format", ["tsv", "jsonl", "sintax", "qiime2", "blast6"])
def test_gzip_holds_the_same_text_and_equal_answers_are_equal_files(tmp_path, format):
    answers = table(moth(hits=[hit(**ALIGNED)]))
    plain = write(tmp_path / "a", answers, answers, format=format)
    packed = [write(tmp_path / name, answers, answers, format=format) for name in ("a.gz", "b.gz")]
    assert gzip.decompress(packed[0].read_bytes()) == plain.read_bytes()
    assert packed[0].read_bytes() == packed[1].read_bytes()


@pytest.mark.parametrize("format", FORMATS)
def test_a_failure_leaves_the_old_file(tmp_path, format):
    path = tmp_path / "answers"
    path.write_text("old")

    def fail():
        with open_writer(path, format) as writer:
            writer.write(table(moth()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("answers", "old")]


def test_a_folder_is_made_where_there_is_none(tmp_path):
    assert write(tmp_path / "new" / "a.jsonl", table(moth())).read_text().startswith('{"id": "q1"')
