"""Minutes on one GPU: the speed of our step and of the published one, then pretraining, resumed at each start.

`python benchmarks/gpu_pretraining.py --minutes 60 --data barcodes.parquet --reference DIR --output-dir runs/gpu`

1. Measurement, once for each machine: barcodes per second, share of the speed of matrix products (MFU) and peak memory
   of the published step (fp32, batches of 16; DIR is a checkout of github.com/bioscan-ml/BarcodeMAE, without which it
   is left out), of ours alike, of ours as shipped, and of ours with the pooled decoder. See `pretraining.py`, which
   measures each in a process of its own.
2. Pretraining for the minutes that remain: `configs/base.yaml`, then, from these weights, with a relative of a near
   cluster as the target of a share of the barcodes.

When the minutes are over, and at SIGTERM or SIGINT, the state is saved. The same command continues from it, until both
stages are complete. `results.json` in the folder contains the measurement and how far the stages are.

FLOPs are counted from the configuration: those of the matrix products that the objective needs, forward and twice that
backward. What an implementation computes beyond that, such as padding, or logits of tokens that are not masked, does
not count. MFU is the share of `--peak-tflops`, or of the measured speed of square matrix products in that precision.
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
import yaml
from pretraining import (
    ALIKE,
    NUM_TOKENS,
    POOLED,
    PUBLISHED,
    PUBLISHED_BATCH,
    RECIPE,
    SHIPPED,
    Row,
    measure_apart,
    our_model,
)
from tqdm import tqdm

from barcodemae.checkpoints.files import weights_sha256
from barcodemae.cli.arguments import parse_arguments
from barcodemae.cli.command import run_command
from barcodemae.data.sources import check_sources
from barcodemae.errors import ConfigurationError
from barcodemae.files import written_atomically
from barcodemae.provenance import describe_data, describe_machine, describe_versions
from barcodemae.training.metrics import METRICS_FILE, barcodes_and_seconds, read_metrics
from barcodemae.training.precision import fastest_dtype
from barcodemae.training.stopping import stop_signals
from barcodemae.training.summary import TRAINING_FILE
from modeling_barcodemae import SIZES, BarcodeMAEConfig
from modeling_barcodemae.masking_barcodemae import count_kept

RESULTS_FILE = "results.json"
_POLL_SECONDS = 0.2


@dataclass
class GpuArguments:
    """What to measure and to train, and for how long."""

    minutes: float = field(metadata={"help": "Time for all of it; the state of the training is saved when it is over."})
    data: list[str] = field(metadata={"help": "Barcodes with splits, as for barcodemae train."})
    output_dir: str = field(default="runs/gpu", metadata={"help": "Folder of the results and of both stages."})
    reference: str | None = field(
        default=None, metadata={"help": "Checkout of github.com/bioscan-ml/BarcodeMAE, to measure the published step."}
    )
    size: str = field(default="base", metadata={"help": f"Size of the model: {', '.join(SIZES)}."})
    batch_size: int = field(default=RECIPE["batch_size"], metadata={"help": "Barcodes in a step."})
    epochs: float = field(default=RECIPE["epochs"], metadata={"help": "Passes over the data in the first stage."})
    relatives_epochs: float = field(default=20, metadata={"help": "Passes over the data in the second stage."})
    near_cluster_share: float = field(
        default=0.7, metadata={"help": "Share of the barcodes that reconstruct a relative in the second stage."}
    )
    compile: bool = field(default=False, metadata={"help": "Compile the model, in measurement and training."})
    seconds: float = field(default=15, metadata={"help": "How long each step is measured."})
    peak_tflops: float | None = field(
        default=None,
        metadata={"help": "Peak of the GPU in bf16 by its data sheet, dense; by default that of measured products."},
    )

    def __post_init__(self) -> None:
        if not self.minutes > 0:
            raise ConfigurationError(f"--minutes {self.minutes}: expected more than 0")
        if self.size not in SIZES:
            raise ConfigurationError(f"--size {self.size}: expected one of {', '.join(SIZES)}")
        if self.reference is not None and not (Path(self.reference) / "barcodebert" / "maelm_model.py").is_file():
            raise ConfigurationError(
                f"--reference {self.reference}: expected a checkout with barcodebert/maelm_model.py"
            )


def step_flops(config: BarcodeMAEConfig, num_tokens: int) -> int:
    """FLOPs of the matrix products of a training step, for one barcode of which all tokens are known.

    Args:
        config: configuration of the model; the objective is `mae`.
        num_tokens: tokens of the barcode, before masking.
    """
    num_kept = count_kept(num_tokens, config.mask_ratio)
    width = config.hidden_size
    forward = _layers_flops(config.num_hidden_layers, width, config.intermediate_size, num_kept)
    if config.token_decoder_weight:
        decoder = config.decoder_config()
        forward += 2 * num_kept * width * decoder.hidden_size
        forward += _layers_flops(decoder.num_hidden_layers, decoder.hidden_size, decoder.intermediate_size, num_tokens)
        forward += 2 * (num_tokens - num_kept) * decoder.hidden_size * config.num_targets
    if config.pooled_decoder_weight:
        num_logits = 4 * config.pooled_decoder_coordinates
        num_vectors = 1 + len(config.pooled_decoder_prefixes or ())
        forward += num_vectors * 2 * (width * num_logits + width * 4 * width + 4 * width * num_logits)
    return 3 * forward


def _layers_flops(depth: int, width: int, inner_width: int, num_tokens: int) -> int:
    """Four projections and two products of attention, and two of the feed-forward network, in each layer."""
    return depth * (2 * num_tokens * (4 * width**2 + 2 * width * inner_width) + 4 * num_tokens**2 * width)


def measure_steps(args: GpuArguments) -> dict[str, Any]:
    """Measure each kind of step.

    Returns:
        `steps`: speed, FLOPs, MFU and peak memory of each, and its speed in multiples of the published one; `peaks`:
        for each precision, the speed that MFU is a share of.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    fastest = "bf16" if fastest_dtype(device) == torch.bfloat16 else "fp32"
    rows = [Row(ALIKE, "fp32", PUBLISHED_BATCH), *(Row(kind, fastest, args.batch_size) for kind in (SHIPPED, POOLED))]
    reference = None
    if args.reference is not None:
        reference = Path(args.reference)
        rows.insert(0, Row(PUBLISHED, "fp32", PUBLISHED_BATCH))
    options = argparse.Namespace(
        device=device, seconds=args.seconds, reference=reference, compile=args.compile, size=args.size
    )
    measured = {row: measure_apart(row, options) for row in tqdm(rows, desc="measurement")}
    peaks = {row.precision: {"tflops": 0.0, "source": "measured"} for row in rows}
    for row, result in measured.items():
        peaks[row.precision]["tflops"] = max(peaks[row.precision]["tflops"], result["matrix_rate"] / 1e12)
    if args.peak_tflops is not None and "bf16" in peaks:
        peaks["bf16"] = {"tflops": args.peak_tflops, "source": "given"}
    found = {row.kind: _describe_step(row, measured[row], args.size, peaks[row.precision]["tflops"]) for row in rows}
    if PUBLISHED in found:
        for one in found.values():
            one["times_published"] = one["barcodes_per_second"] / found[PUBLISHED]["barcodes_per_second"]
    return {"steps": found, "peaks": peaks}


