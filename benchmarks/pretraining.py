"""Our pretraining step against the published one: speed, memory, share of the matrix rate, and the same loss.

`python benchmarks/pretraining.py --reference DIR`, where DIR is a checkout of github.com/bioscan-ml/BarcodeMAE, of
which only `barcodebert/maelm_model.py` is used. Encoder and decoder have 6 layers, 6 heads and width 768 (the paper's;
or `--size`), k = 6, barcodes of 658 nucleotides from the bundled sample, half of the k-mers masked.

Three kinds of step, each at several batch sizes (`gpu_pretraining.py` also measures that of the pooled decoder):

- published: fp32, dropout 0.1, all logits, both of its cross-entropies (the second has weight 0), AdamW as it comes,
  and the accuracy that its loop computes;
- ours, alike: the same precision, dropout and batch; what our loop does on the device, metrics and clipping included;
- ours, as shipped: the published decoder with dropout and batch size of `configs/base.yaml`, in the precision that the
  device is measured to be faster in.

Each measurement is a process of its own; they take turns, and the best round of each counts. FLOPs are those of matrix
products, attention's among them, forward and backward, as `torch.utils.flop_counter` counts them on the very step; an
addition and a multiplication are two. The matrix rate is that of the best square product in the same precision. Memory
per sequence is what the peak grows by from the smallest batch to the largest. The input pipeline is timed on one core.
On a CPU, memory is read from /proc: Linux alone.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm
from transformers import BertConfig

from barcodemae.data import sample_path
from barcodemae.training.arguments import DataArguments, LoopArguments
from barcodemae.training.dataset import load_training_data
from barcodemae.training.loop import build_optimizer
from barcodemae.training.objectives import MaskedReconstruction
from barcodemae.training.precision import choose_attention, fastest_dtype
from barcodemae.training.steps import epoch_steps
from modeling_barcodemae import SIZES, BarcodeMAEConfig, BarcodeMAEForPreTraining
from modeling_barcodemae.masking_barcodemae import count_kept
from tokenization_barcodemae import KmerEncoder, ReferenceFrame

K, NUM_TOKENS, MASK_RATIO = 6, 109, 0.5
RECIPE = yaml.safe_load((Path(__file__).parent.parent / "configs" / "base.yaml").read_text())
PUBLISHED_BATCH, PUBLISHED_DROPOUT = 16, 0.1
WARMUP_STEPS = 3
PARITY_STEPS, PARITY_BATCH, PARITY_RATE = 20, 4, 1e-4
INPUT_BARCODES = 20_000

PUBLISHED, ALIKE, SHIPPED = "published", "ours, alike", "ours, as shipped"
POOLED = "ours, pooled decoder"  # as shipped, with the decoder of the pooled vector instead of the published one

Step = tuple[Callable[[], Tensor], Callable[[], None]]


@dataclass(frozen=True)
class Row:
    kind: str
    precision: str
    batch: int

    def __str__(self) -> str:
        return f"{self.kind} ({self.precision}, batch {self.batch})"


def barcodes(batch_size: int) -> Tensor:
    """`[batch, 109]` token ids of real barcodes of full length and without unknown bases, repeated where need be."""
    sequences = pq.read_table(sample_path())["nucleotides"].to_pylist()
    complete = [text for text in sequences if len(text) >= NUM_TOKENS * K and set(text) <= set("ACGT")]
    encoded = KmerEncoder(K)(complete[:batch_size], max_length=NUM_TOKENS)["input_ids"]
    return torch.from_numpy(np.resize(encoded, (batch_size, NUM_TOKENS)))


def published_model(reference: Path, size: str = "base") -> nn.Module:
    spec = importlib.util.spec_from_file_location("published", reference / "barcodebert" / "maelm_model.py")
    if spec is None or spec.loader is None or not Path(str(spec.origin)).exists():
        raise SystemExit(f"{reference}: expected a checkout with barcodebert/maelm_model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    settings = {"vocab_size": 4**K + 2, "num_labels": 4**K, **SIZES[size]}
    encoder = BertConfig(**settings, output_hidden_states=True)  # as shipped: what makes it project to the decoder
    return module.MAELMModel(encoder, BertConfig(**settings))


def published_loss(model: nn.Module, ids: Tensor, noise: Tensor) -> Tensor:
    masked = noise >= 1 - MASK_RATIO
    logits = model(ids.masked_fill(masked, 0), torch.ones_like(ids, dtype=torch.int32), masked).logits
    targets = ids - 2
    seen = functional.cross_entropy(logits[~masked], targets[~masked])
    loss = functional.cross_entropy(logits[masked], targets[masked]) + 0.0 * seen
    with torch.no_grad():
        is_right = logits.argmax(-1) == targets
        _ = [is_right[chosen].float().mean().item() for chosen in (masked, ~masked, masked | ~masked)]
    return loss


def our_model(kind: str, size: str = "base", mask_by_chance: bool = False) -> BarcodeMAEForPreTraining:
    dropout = PUBLISHED_DROPOUT if kind == ALIKE else RECIPE["dropout"]
    settings = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout, "mask_ratio": MASK_RATIO}
    if kind == POOLED:
        settings |= {"token_decoder_weight": 0.0, "pooled_decoder_weight": 1.0}
    config = BarcodeMAEConfig(**SIZES[size], **settings, k=K, mask_by_chance=mask_by_chance)
    return BarcodeMAEForPreTraining(config)


def our_sums(model: nn.Module, ids: Tensor, noise: Tensor) -> dict[str, Tensor]:
    positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "position_ids": positions, "noise": noise}
    return MaskedReconstruction(0, MASK_RATIO).sums(model, {**batch, "num_kept": count_kept(ids.shape[1], MASK_RATIO)})


def published_step(reference: Path, size: str, batch: int, device: torch.device) -> Step:
    """Forward, and forward, backward and update."""
    model = published_model(reference, size).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4 * batch / 64, weight_decay=1e-5)
    ids = barcodes(batch).to(device)

    def forward() -> Tensor:
        return published_loss(model, ids, torch.rand(ids.shape, device=device))

    def step() -> None:
        loss = forward()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return forward, step


def our_step(kind: str, size: str, is_bf16: bool, batch: int, device: torch.device, compiled: bool) -> Step:
    """The same, with what our loop does to the gradients."""
    model = our_model(kind, size).to(device).train()
    model.set_attn_implementation(choose_attention(device.type, "bf16" if is_bf16 else "no"))
    if compiled:
        model.compile(dynamic=True)
    optimizer, schedule = build_optimizer(model, LoopArguments(), batch, num_steps=10**6)
    ids = barcodes(batch).to(device)

    def sums() -> dict[str, Tensor]:
        with torch.autocast(device.type, torch.bfloat16, enabled=is_bf16):
            return our_sums(model, ids, torch.rand(ids.shape, device=device))

    def step() -> None:
        found = sums()
        found["loss"].backward()
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        norm, count = torch.stack([nn.utils.get_total_norm(gradients), found["count"].float()]).tolist()
        torch._foreach_mul_(gradients, min(1.0, count / (norm + 1e-6)) / count)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()

    return lambda: sums()["loss"], step


def measure(row: Row, args: argparse.Namespace) -> dict[str, float]:
    """Barcodes per second, FLOPs per barcode, peak memory and matrix rate, in this process."""
    torch.manual_seed(0)
    device = torch.device(args.device)
    is_bf16 = row.precision == "bf16"
    if row.kind == PUBLISHED:
        forward, step = published_step(args.reference, args.size, row.batch, device)
    else:
        forward, step = our_step(
            row.kind, args.size, is_bf16, row.batch, device, args.compile and row.kind in (SHIPPED, POOLED)
        )
    step()
    begin = time.perf_counter()
    for _ in range(WARMUP_STEPS):
        step()
    synchronize(device)
    steps = max(1, round(args.seconds * WARMUP_STEPS / (time.perf_counter() - begin)))
    begin = time.perf_counter()
    for _ in range(steps):
        step()
    synchronize(device)
    rate = steps * row.batch / (time.perf_counter() - begin)
    peak = peak_bytes(device)
    # Not every kernel of attention is known to the counter; plain products are.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        forward().backward()
    return {
        "rate": rate,
        "flops": counter.get_total_flops() / row.batch,
        "peak": peak,
        "matrix_rate": matrix_rate(device, torch.bfloat16 if is_bf16 else torch.float32),
    }


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    # Not getrusage, whose peak a process inherits from the one that started it.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@torch.inference_mode()
def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOPs per second of the best of some square products."""
    best = 0.0
    for width in (1024, 2048, 4096, 8192) if device.type == "cuda" else (768, 1024, 2048):
        matrix = torch.randn(width, width, device=device, dtype=dtype)
        torch.mm(matrix, matrix)
        for _ in range(5):
            synchronize(device)
            begin = time.perf_counter()
            torch.mm(matrix, matrix)
            synchronize(device)
            best = max(best, 2 * width**3 / (time.perf_counter() - begin))
    return best


