"""Collections: of a mixture of markers, one library for each, made by one command and used by another."""

import json
import re
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from barcodemae.cli.calibrate import calibrate
from barcodemae.cli.check import check
from barcodemae.cli.distil import distil
from barcodemae.cli.identify import identify
from barcodemae.cli.index import index
from barcodemae.cli.marker import marker
from barcodemae.cli.page import page
from barcodemae.cli.push import push
from barcodemae.cli.remove import remove
from barcodemae.cli.sites import sites
from barcodemae.cli.tune import tune
from barcodemae.data import read_records
from barcodemae.errors import ConfigurationError, LibraryError
from barcodemae.library import collection
from barcodemae.library.library import Library
from barcodemae.library.store.fetching import find_libraries
from helpers.other_markers import ITS, MIFISH, RBCL, random_dna, with_random_ends
from helpers.reference_records import write_fasta

MARKERS = {"its": ITS, "fish": MIFISH, "rbcl": RBCL}


@pytest.fixture(scope="module")
def coi():
    return read_records("sample").slice(0, 150)


def write_mixture(file, coi, first=0, **numbers):
    """Write COI, and so many sequences of each of the other markers, or random ones, with a genus and a species."""
    write_fasta(coi, file)
    lines = []
    for name, number in numbers.items():
        for one in range(first, first + number):
            text = random_dna(one) if name == "random" else with_random_ends(MARKERS[name], one)
            lines.append(f">{name}{one};tax=p:Phylum,g:Genus{name},s:Genus{name}_sp{one % 4};\n{text}\n")
    with file.open("a") as content:
        content.write("".join(lines))
    return str(file)


@pytest.fixture(scope="module")
def mixture(coi, tmp_path_factory):
    return write_mixture(tmp_path_factory.mktemp("data") / "mixture.fasta", coi, its=40, fish=30, rbcl=5, random=3)


@pytest.fixture(scope="module")
def made(mixture, tmp_path_factory):
    """The folder of a collection."""
    folder = tmp_path_factory.mktemp("made") / "collection"
    index([mixture, "-o", str(folder), "--marker", "all"])
    return folder


@pytest.fixture(scope="module")
def fish_model(mixture, tmp_path_factory):
    """A model of 12S, made from the mixture; its marker has a name that is not that of a folder."""
    folder = tmp_path_factory.mktemp("fish")
    marker(["build", mixture, "--name", "12S/../fish", "--uneven", "-o", str(folder / "marker")])
    tune([str(folder / "marker"), "-o", str(folder / "model"), "--data", mixture, "--embedding-size", "8"])
    return str(folder / "model")


def files_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names_in(folder):
    return sorted(path.name for path in folder.glob("*") if not path.name.startswith("."))


