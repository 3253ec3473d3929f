"""Pretraining: the objective against the model's own loss, the schedule, the loop, and complete runs."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from barcodemae.errors import CheckpointError, ConfigurationError, option_name
from barcodemae.training.arguments import DataArguments, LoopArguments, ModelArguments
from barcodemae.training.dataset import load_training_data
from barcodemae.training.loop import build_optimizer, evaluate, train
from barcodemae.training.model import build_config, load_tokenizer
from barcodemae.training.objectives import MaskedReconstruction
from barcodemae.training.pretrain import pretrain
from barcodemae.training.state import load_state
from barcodemae.training.steps import map_ahead
from helpers.small_files import write_first_rows
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEForPreTraining
from tokenization_barcodemae import KmerEncoder, ReferenceFrame

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def config():
    return BarcodeMAEConfig(k=4, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)


@pytest.fixture(scope="module")
def small_file(sample, tmp_path_factory):
    """A few rows of each split of the sample, as a TSV."""
    return write_first_rows(sample, tmp_path_factory.mktemp("data") / "small.tsv", pretrain=70, train=30, val=20)


@pytest.fixture(scope="module")
def data(small_file):
    args = DataArguments(data=[str(small_file)])
    return load_training_data(args, ReferenceFrame.coi(), KmerEncoder(4), seed=0)


def options(folder, **others):
    return LoopArguments(**({"output_dir": str(folder), "epochs": 2, "batch_size": 16, "log_every": 1} | others))


def run(folder, config, data, args, seed=0):
    torch.manual_seed(seed)
    model = BarcodeMAEForPreTraining(config)
    accelerator = Accelerator(cpu=True)
    train(accelerator, model, MaskedReconstruction(0, 0.5), *data, args, {"name": "test"})
    return model


def lines(folder):
    return [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]


class TestData:
    def test_splits(self, data):
        training, validation = data
        assert (len(training), len(validation)) == (100, 20)
        assert training.barcodes.is_placed.mean() > 0.95

    def test_batch_depends_only_on_seed_epoch_and_records(self, data):
        objective = MaskedReconstruction(0, 0.5)
        first, again = (data[0].arrays(np.arange(5), 3, objective) for _ in range(2))
        assert all(np.array_equal(value, again[name]) for name, value in first.items())
        other = data[0].arrays(np.arange(5), 4, objective)
        assert not np.array_equal(first["noise"][:, :50], other["noise"][:, :50])

    def test_positions_of_unaligned_barcodes_are_counted_from_the_first_kmer(self, data):
        unaligned = load_training_data(DataArguments(data=[], unaligned_share=1.0), None, KmerEncoder(6), seed=0)[0]
        batch = unaligned.arrays(np.arange(8), 0, MaskedReconstruction(0, 0.5))
        assert not unaligned.barcodes.is_placed.any()
        assert (np.diff(batch["position_ids"][:, :20]) >= 1).all()

    def test_nothing_to_train_on(self, small_file):
        with pytest.raises(ConfigurationError, match="expected records in the splits nowhere"):
            load_training_data(DataArguments(data=[str(small_file)], train_splits=["nowhere"]), None, KmerEncoder(4), 0)

    def test_fingerprint_distinguishes_records(self, data):
        assert data[0].fingerprint() == data[0].fingerprint()
        assert data[0].fingerprint() != data[1].fingerprint()


def test_objective_equals_the_loss_of_the_model(config, data):
    torch.manual_seed(0)
    model = BarcodeMAEForPreTraining(config).eval()
    objective = MaskedReconstruction(0, 0.5)
    arrays = data[0].arrays(np.arange(10), 0, objective)
    batch = {name: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for name, v in arrays.items()}
    sums = objective.sums(model, batch)
    output = model(**{name: value for name, value in batch.items() if name != "num_kept"})
    assert sums["count"] == output.mask.sum()
    torch.testing.assert_close(sums["loss"] / sums["count"], output.loss)
    guesses = output.logits.argmax(-1)[output.labels >= 0]
    assert sums["accuracy"] == (guesses == output.labels[output.labels >= 0]).sum()


def test_validation_does_not_depend_on_the_batch_size(config, data):
    torch.manual_seed(0)
    model, accelerator = BarcodeMAEForPreTraining(config), Accelerator(cpu=True)
    small, large = (evaluate(accelerator, model, MaskedReconstruction(0, 0.5), data[1], size) for size in (3, 20))
    assert small == pytest.approx(large)


def test_warmup_of_one_step(config):
    args = LoopArguments(warmup_share=0.05)
    optimizer, schedule = build_optimizer(BarcodeMAEForPreTraining(config), args, 64, 19)
    rates = []
    for _ in range(19):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(args.learning_rate / 25)
    assert rates[1] == pytest.approx(args.learning_rate, rel=0.01)
    assert rates[1:] == sorted(rates[1:], reverse=True)


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_learning_rates_rise_to_their_peaks_and_fall(schedule, config):
    args = LoopArguments(learning_rate=1e-3, head_learning_rate_factor=5, schedule=schedule, warmup_share=0.25)
    model = BarcodeMAEForPreTraining(config)
    optimizer, rates = build_optimizer(model, args, step_size=128, num_steps=100)
    seen = []
    for _ in range(100):
        seen.append(rates.get_last_lr())
        optimizer.step()
        rates.step()
    encoder, head = np.array(seen).T
    assert encoder.max() == pytest.approx(2e-3, rel=1e-3)
    assert 20 <= np.argmax(encoder) <= 27
    assert encoder[0] < 1e-4
    assert encoder[-1] < 1e-5
    np.testing.assert_allclose(head, 5 * encoder)
    # The first group is the encoder, the second all other parameters.
    sizes = [sum(parameter.numel() for parameter in group["params"]) for group in optimizer.param_groups]
    assert sizes == [sum(p.numel() for p in part.parameters()) for part in (model.bert, model.decoder)]


class TestLoop:
    @pytest.fixture
    def in_double_precision(self):
        """AdamW divides gradients by their magnitude, which can make rounding errors of single precision large."""
        torch.set_default_dtype(torch.float64)
        yield
        torch.set_default_dtype(torch.float32)

    @pytest.mark.usefixtures("in_double_precision")
    def test_accumulated_batches_are_one_large_batch(self, config, data, tmp_path):
        without = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        config = BarcodeMAEConfig(**(config.to_dict() | without))
        expected = run(tmp_path / "a", config, data, options(tmp_path / "a", batch_size=16))
        parts = run(tmp_path / "b", config, data, options(tmp_path / "b", batch_size=4, accumulation=4))
        for first, second in zip(expected.parameters(), parts.parameters(), strict=True):
            torch.testing.assert_close(first, second, atol=1e-8, rtol=1e-6)

    @pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
    def test_resumed_run_equals_an_uninterrupted_one(self, schedule, config, data, tmp_path):
        common = {
            "eval_every": 3,
            "log_every": 3,
            "schedule": schedule,
        }  # the state is saved between two lines of the log
        expected = run(tmp_path / "a", config, data, options(tmp_path / "a", **common))
        args = options(tmp_path / "b", save_every=4, **common)

        class Stopped(Exception):
            pass

        steps = iter(range(100))

        def arrays(*arguments):
            if next(steps) == 6:
                raise Stopped
            return data[0].arrays(*arguments)

        interrupted = _Interrupted(data[0], arrays)
        with pytest.raises(Stopped):
            run(tmp_path / "b", config, (interrupted, data[1]), args)
        assert load_state(tmp_path / "b")["step"] == 4
        args.resume = True
        resumed = run(tmp_path / "b", config, data, args, seed=5)
        for first, second in zip(expected.parameters(), resumed.parameters(), strict=True):
            assert torch.equal(first, second)
        curves = [[{**line, "barcodes_per_second": 0} for line in lines(tmp_path / name)] for name in "ab"]
        assert curves[0] == curves[1]

    def test_compiled_model_has_the_same_names_and_losses(self, config, data, tmp_path):
        plain = run(tmp_path / "a", config, data, options(tmp_path / "a", epochs=0.5))
        # Without compilation itself, which takes minutes.
        with torch.compiler.set_stance("force_eager"):
            compiled = run(tmp_path / "b", config, data, options(tmp_path / "b", epochs=0.5, compile=True))
        states = [load_state(tmp_path / name)["model"] for name in "ab"]
        assert list(states[0]) == list(states[1]) == list(plain.state_dict()) == list(compiled.state_dict())
        assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())

    def test_state_of_another_run_is_refused(self, config, data, tmp_path):
        args = options(tmp_path, epochs=0.2)
        run(tmp_path, config, data, args)
        args.resume = True
        with pytest.raises(CheckpointError, match="name was test and is now other"):
            train(
                Accelerator(cpu=True),
                BarcodeMAEForPreTraining(config),
                MaskedReconstruction(0, 0.5),
                *data,
                args,
                {"name": "other"},
            )


class _Interrupted:
    """Training data that raise an error at one step."""

    def __init__(self, data, arrays):
        self.arrays, self._data = arrays, data

    def __getattr__(self, name):
        return getattr(self._data, name)

    def __len__(self):
        return len(self._data)


class TestMapAhead:
    def test_results_come_in_order(self):
        assert list(map_ahead(lambda x: x * x, range(10))) == [x * x for x in range(10)]
        assert list(map_ahead(abs, [])) == []

    def test_computes_at_most_depth_results_ahead_in_a_thread(self):
        drawn = []

        def items():
            for number in range(10):
                drawn.append(number)
                yield number

        results = map_ahead(lambda _: threading.current_thread().name, items(), depth=2)
        assert next(results) != threading.current_thread().name
        assert drawn == [0, 1, 2]

    def test_error_is_raised_in_place_of_its_result(self):
        results = map_ahead(lambda x: 6 / x, [3, 2, 0, 1], depth=3)
        assert [next(results), next(results)] == [2, 3]
        with pytest.raises(ZeroDivisionError):
            next(results)

    def test_thread_ends_when_the_caller_stops_early(self):
        results = map_ahead(abs, range(10))
        next(results)
        results.close()
        assert not [other for other in threading.enumerate() if other.name.startswith("ahead")]


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (ModelArguments(size="huge"), "expected one of nano, tiny, small, base"),
            (ModelArguments(decoder_heads=7), "decoder_hidden_size must be a multiple of decoder_num_attention_heads"),
            (ModelArguments(mask_ratio=0.0), "mask_ratio must lie between 0 and 1"),
        ],
    )
    def test_bad_model(self, arguments, message):
        with pytest.raises(ConfigurationError, match=message):
            build_config(arguments, KmerEncoder(), 660)

    def test_bad_k(self):
        with pytest.raises(ConfigurationError, match="--k 9: expected 1 to 8"):
            load_tokenizer(ModelArguments(k=9))

    @pytest.mark.parametrize("name", ["batch_size", "save_total_limit", "max_bad_steps"])
    def test_numbers_that_must_be_1_or_more(self, name):
        with pytest.raises(ConfigurationError, match=f"{option_name(name)} 0: expected 1 or more"):
            LoopArguments(**{name: 0})

    def test_folder_of_another_run(self, tmp_path):
        (tmp_path / "metrics.jsonl").touch()
        with pytest.raises(ConfigurationError, match="already holds a run"):
            pretrain(ModelArguments(), DataArguments(), LoopArguments(output_dir=str(tmp_path)))

    @pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
    def test_shipped_configurations_are_valid(self, config):
        from barcodemae.cli.arguments import parse_arguments

        model_args, _, _ = parse_arguments(
            (ModelArguments, DataArguments, LoopArguments), ["--config", str(config)], takes_config=True
        )
        build_config(model_args, KmerEncoder(model_args.k), 660)


def launch(*arguments, python=()):
    return subprocess.run(
        [sys.executable, *python, "train.py", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
class TestCommand:
    OPTIONS = ("--size", "tiny", "--epochs", "0.05", "--batch-size", "4", "--decoder-layers", "1", "--dropout", "0")

    def test_trains_loads_and_resumes(self, small_file, tmp_path):
        from barcodemae import BarcodeEmbedder

        done = launch("--data", small_file, "--output-dir", tmp_path, *self.OPTIONS)
        assert done.returncode == 0, done.stderr
        assert f"In {tmp_path}:" in done.stdout
        assert "read 120 records" in done.stderr
        assert {"config.json", "model.safetensors", "tokenizer.json", "reference_frame.safetensors", "run.yaml"} <= {
            file.name for file in tmp_path.iterdir()
        }
        assert "val_loss" in lines(tmp_path)[-1]
        assert BarcodeEmbedder.from_pretrained(tmp_path).encode(["ACGTTT" * 50]).shape == (1, 256)
        again = launch("--data", small_file, "--output-dir", tmp_path, *self.OPTIONS)
        assert (again.returncode, again.stderr.count("already holds a run")) == (2, 1)
        finished = launch("--data", small_file, "--output-dir", tmp_path, "--resume", *self.OPTIONS)
        assert finished.returncode == 0, finished.stderr

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--data", "nowhere.parquet"), "nowhere.parquet"),
            (("--config", "nowhere.yaml"), "nowhere.yaml"),
            (("--decoder-heads", "7"), "must be a multiple"),
            (("--frame", "nowhere.safetensors"), "--frame nowhere.safetensors"),
        ],
    )
    def test_bad_input_gives_one_line_and_exit_code_2(self, arguments, message, tmp_path):
        done = launch("--output-dir", tmp_path / "run", *arguments)
        assert done.returncode == 2
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert message in errors[0]
        assert not (tmp_path / "run").exists()
