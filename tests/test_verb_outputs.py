"""Every file that a verb writes, asked for by every kind of name: nothing that is read is written over, links and pipes
are followed and written to, and what can't be written is refused before any work is done."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from barcodemae.cli import VERBS
from barcodemae.errors import BarcodeMAEError, ConfigurationError
from helpers.reference_records import write_fasta
from helpers.report_records import full_results

ROOT = Path(__file__).parent.parent

# What each verb is asked for: the option, how its file's name ends, and whether a pipe will do.
OUTPUTS = {
    "identify": (["q.fasta", "--library", "library", "--format", "tsv"], "--output", "", True),
    "identify, by its name": (["q.fasta", "--library", "library"], "--output", ".parquet", True),
    "identify, summary": (["q.fasta", "--library", "library", "--output", "names.tsv"], "--summary", ".html", True),
    "embed": (["q.fasta", "--engine", "frame"], "--output", ".parquet", True),
    "embed, rows": (["q.fasta", "--engine", "frame"], "--output", ".npy", False),
    "cluster": (["q.fasta"], "--output", ".tsv", True),
    "cluster, representatives": (["q.fasta", "--output", "c.tsv"], "--representatives", ".fasta", True),
    "cluster, plot": (["q.fasta", "--output", "c.tsv"], "--plot", ".png", True),
    "split": (["records.parquet"], "--output", ".parquet", True),
    "leaderboard": (["results.json"], "--output", ".md", True),
    "calibrate, plot": (["library", "--queries", "q.fasta"], "--plot", ".png", True),
}
SOURCES = {"split": "records.parquet", "leaderboard": "results.json"}


def run(name, output, *more):
    verb = name.split(",")[0]
    arguments, option, *_ = OUTPUTS[name]
    resolve_name(VERBS[verb][1])([*arguments, option, str(output), *more])


@pytest.fixture(scope="module")
def made(sample, tmp_path_factory):
    """A library, and a file for each verb to read."""
    folder = tmp_path_factory.mktemp("made")
    named = pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$")
    records = sample.filter(pc.and_(named, pc.equal(sample["split"], "train"))).slice(0, 150)
    write_fasta(records.slice(0, 60), folder / "q.fasta")
    pq.write_table(sample.slice(0, 3000), folder / "records.parquet")
    (folder / "results.json").write_text(json.dumps(full_results()))
    resolve_name(VERBS["index"][1])([write_fasta(records, folder / "r.fasta"), str(folder / "library")])
    return folder


@pytest.fixture
def place(made, tmp_path, monkeypatch):
    """A folder with names for the files to read, where nothing else is."""
    for file in made.iterdir():
        (tmp_path / file.name).symlink_to(file)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def state(folder):
    """Names and contents of what lies in a folder."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.slow
