"""Identification by several processes: the same results as by one, byte for byte, or none."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pytest

from barcodemae.cli.calibrate import calibrate
from barcodemae.cli.index import index
from barcodemae.embedding.processes import Processes, joined_processes
from barcodemae.errors import ConfigurationError
from helpers.reference_records import write_fasta

ROOT = Path(__file__).parent.parent
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
ACCELERATE = ("-m", "accelerate.commands.launch", "--config_file", str(ROOT / "accelerate_configs" / "cpu.yaml"))


def test_one_process_does_all_work_in_order():
    with joined_processes() as processes:
        assert processes == Processes(0, 1)
        assert processes.is_first
        assert list(processes.share(iter("abc"), str.upper)) == ["A", "B", "C"]
        assert list(processes.share([], str.upper)) == []
        with pytest.raises(ConfigurationError, match="bad"):
            processes.together(fail)


def fail():
    raise ConfigurationError("bad")


def run(*arguments, stdin=None, **variables):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | variables,
        stdin=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


@pytest.fixture(scope="module")
def splits(sample):
    named = sample.filter(pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$"))
    return [named.filter(pc.equal(named["split"], split)).slice(0, 200) for split in ("train", "test")]


@pytest.fixture(scope="module")
def made(splits, tmp_path_factory):
    """Libraries of both engines, and five files of queries, which are five blocks."""
    folder = tmp_path_factory.mktemp("made")
    source, queries = (write_fasta(split, folder / f"{i}.fasta") for i, split in enumerate(splits))
    for engine in ("frame", "network"):
        index([source, str(folder / engine), "--engine", engine])
        calibrate([str(folder / engine), "--queries", queries])
    for i in range(5):
        write_fasta(splits[1].slice(30 * i, 30 - i), folder / f"queries-{i}.fasta")
    return folder


def arguments(made, output, engine="frame"):
    queries = [str(made / f"queries-{i}.fasta") for i in range(5)]
    return [*queries, "--library", str(made / engine), "--output", str(output)]


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "launcher"), [("frame", ACCELERATE), ("network", TORCHRUN)])
def test_two_processes_give_the_results_of_one(engine, launcher, made, tmp_path):
    written = []
    for number, start in enumerate([(), launcher]):
        folder = tmp_path / str(number)
        options = [*arguments(made, folder / "names.parquet", engine), "--summary", str(folder / "names.html")]
        done = run(*start, "-m", "barcodemae", "identify", *options)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("Results of 140 queries") == 1
        assert sorted(path.name for path in folder.iterdir()) == ["names.html", "names.parquet"]
        written.append([(folder / name).read_bytes() for name in ("names.parquet", "names.html")])
    assert written[0] == written[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "when", "message"),
    [
        ("bad input", -1, "error: library: expected a file of the library, found none"),
        ("bad input", 1, "error: library: expected a file of the library, found none"),
        ("defect", 1, "ZeroDivisionError: by nothing"),
        ("killed", 0, "SIGKILL"),
    ],
)
def test_failure_of_one_process_stops_all_and_leaves_nothing(how, when, message, made, tmp_path):
    folder = tmp_path / "out"
    script = ROOT / "tests" / "helpers" / "failing_identify.py"
    done = run(*TORCHRUN, script, how, when, *arguments(made, folder / "names.tsv"))
    assert done.returncode != 0
    assert message in done.stderr
    assert not folder.exists() or not list(folder.iterdir())


@pytest.mark.slow
def test_damaged_file_is_reported_once_and_leaves_nothing(made, splits, tmp_path):
    content = gzip.compress(Path(write_fasta(splits[1], tmp_path / "queries.fasta")).read_bytes())
    (tmp_path / "truncated.fasta.gz").write_bytes(content[: len(content) // 2])
    folder = tmp_path / "out"
    options = [str(tmp_path / "truncated.fasta.gz"), *arguments(made, folder / "names.tsv")]
    done = run(*TORCHRUN, "-m", "barcodemae", "identify", *options)
    assert done.returncode != 0
    assert done.stderr.count("truncated.fasta.gz: expected a complete gzip file") == 1
    assert not folder.exists()


@pytest.mark.slow
def test_standard_input_with_two_processes_is_an_error(made, tmp_path):
    options = ["-", "--library", str(made / "frame"), "--output", str(tmp_path / "names.tsv")]
    done = run(*TORCHRUN, "-m", "barcodemae", "identify", *options, stdin=subprocess.DEVNULL)
    assert done.returncode != 0
    assert done.stderr.count("expected files for 2 processes, got '-'") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_frame_engine_in_one_process_does_not_import_torch(made, tmp_path):
    script = (
        "import sys; from barcodemae.cli import main; sys.argv[1:] = ['identify', *sys.argv[1:]]; main();"
        "assert not {'torch', 'accelerate'} & set(sys.modules)"
    )
    done = run("-c", script, *arguments(made, tmp_path / "names.tsv"))
    assert done.returncode == 0, done.stderr
