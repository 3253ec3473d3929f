"""Several processes train the same model as one, stop together, and can share a model."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.training.steps import process_batches
from helpers.small_files import write_first_rows, write_named_rows

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "accelerate_configs").glob("*.yaml"))


@given(
    num_rows=st.integers(1, 60),
    batch_size=st.integers(1, 9),
    processes=st.integers(1, 5),
)
def test_each_row_counts_once_and_all_processes_have_equally_many_batches(num_rows, batch_size, processes):
    batches = [process_batches(num_rows, batch_size, rank, processes) for rank in range(processes)]
    assert len({len(each) for each in batches}) == 1
    counted = [row for each in batches for rows, weight in each if weight for row in rows]
    assert sorted(counted) == list(range(num_rows))
    assert all(0 < len(rows) <= batch_size and weight in (0, 1) for each in batches for rows, weight in each)


def test_process_without_a_row_gets_one_of_weight_0():
    found = [[(rows.tolist(), weight) for rows, weight in process_batches(4, 1, rank, 3)] for rank in range(3)]
    assert found == [[([0], 1), ([3], 1)], [([1], 1), ([0], 0)], [([2], 1), ([0], 0)]]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_accelerate_configurations_are_valid(path):
    config = load_config_from_file(str(path))
    assert config.num_processes % config.num_machines == 0
    assert not config.mixed_precision  # train.py chooses


@pytest.fixture(scope="module")
def small_file(sample, tmp_path_factory):
    """73 training records, so that the last step of 12 or 24 has one record; 10 validation records."""
    return write_first_rows(sample, tmp_path_factory.mktemp("data") / "small.tsv", pretrain=73, val=10)


def torchrun(processes):
    return ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes))


def start(*arguments, launcher=()):
    return subprocess.Popen(
        [sys.executable, *launcher, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments, launcher=()):
    process = start(*arguments, launcher=launcher)
    errors = process.communicate()[1]
    assert process.returncode == 0, errors
    return errors


def micro(small_file, folder, *others):
    """Command line of a run without dropout in single precision."""
    data = ("--data", small_file, "--cache-dir", small_file.parent / "cache")
    model = ("--size", "micro", "--k", "4", "--dropout", "0", "--mixed_precision", "no")
    return (
        ROOT / "tests" / "helpers" / "micro_train.py",
        *data,
        *model,
        "--log-every",
        "1",
        "--output-dir",
        folder,
        *others,
    )


def losses(folder, name="loss"):
    lines = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if name in line]


@pytest.fixture(scope="module")
def one(small_file, tmp_path_factory):
    """The run of one process with which those of several are compared."""
    folder = tmp_path_factory.mktemp("one") / "run"
    run(*micro(small_file, folder, "--epochs", "2", "--batch-size", "12"))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "batch_size", "accumulation"), [(2, 6, 1), (2, 3, 2), (3, 4, 1)])
def test_several_processes_train_the_model_of_one(processes, batch_size, accumulation, one, small_file, tmp_path):
    options = ("--epochs", "2", "--batch-size", batch_size, "--accumulation", accumulation)
    run(*micro(small_file, tmp_path, *options), launcher=torchrun(processes))
    assert len(losses(one)) == 14
    assert losses(tmp_path) == pytest.approx(losses(one), abs=1e-5)
    assert losses(tmp_path, "val_loss") == pytest.approx(losses(one, "val_loss"), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("auxiliary", ["cross-entropy", "same-taxon", "triplet"])
def test_balanced_batches_are_those_of_one_process(auxiliary, sample, tmp_path):
    file = write_named_rows(sample, tmp_path / "named.tsv", train=80)
    options = ("--pooling", "cls", "--auxiliary", auxiliary, "--auxiliary-rank", "family")
    options += ("--auxiliary-warmup-epochs", "1", "--taxa-per-batch", "2", "--barcodes-per-taxon", "3")
    options += ("--epochs", "2", "--batch-size", "12")
    run(*micro(file, tmp_path / "one", *options, "--accumulation", "2"))
    run(*micro(file, tmp_path / "two", *options), launcher=torchrun(2))
    for name in ("loss", "auxiliary_loss"):
        assert len(losses(tmp_path / "one", name)) == 14
        assert losses(tmp_path / "two", name) == pytest.approx(losses(tmp_path / "one", name), abs=1e-5)


@pytest.mark.slow
class TestSignal:
    def test_one_process(self, small_file, tmp_path):
        command = micro(small_file, tmp_path, "--epochs", "500", "--save-every", "10")
        running = start(*command)
        _wait_for_steps(tmp_path, running)
        second = start(*command, "--resume")
        errors = second.communicate()[1]
        assert second.returncode == 2
        assert errors.count("another process is writing to it") == 1
        running.send_signal(signal.SIGTERM)
        errors = running.communicate()[1]
        assert running.returncode == 128 + signal.SIGTERM
        step = len(losses(tmp_path))
        assert f"SIGTERM: stopped after step {step} of 2500; its state is saved" in errors
        assert max((tmp_path / "state").iterdir()).name.startswith(f"step-{step:08d}-")

    def test_signal_to_one_of_two_stops_both_and_they_resume(self, small_file, tmp_path):
        options = ("--epochs", "12", "--batch-size", "6")
        complete, stopped = tmp_path / "complete", tmp_path / "stopped"
        running = start(*micro(small_file, stopped, *options), launcher=torchrun(2))
        _wait_for_steps(stopped, running)
        workers = [
            child for child in psutil.Process(running.pid).children() if "micro_train.py" in str(child.cmdline())
        ]
        assert len(workers) == 2
        max(workers, key=lambda child: child.pid).terminate()
        errors = running.communicate()[1]
        step = len(losses(stopped))
        assert 0 < step < 84
        assert f"SIGTERM: stopped after step {step} of 84; its state is saved" in errors

        run(*micro(small_file, complete, *options), launcher=torchrun(2))
        run(*micro(small_file, stopped, *options, "--resume"), launcher=torchrun(2))
        assert losses(stopped) == losses(complete)
        assert (stopped / "model.safetensors").read_bytes() == (complete / "model.safetensors").read_bytes()


def _wait_for_steps(folder, running):
    metrics = folder / "metrics.jsonl"
    while not metrics.exists() or not metrics.read_text():
        assert running.poll() is None, running.stderr.read()
        time.sleep(0.05)


@pytest.mark.slow
def test_two_processes_share_a_model_and_its_state(small_file, tmp_path):
    script = ROOT / "tests" / "helpers" / "sharded_train.py"
    options = {"epochs": 2, "batch_size": 12, "save_every": 4, "save_total_limit": 9}
    run(script, small_file, tmp_path / "one", json.dumps(options))
    options["batch_size"] = 6
    run(script, small_file, tmp_path / "two", json.dumps(options), launcher=torchrun(2))
    curves = [losses(tmp_path / name) for name in ("one", "two")]
    assert len(curves[0]) == 14
    assert curves[1] == pytest.approx(curves[0], abs=1e-5)
    weights = [torch.load(tmp_path / name / "weights.pt") for name in ("one", "two")]
    assert weights[0].keys() == weights[1].keys()

    for state in sorted((tmp_path / "two" / "state").iterdir())[1:]:
        state.unlink()  # the run resumes from its first state
    run(script, small_file, tmp_path / "two", json.dumps(options | {"resume": True}), launcher=torchrun(2))
    again = torch.load(tmp_path / "two" / "weights.pt")
    assert all(torch.equal(value, again[name]) for name, value in weights[1].items())
    assert losses(tmp_path / "two") == curves[1]


@pytest.mark.slow
def test_accelerate_starts_two_processes_on_cpus(small_file, tmp_path):
    launcher = ("-m", "accelerate.commands.launch", "--config_file", str(ROOT / "accelerate_configs" / "cpu.yaml"))
    run(*micro(small_file, tmp_path, "--epochs", "1"), launcher=launcher)
    assert json.loads((tmp_path / "training.json").read_text())["processes"] == 2
