"""What precision and runtime cost and change: barcodes a second, and nearest neighbours other than in float32.

`python benchmarks/embedding_precision.py`, for a tuned model (`nano_coi`) and for the same encoder without its head.
Ways take turns on one core, and the best turn of each counts: a busy machine slows all of them. Ratios are to PyTorch
in float32. Queries are the sample's splits `test` and `test_unseen`, references its `train` and the first of its
`pretrain`.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from barcodemae import BarcodeEmbedder
from barcodemae.checkpoints.loading import load_checkpoint, save_checkpoint
from barcodemae.data import sample_path
from barcodemae.embedding.nearest import nearest_by_cosine
from barcodemae.hub.onnx import export_onnx
from barcodemae.provenance import describe_machine
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEModel
from tokenization_barcodemae import place_barcodes

BATCH = 32
TIMED = 256


def without_head(name: str, folder: Path) -> Path:
    """The encoder of a tuned checkpoint alone, as it was before it was tuned."""
    tuned = load_checkpoint(name)
    untuned = {"embedding_size": 0, "frame_slots": 0, "encoder_stride": 1, "completion_weight": 0.0}
    settings = tuned.model.config.to_dict() | untuned
    model = BarcodeMAEModel(BarcodeMAEConfig.from_dict(settings))
    weights = tuned.model.state_dict()
    model.load_state_dict({key: value for key, value in weights.items() if not key.startswith("projection_head.")})
    save_checkpoint(folder, model, tuned.frame)
    return folder


def onnx_way(checkpoint: str | Path, file: Path) -> Callable[[list[str]], None]:
    """Barcodes on the frame by slot, in batches, on one core."""
    loaded = load_checkpoint(checkpoint)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def embed(barcodes: list[str]) -> None:
        placed = place_barcodes(barcodes, loaded.frame, loaded.encoder.k)
        encoding = loaded.encoder(placed.nucleotides, starts=placed.starts, max_length=placed.num_slots)
        for begin in range(0, len(barcodes), BATCH):
            rows = slice(begin, begin + BATCH)
            session.run(["pooler_output"], {name: encoding[name][rows] for name in ("input_ids", "attention_mask")})

    return embed


def seconds_of(ways: dict[str, Callable[[list[str]], object]], barcodes: list[str], turns: int) -> dict[str, float]:
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(turns):
        for name, embed in ways.items():
            began = time.perf_counter()
            embed(barcodes)
            best[name] = min(best[name], time.perf_counter() - began)
    return best


def changed_neighbours(exact: BarcodeEmbedder, other: BarcodeEmbedder, queries: list[str], keys: list[str]) -> float:
    """Share of queries whose nearest reference by `other` is farther, by `exact`, than the nearest by `exact`."""
    of_queries, of_keys = (exact.encode(barcodes, normalize_embeddings=True) for barcodes in (queries, keys))
    cosines = nearest_by_cosine(of_keys, of_queries).similarities[:, 0]
    chosen = nearest_by_cosine(*(other.encode(barcodes) for barcodes in (keys, queries))).rows[:, 0]
    return float(((of_queries * of_keys[chosen]).sum(1) < cosines - 1e-6).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano_coi", help="a tuned checkpoint")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--references", type=int, default=6000)
    args = parser.parse_args()
    torch.set_num_threads(1)

    records = pq.read_table(sample_path(), columns=["nucleotides", "split"])
    of_split = {
        one: records.filter(pc.equal(records["split"], one))["nucleotides"].to_pylist()
        for one in ("train", "pretrain", "test", "test_unseen")
    }
    queries = of_split["test"] + of_split["test_unseen"]
    keys = (of_split["train"] + of_split["pretrain"])[: args.references]
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        models = {"tuned": args.model, "encoder alone": without_head(args.model, Path(scratch, "encoder"))}
        for kind, model in models.items():
            folder = Path(scratch, "onnx", kind)
            export_onnx(model, folder)
            fp32 = BarcodeEmbedder.from_pretrained(model, device="cpu")
            bf16 = BarcodeEmbedder.from_pretrained(model, device="cpu", dtype=torch.bfloat16)
            ways = {
                "PyTorch, fp32": lambda barcodes, way=fp32: way.encode(barcodes, batch_size=BATCH),
                "PyTorch, bf16": lambda barcodes, way=bf16: way.encode(barcodes, batch_size=BATCH),
                "ONNX, fp32": onnx_way(model, folder / "onnx" / "model.onnx"),
                "ONNX, int8": onnx_way(model, folder / "onnx" / "model_quantized.onnx"),
            }
            seconds = seconds_of(ways, queries[:TIMED], args.turns)
            found[kind] = {
                "barcodes_per_second": {name: round(TIMED / value, 1) for name, value in seconds.items()},
                "ratio": {name: round(seconds["PyTorch, fp32"] / value, 2) for name, value in seconds.items()},
                "neighbours_that_bf16_changes": round(changed_neighbours(fp32, bf16, queries, keys), 4),
            }
    print(
        json.dumps({"machine": describe_machine(), "queries": len(queries), "references": len(keys)} | found, indent=2)
    )


if __name__ == "__main__":
    main()
