"""Why a query got its name: contributions that add up to the difference of two scores, tables and pictures."""

import csv
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from barcodemae import Library
from barcodemae.cli.identify import identify
from barcodemae.data import read_records
from barcodemae.embedding.engines import ENGINES, FRAME
from barcodemae.errors import ConfigurationError
from barcodemae.library.explanation.contributions import Explanation
from barcodemae.library.explanation.explanation_files import NUM_PICTURES, open_explanations, query_row, sites
from barcodemae.library.explanation.sequence_picture import draw_explanation
from barcodemae.library.settings import NUM_CANDIDATES
from helpers.fresh_process import run_barcodemae
from helpers.reference_records import write_barcodes, write_fasta


@pytest.fixture(scope="module")
def named(sample):
    return sample.filter(pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$"))


@pytest.fixture(scope="module")
def libraries(named, tmp_path_factory):
    """Engine -> library of the same records."""
    folder = tmp_path_factory.mktemp("explained")
    source = write_fasta(named.slice(0, 60), folder / "r.fasta")
    return {engine: Library.build(source, folder / engine, engine=engine) for engine in ENGINES}


@pytest.fixture(scope="module")
def library(libraries):
    return libraries[FRAME]


def with_nucleotides(records, nucleotides):
    return records.set_column(records.column_names.index("nucleotides"), "nucleotides", nucleotides)


def explanation(**changes):
    """Of a query with three bases, which has the first base of one reference and the last one of the other."""
    values = {
        "id": "q",
        "rank": "genus",
        "name": "Aus",
        "other_name": "Bus",
        "reference": "r1",
        "other_reference": "r2",
        "coordinates": np.array([9, 10, 12]),
        "bases": np.array([0, 1, 2], np.int8),
        "reference_bases": np.array([0, 1, 3], np.int8),
        "other_bases": np.array([3, 1, 2], np.int8),
        "cosines": np.array([0.2, 0.0, -0.1]),
        "identities": np.array([0.1, 0.0, -0.1]),
        "contributions": np.array([0.25, 0.0, -0.15]),
        "difference": 0.1,
        "baseline": 0.0,
    }
    return Explanation(**values | changes)


class TestContributions:
    @pytest.mark.parametrize("engine", ENGINES)
    @pytest.mark.parametrize("length", [658, 200])
    def test_they_add_up_to_the_difference_of_the_scores(self, libraries, engine, named, tmp_path, length):
        """Of complete barcodes, and of short ones, which are compared with the same part of the references."""
        library, queries = libraries[engine], named.slice(0, 12)
        cut = pc.utf8_slice_codeunits(queries["nucleotides"], 100, 100 + length)
        source = write_fasta(with_nucleotides(queries, cut), tmp_path / "q.fasta")
        explained = library.explain(source)
        assert len(explained) > 6
        results = {row["id"]: row for row in library.identify(source).to_pylist()}
        for one in explained:
            assert one.completeness_error < 2e-4
            row = results[one.id]
            assert (one.rank, one.name) == (row["call"], row["name"]) != (one.rank, one.other_name)
            differs = (one.reference_bases >= 0) & (one.other_bases >= 0) & (one.reference_bases != one.other_bases)
            assert set(np.sign(one.identities[differs & (one.bases == one.reference_bases)])) <= {1}
            assert set(np.sign(one.identities[differs & (one.bases == one.other_bases)])) <= {-1}
        assert [one.id for one in explained] == [id for id in results if id in {one.id for one in explained}]

    def test_bases_are_those_of_query_and_references(self, library, named):
        (one,) = library.explain(named.slice(3, 1))
        (query,) = (row for row in named.slice(3, 1).to_pylist())
        text = query["nucleotides"]
        assert "".join("ACGT"[base] for base in one.bases) in "".join(filter("ACGT".__contains__, text))
        assert one.reference == query["id"]  # it is in the library
        assert (one.reference_bases == one.bases).all()

    def test_another_name_is_searched_beyond_the_nearest_references(self, named, tmp_path):
        """All candidates are of one species; the only other one comes after them."""
        first, last = named.slice(0, 1).to_pylist()[0], named.slice(len(named) - 1, 1).to_pylist()[0]
        assert first["genus"] != last["genus"]
        copies = [("Aus", "Aus unus", first["nucleotides"])] * (NUM_CANDIDATES + 10)
        others = [("Bus", "Bus bus", last["nucleotides"])]
        source = write_barcodes(copies + others, tmp_path / "r.fasta", "Arthropoda")
        library = Library.build(source, tmp_path / "library")
        for text in (first["nucleotides"], first["nucleotides"][100:300]):
            (one,) = library.explain([text], min_confidence=0)
            assert (one.rank, one.name, one.other_name) == ("species", "Aus unus", "Bus bus")
            assert one.other_reference == f"r{len(copies)}"
            assert one.completeness_error < 2e-6

    def test_name_without_another_one_is_left_out(self, named, tmp_path):
        text = named["nucleotides"][0].as_py()
        source = write_barcodes([("Aus", "Aus unus", text)] * 3, tmp_path / "r.fasta", "Arthropoda")
        assert Library.build(source, tmp_path / "library").explain([text], min_confidence=0) == []

    def test_queries_without_a_name_are_left_out(self, library, named):
        assert library.explain(["ACGT" * 100, "N" * 300]) == []
        assert library.explain(named.slice(0, 1), min_confidence=1) == []


class TestTables:
    def test_sites_are_where_one_reference_differs(self):
        one = explanation()
        assert sites(one, one.reference_bases, one.other_bases) == ["A10T"]
        assert sites(one, one.other_bases, one.reference_bases) == ["G13T"]
        (row,) = query_row(one).to_pylist()
        assert (row["cosine_difference"], row["identity_difference"]) == (pytest.approx(0.1), pytest.approx(0))
        assert row["completeness_error"] == pytest.approx(0)

    def test_command_writes_tables_and_pictures(self, library, named, tmp_path, capsys):
        source = write_fasta(named.slice(0, NUM_PICTURES + 2), tmp_path / "q.fasta")
        folder, output = tmp_path / "why", str(tmp_path / "n.tsv")
        identify([source, "--library", str(library.folder), "-o", output, "--explain", str(folder)])
        queries, bases = (
            list(csv.DictReader((folder / name).open(), delimiter="\t"))
            for name in ("explanations.tsv", "contributions.tsv")
        )
        assert f"Explanations of {len(queries)} names are in {folder}" in capsys.readouterr().out
        assert len(list(folder.glob("*.svg"))) == min(len(queries), NUM_PICTURES) > 5
        for row in queries:
            found = [float(base["contribution"]) for base in bases if base["id"] == row["id"]]
            assert sum(found) == pytest.approx(float(row["difference"]), abs=5e-4)  # of rounded numbers
        assert {row["base"] for row in bases} == set("ACGT")

    def test_library_and_queries_are_not_overwritten(self, library, named, tmp_path):
        source = write_fasta(named.slice(0, 1), tmp_path / "explanations.tsv")
        options = ["--library", str(library.folder), "-o", str(tmp_path / "n.tsv"), "--explain"]
        with pytest.raises(ConfigurationError, match=r"this one has a library\.json"):
            identify([source, *options, str(library.folder)])
        with pytest.raises(ConfigurationError, match=r"expected another file than .*, which is read"):
            identify([source, *options, str(tmp_path)])

    def test_ids_from_files_are_defused(self, tmp_path):
        with open_explanations(tmp_path / "why") as files:
            files.write([explanation(id="=1+1/<b>")])
        (picture,) = (tmp_path / "why").glob("*.svg")
        assert picture.name == "01__1_1_b_.svg"
        assert "<b>" not in picture.read_text()
        assert "\n'=1+1/<b>\tgenus" in (tmp_path / "why" / "explanations.tsv").read_text()


class TestPicture:
    def test_bases_and_colours(self):
        root = ElementTree.fromstring(draw_explanation(explanation()))
        space = "{http://www.w3.org/2000/svg}"
        rects = [rect for rect in root.iter(f"{space}rect") if rect.find(f"{space}title") is not None]
        assert [rect.find(f"{space}title").text for rect in rects] == [
            "A10: +0.25000",
            "C11: +0.00000",
            "G13: -0.15000",
        ]
        assert rects[0].get("fill") != rects[2].get("fill")
        opacities = [float(rect.get("fill-opacity")) for rect in rects]
        assert opacities == [0.7, 0, pytest.approx(0.7 * 0.15 / 0.25)]
        texts = [text.text for text in root.iter(f"{space}text") if text.get("class") in ("base", "equal")]
        # The query; the reference of the name, which differs in the last base; the other one, in the first.
        assert texts == ["ACG", "T", "··", "T", "··"]

    def test_text_of_a_marker_without_a_frame_has_no_references(self):
        unknown = np.full(3, -1, np.int8)
        picture = draw_explanation(explanation(reference_bases=unknown, other_bases=unknown))
        assert "ACG" in picture
        assert "·" not in picture


@pytest.mark.slow
def test_complete_workflow_in_a_fresh_process(named, tmp_path):
    write_fasta(named.slice(0, 60), tmp_path / "references.fasta")
    write_fasta(named.slice(0, 5), tmp_path / "queries.fasta")
    for command in (
        "index references.fasta -o library",
        "identify queries.fasta --library library -o names.tsv --explain why --multiqc names_mqc.json",
    ):
        done = run_barcodemae(*command.split(), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    (error,) = re.findall(r"but for at most (\S+)\.", done.stdout)
    assert float(error) < 1e-5
    rows = list(csv.DictReader((tmp_path / "why" / "explanations.tsv").open(), delimiter="\t"))
    assert pa.table({"id": [row["id"] for row in rows]}).num_rows == len(list((tmp_path / "why").glob("*.svg")))
    assert len(read_records(tmp_path / "queries.fasta")) >= len(rows) > 0


@pytest.mark.slow
def test_examples_of_the_guide_run(tmp_path):
    text = (Path(__file__).parent.parent / "docs" / "explanation.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(bash|python)\n(.*?)```", text, re.DOTALL)
    assert [language for language, _ in blocks] == ["python", "bash"]
    for language, code in blocks:
        shell = ["bash", "-euo", "pipefail", "-c", f'PATH="{Path(sys.executable).parent}:$PATH"\n{code}']
        command = [sys.executable, "-c", code] if language == "python" else shell
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "rather than" in done.stdout or "distinguish it from all of them" in done.stdout
    assert (tmp_path / "sites.tsv").read_text().startswith("coordinate\tcodon_position\tbase")
