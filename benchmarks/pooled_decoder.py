"""What pretraining alone is worth: nearest neighbours of unseen species by a model's own vectors, without a head.

`python benchmarks/pooled_decoder.py --models runs/a runs/b --data coi_arthropods.parquet --output RESULTS.json`

Beside each model stand the same network untrained, and the frame SVD of the same width: both also centred and whitened
by `train`, which uses no label. Keys: all of `train` that have a genus. Queries: those of the split of unseen species
whose genus stands among the keys. Differences are paired, and their intervals drawn by species. Cuts: the queries, cut
to so many nucleotides at a place that is drawn by seed 0; keys stay whole.
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


class Questions:
    """The genus of each query that can be answered, from the nearest key."""

    def __init__(self, benchmark: Benchmark):
        genera, asked = labels(benchmark.train, "genus"), labels(benchmark.unseen, "genus")
        is_answerable = answerable(asked, genera)
        self.genera, self.asked = genera, asked[is_answerable]
        self.keys = benchmark.train["nucleotides"].to_pylist()
        sequences = benchmark.unseen["nucleotides"].to_pylist()
        self.queries = [sequences[row] for row in np.flatnonzero(is_answerable)]
        self.species = species_of_rows(benchmark.unseen)[is_answerable]

    def right(self, keys: np.ndarray, queries: np.ndarray) -> np.ndarray:
        """Which queries the nearest key names rightly, 0 or 1."""
        return (self.genera[nearest_by_cosine(keys, queries).rows[:, 0]] == self.asked).astype(float)

    def cut(self, length: int) -> list[str]:
        places = np.random.default_rng(0).random(len(self.queries))
        begins = [int(place * max(len(one) - length + 1, 1)) for place, one in zip(places, self.queries, strict=True)]
        return [one[begin : begin + length] for one, begin in zip(self.queries, begins, strict=True)]


def scores(right: np.ndarray, species: np.ndarray) -> dict[str, Any]:
    low, high = species_bootstrap(right, species).plain
    return {"genus": 100 * right.mean(), "interval": [100 * low, 100 * high]}


def main() -> None:
    (args,) = parse_arguments((PooledDecoderArguments,))
    questions = Questions(build_benchmark(read_usable_records(args.data, "skip"), args.query_split))
    right: dict[str, np.ndarray] = {}
    of_model: dict[str, dict[str, str]] = {}
    for path in args.models:
        name = without_folder(path)
        trained = BarcodeEmbedder.from_pretrained(path)
        for title, embedder in ((name, trained), (f"{name}, untrained", BarcodeEmbedder.untrained_like(trained))):
            keys, queries = (embedder.encode(some) for some in (questions.keys, questions.queries))
            right[title] = questions.right(keys, queries)
            right[f"{title}, centred"] = questions.right(keys - keys.mean(axis=0), queries - keys.mean(axis=0))
            right[f"{title}, whitened"] = questions.right(*whitened(keys, queries))
            for length in args.cuts:
                right[f"{title}, queries of {length}"] = questions.right(keys, embedder.encode(questions.cut(length)))
        width = trained.dimension
        linear = f"frame SVD {width}"
        of_model[name] = {"untrained": f"{name}, untrained", "frame SVD": linear}
        if linear not in right:
            svd = FrameSVD(trained.frame or ReferenceFrame.coi(), width)
            svd.fit(questions.keys, questions.genera)
            keys = svd.embed(questions.keys)
            right[linear] = questions.right(keys, svd.embed(questions.queries))
            for length in args.cuts:
                right[f"{linear}, queries of {length}"] = questions.right(keys, svd.embed(questions.cut(length)))
    rows = {name: scores(one, questions.species) for name, one in right.items()}
    differences = {
        f"{name} less {kind}": scores(right[name] - right[other], questions.species)
        for name, others in of_model.items()
        for kind, other in others.items()
    }
    described = {
        "query_split": args.query_split,
        "n_queries": len(questions.queries),
        "n_keys": len(questions.keys),
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
    print(f"{len(questions.queries):,} queries of {args.query_split}, {len(questions.keys):,} keys")
    if args.output is not None:
        Path(args.output).write_text(json.dumps(described, indent=2) + "\n")


if __name__ == "__main__":
    run_command(main)
