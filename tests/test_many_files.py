"""Files as shards: one file of results each, by any number of processes, and only once."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from barcodemae.cli.embed import embed
from barcodemae.cli.identify import identify
from barcodemae.cli.index import index
from barcodemae.cli.shards import COMMAND_FILE, name_shards
from barcodemae.embedding.processes import Processes, separate_process
from barcodemae.errors import BarcodeMAEError, ConfigurationError, UnreadableFileError
from helpers.hub_server import HubServer, User
from helpers.reference_records import write_fasta

ROOT = Path(__file__).parent.parent
NUM_SHARDS = 6


@pytest.fixture(scope="module")
def made(sample, tmp_path_factory):
    """A library, and six files of queries."""
    folder = tmp_path_factory.mktemp("made")
    named = sample.filter(pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$"))
    train, test = (named.filter(pc.equal(named["split"], split)).slice(0, 120) for split in ("train", "test"))
    index([write_fasta(train, folder / "references.fasta"), str(folder / "library")])
    for number in range(NUM_SHARDS):
        write_fasta(test.slice(20 * number, 20 - number), folder / f"shard-{number}.fasta")
    return folder


def shards_of(made):
    return [str(made / f"shard-{number}.fasta") for number in range(NUM_SHARDS)]


def options(made, output):
    return ["--library", str(made / "library"), "--output", str(output), "--shards"]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def start(*arguments, **variables):
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_names_of_shards():
    assert name_shards(["a/x-1.fasta", "a/x-2.fastq.gz", "b/x.3.parquet"]) == {
        "x-1.parquet": "a/x-1.fasta",
        "x-2.parquet": "a/x-2.fastq.gz",
        "x.3.parquet": "b/x.3.parquet",
    }
    with pytest.raises(ConfigurationError, match=r"expected shards of different names, got a/x\.fasta and b/x\.fa\.gz"):
        name_shards(["a/x.fasta", "b/x.fa.gz"])
    for name in ("-", "sample", "hub:org/reads"):
        with pytest.raises(ConfigurationError, match=f"^{name}: expected files with --shards"):
            name_shards([name])


def test_variables_of_a_launcher_are_read_once(monkeypatch):
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert separate_process() == Processes(2, 3)
    assert separate_process() == Processes(0, 1)
    for rank, count in (("3", "3"), ("-1", "2"), ("0", "many")):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", count)
        with pytest.raises(ConfigurationError, match=f"RANK={rank}, WORLD_SIZE={count}: expected a number from 0"):
            separate_process()


def test_files_together_have_the_results_of_one_command(made, tmp_path, capsys):
    identify([*shards_of(made), *options(made, tmp_path / "names")])
    assert "Shards of this process: 6 made now, 0 before, 0 not readable." in capsys.readouterr().out
    identify([*shards_of(made), "--library", str(made / "library"), "--output", str(tmp_path / "all.parquet")])
    parts = [pq.read_table(tmp_path / "names" / f"shard-{number}.parquet") for number in range(NUM_SHARDS)]
    assert [len(part) for part in parts] == [20, 19, 18, 17, 16, 15]
    assert pa.concat_tables(parts).equals(pq.read_table(tmp_path / "all.parquet"))
    assert {path.name for path in (tmp_path / "names").iterdir()} == {
        COMMAND_FILE,
        *(f"shard-{number}.parquet" for number in range(NUM_SHARDS)),
    }


def test_only_what_is_missing_is_made_again(made, tmp_path, capsys):
    command = [*shards_of(made), *options(made, tmp_path / "names")]
    identify(command)
    before = contents(tmp_path / "names")
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "names").glob("shard*")}
    (tmp_path / "names" / "shard-3.parquet").unlink()
    capsys.readouterr()
    identify(command)
    assert "1 made now, 5 before" in capsys.readouterr().out
    assert contents(tmp_path / "names") == before
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "names").glob("shard*")}
    assert {name for name in times if after[name] != times[name]} == {"shard-3.parquet"}


def test_folder_of_another_command_is_refused(made, tmp_path):
    command = [*shards_of(made)[:2], *options(made, tmp_path / "names")]
    identify(command)
    before = contents(tmp_path / "names")
    with pytest.raises(ConfigurationError, match="the same command made, got one with another min_confidence"):
        identify([*command, "--min-confidence", "0.5"])
    with pytest.raises(ConfigurationError, match="the same command made, got one with another batch_size, command, "):
        embed([*shards_of(made)[:2], "--output", str(tmp_path / "names"), "--shards", "--engine", "frame"])
    assert contents(tmp_path / "names") == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match=r"expected a new or empty folder, .* got one with notes\.txt"):
        identify([*command[:2], *options(made, tmp_path / "other")])
    assert contents(tmp_path / "other") == {"notes.txt": b"mine"}


@pytest.mark.parametrize("option", ["--summary", "--by-sample", "--format", "--explain", "--multiqc"])
def test_options_of_one_file_are_refused(option, made, tmp_path):
    value = "tsv" if option == "--format" else str(tmp_path / "x.html")
    with pytest.raises(ConfigurationError, match=f"{option}: expected no such option with --shards"):
        identify([*shards_of(made), *options(made, tmp_path / "names"), option, value])
    assert not (tmp_path / "names").exists()


def test_wrong_option_leaves_no_folder(made, tmp_path):
    with pytest.raises(ConfigurationError, match="--min-confidence"):
        identify([*shards_of(made), *options(made, tmp_path / "names"), "--min-confidence", "3"])
    assert not (tmp_path / "names").exists()


def test_shard_that_cannot_be_read_does_not_stop_the_others(made, tmp_path, capsys):
    (tmp_path / "bad.fasta").write_text("LOCUS       X\n")
    (tmp_path / "worse.fasta").write_bytes(b"\x1f\x8bnot gzip")
    first, second, *_ = shards_of(made)
    command = [first, str(tmp_path / "bad.fasta"), second, *options(made, tmp_path / "names")]
    with pytest.raises(UnreadableFileError, match=r"bad\.fasta: expected .* got a GenBank file"):
        identify(command)
    assert "2 made now, 0 before, 1 not readable" in capsys.readouterr().out
    assert sorted(contents(tmp_path / "names")) == [COMMAND_FILE, "shard-0.parquet", "shard-1.parquet"]
    with pytest.raises(BarcodeMAEError, match=r"2 of 4 shards could not be read; the first: .*bad\.fasta"):
        identify([*command[:3], str(tmp_path / "worse.fasta"), *command[3:]])


def test_embeddings_of_shards(made, tmp_path):
    shards = shards_of(made)[:3]
    embed([*shards, "--output", str(tmp_path / "vectors"), "--shards", "--engine", "frame", "--normalize"])
    embed([*shards, "--output", str(tmp_path / "all.parquet"), "--engine", "frame", "--normalize"])
    parts = [pq.read_table(tmp_path / "vectors" / f"shard-{number}.parquet") for number in range(3)]
    assert pa.concat_tables(parts).equals(pq.read_table(tmp_path / "all.parquet"))
    saved = json.loads((tmp_path / "vectors" / COMMAND_FILE).read_text())
    assert (saved["command"], saved["engine"], saved["normalize"]) == ("embed", "frame", True)


@pytest.mark.slow
def test_killed_process_is_made_good_by_repeating_it(made, tmp_path):
    """Two independent processes, of which one is killed after its first file: repeated, the bytes are those of one."""
    command = ["-m", "barcodemae", "identify", *shards_of(made), *options(made, tmp_path / "names")]
    killed, other = (start(*command, RANK=str(rank), WORLD_SIZE="2") for rank in (0, 1))
    while not (tmp_path / "names" / "shard-0.parquet").exists() and killed.poll() is None:
        time.sleep(0.001)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    _, errors = other.communicate()
    assert other.returncode == 0, errors
    left = {path.name for path in (tmp_path / "names").iterdir() if not path.name.startswith(".")}
    assert {f"shard-{number}.parquet" for number in (0, 1, 3, 5)} <= left < {f"shard-{i}.parquet" for i in range(6)}
    again = start(*command, RANK="0", WORLD_SIZE="2")
    output, errors = again.communicate()
    assert again.returncode == 0, errors
    assert "Shards of this process, of 6 in all: 2 made now, 1 before" in output
    identify([*shards_of(made), *options(made, tmp_path / "alone")])
    assert contents(tmp_path / "names") == contents(tmp_path / "alone")


@pytest.mark.slow
def test_processes_of_a_launcher_share_the_files(made, tmp_path):
    launcher = ("-m", "accelerate.commands.launch", "--config_file", ROOT / "accelerate_configs" / "cpu.yaml")
    command = ["-m", "barcodemae", "identify", *shards_of(made), *options(made, tmp_path / "names")]
    launched = start(*launcher, *command)
    output, errors = launched.communicate()
    assert launched.returncode == 0, errors
    assert output.count("of 6 in all: 3 made now") == 2
    identify([*shards_of(made), *options(made, tmp_path / "alone")])
    assert contents(tmp_path / "names") == contents(tmp_path / "alone")


@pytest.mark.slow
def test_job_takes_files_from_the_hub_and_commits_results(made, tmp_path, monkeypatch):
    """Two jobs; the second one's commit meets that of the first one. A third finds nothing left to do."""
    job = [ROOT / "jobs" / "shards.py", "identify", "org/reads", "org/names", "--library", made / "library"]
    with HubServer() as hub:
        hub.users = {"hf_writer": User("ada", ("org",))}
        upload = (
            "import sys; from huggingface_hub import HfApi; hub = HfApi(); hub.create_repo('org/reads', "
            "repo_type='dataset'); hub.upload_folder(repo_id='org/reads', repo_type='dataset', folder_path=sys.argv[1],"
            "allow_patterns='shard-*')"
        )
        run = {"home": tmp_path / "home", "token": "hf_writer"}
        variables = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2"}
        done = hub.run(run["home"], "-c", upload, made, token=run["token"])
        assert done.returncode == 0, done.stderr
        for rank in ("0", "1", "1"):
            if rank == "1":
                hub.fail("commit", 412)
            done = hub.run(run["home"], *job, token=run["token"], RANK=rank, **variables)
            assert done.returncode == 0, done.stderr
            assert "Shards of this job: 3 of 3 are in org/names." in done.stdout
        found = hub.files("datasets/org/names")
    monkeypatch.chdir(made)
    identify([*(Path(shard).name for shard in shards_of(made)), *options(made, tmp_path / "alone")])
    del found[".gitattributes"]
    assert found == contents(tmp_path / "alone")
