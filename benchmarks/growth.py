"""How the cost of training and of embedding grows with length, batch, model size and processes: a plot and its numbers.

`python benchmarks/growth.py` writes `growth.json` and `growth.png` to `benchmarks/results/`. Barcodes are random
k-mers, for what a step costs depends on their number alone. Training is forward, backward and optimizer, without
dropout and with a decoder as deep as the encoder, in the precision that the device is measured to be faster in;
embedding is the encoder on complete barcodes. On a CPU every process has one thread. Each point is measured in
processes of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from torch.optim import AdamW
from tqdm import tqdm

from barcodemae.files import written_atomically
from barcodemae.plotting import PlainFigure
from barcodemae.provenance import describe_machine, describe_versions
from barcodemae.training.objectives import MaskedReconstruction
from barcodemae.training.precision import choose_attention, fastest_dtype
from modeling_barcodemae import SIZES, BarcodeMAEConfig, BarcodeMAEForPreTraining
from modeling_barcodemae.masking_barcodemae import count_kept

K = 6
LENGTH, BATCH, PROCESSES = 658, 32, 1  # what the other axes are measured at
LENGTHS = [200, 400, 658, 1000, 1500]
WARMUP_STEPS = 2
COLOURS = {"tiny": "#56B4E9", "small": "#0072B2", "base": "#D55E00"}
AXES = {"length": "nucleotides", "batch": "barcodes in a batch", "processes": "processes"}


def measure(size: str, length: int, batch: int, seconds: float) -> dict[str, float]:
    """Barcodes per second of all processes together, in training and in embedding."""
    on_gpu = torch.cuda.is_available()
    is_bf16 = fastest_dtype("cuda" if on_gpu else "cpu") == torch.bfloat16
    accelerator = Accelerator(cpu=not on_gpu, mixed_precision="bf16" if is_bf16 else "no")
    config = BarcodeMAEConfig(**SIZES[size], k=K, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    raw_model = BarcodeMAEForPreTraining(config)
    raw_model.set_attn_implementation(choose_attention(accelerator.device.type, accelerator.mixed_precision))
    model, optimizer = accelerator.prepare(raw_model, AdamW(raw_model.parameters(), 1e-4, fused=True))
    ids = torch.randint(2, 2 + 4**K, (batch, length // K), device=accelerator.device)
    objective = MaskedReconstruction(0, config.mask_ratio)
    num_kept = count_kept(ids.shape[1], config.mask_ratio)

    def train() -> None:
        noise = torch.rand(ids.shape, device=ids.device)
        sums = objective.sums(model, {"input_ids": ids, "noise": noise, "num_kept": num_kept})
        accelerator.backward(sums["loss"] / sums["count"])
        optimizer.step()
        optimizer.zero_grad()

    @torch.inference_mode()
    def embed() -> None:
        with accelerator.autocast():
            raw_model.bert(ids)

    rates = {}
    for name, step in (("training", train), ("embedding", embed)):
        model.train(name == "training")
        rates[name] = batch * accelerator.num_processes * steps_per_second(step, seconds, accelerator)
    accelerator.end_training()
    return rates


def steps_per_second(step: Callable[[], None], seconds: float, accelerator: Accelerator) -> float:
    def time_of(count: int) -> float:
        accelerator.wait_for_everyone()
        begin = time.perf_counter()
        for _ in range(count):
            step()
        if accelerator.device.type == "cuda":
            torch.cuda.synchronize()
        accelerator.wait_for_everyone()
        return time.perf_counter() - begin

    time_of(1)  # what is only done once
    # All processes have to make the same number of steps.
    each = accelerator.reduce(torch.tensor(time_of(WARMUP_STEPS), device=accelerator.device), "mean") / WARMUP_STEPS
    count = max(1, round(seconds / float(each)))
    return count / time_of(count)


def measure_apart(size: str, length: int, batch: int, processes: int, seconds: float) -> dict[str, float]:
    """`measure` in processes of its own."""
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command += [__file__, "--point", size, str(length), str(batch), "--seconds", str(seconds)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{size}, {length} nucleotides, batch {batch}, {processes} processes: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def draw(points: list[dict[str, Any]], title: str) -> Figure:
    """Barcodes per second along each axis, for each size; both scales logarithmic."""
    figure = PlainFigure(figsize=(12, 4.5), layout="constrained")
    figure.suptitle(title, fontsize=9)
    panels = figure.subplots(1, len(AXES), sharey=True)
    usual = {"length": LENGTH, "batch": BATCH, "processes": PROCESSES}
    for panel, (axis, label) in zip(panels, AXES.items(), strict=True):
        others = [name for name in AXES if name != axis]
        along = [point for point in points if all(point[name] == usual[name] for name in others)]
        ticks = sorted({point[axis] for point in along})
        for size in dict.fromkeys(point["size"] for point in along):
            chosen = sorted((point for point in along if point["size"] == size), key=lambda point: point[axis])
            for work, style in (("training", "-o"), ("embedding", "--s")):
                sizes, rates = [point[axis] for point in chosen], [point[work] for point in chosen]
                panel.plot(sizes, rates, style, color=COLOURS[size], markersize=4, label=f"{size}, {work}")
        panel.set(xscale="log", yscale="log", xlabel=label)
        panel.set_xticks(ticks, [str(tick) for tick in ticks])
        for axis_of_panel in (panel.xaxis, panel.yaxis):
            axis_of_panel.set_minor_locator(NullLocator())
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter("{x:g}")
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("barcodes/s")
    panels[-1].legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 16, 32, 64, 128])
    devices = torch.cuda.device_count() or os.cpu_count() or 1
    parser.add_argument("--processes", type=int, nargs="+", default=sorted({1, devices // 2 or 1, devices}))
    parser.add_argument("--seconds", type=float, default=5, help="How long each point is measured.")
    parser.add_argument("--output-dir", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--point", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.point:
        size, length, batch = args.point
        rates = measure(size, int(length), int(batch), args.seconds)
        if os.environ.get("RANK", "0") == "0":
            print(json.dumps(rates))
        return
    settings = [(length, BATCH, PROCESSES) for length in LENGTHS]
    settings += [(LENGTH, batch, PROCESSES) for batch in args.batches]
    settings += [(LENGTH, BATCH, processes) for processes in args.processes]
    todo = [(size, *setting) for size in args.sizes for setting in dict.fromkeys(settings)]
    points = []
    for size, length, batch, processes in tqdm(todo, desc="point"):
        rates = measure_apart(size, length, batch, processes, args.seconds)
        points.append({"size": size, "length": length, "batch": batch, "processes": processes} | rates)

    machine, date = describe_machine(), datetime.now(timezone.utc).date().isoformat()
    versions = describe_versions(["torch", "transformers", "accelerate"])
    page = {"unit": "barcodes/s", "machine": machine, "date": date, "versions": versions, "points": points}
    with written_atomically(args.output_dir) as scratch:
        (scratch / "growth.json").write_text(json.dumps(page, indent=2) + "\n")
        draw(points, f"{machine}, {date}").savefig(scratch / "growth.png", dpi=150)
    print(f"{'size':<8}{'nucleotides':>12}{'batch':>8}{'processes':>11}{'training':>12}{'embedding':>12}")
    for size, length, batch, processes, training, embedding in (point.values() for point in points):
        print(f"{size:<8}{length:>12}{batch:>8}{processes:>11}{training:12.1f}{embedding:12.1f}")


if __name__ == "__main__":
    main()
