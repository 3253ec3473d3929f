"""The effect of pretraining alone: nearest neighbours of unseen species by a model's own vectors, without a head.

`python benchmarks/pooled_decoder.py --models runs/a runs/b --data coi_arthropods.parquet --output RESULTS.json`

Each model is compared with the same network untrained, and with the frame SVD of the same width. Vectors are also
centred and whitened by `train`, which uses no label. References: all of `train` that have a genus. Queries: those of
the split of unseen species whose genus has references. Differences are paired, and their intervals resampled by
species. Cuts: the queries, cut to that many nucleotides at a random position (seed 0); references are not cut.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from spread import whitened

from barcodemae.checkpoints.files import weights_sha256
from barcodemae.cli.arguments import parse_arguments
from barcodemae.cli.command import run_command
from barcodemae.embedding import BarcodeEmbedder
from barcodemae.embedding.nearest import nearest_by_cosine
from barcodemae.evaluation.baselines.linear_maps import FrameSVD
from barcodemae.evaluation.benchmark import (
    Benchmark,
    answerable,
    build_benchmark,
    labels,
    read_usable_records,
    species_of_rows,
)
from barcodemae.evaluation.report.content import Table, as_markdown
from barcodemae.evaluation.scores import species_bootstrap
from barcodemae.provenance import describe_data, describe_machine, describe_versions, without_folder
from tokenization_barcodemae import ReferenceFrame


@dataclass
class PooledDecoderArguments:
    """What to measure."""

    models: list[str] = field(metadata={"help": "Checkpoints of BarcodeMAE."})
    data: str = field(metadata={"help": "Barcodes with splits."})
    query_split: str = field(default="val_unseen", metadata={"help": "Split of unseen species."})
    cuts: list[int] = field(default_factory=list, metadata={"help": "Lengths to cut the queries to, in nucleotides."})
    output: str | None = field(default=None, metadata={"help": "A .json file for the numbers."})


class NearestGenus:
    """The genus of each query that has references, by the nearest one."""

    def __init__(self, benchmark: Benchmark):
        genera, expected = labels(benchmark.train, "genus"), labels(benchmark.unseen, "genus")
        is_answerable = answerable(expected, genera)
        self.genera, self.expected = genera, expected[is_answerable]
        self.references = benchmark.train["nucleotides"].to_pylist()
        sequences = benchmark.unseen["nucleotides"].to_pylist()
        self.queries = [sequences[row] for row in np.flatnonzero(is_answerable)]
        self.species = species_of_rows(benchmark.unseen)[is_answerable]

    def correct(self, references: np.ndarray, queries: np.ndarray) -> np.ndarray:
        """Whether the nearest reference of each query has its genus, 0 or 1."""
        return (self.genera[nearest_by_cosine(references, queries).rows[:, 0]] == self.expected).astype(float)

    def cut(self, length: int) -> list[str]:
        return cut_at_random(self.queries, length)


def cut_at_random(texts: list[str], length: int) -> list[str]:
    """A segment of each, at a random position; the same ones at each call."""
    shares = np.random.default_rng(0).random(len(texts))
    begins = [int(share * max(len(text) - length + 1, 1)) for share, text in zip(shares, texts, strict=True)]
    return [text[begin : begin + length] for text, begin in zip(texts, begins, strict=True)]


def scores(correct: np.ndarray, species: np.ndarray) -> dict[str, Any]:
    low, high = species_bootstrap(correct, species).plain
    return {"genus": 100 * correct.mean(), "interval": [100 * low, 100 * high]}


def main() -> None:
    (args,) = parse_arguments((PooledDecoderArguments,))
    task = NearestGenus(build_benchmark(read_usable_records(args.data, "skip"), args.query_split))
    correct: dict[str, np.ndarray] = {}
    baselines: dict[str, dict[str, str]] = {}
    for path in args.models:
        name = without_folder(path)
        trained = BarcodeEmbedder.from_pretrained(path)
        for title, embedder in ((name, trained), (f"{name}, untrained", BarcodeEmbedder.untrained_like(trained))):
            references, queries = (embedder.encode(some) for some in (task.references, task.queries))
            correct[title] = task.correct(references, queries)
            correct[f"{title}, centred"] = task.correct(
                references - references.mean(axis=0), queries - references.mean(axis=0)
            )
            correct[f"{title}, whitened"] = task.correct(*whitened(references, queries))
            for length in args.cuts:
                correct[f"{title}, queries of {length}"] = task.correct(references, embedder.encode(task.cut(length)))
        width = trained.dimension
        linear = f"frame SVD {width}"
        baselines[name] = {"untrained": f"{name}, untrained", "frame SVD": linear}
        if linear not in correct:
            svd = FrameSVD(trained.frame or ReferenceFrame.coi(), width)
            svd.fit(task.references, task.genera)
            references = svd.embed(task.references)
            correct[linear] = task.correct(references, svd.embed(task.queries))
            for length in args.cuts:
                correct[f"{linear}, queries of {length}"] = task.correct(references, svd.embed(task.cut(length)))
    rows = {name: scores(one, task.species) for name, one in correct.items()}
    differences = {
        f"{name} less {kind}": scores(correct[name] - correct[other], task.species)
        for name, others in baselines.items()
        for kind, other in others.items()
    }
    described = {
        "query_split": args.query_split,
        "n_queries": len(task.queries),
        "n_keys": len(task.references),
        "models": {without_folder(path): weights_sha256(path) for path in args.models},
        "data": describe_data([args.data]),
        "genus_accuracy": rows,
        "paired_differences": differences,
        "machine": describe_machine(),
        "versions": describe_versions(("barcodemae", "torch", "numpy")),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    for title, some in (("genus, unseen", rows), ("points", differences)):
        cells = [
            [name, f"{one['genus']:.1f}", "{:.1f} to {:.1f}".format(*one["interval"])] for name, one in some.items()
        ]
        print(as_markdown(Table(["", title, "95 %, by species"], cells)), end="\n\n")
    print(f"{len(task.queries):,} queries of {args.query_split}, {len(task.references):,} references")
    if args.output is not None:
        Path(args.output).write_text(json.dumps(described, indent=2) + "\n")


if __name__ == "__main__":
    run_command(main)