@pytest.mark.parametrize("name", OUTPUTS)
class TestEachOutput:
    @pytest.mark.parametrize("how", ["link", "hard link", "link to a hard link"])
    def test_what_is_read_stays(self, name, how, place, made):
        _, option, suffix, _ = OUTPUTS[name]
        source = made / SOURCES.get(name, "q.fasta")
        output = place / f"output{suffix}"
        if how == "link":
            output.symlink_to(source)
        elif how == "hard link":
            output.hardlink_to(source)
        else:
            (place / "another").hardlink_to(source)
            output.symlink_to("another")
        before = state(place), state(made)
        with pytest.raises(ConfigurationError, match=f"{option} .*: expected another file than .*, which is read"):
            run(name, output)
        assert (state(place), state(made)) == before

    def test_a_folder_is_refused(self, name, place):
        suffix = OUTPUTS[name][2]
        (place / f"output{suffix}").mkdir()
        before = state(place)
        with pytest.raises(ConfigurationError, match="expected the name of a file, a pipe or a device, got a folder"):
            run(name, f"output{suffix}")
        assert state(place) == before

    def test_a_file_in_the_place_of_the_folder_is_refused(self, name, place):
        suffix = OUTPUTS[name][2]
        (place / "file").touch()
        before = state(place)
        with pytest.raises(ConfigurationError, match="file: expected a folder, got a file"):
            run(name, f"file/output{suffix}")
        assert state(place) == before

    def test_a_link_is_followed_and_permissions_stay(self, name, place):
        suffix = OUTPUTS[name][2]
        (place / "disk").mkdir()
        (place / "disk" / "target").touch(0o600)
        (place / "disk" / "target").chmod(0o640)
        (place / f"output{suffix}").symlink_to("disk/target")
        run(name, f"output{suffix}")
        target = place / "disk" / "target"
        assert (place / f"output{suffix}").is_symlink()
        assert target.stat().st_size > 0
        assert stat.S_IMODE(target.stat().st_mode) == 0o640
        assert list((place / "disk").iterdir()) == [target]
        assert not list(place.glob(".saving-*"))

    def test_a_pipe_gets_what_a_file_would(self, name, place):
        _, _, suffix, takes_pipe = OUTPUTS[name]
        pipe = place / f"pipe{suffix}"
        os.mkfifo(pipe)
        if not takes_pipe:
            with pytest.raises(ConfigurationError, match="expected a file"):
                run(name, pipe)
            return
        run(name, f"output{suffix}")
        read = f"print(len(open({str(pipe)!r}, 'rb').read()))"
        with subprocess.Popen([sys.executable, "-c", read], stdout=subprocess.PIPE) as reader:
            run(name, pipe)
            assert int(reader.communicate(timeout=60)[0]) == (place / f"output{suffix}").stat().st_size
        assert pipe.is_fifo()

    def test_a_full_disk_is_one_line_and_leaves_what_was_there(self, name, place):
        """A limit of file size stands for one: it needs no disk of its own."""
        arguments, option, suffix, _ = OUTPUTS[name]
        (place / f"output{suffix}").write_text("old")
        before = state(place)
        verb = [sys.executable, "-m", "barcodemae", name.split(",")[0], *arguments, option, f"output{suffix}"]
        done = subprocess.run(
            ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh", *verb],
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        last = done.stderr.splitlines()[-1]
        assert (done.returncode, done.stderr.count("Traceback")) == (2, 0)
        assert re.fullmatch(r"error: (output|names|c)[.a-z]*: File too large", last)
        assert state(place) == before


def test_outputs_of_a_verb_are_not_each_other(place):
    for name in ("identify, summary", "cluster, representatives"):
        arguments, option, *_ = OUTPUTS[name]
        with pytest.raises(ConfigurationError, match=f"{option} .*: expected another file than that of --output"):
            run(name, arguments[-1])


def test_the_files_of_a_library_are_read(place):
    for name, file in (("identify", "library.json"), ("identify, summary", "segment-00000/part-00000.arrow")):
        with pytest.raises(ConfigurationError, match=rf"{file}: expected another file than library, which is read"):
            run(name, f"library/{file}")


def test_the_second_file_of_a_leaderboard_counts(place):
    """It is called as the first, and takes the place of the results that are read."""
    with pytest.raises(ConfigurationError, match=r"results\.json: expected another file than .*results\.json, which"):
        run("leaderboard", "results.md")


def test_results_of_an_evaluation_are_not_written_over_the_data_it_reads(place):
    (place / "out").mkdir()
    data = place / "out" / "assignments.parquet"
    data.write_bytes((place / "records.parquet").read_bytes())
    with pytest.raises(ConfigurationError, match=r"assignments\.parquet: expected another file than .*, which is read"):
        resolve_name(VERBS["evaluate"][1])(["nano_coi", "--output-dir", "out", "--data", str(data)])
    assert data.read_bytes() == (place / "records.parquet").read_bytes()


@pytest.mark.parametrize("verb", ["index", "tokenizer", "export", "tune", "convert", "train", "evaluate"])
def test_a_file_in_the_place_of_an_output_folder_is_told_first(verb, place):
    """Whatever else is wrong, as the work may take hours."""
    (place / "file").touch()
    reads = {
        "index": ["q.fasta"],
        "tokenizer": ["q.fasta"],
        "export": ["nowhere"],
        "tune": ["nowhere", "--data", "nowhere.fasta"],
        "convert": ["nowhere.pt"],
        "train": ["--data", "nowhere.fasta"],
        "evaluate": ["nowhere"],
    }
    option = "--output-dir" if verb in ("train", "evaluate") else "--output"
    with pytest.raises(BarcodeMAEError, match="file: expected a folder, got a file"):
        resolve_name(VERBS[verb][1])([*reads[verb], option, "file/folder"])


def test_a_checkpoint_keeps_its_tokenizer(checkpoint, place):
    before = state(checkpoint)
    with pytest.raises(ConfigurationError, match=r"expected a new folder or another one, as config\.json lies there"):
        resolve_name(VERBS["tokenizer"][1])(["q.fasta", "--output", str(checkpoint)])
    assert state(checkpoint) == before
