"""How a model's vectors spread, layer by layer, and what that does to nearest neighbours.

`python benchmarks/spread.py --models runs/claim/mae runs/claim/mlm --data coi_arthropods.parquet`

Cosine weights all directions equally. Where nearly all variance of the mean-pooled vectors lies along a few
directions, these alone determine the neighbours. So the accuracy of the vectors is printed beside that of whitened
ones, in which each direction of `train` has equal weight: what whitening gains was in the vectors, but had no
influence. Participation ratio: (sum of variances)^2 / sum of their squares, over principal directions: about how many
of them carry the variance. No label is used for whitening. Measured on `val_unseen`, with a sample of the references.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from tqdm import tqdm

from barcodemae.cli.arguments import parse_arguments
from barcodemae.cli.command import run_command
from barcodemae.embedding import BarcodeEmbedder, batches_by_length
from barcodemae.embedding.nearest import nearest_by_cosine
from barcodemae.evaluation.benchmark import answerable, build_benchmark, labels, read_usable_records
from barcodemae.evaluation.report.content import Table, as_markdown
from barcodemae.provenance import describe_machine, without_folder
from modeling_barcodemae.tokens_barcodemae import masked_mean
from tokenization_barcodemae import encode_barcodes, place_barcodes

_BATCH = 128

# Directions with less than this share of the largest deviation are noise of the arithmetic.
_FLOOR = 1e-3


@dataclass
class SpreadArguments:
    """What to look at."""

    models: list[str] = field(metadata={"help": "Checkpoints of BarcodeMAE."})
    data: str = field(metadata={"help": "Barcodes with splits."})
    query_split: str = field(default="val_unseen", metadata={"help": "Split of unseen species."})
    references: int = field(default=9_000, metadata={"help": "Rows of train, drawn by seed 0."})
    output: str | None = field(default=None, metadata={"help": "A .json file for the numbers."})


def pooled_layers(embedder: BarcodeEmbedder, barcodes: list[str]) -> list[np.ndarray]:
    """Mean over the tokens of each hidden state, embeddings first: float32 `[n, hidden]` each."""
    placed = place_barcodes(barcodes, embedder.frame, embedder.encoder.k)
    encoding = encode_barcodes(embedder.encoder, placed, embedder.model.config.max_position_embeddings)
    num_layers = embedder.model.config.num_hidden_layers + 1
    layers = [np.zeros((len(barcodes), embedder.dimension), np.float32) for _ in range(num_layers)]
    for rows, batch in tqdm(batches_by_length(encoding, _BATCH), leave=False):
        with torch.inference_mode():
            states = embedder.model(**batch, output_hidden_states=True).hidden_states
        for layer, state in zip(layers, states, strict=True):
            layer[rows] = masked_mean(state.float(), batch.get("attention_mask")).numpy()
    return layers


def whitened(references: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both, so that each principal direction of the references has the same deviation."""
    mean = references.mean(axis=0)
    _, deviations, directions = np.linalg.svd(references - mean, full_matrices=False)
    scale = directions.T / (deviations + _FLOOR * deviations[0])
    return (references - mean) @ scale, (queries - mean) @ scale


def participation(vectors: np.ndarray) -> float:
    """Participation ratio of the variances along principal directions, 1 to the number of dimensions."""
    variances = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False) ** 2
    return float(variances.sum() ** 2 / (variances**2).sum())


def main() -> None:
    (args,) = parse_arguments((SpreadArguments,))
    benchmark = build_benchmark(read_usable_records(args.data, "skip"), args.query_split)
    rows = np.random.default_rng(0).permutation(len(benchmark.train))[: args.references]
    train = benchmark.train.take(pa.array(np.sort(rows)))
    genera, expected = labels(train, "genus"), labels(benchmark.unseen, "genus")
    is_answerable = answerable(expected, genera)

    def accuracy(references: np.ndarray, queries: np.ndarray) -> float:
        assigned = genera[nearest_by_cosine(references, queries).rows[:, 0]]
        return float(np.mean((assigned == expected)[is_answerable]))

    found = []
    for name in args.models:
        trained = BarcodeEmbedder.from_pretrained(name, dtype=torch.float32)
        for shown, embedder in (("", trained), (", untrained", BarcodeEmbedder.untrained_like(trained))):
            train_layers, query_layers = (
                pooled_layers(embedder, records["nucleotides"].to_pylist()) for records in (train, benchmark.unseen)
            )
            for layer, (references, queries) in enumerate(zip(train_layers, query_layers, strict=True)):
                found.append(
                    {
                        "model": without_folder(name) + shown,
                        "layer": layer,
                        "genus_accuracy": accuracy(references, queries),
                        "genus_accuracy_whitened": accuracy(*whitened(references, queries)),
                        "participation_ratio": participation(references),
                    }
                )
    cells = [
        [
            f"{one['model']}, layer {one['layer']}",
            f"{100 * one['genus_accuracy']:.1f}",
            f"{100 * one['genus_accuracy_whitened']:.1f}",
            f"{one['participation_ratio']:.1f}",
        ]
        for one in found
    ]
    print(as_markdown(Table(["", "genus, unseen", "whitened", "participation ratio"], cells)))
    print(f"\n{is_answerable.sum():,} queries of {args.query_split}, {len(train):,} references; {describe_machine()}")
    if args.output is not None:
        Path(args.output).write_text(json.dumps({"machine": describe_machine(), "layers": found}, indent=2) + "\n")


if __name__ == "__main__":
    run_command(main)