def _describe_step(row: Row, measured: dict[str, float], size: str, peak_tflops: float) -> dict[str, Any]:
    flops = step_flops(our_model(row.kind, size).config, NUM_TOKENS)
    return {
        "precision": row.precision,
        "batch": row.batch,
        "barcodes_per_second": measured["rate"],
        "gflop_per_barcode": flops / 1e9,
        "gflop_per_step": row.batch * flops / 1e9,
        "mfu": measured["rate"] * flops / (peak_tflops * 1e12),
        "peak_memory_gib": measured["peak"] / 2**30,
    }


@dataclass(frozen=True)
class Stage:
    """A training run of its own, in a folder of its own, with its options for `barcodemae train`."""

    folder: Path
    options: dict[str, Any]

    @property
    def is_complete(self) -> bool:
        return (self.folder / TRAINING_FILE).is_file()

    def command(self) -> list[str]:
        """The command that starts or continues it; its options are written beside its folder."""
        file = self.folder.with_suffix(".yaml")
        with written_atomically(file.parent) as scratch:
            (scratch / file.name).write_text(yaml.safe_dump(self.options, sort_keys=False))
        return [sys.executable, "-m", "barcodemae", "train", "--config", str(file)]

    def progress(self) -> dict[str, Any]:
        """Steps, passes, latest losses and speed so far; SHA-256 of the weights when it is complete."""
        if not (self.folder / METRICS_FILE).is_file():
            return {"complete": False, "step": 0}
        lines = read_metrics(self.folder)
        latest = {name: value for line in lines for name, value in line.items()}
        barcodes, seconds = barcodes_and_seconds(
            [line for line in lines if "barcodes_per_second" in line], self.options["batch_size"]
        )
        names = ("step", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "skipped_steps")
        described = {"complete": self.is_complete, **{name: latest[name] for name in names if name in latest}}
        if seconds:
            described["barcodes_per_second"] = barcodes / seconds
        return described | ({"weights_sha256": weights_sha256(self.folder)} if self.is_complete else {})