class TestIndex:
    def test_library_of_each_marker_and_what_is_left_out(self, mixture, tmp_path, capsys):
        folder = tmp_path / "collection"
        index([mixture, "-o", str(folder), "--marker", "all"])
        printed = capsys.readouterr().out
        assert f"Markers in {mixture}: COI-5P 150, ITS 40, 12S 30, rbcL 5; not recognised 3." in printed
        assert f"Libraries in {folder}: COI-5P (150 records added), ITS (40 records added)." in printed
        build = f"barcodemae marker build {mixture} --name 12S --uneven -o 12S_marker"
        tune = f"barcodemae tune 12S_marker -o 12S_model --data {mixture}"
        (how,) = re.findall(r"No library of 12S, as its 30 records have no model; .* --model 12S_model: (.*)", printed)
        assert how == f"{build} && {tune}"
        assert "No library of rbcL, as its 5 records have no model, and are few.\n" in printed
        assert f"barcodemae identify QUERIES --library {folder} -o names.tsv\n" in printed
        assert names_in(folder) == ["COI-5P", "ITS"]
        for name, count in (("COI-5P", 150), ("ITS", 40)):
            library = Library.open(folder / name)
            assert len(library) == count
            assert json.loads((folder / name / "library.json").read_text())["marker"] == name
            assert json.loads((folder / name / "library.json").read_text())["calibration"]

    def test_few_contaminants_have_no_library(self, coi, tmp_path, capsys):
        source = write_mixture(tmp_path / "a.fasta", coi, its=collection.MIN_RECORDS - 1, random=2)
        index([source, "-o", str(tmp_path / "made"), "--marker", "all"])
        expected = "No library of ITS, as it has 19 records; --marker ITS makes one of so few."
        assert expected in capsys.readouterr().out
        assert names_in(tmp_path / "made") == ["COI-5P"]

    def test_nothing_that_a_library_can_be_made_of(self, coi, tmp_path):
        source = write_mixture(tmp_path / "a.fasta", coi.slice(0, 3), fish=30, random=4)
        expected = (
            r"a\.fasta: expected 20 records or more of a marker with a model \(COI-5P, ITS\), got 12S 30, COI-5P 3; "
            "not recognised 4$"
        )
        with pytest.raises(ConfigurationError, match=expected):
            index([source, "-o", str(tmp_path / "made"), "--marker", "all"])
        assert not (tmp_path / "made").exists()

    def test_repeated_command_changes_nothing(self, made, mixture, capsys):
        before = files_in(made)
        index([mixture, "-o", str(made), "--marker", "all"])
        printed = capsys.readouterr().out
        assert f"The library {made / 'ITS'} already has the records of {mixture}; nothing was added.\n" in printed
        assert f"Libraries in {made}: COI-5P (nothing added), ITS (nothing added).\n" in printed
        assert files_in(made) == before

    @pytest.mark.parametrize("marker_to_stop_at", ["COI-5P", "ITS"])
    def test_interrupted_command_is_repeated(self, made, mixture, marker_to_stop_at, tmp_path, monkeypatch, capsys):
        folder = tmp_path / "collection"
        write_manifest = "barcodemae.library.building.write_manifest"
        with monkeypatch.context() as patch:
            real = sys.modules["barcodemae.library.building"].write_manifest

            def interrupt(path, manifest):
                if manifest.marker == marker_to_stop_at:
                    raise KeyboardInterrupt
                real(path, manifest)

            patch.setattr(write_manifest, interrupt)
            with pytest.raises(KeyboardInterrupt):
                index([mixture, "-o", str(folder), "--marker", "all"])
        with pytest.raises(LibraryError, match="expected a complete library, got one whose build has not ended"):
            identify([mixture, "--library", str(folder), "-o", str(tmp_path / "names.tsv")])
        with pytest.raises(LibraryError, match="whose build has not ended"):
            Library.open(folder)
        with pytest.raises(LibraryError, match=r"expected a new or empty folder for the library, got one with COI-5P"):
            index([mixture, "-o", str(folder), "--marker", "COI-5P"])
        capsys.readouterr()
        index([mixture, "-o", str(folder), "--marker", "all"])
        num_added = "nothing added" if marker_to_stop_at == "ITS" else "150 records added"
        assert f"COI-5P ({num_added}), ITS (40 records added)." in capsys.readouterr().out
        texts = {path.relative_to(made): content for path, content in files_in(made).items()}
        assert {path.relative_to(folder): content for path, content in files_in(folder).items()} == texts

    def test_other_records_of_a_complete_collection(self, made, coi, tmp_path):
        source = write_mixture(tmp_path / "a.fasta", coi.slice(0, 100), its=30)
        before = files_in(made)
        with pytest.raises(LibraryError, match=r"COI-5P: expected a folder without a library, got one of 150 records"):
            index([source, "-o", str(made), "--marker", "all"])
        assert files_in(made) == before

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("notes.txt", r"or a collection of libraries, got one with notes\.txt; name another"),
            ("library.json", "expected a folder for a collection of libraries, got a library; name another"),
            ("photos/one.png", "or a collection of libraries, got one with photos; name another"),
        ],
    )
    def test_folder_with_other_contents_is_left_alone(self, mixture, name, expected, tmp_path):
        file = tmp_path / "own" / name
        file.parent.mkdir(parents=True)
        file.write_text("mine")
        with pytest.raises(LibraryError, match=expected):
            index([mixture, "-o", str(tmp_path / "own"), "--marker", "all"])
        assert files_in(tmp_path / "own") == {file: b"mine"}

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (["--primers", "leray"], "--primers leray: expected one marker, got --marker all"),
            (["--on-error", "raise"], "--on-error raise: expected skip with --marker all"),
            (["--model", "nano_coi", "--model", "nano_coi_label_free"], "models of different markers, got nano_coi of"),
            (["--append"], "expected a collection of libraries to add to, found none"),
        ],
    )
    def test_options_that_do_not_fit(self, mixture, options, expected, tmp_path):
        with pytest.raises((ConfigurationError, LibraryError), match=expected):
            index([mixture, "-o", str(tmp_path / "made"), "--marker", "all", *options])
        assert not (tmp_path / "made").exists()

    def test_one_library_has_one_marker_and_one_model(self, mixture, tmp_path):
        with pytest.raises(
            ConfigurationError, match="--model: expected one for a library, got 2; --marker all uses all"
        ):
            index([mixture, "-o", str(tmp_path / "made"), "--model", "nano_coi", "--model", "nano_its"])
        with pytest.raises(
            LibraryError, match=r"--marker COI-5P leaves the others out, --marker all makes a library of"
        ):
            index([mixture, "-o", str(tmp_path / "made")])
        with pytest.raises(ConfigurationError, match="marker 'all': expected the marker of one library, or 'auto'"):
            Library.build(mixture, tmp_path / "made", marker="all")


