"""What each ingredient of pretraining gives: small runs that differ from one recipe in one option, compared in pairs.

`python benchmarks/ingredients.py --data coi_arthropods.parquet --queries coi_large.parquet` trains what is not yet
trained (a run that was stopped goes on) and evaluates all runs by the nearest neighbour of unseen species, by the
cosine of their pooled vectors, without a head. The recipe is that of the decoder of the pooled vector in
`configs/claim.yaml`, on the reference frame, half a pass long. It is run with two seeds, whose difference shows what
chance alone gives. Intervals are resampled by species.

The queries should be of `val_unseen`, and of many species: with the 132 of `coi_arthropods.parquet`, intervals are too
wide.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from claim import ROOT, train, training_figures
from pooled_decoder import NearestGenus, scores

from barcodemae.cli.arguments import parse_arguments
from barcodemae.cli.command import run_command
from barcodemae.embedding import BarcodeEmbedder
from barcodemae.evaluation.benchmark import Benchmark, build_benchmark, labels, read_usable_records
from barcodemae.evaluation.report.content import Table, as_markdown
from barcodemae.provenance import describe_data, describe_machine, describe_versions
from barcodemae.training.tuning.tune import draw_per_species

_RECIPE = {
    "token_decoder_weight": "0",
    "pooled_decoder_weight": "1",
    "unaligned_share": "0",
    "epochs": "0.5",
}
RECIPE = "recipe"

# Options of `barcodemae train` in which each run differs from the recipe.
RUNS: dict[str, dict[str, str]] = {
    RECIPE: {},
    "seed 1": {"seed": "1"},
    "mask ratio 0.75": {"mask_ratio": "0.75"},
    "k 4": {"k": "4"},
    "cut share 0.25": {"cut_share": "0.25"},
    "prefixes of 32 and 64": {"matryoshka": "32 64"},
}


@dataclass
class IngredientsArguments:
    """What to train on, what to judge by, and where the runs go."""

    data: str = field(metadata={"help": "Barcodes with splits to train on."})
    queries: str = field(metadata={"help": "Barcodes with splits: references (train) and queries."})
    query_split: str = field(default="val_unseen", metadata={"help": "Split of unseen species."})
    references_per_species: int = field(default=1, metadata={"help": "References drawn of each species."})
    cut: int = field(default=200, metadata={"help": "Length of the cut queries, in nucleotides."})
    runs: str = field(default="runs/ingredients", metadata={"help": "A folder for each run is made in it."})
    steps: list[str] = field(
        default_factory=lambda: ["train", "evaluate"], metadata={"help": "Any of train, evaluate."}
    )
    output: str = field(
        default=str(ROOT / "benchmarks/results/ingredients.json"), metadata={"help": "File for the figures."}
    )


def run_folder(runs: Path, name: str) -> Path:
    return runs / name.replace(" ", "_")


def with_references_drawn(benchmark: Benchmark, max_per_species: int) -> Benchmark:
    """The benchmark with some references of each species."""
    references = benchmark.train
    rows = draw_per_species(np.arange(len(references)), labels(references, "species"), max_per_species)
    return replace(benchmark, train=references.take(pa.array(rows)))


def evaluate(args: IngredientsArguments) -> dict[str, Any]:
    """The figures of all runs, and their differences from the recipe."""
    runs = Path(args.runs)
    benchmark = build_benchmark(read_usable_records(args.queries, "skip"), args.query_split)
    task = NearestGenus(with_references_drawn(benchmark, args.references_per_species))
    cuts = task.cut(args.cut)
    correct: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name in RUNS:
        embedder = BarcodeEmbedder.from_pretrained(run_folder(runs, name))
        references = embedder.encode(task.references)
        correct[name] = (
            task.correct(references, embedder.encode(task.queries)),
            task.correct(references, embedder.encode(cuts)),
        )
        print(f"{name}: {100 * correct[name][0].mean():.2f} %", flush=True)
    found = {}
    for name, (complete, cut) in correct.items():
        seconds = training_figures(run_folder(runs, name))["seconds"]
        found[name] = {"genus": scores(complete, task.species), "cut": scores(cut, task.species), "seconds": seconds}
        if name != RECIPE:
            found[name]["less"] = {
                "genus": scores(complete - correct[RECIPE][0], task.species),
                "cut": scores(cut - correct[RECIPE][1], task.species),
            }
    return {
        "query_split": args.query_split,
        "n_queries": len(task.queries),
        "n_species": len(np.unique(task.species)),
        "n_references": len(task.references),
        "cut": args.cut,
        "data": describe_data([args.data, args.queries]),
        "runs": found,
        "machine": describe_machine(),
        "versions": describe_versions(("barcodemae", "torch", "numpy")),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def table(found: Mapping[str, Any]) -> Table:
    """A line for each run: its accuracies, and the differences with their intervals."""
    titles = ["", "genus, unseen", "difference (95 %)", f"cuts of {found['cut']}", "difference (95 %)", "minutes"]
    rows = []
    for name, run in found["runs"].items():
        cells = []
        for kind in ("genus", "cut"):
            less = run.get("less", {}).get(kind)
            difference = "" if less is None else "{:+.1f} ({:+.1f} to {:+.1f})".format(less["genus"], *less["interval"])
            cells += [f"{run[kind]['genus']:.1f}", difference]
        rows.append([name, *cells, f"{run['seconds'] / 60:.1f}"])
    return Table(titles, rows)


def main() -> None:
    (args,) = parse_arguments((IngredientsArguments,))
    if "train" in args.steps:
        for name in RUNS:
            train(args.data, run_folder(Path(args.runs), name), _RECIPE | RUNS[name])
    if "evaluate" in args.steps:
        found = evaluate(args)
        Path(args.output).write_text(json.dumps(found, indent=2) + "\n")
        print(as_markdown(table(found)))


if __name__ == "__main__":
    run_command(main)
