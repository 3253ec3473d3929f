"""Malicious ids and names, from reference and query files to outputs of all formats."""

import csv
import json

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from barcodemae.cli.identify import identify
from barcodemae.cli.index import index
from barcodemae.data.schema import RANKS
from barcodemae.library.results.writers import FORMATS

FORMULA = "=cmd|' /C calc'!A0"
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>"
# As they are read, without leading and trailing white space.
HOSTILE = [
    *("../../escaped", "/escaped", "..", "~/escaped", "C:\\escaped", "-rf", "$(touch escaped)", "hub:org/name", ""),
    *(FORMULA, "+1", "-1", "@SUM(A1)", "\0\t=1", '"=1"', SCRIPT, "{{ 7 * 7 }}"),
    *("a\0b", "a\n>b\nACGT", "a\r\n\tb", "a\u2028b", "x" * 1_000_000),
]  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(sample, tmp_path_factory):
    """A calibrated library whose ids and names are hostile, and queries with the same ids."""
    named = pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$")
    for rank in RANKS:
        named = pc.and_(named, pc.not_equal(sample[rank], ""))
    records = sample.filter(named).slice(0, 150)
    folder = tmp_path_factory.mktemp("hostile")
    columns = {name: records[name].to_pylist() for name in ("id", "nucleotides", *RANKS)}
    columns["id"][: len(HOSTILE)] = HOSTILE
    columns["genus"] = [f"{FORMULA} {name}" for name in columns["genus"]]
    columns["species"] = [f"{SCRIPT} {name}" for name in columns["species"]]
    columns["order"] = [f"../../{name}" for name in columns["order"]]
    pq.write_table(pa.table(columns), folder / "references.parquet")
    queries = {name: columns[name][: len(HOSTILE)] for name in ("id", "nucleotides")}
    pq.write_table(pa.table(queries), folder / "queries.parquet")
    index([str(folder / "references.parquet"), str(folder / "library"), "--engine", "frame"])
    return folder


def all_under(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def outputs(folder):
    """Format -> file of results. Nothing else is written."""
    before = all_under(folder.parent)
    files = {format: folder / "out" / f"results.{format}" for format in FORMATS}
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder)
        for format, file in files.items():
            page = ["--summary", str(folder / "out" / "page.html")] if format == "tsv" else []
            options = ["--library", "library", "--output", str(file), "--format", format, "--min-confidence", "0"]
            identify(["queries.parquet", *options, *page])
    expected = {f"{folder.name}/out", *(f"{folder.name}/out/{file.name}" for file in files.values())}
    assert all_under(folder.parent) - before == expected | {f"{folder.name}/out/page.html"}
    return files


def test_files_of_a_library_have_numbered_names(folder):
    assert all_under(folder / "library") == {
        *(".lock", "library.json", "calibration-00000.json", "segment-00000", "segment-00000/part-00000.arrow"),
    }


def test_parquet_and_json_lines_have_ids_unchanged(outputs):
    table = pq.read_table(outputs["parquet"])
    expected = [name or "queries.parquet:9" for name in HOSTILE]
    assert table["id"].to_pylist() == expected
    assert [json.loads(line)["id"] for line in outputs["jsonl"].read_text().splitlines()] == expected
    assert all(name.startswith(FORMULA) for name in table["genus"].to_pylist())


@pytest.mark.parametrize(("format", "width"), [("tsv", None), ("sintax", 4), ("qiime2", 3), ("blast6", 12)])
def test_names_add_neither_lines_nor_columns(format, width, outputs):
    lines = outputs[format].read_bytes().decode().splitlines()
    width = width or len(lines[0].split("\t"))
    assert {len(line.split("\t")) for line in lines} == {width}
    if format == "blast6":
        assert len(lines) >= len(HOSTILE)
    else:
        assert len(lines) == len(HOSTILE) + (format in ("tsv", "qiime2"))


def test_tsv_has_no_formulas(outputs):
    with outputs["tsv"].open(newline="") as file:
        limit = csv.field_size_limit(100_000_000)
        rows = list(csv.DictReader(file, delimiter="\t", strict=True))
        csv.field_size_limit(limit)
    numbers = {name for name in rows[0] if name.endswith("_confidence")} | {
        "novelty",
        "start",
        "bases",
        "indels",
        "query_start",
        "query_end",
        "strand",
    }
    for row in rows:
        assert row["genus"].startswith(f"'{FORMULA}")
        texts = [value for name, value in row.items() if name not in numbers]
        assert not [text for text in texts if text.lstrip().startswith(tuple("=+-@"))]


def test_summary_shows_names_as_text(outputs):
    page = (outputs["tsv"].parent / "page.html").read_text()
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert len(page) < 6_000_000  # long names are shortened
