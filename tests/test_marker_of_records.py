"""The marker of records is found: the model of a library, contaminants of other markers, and mixtures."""

import json
from collections import Counter

import pytest

from barcodemae import cluster
from barcodemae.cli.identify import identify
from barcodemae.cli.index import index
from barcodemae.data import read_records
from barcodemae.errors import ConfigurationError, LibraryError
from barcodemae.library.library import Library
from barcodemae.library.models import choose_model
from barcodemae.library.search.marker import find_others
from helpers.other_markers import ITS, random_dna, with_random_ends
from tokenization_barcodemae import reverse_complement


def its(number):
    return with_random_ends(ITS, number)


@pytest.fixture(scope="module")
def coi():
    return read_records("sample").slice(0, 400)


def named(table):
    """Headers with names, and the sequences."""
    return [
        (
            f"{row['id']};tax=c:Insecta,f:{row['family']},g:{row['genus']},s:{row['species'].replace(' ', '_')};",
            row["nucleotides"],
        )
        for row in table.to_pylist()
    ]


def write_references(path, table):
    path.write_text("".join(f">{header}\n{text}\n" for header, text in named(table)))
    return path


@pytest.fixture
def write(tmp_path, coi):
    """Writes a FASTA file of so many COI barcodes, sequences of ITS, and random ones."""

    def write(num_coi, num_its, num_random=0, name="records.fasta"):
        records = named(coi.slice(0, num_coi))
        records += [(f"its{number}", its(number)) for number in range(num_its)]
        records += [(f"random{number}", random_dna(number)) for number in range(num_random)]
        (tmp_path / name).write_text("".join(f">{header}\n{text}\n" for header, text in records))
        return str(tmp_path / name)

    return write


class TestIndex:
    def test_a_few_contaminants_are_left_out_and_counted(self, write, tmp_path, capsys):
        index([write(400, 6, 3), "-o", str(tmp_path / "library")])
        assert "Records added to" in (printed := capsys.readouterr().out)
        assert ": 400; off the marker: 9 (recognised: ITS 6)." in printed
        assert json.loads((tmp_path / "library" / "library.json").read_text())["marker"] == "COI-5P"

    def test_mixture_is_refused_with_counts(self, write, tmp_path):
        expected = (
            "library: expected records of one marker, got COI-5P 300, ITS 60; --marker COI-5P leaves the others out"
        )
        with pytest.raises(LibraryError, match=expected):
            index([write(300, 60, 5), "-o", str(tmp_path / "library")])
        assert [path.name for path in tmp_path.glob("library/*")] in ([], [".lock"])

    def test_marker_is_chosen(self, write, tmp_path, capsys):
        index([write(300, 60, 5), "-o", str(tmp_path / "library"), "--marker", "coi-5p"])
        assert ": 300; off the marker: 65 (recognised: ITS 60)." in capsys.readouterr().out

    def test_records_of_another_marker_only(self, write, tmp_path):
        source = write(0, 50)
        with pytest.raises(ConfigurationError, match=r"expected barcodes of COI-5P, ITS, .* got rbcL; make"):
            index([source, "-o", str(tmp_path / "library"), "--marker", "rbcL"])
        with pytest.raises(LibraryError, match=r"of the marker COI-5P, got none in 50 records \(ITS 50\)"):
            index([source, "-o", str(tmp_path / "library"), "--model", "nano_coi"])

    def test_model_of_another_marker(self, write, tmp_path):
        with pytest.raises(ConfigurationError, match="--marker ITS: expected the marker of the model, COI-5P, or auto"):
            index([write(10, 0), "-o", str(tmp_path / "library"), "--model", "nano_coi", "--marker", "ITS"])

    def test_in_python(self, write, tmp_path):
        source = write(300, 60)
        with pytest.raises(LibraryError, match="expected records of one marker"):
            Library.build(source, tmp_path / "library")
        assert len(Library.build(source, tmp_path / "library", marker="COI-5P")) == 300

    def test_model_is_chosen_by_the_most_frequent_marker(self, write):
        assert choose_model([write(30, 20)]) == "nano_coi"
        assert choose_model([write(0, 0, 20)]) == "nano_coi"
        assert choose_model([write(20, 30)]) == "nano_its"
        assert choose_model([write(20, 30)], "coi-5p") == "nano_coi"
        with pytest.raises(ConfigurationError, match="got trnL"):
            choose_model([write(20, 30)], "trnL")