class TestModels:
    """Models of markers for which none comes with the package."""

    def test_library_is_added_to_a_collection(self, mixture, fish_model, tmp_path, capsys):
        folder = tmp_path / "collection"
        index([mixture, "-o", str(folder), "--marker", "all"])
        before = files_in(folder)
        index([mixture, "-o", str(folder), "--marker", "all", "--model", fish_model])
        printed = capsys.readouterr().out
        assert "COI-5P (nothing added), ITS (nothing added), 12S_fish (30 records added)." in printed
        assert f"--library {folder} --model {fish_model} -o names.tsv" in printed
        assert before.items() <= files_in(folder).items()
        assert names_in(folder) == ["12S_fish", "COI-5P", "ITS"]
        (tmp_path / "queries.fasta").write_text(
            f">fish\n{with_random_ends(MIFISH, 3)}\n>its\n{with_random_ends(ITS, 3)}\n"
        )
        run = [str(tmp_path / "queries.fasta"), "--library", str(folder), "-o", str(tmp_path / "names.jsonl")]
        identify([*run, "--model", fish_model])
        rows = [json.loads(line) for line in (tmp_path / "names.jsonl").read_text().splitlines()]
        assert [row["marker"] for row in rows] == ["12S/../fish", "ITS"]
        assert rows[0]["hits"][0]["id"] == "fish3"

    def test_marker_is_learnt_from_its_records_of_a_mixture(self, mixture, tmp_path, caplog):
        marker(["build", mixture, "--name", "12S", "--uneven", "-o", str(tmp_path / "marker")])
        expected = "only sequences that are recognised as 12S are used: 30 (others: COI-5P 150, ITS 40, rbcL 5)"
        assert expected in caplog.text

    def test_marker_with_a_few_others_is_learnt_from_all(self, coi, tmp_path, caplog, capsys):
        source = write_mixture(tmp_path / "a.fasta", coi.slice(0, 2), fish=60, random=2)
        marker(["build", source, "--name", "12S", "--uneven", "-o", str(tmp_path / "marker")])
        assert "of a mixture" not in caplog.text
        assert "of 64 different sequences" in capsys.readouterr().out


class TestAppend:
    def test_records_are_added_to_the_library_of_their_marker(self, mixture, coi, tmp_path, capsys):
        folder = tmp_path / "collection"
        index([mixture, "-o", str(folder), "--marker", "all"])
        its_only = write_mixture(tmp_path / "b.fasta", coi.slice(0, 0), first=50, its=3)
        coi_before = files_in(folder / "COI-5P")
        capsys.readouterr()
        index([its_only, "-o", str(folder), "--marker", "all", "--append"])
        assert f"Libraries in {folder}: ITS (3 records added)." in capsys.readouterr().out
        assert len(Library.open(folder / "ITS")) == 43
        assert files_in(folder / "COI-5P") == coi_before
        both = write_mixture(tmp_path / "c.fasta", read_records("sample").slice(150, 5), first=60, its=2)
        index([both, its_only, "-o", str(folder), "--marker", "all", "--append"])
        assert "COI-5P (5 records added), ITS (2 records added)." in capsys.readouterr().out
        index([both, "-o", str(folder), "--marker", "all", "--append"])
        assert "COI-5P (nothing added), ITS (nothing added)." in capsys.readouterr().out

    def test_new_marker_gets_a_library(self, coi, tmp_path, capsys):
        folder = tmp_path / "collection"
        index([write_mixture(tmp_path / "a.fasta", coi), "-o", str(folder), "--marker", "all"])
        index(
            [
                write_mixture(tmp_path / "b.fasta", coi.slice(0, 0), its=25),
                "-o",
                str(folder),
                "--marker",
                "all",
                "--append",
            ]
        )
        assert f"Libraries in {folder}: ITS (25 records added)." in capsys.readouterr().out
        assert names_in(folder) == ["COI-5P", "ITS"]


