"""A run survives kills, signals, damaged and unwritable states, losses that are not finite, and a lack of memory."""

import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator

from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.training import pretrain as pretrain_module
from barcodemae.training.arguments import DataArguments, LoopArguments
from barcodemae.training.dataset import load_training_data
from barcodemae.training.loop import train
from barcodemae.training.objectives import MaskedReconstruction
from barcodemae.training.state import claimed, load_state, newest_step, save_state
from barcodemae.training.steps import epoch_steps
from barcodemae.training.stopping import shortage_explained, stop_signals
from helpers.small_files import write_first_rows
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEForPreTraining
from tokenization_barcodemae import KmerEncoder, ReferenceFrame

TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def small_file(sample, tmp_path_factory):
    """A few rows of each split of the sample, as a TSV."""
    return write_first_rows(sample, tmp_path_factory.mktemp("data") / "small.tsv", pretrain=60, train=20, val=10)


@pytest.fixture(scope="module")
def data(small_file, tmp_path_factory):
    args = DataArguments(data=[str(small_file)], cache_dir=str(tmp_path_factory.mktemp("cache")))
    return load_training_data(args, ReferenceFrame.coi(), KmerEncoder(4), seed=0)


@dataclass(frozen=True)
class Disturbed(MaskedReconstruction):
    """The real objective, with the sums of each batch changed by `disturb`."""

    disturb: object = None

    def sums(self, model, batch):
        return self.disturb(super().sums(model, batch), model)


def run(folder, data, disturb=lambda sums, model: sums, **options):
    torch.manual_seed(0)
    config = BarcodeMAEConfig(k=4, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    model = BarcodeMAEForPreTraining(config)
    args = LoopArguments(**({"output_dir": str(folder), "epochs": 2, "batch_size": 16, "log_every": 3} | options))
    stopped_by = train(Accelerator(cpu=True), model, Disturbed(0, 0.5, disturb=disturb), *data, args, {"name": "test"})
    return SimpleNamespace(model=model, stopped_by=stopped_by)


def at_steps(steps, change):
    """Change the sums of these steps, of one batch each; validation batches are not counted."""
    trained = []

    def disturb(sums, model):
        trained.append(model.training)
        return change(sums, model) if model.training and sum(trained) in steps else sums

    return disturb


def lines(folder):
    found = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    return [line | {"barcodes_per_second": 0} for line in found]


def same_weights(first, second):
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def nan_loss(sums, model):
    return sums | {"loss": sums["loss"] * float("nan")}


def nan_gradient(sums, model):
    """An unchanged loss with a gradient of 0 times infinity."""
    return sums | {"loss": sums["loss"] + (next(model.parameters()).sum() * 0).sqrt()}


class TestNotFinite:
    @pytest.mark.parametrize("change", [nan_loss, nan_gradient])
    def test_step_is_skipped_and_counted(self, change, data, tmp_path):
        options = {"save_every": 1, "save_total_limit": 99, "log_every": 1}
        run(tmp_path, data, at_steps({3, 5}, change), **options)
        second, third, fourth = (_saved(tmp_path, step) for step in (2, 3, 4))
        assert all(torch.equal(second["model"][name], third["model"][name]) for name in second["model"])
        assert not all(torch.equal(third["model"][name], fourth["model"][name]) for name in third["model"])
        assert (third["skipped"], third["skipped_in_row"], fourth["skipped_in_row"]) == (1, 1, 0)
        logged = [line for line in lines(tmp_path) if "skipped_steps" in line]
        assert [line["skipped_steps"] for line in logged] == [0, 0, 1, 1, 2, 2, 2, 2, 2, 2]
        assert ["loss" in line for line in logged] == [True, True, False, True, False] + [True] * 5

    def test_too_many_in_a_row_stop_the_run_and_the_last_good_weights_are_saved(self, data, tmp_path):
        options = {"save_every": 1, "save_total_limit": 99, "max_bad_steps": 3}
        with pytest.raises(ConfigurationError, match=r"in 3 steps in a row, up to step 7\.") as caught:
            run(tmp_path, data, at_steps({2, 5, 6, 7}, nan_loss), **options)
        good, last = _saved(tmp_path, 4), load_state(tmp_path)
        assert last["step"] == 7
        assert all(torch.equal(good["model"][name], last["model"][name]) for name in good["model"])
        seventh = epoch_steps(data[0].num_tokens, 16, 0, epoch=1)[1]  # an epoch has five steps
        assert str(caught.value).endswith(", ".join(data[0].barcodes.origins(seventh)))


def _saved(folder, step):
    return torch.load(next((folder / "state").glob(f"step-{step:08d}-*.pt")), weights_only=True)


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_step_is_completed_and_the_run_can_be_resumed(self, number, data, tmp_path):
        complete = run(tmp_path / "complete", data)
        handlers = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]

        def send(sums, model):
            os.kill(os.getpid(), number)
            return sums

        stopped = run(tmp_path / "stopped", data, at_steps({4}, send))
        assert stopped.stopped_by == number
        assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == handlers
        assert load_state(tmp_path / "stopped")["step"] == 4
        again = run(tmp_path / "stopped", data, resume=True)
        assert again.stopped_by is None
        assert same_weights(complete.model, again.model)
        assert lines(tmp_path / "complete") == lines(tmp_path / "stopped")

    def test_signal_in_the_last_step_has_no_effect(self, data, tmp_path):
        def send(sums, model):
            os.kill(os.getpid(), signal.SIGTERM)
            return sums

        assert run(tmp_path, data, at_steps({10}, send)).stopped_by is None

    def test_second_signal_has_no_effect(self):
        with stop_signals() as received:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGTERM)
        assert received == [signal.SIGTERM] * 2


