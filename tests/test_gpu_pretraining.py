"""`benchmarks/gpu_pretraining.py`, with a tiny model on the CPU."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from barcodemae.checkpoints.loading import load_checkpoint
from barcodemae.data import sample_path
from barcodemae.errors import ConfigurationError
from barcodemae.training.metrics import read_metrics

FOLDER = Path(__file__).parent.parent / "benchmarks"
GENERA = ["Agonum", "Ampedus", "Andrena", "Eudorylas", "Rhamphomyia", "Spilogona"]


@pytest.fixture
def gpu_pretraining(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("gpu_pretraining")


@pytest.mark.parametrize("kind", ["ours, alike", "ours, as shipped", "ours, pooled decoder"])
def test_flops_of_a_configuration_are_those_that_torch_counts(kind, gpu_pretraining):
    pretraining = sys.modules["pretraining"]
    batch = 2
    forward, _ = pretraining.our_step(kind, "nano", False, batch, torch.device("cpu"), False)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        forward().backward()
    config = pretraining.our_model(kind, "nano").config
    assert batch * gpu_pretraining.step_flops(config, pretraining.NUM_TOKENS) == counter.get_total_flops()


def test_flops_by_hand(gpu_pretraining):
    settings = {"num_hidden_layers": 2, "hidden_size": 4, "num_attention_heads": 1, "intermediate_size": 8, "k": 1}
    # One of two tokens is kept. Each layer: 2 x (4 x 4 x 4 + 2 x 4 x 8) = 256, and attention 4 x 4 = 16.
    decoders = {"token_decoder_weight": 0.0, "pooled_decoder_weight": 1.0, "pooled_decoder_coordinates": 5}
    config = gpu_pretraining.BarcodeMAEConfig(**settings, **decoders)
    # The pooled decoder: 2 x (4 x 20 + 4 x 16 + 16 x 20) = 928; with a prefix, twice.
    assert gpu_pretraining.step_flops(config, 2) == 3 * (2 * (256 + 16) + 928)
    config.pooled_decoder_prefixes = [2]
    assert gpu_pretraining.step_flops(config, 2) == 3 * (2 * (256 + 16) + 2 * 928)


def test_command_is_stopped_at_the_deadline(gpu_pretraining):
    endless = [sys.executable, "-c", "import time; time.sleep(3600)"]
    assert not gpu_pretraining.run_until(endless, time.monotonic(), [])
    assert not gpu_pretraining.run_until(endless, time.monotonic() + 3600, [signal.SIGINT])
    assert gpu_pretraining.run_until([sys.executable, "-c", ""], time.monotonic() + 3600, [])


def test_command_that_fails_is_not_taken_for_a_stopped_one(gpu_pretraining):
    with pytest.raises(SystemExit) as caught:
        gpu_pretraining.run_until([sys.executable, "-c", "exit(2)"], time.monotonic() + 3600, [])
    assert caught.value.code == 2
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    with pytest.raises(SystemExit) as caught:
        gpu_pretraining.run_until([sys.executable, "-c", killed], time.monotonic() + 3600, [])
    assert caught.value.code == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minutes": 0.0}, "--minutes 0.0: expected more than 0"),
        ({"size": "huge"}, "--size huge: expected one of nano, tiny, small, base"),
        ({"reference": "nowhere"}, "--reference nowhere: expected a checkout with barcodebert/maelm_model.py"),
    ],
)
def test_bad_options_are_refused_before_anything_is_measured(options, message, gpu_pretraining):
    with pytest.raises(ConfigurationError, match=message):
        gpu_pretraining.GpuArguments(**({"minutes": 1.0, "data": []} | options))


@pytest.mark.slow
def test_stopped_script_continues_where_it_stopped(tmp_path):
    records = pq.read_table(sample_path())
    known = pc.and_(pc.equal(records["split"], "train"), pc.is_in(records["genus"], pc.cast(GENERA, "string")))
    pq.write_table(records.filter(known), tmp_path / "barcodes.parquet")
    out = tmp_path / "out"
    command = [sys.executable, str(FOLDER / "gpu_pretraining.py"), "--minutes", "60", "--data", "barcodes.parquet"]
    command += ["--size", "nano", "--batch-size", "8", "--epochs", "40", "--relatives-epochs", "2"]
    command += ["--seconds", "0.1", "--output-dir", str(out)]
    options = {"cwd": tmp_path, "env": os.environ | {"OMP_NUM_THREADS": "1", "HF_HOME": str(tmp_path / "cache")}}

    script = subprocess.Popen(command, **options)
    metrics = out / "pretrained" / "metrics.jsonl"
    while script.poll() is None and not (metrics.is_file() and metrics.read_text()):
        time.sleep(0.05)
    script.send_signal(signal.SIGTERM)
    assert script.wait() == 128 + signal.SIGTERM
    stopped = json.loads((out / "results.json").read_text())
    assert set(stopped["measured"]["steps"]) == {"ours, alike", "ours, as shipped", "ours, pooled decoder"}
    for step in stopped["measured"]["steps"].values():
        peak = stopped["measured"]["peaks"][step["precision"]]["tflops"]
        assert step["mfu"] == pytest.approx(step["barcodes_per_second"] * step["gflop_per_barcode"] / peak / 1e3)
        assert step["mfu"] > 0
        assert step["peak_memory_gib"] > 0
    assert not stopped["stages"]["pretrained"]["complete"]
    assert stopped["stages"]["pretrained"]["step"] >= 10
    assert stopped["stages"]["relatives"] == {"complete": False, "step": 0}
    lines = read_metrics(out / "pretrained")

    assert subprocess.run(command, **options, check=False).returncode == 0
    complete = json.loads((out / "results.json").read_text())
    assert complete["measured"] == stopped["measured"]  # it was not measured again
    assert read_metrics(out / "pretrained")[: len(lines)] == lines  # and no step was repeated
    steps_per_epoch = -(-len(pq.read_table(tmp_path / "barcodes.parquet")) // 8)
    assert [stage["step"] for stage in complete["stages"].values()] == [40 * steps_per_epoch, 2 * steps_per_epoch]
    weights = [stage["weights_sha256"] for stage in complete["stages"].values()]
    assert weights[0] != weights[1]
    assert load_checkpoint(out / "relatives").model.config.pooled_decoder_weight == 1

    assert subprocess.run(command, **options, check=False).returncode == 0
    again = json.loads((out / "results.json").read_text())
    assert again["stages"] == complete["stages"]