def input_rate() -> float:
    """Barcodes per second of one core, from the records to the arrays of a step, in the order of training."""
    data, _ = load_training_data(DataArguments(), ReferenceFrame.coi(), KmerEncoder(K), seed=0)
    size = RECIPE["batch_size"]
    steps = list(epoch_steps(data.num_tokens, size, seed=0, epoch=0))[: INPUT_BARCODES // size]
    objective = MaskedReconstruction(0, MASK_RATIO)
    begin = time.process_time()
    for records in steps:
        data.arrays(records, 0, objective)
    return sum(map(len, steps)) / (time.process_time() - begin)


def parity(reference: Path, size: str) -> float:
    """Largest difference of the losses over some steps from equal weights, with equal masks, fp32, no dropout."""
    torch.manual_seed(0)
    theirs, ours = published_model(reference, size).eval(), our_model(SHIPPED, size, mask_by_chance=True).eval()
    ours.load_state_dict(renamed(theirs.state_dict(), ours.state_dict()))
    optimizers = [torch.optim.AdamW(model.parameters(), PARITY_RATE) for model in (theirs, ours)]
    ids, worst = barcodes(PARITY_BATCH), 0.0
    for _ in range(PARITY_STEPS):
        noise = torch.rand(ids.shape)
        sums = our_sums(ours, ids, noise)
        losses = [published_loss(theirs, ids, noise), sums["loss"] / sums["count"]]
        worst = max(worst, float((losses[0] - losses[1]).detach().abs()))
        for value, optimizer in zip(losses, optimizers, strict=True):
            value.backward()
            optimizer.step()
            optimizer.zero_grad()
    return worst


def renamed(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published weights under our names: we have no pooler, one more token, and a decoder vocabulary of one."""
    names = {"encoder.": "bert.", "decoder.classifier.": "decoder.head.", "projection_layer.": "decoder.projection."}
    state = {}
    for name, value in theirs.items():
        old = next((prefix for prefix in names if name.startswith(prefix)), None)
        ours_name = name if old is None else names[old] + name.removeprefix(old)
        if ours_name in ours:
            state[ours_name] = value.clone()
    encoder, decoder = (f"{prefix}embeddings.word_embeddings.weight" for prefix in ("bert.", "decoder.bert."))
    return state | {encoder: functional.pad(state[encoder], (0, 0, 0, 1)), decoder: state[decoder][:1]}


def measure_apart(row: Row, args: argparse.Namespace) -> dict[str, float]:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, "--row", row.kind, row.precision, str(row.batch)]
    command += ["--device", args.device, "--seconds", str(args.seconds), "--size", args.size]
    command += ["--reference", str(args.reference)] if args.reference else []
    command += ["--compile"] if args.compile else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{row}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=15, help="How long each row is measured in each round.")
    parser.add_argument("--size", choices=SIZES, default="base", help="Of encoder and decoder; base is the paper's.")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="Compile our model, as shipped.")
    parser.add_argument("--batches", type=int, nargs="+", help="Batch sizes to try; 16, the published one, is added.")
    parser.add_argument("--row", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    on_gpu = args.device.startswith("cuda")
    args.batches = sorted({PUBLISHED_BATCH, *(args.batches or ([64, 256, 512] if on_gpu else [32]))})
    if len(args.batches) == 1:
        parser.error("--batches: expected one other than 16")
    return args


def main() -> None:
    args = parse()
    if args.row:
        print(json.dumps(measure(Row(args.row[0], args.row[1], int(args.row[2])), args)))
        return
    fastest = "bf16" if fastest_dtype(args.device) == torch.bfloat16 else "fp32"
    rows = [Row(ALIKE, "fp32", batch) for batch in args.batches] + [Row(SHIPPED, fastest, b) for b in args.batches]
    if args.reference is not None:
        print(f"largest difference of the loss over {PARITY_STEPS} steps: {parity(args.reference, args.size):.1e}")
        rows = [Row(PUBLISHED, "fp32", batch) for batch in args.batches] + rows  # in bf16 it stops
    found: dict[Row, dict[str, Any]] = {}
    for row in tqdm(rows * args.rounds, desc="measurement"):
        result = measure_apart(row, args)
        if row not in found or result["rate"] > found[row]["rate"]:
            found[row] = result
    show(found, args.batches, input_rate())


def show(found: Mapping[Row, Mapping[str, float]], batches: list[int], input_barcodes: float) -> None:
    matrix_rates = {
        precision: max(result["matrix_rate"] for row, result in found.items() if row.precision == precision)
        for precision in {row.precision for row in found}
    }
    for precision, rate in matrix_rates.items():
        print(f"matrix products in {precision}: {rate / 1e9:,.0f} GFLOP/s")
    print(f"{'step':<40}{'barcodes/s':>12}{'GFLOP each':>12}{'of matrix rate':>16}{'peak MiB':>10}")
    for row, result in found.items():
        share = result["rate"] * result["flops"] / matrix_rates[row.precision]
        gigaflops, mebibytes = result["flops"] / 1e9, result["peak"] / 2**20
        print(f"{row!s:<40}{result['rate']:12.1f}{gigaflops:12.2f}{share:16.0%}{mebibytes:10,.0f}")
    rates = {row: result["rate"] for row, result in found.items()}
    as_shipped = next(r for r in rates if r.kind == SHIPPED and r.batch == min(RECIPE["batch_size"], max(batches)))
    published = [row for row in rates if row.kind == PUBLISHED]
    if published:
        first, best = published[0], max(published, key=rates.__getitem__)
        headline = {
            "published as shipped": first,
            "published at its best batch": best,
            "ours in the same precision and batch": Row(ALIKE, first.precision, first.batch),
            "ours as shipped": as_shipped,
        }
        print("\nbarcodes/s, in multiples of the published step as shipped:")
        for name, row in headline.items():
            print(f"{name:<40}{rates[row] / rates[first]:12.2f}  {row}")
    each = {kind: memory_per_sequence(found, kind) for kind in dict.fromkeys(row.kind for row in found)}
    for kind, size in each.items():
        print(f"memory per added sequence, {kind}: {size / 2**20:.1f} MiB")
    ratio = input_barcodes / max(rates.values())
    print(f"input pipeline, one core: {input_barcodes:,.0f} barcodes/s, {ratio:.1f} times the fastest step")


def memory_per_sequence(found: Mapping[Row, Mapping[str, float]], kind: str) -> float:
    """Bytes that the peak grows by with each sequence, from the smallest batch to the largest."""
    peaks = {row.batch: result["peak"] for row, result in found.items() if row.kind == kind}
    few, many = min(peaks), max(peaks)
    return (peaks[many] - peaks[few]) / (many - few)


if __name__ == "__main__":
    main()
