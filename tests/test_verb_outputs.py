"""Outputs of all verbs, with all kinds of names: inputs are not overwritten, links are followed, pipes are written to,
and names that can't be written are refused before any work is done."""

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

# The outputs of each verb: option, suffix of the file, and whether it can be a pipe.
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
    """A library, and an input for each verb."""
    folder = tmp_path_factory.mktemp("made")
    named = pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$")
    records = sample.filter(pc.and_(named, pc.equal(sample["split"], "train"))).slice(0, 150)
    write_fasta(records.slice(0, 60), folder / "q.fasta")
    pq.write_table(sample.slice(0, 3000), folder / "records.parquet")
    (folder / "results.json").write_text(json.dumps(full_results()))
    resolve_name(VERBS["index"][1])([write_fasta(records, folder / "r.fasta"), str(folder / "library")])
    return folder


@pytest.fixture
def folder_of_links(made, tmp_path, monkeypatch):
    """A folder with links to the inputs, and nothing else."""
    for file in made.iterdir():
        (tmp_path / file.name).symlink_to(file)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def state(folder):
    """Names and contents of the files in a folder."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.slow
@pytest.mark.parametrize("name", OUTPUTS)
class TestEachOutput:
    @pytest.mark.parametrize("how", ["link", "hard link", "link to a hard link"])
    def test_inputs_are_not_overwritten(self, name, how, folder_of_links, made):
        _, option, suffix, _ = OUTPUTS[name]
        source = made / SOURCES.get(name, "q.fasta")
        output = folder_of_links / f"output{suffix}"
        if how == "link":
            output.symlink_to(source)
        elif how == "hard link":
            output.hardlink_to(source)
        else:
            (folder_of_links / "another").hardlink_to(source)
            output.symlink_to("another")
        before = state(folder_of_links), state(made)
        with pytest.raises(ConfigurationError, match=f"{option} .*: expected another file than .*, which is read"):
            run(name, output)
        assert (state(folder_of_links), state(made)) == before

    def test_folder_is_refused(self, name, folder_of_links):
        suffix = OUTPUTS[name][2]
        (folder_of_links / f"output{suffix}").mkdir()
        before = state(folder_of_links)
        with pytest.raises(ConfigurationError, match="expected the name of a file, a pipe or a device, got a folder"):
            run(name, f"output{suffix}")
        assert state(folder_of_links) == before

    def test_file_as_folder_is_refused(self, name, folder_of_links):
        suffix = OUTPUTS[name][2]
        (folder_of_links / "file").touch()
        before = state(folder_of_links)
        with pytest.raises(ConfigurationError, match="file: expected a folder, got a file"):
            run(name, f"file/output{suffix}")
        assert state(folder_of_links) == before

    def test_links_are_followed_and_permissions_stay(self, name, folder_of_links):
        suffix = OUTPUTS[name][2]
        (folder_of_links / "disk").mkdir()
        (folder_of_links / "disk" / "target").touch(0o600)
        (folder_of_links / "disk" / "target").chmod(0o640)
        (folder_of_links / f"output{suffix}").symlink_to("disk/target")
        run(name, f"output{suffix}")
        target = folder_of_links / "disk" / "target"
        assert (folder_of_links / f"output{suffix}").is_symlink()
        assert target.stat().st_size > 0
        assert stat.S_IMODE(target.stat().st_mode) == 0o640
        assert list((folder_of_links / "disk").iterdir()) == [target]
        assert not list(folder_of_links.glob(".saving-*"))

    def test_pipe_receives_the_content_of_a_file(self, name, folder_of_links):
        _, _, suffix, takes_pipe = OUTPUTS[name]
        pipe = folder_of_links / f"pipe{suffix}"
        os.mkfifo(pipe)
        if not takes_pipe:
            with pytest.raises(ConfigurationError, match="expected a file"):
                run(name, pipe)
            return
        run(name, f"output{suffix}")
        read = f"print(len(open({str(pipe)!r}, 'rb').read()))"
        with subprocess.Popen([sys.executable, "-c", read], stdout=subprocess.PIPE) as reader:
            run(name, pipe)
            assert int(reader.communicate(timeout=60)[0]) == (folder_of_links / f"output{suffix}").stat().st_size
        assert pipe.is_fifo()

    def test_full_disk_is_one_line_and_leaves_the_old_file(self, name, folder_of_links):
        """A full disk is simulated by a limit of the file size."""
        arguments, option, suffix, _ = OUTPUTS[name]
        (folder_of_links / f"output{suffix}").write_text("old")
        before = state(folder_of_links)
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
        assert state(folder_of_links) == before


def test_outputs_of_a_verb_are_different_files(folder_of_links):
    for name in ("identify, summary", "cluster, representatives"):
        arguments, option, *_ = OUTPUTS[name]
        with pytest.raises(ConfigurationError, match=f"{option} .*: expected another file than that of --output"):
            run(name, arguments[-1])


def test_files_of_a_library_are_not_overwritten(folder_of_links):
    for name, file in (("identify", "library.json"), ("identify, summary", "segment-00000/part-00000.arrow")):
        with pytest.raises(ConfigurationError, match=rf"{file}: expected another file than library, which is read"):
            run(name, f"library/{file}")


def test_second_file_of_a_leaderboard_is_checked(folder_of_links):
    """Its name follows from the first, and may be that of the results."""
    with pytest.raises(ConfigurationError, match=r"results\.json: expected another file than .*results\.json, which"):
        run("leaderboard", "results.md")


def test_results_of_an_evaluation_do_not_overwrite_its_data(folder_of_links):
    (folder_of_links / "out").mkdir()
    data = folder_of_links / "out" / "assignments.parquet"
    data.write_bytes((folder_of_links / "records.parquet").read_bytes())
    with pytest.raises(ConfigurationError, match=r"assignments\.parquet: expected another file than .*, which is read"):
        resolve_name(VERBS["evaluate"][1])(["nano_coi", "--output-dir", "out", "--data", str(data)])
    assert data.read_bytes() == (folder_of_links / "records.parquet").read_bytes()


@pytest.mark.parametrize("verb", ["index", "tokenizer", "export", "tune", "convert", "train", "evaluate"])
def test_file_as_output_folder_is_refused_first(verb, folder_of_links):
    """Before the work, which may take hours."""
    (folder_of_links / "file").touch()
    reads = {
        "index": ["q.fasta"],
        "tokenizer": ["q.fasta"],
        "export": ["nano_coi"],
        "tune": ["nano_coi", "--data", "q.fasta"],
        "convert": ["nowhere.pt"],
        "train": ["--data", "q.fasta"],
        "evaluate": ["nowhere"],
    }
    option = "--output-dir" if verb in ("train", "evaluate") else "--output"
    with pytest.raises(BarcodeMAEError, match="file: expected a folder, got a file"):
        resolve_name(VERBS[verb][1])([*reads[verb], option, "file/folder"])


def test_tokenizer_of_a_checkpoint_is_not_overwritten(checkpoint, folder_of_links):
    before = state(checkpoint)
    with pytest.raises(
        ConfigurationError, match=r"expected a new folder or another one, as this one has a config\.json"
    ):
        resolve_name(VERBS["tokenizer"][1])(["q.fasta", "--output", str(checkpoint)])
    assert state(checkpoint) == before