def training_stages(args: GpuArguments) -> dict[str, Stage]:
    """Both stages, in their order."""
    folder = Path(args.output_dir)
    pretrained, relatives = folder / "pretrained", folder / "relatives"
    shared = RECIPE | {
        "data": args.data,
        "batch_size": args.batch_size,
        "compile": args.compile,
        "resume": True,
    }
    first = shared | {"size": args.size, "epochs": args.epochs, "output_dir": str(pretrained)}
    # The checkpoint determines the size.
    second = {name: value for name, value in shared.items() if name != "size"} | {
        "init_from": str(pretrained),
        "near_cluster_share": args.near_cluster_share,
        "epochs": args.relatives_epochs,
        "output_dir": str(relatives),
    }
    return {"pretrained": Stage(pretrained, first), "relatives": Stage(relatives, second)}


def run_until(command: Sequence[str], deadline: float, signals: Sequence[int]) -> bool:
    """Run a command, and stop it by SIGTERM at a time or after a signal.

    Args:
        command: exits with a code of its own for an error.
        deadline: as `time.monotonic` counts.
        signals: those that this process received so far; see `stop_signals`.

    Returns:
        Whether it ended by itself.

    Raises:
        SystemExit: it failed; with its exit code.
    """
    child = subprocess.Popen(command)
    is_stopped = False
    while child.poll() is None:
        if not is_stopped and (signals or time.monotonic() >= deadline):
            child.send_signal(signal.SIGTERM)
            is_stopped = True
        time.sleep(_POLL_SECONDS)
    if child.returncode == 0:
        return True
    # Stopped with its state saved, or before it had any. A terminal sends SIGINT to both processes.
    stopped = {code for one in (signal.SIGTERM, signal.SIGINT) for code in (128 + one, -one)}
    if (is_stopped or signals) and child.returncode in stopped:
        return False
    raise SystemExit(child.returncode if child.returncode > 0 else 1)


def read_results(folder: Path) -> dict[str, Any]:
    file = folder / RESULTS_FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def write_results(folder: Path, results: dict[str, Any]) -> None:
    results["date"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
    with written_atomically(folder) as scratch:
        (scratch / RESULTS_FILE).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    begin = time.monotonic()
    (args,) = parse_arguments((GpuArguments,))
    check_sources(args.data)
    folder, deadline = Path(args.output_dir), begin + 60 * args.minutes
    folder.mkdir(parents=True, exist_ok=True)
    names = ("size", "batch_size", "compile", "peak_tflops", "seconds")
    measured_with = {name: getattr(args, name) for name in names} | {
        "has_reference": args.reference is not None,
        "machine": describe_machine(),
        "versions": describe_versions(("barcodemae", "torch", "transformers")),
    }
    results = read_results(folder)
    if results.get("measured_with") != measured_with:
        results = {"measured": measure_steps(args), "measured_with": measured_with, "data": describe_data(args.data)}
        write_results(folder, results)
        for kind, step in results["measured"]["steps"].items():
            print(f"{kind}: {step['barcodes_per_second']:,.1f} barcodes/s, MFU {step['mfu']:.0%}", flush=True)
    stages = training_stages(args)
    received: list[int] = []
    with stop_signals() as signals:
        for name, stage in stages.items():
            if stage.is_complete:
                continue
            remaining = deadline - time.monotonic()
            if signals or remaining <= 0:
                break
            print(f"{name}: {remaining / 60:.1f} minutes remain", flush=True)
            if not run_until(stage.command(), deadline, signals):
                break
        received += signals
    results["stages"] = {name: stage.progress() for name, stage in stages.items()}
    write_results(folder, results)
    is_complete = all(stage.is_complete for stage in stages.values())
    rest = "both stages are complete" if is_complete else "the same command continues"
    print(f"The results are in {folder / RESULTS_FILE}; {rest}.")
    if received:
        sys.exit(128 + received[0])


if __name__ == "__main__":
    run_command(main)