class TestOtherCommands:
    def test_results_are_those_of_the_libraries(self, made, coi, tmp_path, capsys):
        queries = write_mixture(tmp_path / "queries.fasta", coi.slice(0, 10), first=38, its=4, fish=1, random=2)
        identify(
            [queries, "--library", str(made), "-o", str(tmp_path / "a.jsonl"), "--summary", str(tmp_path / "a.html")]
        )
        assert "Markers: COI-5P 10, ITS " in capsys.readouterr().out
        assert "COI-5P, 150 records; ITS, 40 records" in (tmp_path / "a.html").read_text()
        each = ["--library", str(made / "COI-5P"), "--library", str(made / "ITS")]
        identify([queries, *each, "-o", str(tmp_path / "b.jsonl")])
        assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
        identify([queries, "--library", str(made), "-o", str(tmp_path / "shards"), "--shards"])
        assert pq.read_table(tmp_path / "shards" / "queries.parquet")["marker"].to_pylist()[:10] == ["COI-5P"] * 10

    def test_all_libraries_are_checked(self, made, tmp_path, capsys):
        check([str(made), "-o", str(tmp_path / "all.tsv")])
        assert f"in 190 records of {made}:" in capsys.readouterr().out
        found = []
        for name in ("COI-5P", "ITS"):
            check([str(made / name), "-o", str(tmp_path / "one.tsv")])
            found += (tmp_path / "one.tsv").read_text().splitlines()[1:]
        assert (tmp_path / "all.tsv").read_text().splitlines()[1:] == found

    @pytest.mark.parametrize(
        "run",
        [
            lambda folder, own: calibrate([folder]),
            lambda folder, own: remove([folder, "its1"]),
            lambda folder, own: distil([folder, "-o", f"{own}/small"]),
            lambda folder, own: page([folder, "-o", f"{own}/page"]),
            lambda folder, own: sites([folder, "Genusits", "-o", f"{own}/sites.tsv"]),
            lambda folder, own: push([folder, "ORG/NAME", "--dry-run"]),
            lambda folder, own: check(["sample", "--library", folder, "-o", f"{own}/check.tsv"]),
            lambda folder, own: index(["sample", "-o", folder, "--append"]),
            lambda folder, own: Library.open(folder),
        ],
        ids=["calibrate", "remove", "distil", "page", "sites", "push", "check", "append", "Library.open"],
    )
    def test_commands_for_one_library_name_those_of_the_collection(self, run, made, tmp_path):
        expected = r"expected one library, got a collection of libraries \(COI-5P, ITS\); name one, such as .*COI-5P"
        before = files_in(made)
        with pytest.raises(LibraryError, match=expected):
            run(str(made), tmp_path)
        assert files_in(made) == before
        assert not list(tmp_path.iterdir())

    def test_explanations_need_one_library(self, made, mixture, tmp_path):
        run = [mixture, "--library", str(made), "-o", str(tmp_path / "names.tsv")]
        with pytest.raises(ConfigurationError, match="--explain why: expected one library, got 2"):
            identify([*run, "--explain", "why"])

    def test_names_that_are_not_collections_stay(self, made, tmp_path):
        (tmp_path / "linked").mkdir()
        (tmp_path / "linked" / "ITS").symlink_to(made / "ITS")
        names = ["hub:ORG/NAME", str(made / "ITS"), str(tmp_path / "none"), str(tmp_path / "linked")]
        assert find_libraries(names) == names
        assert find_libraries([str(made), "hub:a/b"]) == [str(made / "COI-5P"), str(made / "ITS"), "hub:a/b"]


def run_line(line, folder):
    """Run a command line that was printed, in a shell."""
    command = line.replace("barcodemae ", f"{sys.executable} -m barcodemae ")
    done = subprocess.run(["bash", "-ec", command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_from_a_mixture_to_names_of_three_markers(tmp_path):
    """The commands that are printed are run as they are."""
    coi = read_records("sample")
    write_mixture(tmp_path / "references.fasta", coi.slice(0, 300), its=60, fish=220, random=5)
    (tmp_path / "reads.fasta").write_text(
        f">coi\n{coi['nucleotides'][7].as_py()}\n>its\n{with_random_ends(ITS, 7)}\n"
        f">fish\n{with_random_ends(MIFISH, 7)}\n>rbcl\n{with_random_ends(RBCL, 7)}\n>none\n{random_dna(1)}\n"
        f">short\n{coi['nucleotides'][7].as_py()[:60]}\n"
    )
    make = "barcodemae index references.fasta -o collection --marker all"
    printed = run_line(make, tmp_path)
    (how,) = re.findall(r"No library of 12S, as its 220 records .* with --model 12S_model: (.*)", printed)
    run_line(how, tmp_path)
    printed = run_line(f"{make} --model 12S_model", tmp_path)
    (how,) = re.findall(r"Identify by all of them: (.*)", printed)
    run_line(how.replace("QUERIES", "reads.fasta").replace("names.tsv", "names.jsonl"), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "names.jsonl").read_text().splitlines()]
    assert {row["id"]: row["marker"] or row["reason"] for row in rows} == {
        "coi": "COI-5P",
        "its": "ITS",
        "fish": "12S",
        "rbcl": "another marker: rbcL",
        "none": "not the marker",
        "short": "too short",
    }
    assert [row["hits"][0]["id"] for row in rows[1:3]] == ["its7", "fish7"]