class TestState:
    def test_newest_states_are_retained(self, tmp_path):
        for step in (5, 10, 15):
            save_state(tmp_path, {"step": step}, limit=2)
        assert [load_state(tmp_path)["step"], newest_step(tmp_path)] == [15, 15]
        assert [int(file.name[5:13]) for file in sorted((tmp_path / "state").iterdir())] == [10, 15]

    @pytest.mark.parametrize(
        "damage", [lambda content: content[:-1], lambda content: b"", lambda c: c[:-9] + b"\0" + c[-8:]]
    )
    def test_damaged_state_is_reported_and_the_previous_one_is_used(self, damage, tmp_path, caplog):
        for step in (5, 10):
            save_state(tmp_path, {"step": step}, limit=2)
        newest = max((tmp_path / "state").iterdir())
        newest.write_bytes(damage(newest.read_bytes()))
        assert load_state(tmp_path)["step"] == 5
        assert f"{newest} is damaged and skipped" in caplog.text

    def test_damaged_state_does_not_count_towards_the_limit(self, tmp_path):
        for step in (5, 10):
            save_state(tmp_path, {"step": step}, limit=2)
        max((tmp_path / "state").iterdir()).write_bytes(b"damaged")
        save_state(tmp_path, {"step": 7}, limit=2)
        assert [int(file.name[5:13]) for file in sorted((tmp_path / "state").iterdir())] == [5, 7]

    def test_all_states_damaged(self, tmp_path):
        save_state(tmp_path, {"step": 5}, limit=2)
        next((tmp_path / "state").iterdir()).write_bytes(b"damaged")
        with pytest.raises(CheckpointError, match="all of them are damaged"):
            load_state(tmp_path)

    def test_no_state(self, tmp_path):
        assert load_state(tmp_path) is None
        assert newest_step(tmp_path) is None

    def test_run_resumed_from_the_previous_state_ends_equal(self, data, tmp_path):
        complete = run(tmp_path / "complete", data)
        run(tmp_path / "damaged", data, at_steps({8}, self._stop), save_every=3)
        newest = max((tmp_path / "damaged" / "state").iterdir())
        newest.write_bytes(newest.read_bytes()[:1000])
        again = run(tmp_path / "damaged", data, save_every=3, resume=True)
        assert same_weights(complete.model, again.model)
        assert lines(tmp_path / "complete") == lines(tmp_path / "damaged")

    @staticmethod
    def _stop(sums, model):
        os.kill(os.getpid(), signal.SIGTERM)
        return sums


class TestFullDisk:
    @pytest.fixture
    def limit_file_size(self):
        """A limit on file size fails like a full disk, with another error number."""
        old = resource.getrlimit(resource.RLIMIT_FSIZE)
        yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
        resource.setrlimit(resource.RLIMIT_FSIZE, old)

    def test_last_good_state_is_retained(self, limit_file_size, data, tmp_path):
        complete = run(tmp_path / "complete", data)
        folder = tmp_path / "full"

        def fill(sums, model):
            limit_file_size(20_000)
            return sums

        with (
            pytest.raises(CheckpointError, match=r"full: can't write: .*File too large; .* is that of step 6$"),
            shortage_explained(folder, 16),
        ):
            run(folder, data, at_steps({7}, fill), save_every=3)
        resource.setrlimit(resource.RLIMIT_FSIZE, resource.getrlimit(resource.RLIMIT_FSIZE)[1:] * 2)
        assert [int(file.name[5:13]) for file in sorted((folder / "state").iterdir())] == [3, 6]
        again = run(folder, data, save_every=3, resume=True)
        assert same_weights(complete.model, again.model)
        assert lines(tmp_path / "complete") == lines(folder)

    def test_incomplete_line_is_written_again(self, data, tmp_path):
        run(tmp_path / "complete", data, log_every=1)
        run(tmp_path / "cut", data, at_steps({4}, TestState._stop), log_every=1)
        with (tmp_path / "cut" / "metrics.jsonl").open("a") as file:
            file.write('{"step": 5, "lo')
        run(tmp_path / "cut", data, resume=True, log_every=1)
        assert lines(tmp_path / "complete") == lines(tmp_path / "cut")

    def test_no_state_saved_yet(self, tmp_path):
        with (
            pytest.raises(CheckpointError, match="No space left on device; no state was saved"),
            shortage_explained(tmp_path, 16),
        ):
            raise OSError(28, "No space left on device")