class TestReasons:
    def test_queries_of_another_marker_have_that_reason(self, write, tmp_path, coi):
        library = Library.build(write(400, 0), tmp_path / "library")
        queries = [
            coi["nucleotides"][0].as_py(),
            its(1),
            reverse_complement(its(2)),
            random_dna(3),
            "ACGT" * 100,
            "NNNN",
        ]
        results = library.identify(queries)
        other = "another marker: ITS"
        assert results["reason"].to_pylist() == ["", other, other, "not the marker", "not the marker", "no DNA"]
        assert results["call"].to_pylist()[1:] == ["unreliable"] * 5
        assert results["hits"].to_pylist()[1:] == [[]] * 5

    def test_clusters_too(self, coi):
        table = cluster([*coi["nucleotides"].slice(0, 3).to_pylist(), its(1), random_dna(2)])
        assert Counter(table["reason"].to_pylist()) == {"": 3, "another marker: ITS": 1, "not the marker": 1}

    def test_own_marker_is_not_another(self, coi):
        texts = coi["nucleotides"].slice(0, 5).to_pylist()
        assert find_others([*texts, its(0)], "coi-5p").tolist() == [""] * 5 + ["ITS"]
        assert find_others([*texts, its(0)], "ITS").tolist() == ["COI-5P"] * 5 + [""]


@pytest.fixture(scope="module")
def libraries(coi, tmp_path_factory):
    folder = tmp_path_factory.mktemp("markers")
    Library.build(write_references(folder / "coi.fasta", coi), folder / "coi")
    lines = [f">its{n};tax=p:Ascomycota,g:Aa,s:Aa_b{n % 4}\n{its(n)}\n" for n in range(60)]
    (folder / "its.fasta").write_text("".join(lines))
    Library.build(folder / "its.fasta", folder / "its")
    return folder


class TestSeveralLibraries:
    """A mixture is identified by the library of each marker."""

    @pytest.mark.parametrize("order", [["coi", "its"], ["its", "coi"]])
    def test_each_query_is_identified_by_the_library_of_its_marker(self, order, libraries, coi, tmp_path, capsys):
        texts = {
            "known its": its(3),
            "known coi": coi["nucleotides"][5].as_py(),
            "other strand": reverse_complement(its(8)),
            "none": random_dna(3),
            "other its": its(1000),
            "short": coi["nucleotides"][5].as_py()[:60],
        }
        (tmp_path / "queries.fasta").write_text("".join(f">{name}\n{text}\n" for name, text in texts.items()))
        options = [word for name in order for word in ("--library", str(libraries / name))]
        run = [*options, str(tmp_path / "queries.fasta"), "-o", str(tmp_path / "names.jsonl"), "--whole-headers"]
        identify([*run, "--summary", str(tmp_path / "names.html")])
        results = {row["id"]: row for row in map(json.loads, (tmp_path / "names.jsonl").read_text().splitlines())}
        assert list(results) == list(texts)
        assert [row["marker"] for row in results.values()][:4] == ["ITS", "COI-5P", "ITS", ""]
        assert results["known its"]["best_species"] == "Aa b3"
        assert results["known coi"]["hits"][0]["id"] == coi["id"][5].as_py()
        assert (results["other strand"]["strand"], results["other strand"]["best_genus"]) == ("-", "Aa")
        assert results["none"]["reason"] == "not the marker"
        # Of ITS, but unlike all references of the library: `another marker: ITS` would be wrong.
        assert results["other its"]["reason"] in ("", "not the marker")
        assert results["short"]["reason"] != ""
        printed = capsys.readouterr().out
        assert "Markers: ITS " in printed
        assert "coi, 400 records" in (tmp_path / "names.html").read_text()

    def test_models_are_given_for_libraries_in_any_order(self, libraries, coi, tmp_path):
        (tmp_path / "queries.fasta").write_text(f">a\n{its(3)}\n>b\n{coi['nucleotides'][5].as_py()}\n")
        options = ["--library", str(libraries / "coi"), "--library", str(libraries / "its")]
        models = ["--model", "nano_its", "--model", "nano_coi"]
        identify([str(tmp_path / "queries.fasta"), *options, *models, "-o", str(tmp_path / "names.jsonl")])
        rows = [json.loads(line) for line in (tmp_path / "names.jsonl").read_text().splitlines()]
        assert [row["marker"] for row in rows] == ["ITS", "COI-5P"]

    def test_two_libraries_of_one_marker_are_refused(self, libraries, tmp_path):
        (tmp_path / "queries.fasta").write_text(f">a\n{its(3)}\n")
        options = ["--library", str(libraries / "its"), "--library", str(libraries / "its")]
        with pytest.raises(ConfigurationError, match="expected libraries of different markers, got several of ITS"):
            identify([str(tmp_path / "queries.fasta"), *options, "-o", str(tmp_path / "names.tsv")])
        assert not (tmp_path / "names.tsv").exists()