class TestMemory:
    @pytest.mark.parametrize(
        "exhaust",
        [lambda: torch.empty(2**60), lambda: bytearray(2**62), lambda: _raise(torch.OutOfMemoryError("CUDA"))],
    )
    def test_message_says_which_option_to_lower(self, exhaust, tmp_path):
        with (
            pytest.raises(ConfigurationError, match=r"out of memory: lower --batch-size \(now 16\) "),
            shortage_explained(tmp_path, 16),
        ):
            exhaust()

    def test_other_errors_are_unchanged(self, tmp_path):
        for error in (RuntimeError("shapes"), OSError(2, "No such file")):
            with pytest.raises(type(error)) as caught, shortage_explained(tmp_path, 16):
                raise error
            assert caught.value is error


def _raise(error):
    raise error


class TestFolder:
    def test_second_run_is_refused(self, tmp_path):
        with (
            claimed(tmp_path, resume=False),
            pytest.raises(ConfigurationError, match="another process is writing to it"),
            claimed(tmp_path, resume=True),
        ):
            pass
        with claimed(tmp_path, resume=False):
            pass

    def test_lock_is_released_when_the_process_is_killed(self, tmp_path):
        context = multiprocessing.get_context("fork")
        is_claimed = context.Event()
        child = context.Process(target=_claim, args=(tmp_path, is_claimed))
        child.start()
        assert is_claimed.wait(60)
        with pytest.raises(ConfigurationError, match="another process"), claimed(tmp_path, resume=False):
            pass
        child.kill()
        child.join()
        with claimed(tmp_path, resume=False):
            pass

    def test_remains_of_a_killed_save_are_removed(self, tmp_path):
        for folder in (tmp_path / ".saving-abcdefg1", tmp_path / "state" / ".saving-abcdefg2"):
            (folder / "files").mkdir(parents=True)
            (folder / "files" / "half").touch()
        (tmp_path / "state" / "complete").touch()
        (tmp_path / ".saving-notes").mkdir()
        with claimed(tmp_path, resume=True):
            found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
        assert found == {".lock", ".saving-notes", "state", "state/complete"}

    @pytest.mark.parametrize("name", [".lock", "metrics.jsonl", "state", "state/step-00000001-0.pt"])
    def test_link_is_refused_and_its_target_is_unchanged(self, name, tmp_path):
        (tmp_path / "precious").write_text("precious")
        run = tmp_path / "run"
        (run / name).parent.mkdir(parents=True)
        (run / name).symlink_to(tmp_path / "precious")
        expected = f"{name}: expected a file or folder, got a link"
        with pytest.raises(ConfigurationError, match=expected), claimed(run, resume=True):
            pass
        assert (tmp_path / "precious").read_text() == "precious"


def _claim(folder, is_claimed):
    with claimed(folder, resume=False):
        is_claimed.set()
        signal.pause()


@pytest.mark.slow
class TestKilled:
    """Killed with SIGKILL at any moment and resumed, a run ends with the same bytes as one that was never killed."""

    def test_at_20_random_moments(self, small_file, tmp_path):
        found = self._run(small_file, tmp_path, "moments", "20")
        assert found["killed"] == 20
        assert found["different"] == []

    def test_at_each_write_and_rename(self, small_file, tmp_path):
        found = self._run(small_file, tmp_path, "writes")
        kinds = {operation.split("/")[0].split("-")[0] for operation in found["operations"]}
        assert {"open state", "os.rename state", "os.remove state", "open metrics.jsonl", "os.mkdir state"} <= kinds
        assert found["killed"] == len(found["operations"])
        assert found["different"] == []

    def _run(self, *arguments):
        environment = os.environ | {"PYTHONPATH": str(TESTS.parent), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, TESTS / "helpers" / "killed_runs.py", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


def test_resumed_run_has_the_precision_of_the_first(tmp_path, monkeypatch):
    """A new measurement might differ, and the run could not be resumed."""
    monkeypatch.setattr(pretrain_module, "fastest_dtype", lambda device: torch.float32)
    args = LoopArguments(output_dir=str(tmp_path), resume=True, mixed_precision="auto")
    assert pretrain_module._choose_precision(args) == "no"
    (tmp_path / "run.yaml").write_text("mixed_precision: bf16\n")
    assert pretrain_module._choose_precision(args) == "bf16"
    assert pretrain_module._choose_precision(replace(args, resume=False)) == "no"
    assert pretrain_module._choose_precision(replace(args, mixed_precision="no")) == "no"
