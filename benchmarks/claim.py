"""The paper's claim, put to the test: the same encoder pretrained in six ways, evaluated on species that none has seen.

`python benchmarks/claim.py --data coi_arthropods.parquet` trains what is not yet trained (a run that was stopped goes
on), evaluates what is not yet evaluated, and prints the table and the comparisons that the claim is made of. All runs
see the same number of the same barcodes and share `configs/claim.yaml`, whose learning rates were chosen for the MAE,
in short trials: the others had none of their own. The options of each run below are all that differs. All
figures of the tables are written to `--summary`; from that file, `--steps print` prints the tables without data.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from barcodemae.checkpoints.files import WEIGHTS_FILE
from barcodemae.cli.arguments import parse_arguments
from barcodemae.cli.command import run_command
from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.assignments import ASSIGNMENTS_FILE
from barcodemae.evaluation.benchmark import labels, species_of_rows
from barcodemae.evaluation.report.content import Table, as_markdown, percent, percent_within
from barcodemae.evaluation.report.schema import load_results
from barcodemae.evaluation.scores import paired_comparison
from barcodemae.training.metrics import METRICS_FILE, barcodes_and_seconds, read_metrics
from barcodemae.training.summary import TRAINING_FILE

ROOT = Path(__file__).parent.parent

OBJECTIVES: dict[str, dict[str, str]] = {
    "mae": {},
    "mlm": {"objective": "mlm"},
    "causal": {"objective": "causal"},
    "pooled": {"token_decoder_weight": "0", "pooled_decoder_weight": "1"},
    "both": {"pooled_decoder_weight": "1"},
    # One pass has no epochs to warm up in, and its batches are too small for the 16 genera of the published ones. Half
    # of each batch is drawn from genera, beside the pass over all records, so that half an epoch has as many barcodes.
    "plus": {
        "pooling": "cls",
        "auxiliary": "cross-entropy",
        "auxiliary_warmup_epochs": "0",
        "taxa_per_batch": "2",
        "epochs": "0.5",
    },
}
SEEDS = (0, 1)


def run_name(objective: str, seed: int) -> str:
    """The name of a run, and of its folder."""
    return f"{objective}_seed_{seed}"


RUNS: dict[str, dict[str, str]] = {
    run_name(objective, seed): options | {"seed": str(seed)}
    for seed in SEEDS
    for objective, options in OBJECTIVES.items()
}

# Pairs of objectives whose accuracies are compared.
COMPARISONS = [
    ("pooled", "mae"),
    ("both", "mae"),
    ("pooled", "both"),
    ("plus", "mae"),
    ("pooled", "plus"),
    ("mae", "mlm"),
    ("mae", "causal"),
]

# Methods beside a run. Each architecture is also evaluated untrained, and linear maps need one run.
_BASELINES = {
    "mae_seed_0": "untrained without_frame frame_svd frame_lda",
    "mlm_seed_0": "without_frame",
    "causal_seed_0": "untrained",
    "pooled_seed_0": "without_frame",
    "plus_seed_0": "untrained",
}
_TASKS = "knn clustering novelty"


@dataclass
class ClaimArguments:
    """What to train on, and where the runs go."""

    data: str | None = field(
        default=None,
        metadata={"help": "Barcodes with splits, as coi_arthropods.parquet; not needed to print."},
    )
    runs: str = field(default="runs/claim", metadata={"help": "A folder for each run is made in it."})
    names: list[str] = field(default_factory=lambda: list(RUNS), metadata={"help": f"Any of {', '.join(RUNS)}."})
    steps: list[str] = field(
        default_factory=lambda: ["train", "evaluate", "print"], metadata={"help": "Any of train, evaluate, print."}
    )
    query_split: str = field(default="test_unseen", metadata={"help": "Split of unseen species."})
    summary: str = field(
        default=str(ROOT / "benchmarks/results/claim.json"), metadata={"help": "File for the figures of the tables."}
    )

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.names) - set(RUNS)):
            raise ConfigurationError(f"--names: expected any of {', '.join(RUNS)}, got {', '.join(unknown)}")
        if self.data is None and self.steps != ["print"]:
            raise ConfigurationError("--data: expected a file of barcodes to train and evaluate on")


def train(data: str, folder: Path, options: Mapping[str, str]) -> None:
    """Train one run by `configs/claim.yaml` and more options, or resume it; nothing where it is finished."""
    if (folder / WEIGHTS_FILE).exists():
        return
    options = {"config": str(ROOT / "configs/claim.yaml"), "data": data, "output_dir": str(folder), **options}
    if (folder / METRICS_FILE).exists():
        options["resume"] = "true"
    call("train.py", options)


def evaluate(name: str, data: str, folder: Path, query_split: str) -> None:
    """Evaluate one run; nothing where that is done."""
    output = folder / "evaluation" / query_split
    if (output / "results.json").exists():
        return
    baselines = _BASELINES.get(name, "none")
    options = {"model": str(folder), "data": data, "output_dir": str(output), "query_split": query_split}
    call("evaluate_embeddings.py", options | {"tasks": _TASKS, "baselines": baselines})


def call(script: str, options: dict[str, str]) -> None:
    """Run a script of this repository with options; its failure is ours."""
    parts = [part for option, value in options.items() for part in (f"--{option}", *value.split(" "))]
    subprocess.run([sys.executable, str(ROOT / script), *parts], check=True)


def summarise(runs: Path, names: list[str], query_split: str) -> dict[str, Any]:
    """What the tables show, from the folders of all runs.

    Returns:
        `runs`: name -> `model` (scores), `baselines` (name -> scores) and `training` (`val_accuracy, barcodes,
        seconds`); and `comparisons`, of the pairs of objectives by the seeds with which both were run.
    """
    found: dict[str, Any] = {}
    for name in names:
        results = load_results(runs / name / "evaluation" / query_split / "results.json")
        found[name] = {
            "model": scores_shown(results),
            "baselines": {baseline: scores_shown(scores) for baseline, scores in results["baselines"].items()},
            "training": training_figures(runs / name),
        }
    comparisons = {}
    for left, right in COMPARISONS:
        seeds = [seed for seed in SEEDS if {run_name(left, seed), run_name(right, seed)} <= set(names)]
        if seeds:
            left_runs, right_runs = ([run_name(objective, seed) for seed in seeds] for objective in (left, right))
            comparison = compare(left_runs, right_runs, runs, query_split)
            comparisons[f"{left} less {right}"] = comparison | {"num_seeds": len(seeds)}
    return {"query_split": query_split, "runs": found, "comparisons": comparisons}


def training_figures(folder: Path) -> dict[str, float]:
    """What the training of a run reached and took: `val_accuracy, barcodes, seconds`."""
    lines = read_metrics(folder)
    origin = json.loads((folder / TRAINING_FILE).read_text())
    barcodes, seconds = barcodes_and_seconds([line for line in lines if "loss" in line], origin["records_per_step"])
    val_accuracy = [line["val_accuracy"] for line in lines if "val_accuracy" in line][-1]
    return {"val_accuracy": val_accuracy, "barcodes": barcodes, "seconds": seconds}


def scores_shown(scores: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of one method that the table shows: title -> share or interval."""
    knn = scores["knn"]
    return {
        "genus, unseen": knn["genus_accuracy"],
        "interval": knn["genus_accuracy_interval"],
        "by species": knn["genus_accuracy_by_species"],
        "species, 1-NN": knn["seen_species"]["species_accuracy"],
        "BIN AMI": scores["clustering"]["bin_ami"],
        "harmonic mean": scores["harmonic_mean"],
        "novelty AUROC": scores["novelty"]["auroc"],
    }


def accuracy_row(shown: str, scores: Mapping[str, Any]) -> list[str]:
    """A line of the table of accuracies: a run, or one of its baselines."""
    genus, *others = (value for title, value in scores.items() if title != "interval")
    return [shown, percent_within(genus, scores["interval"]), *map(percent, others)]


def results_table(runs: Mapping[str, Any]) -> Table:
    """All runs, and below each the methods that were evaluated beside it."""
    rows = []
    for name, run in runs.items():
        rows.append(accuracy_row(f"**{name}**", run["model"]))
        for baseline, scores in run["baselines"].items():
            rows.append(accuracy_row(f"{name}, {baseline.replace('_', ' ')}", scores))
    titles = [title for title in next(iter(runs.values()))["model"] if title != "interval"]
    return Table(["", *titles], rows)


def training_table(runs: Mapping[str, Any]) -> Table:
    """What the training of each run reached and took."""
    rows = []
    for name, run in runs.items():
        training = run["training"]
        minutes = f"{training['seconds'] / 60:.1f}"
        rows.append([name, percent(training["val_accuracy"]), f"{training['barcodes']:,.0f}", minutes])
    return Table(["", "accuracy of its own targets", "barcodes seen", "minutes"], rows)


def comparisons_table(found: dict[str, dict[str, Any]]) -> Table:
    """The differences that the claim is made of, paired by barcode and resampled by species."""
    rows = []
    for title, comparison in found.items():
        low, high = comparison["interval"]
        difference = f"{100 * comparison['difference']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
        rows.append([title, str(comparison["num_seeds"]), difference, f"{comparison['p_value']:.4f}"])
    return Table(["genus, unseen: points", "seeds", "difference (95 %)", "p"], rows)


def compare(left: list[str], right: list[str], runs: Path, query_split: str) -> dict[str, Any]:
    """Two recipes on the same barcodes: for each barcode, the share of a recipe's seeds that assigned it correctly."""
    tables = {name: pq.read_table(runs / name / "evaluation" / query_split / ASSIGNMENTS_FILE) for name in left + right}
    first = tables[left[0]]
    if any(not table.select(["id", "genus"]).equals(first.select(["id", "genus"])) for table in tables.values()):
        raise ConfigurationError(f"expected assignments of the same barcodes in {', '.join(tables)}: repeat them")

    def share_right(names: list[str]) -> np.ndarray:
        return np.mean([labels(tables[name], name) == labels(first, "genus") for name in names], axis=0)

    return paired_comparison(share_right(left), share_right(right), species_of_rows(first))


def main() -> None:
    (args,) = parse_arguments((ClaimArguments,))
    runs, summary = Path(args.runs), Path(args.summary)
    for name in args.names:
        if "train" in args.steps:
            train(args.data, runs / name, RUNS[name])
        if "evaluate" in args.steps:
            evaluate(name, args.data, runs / name, args.query_split)
    if "evaluate" in args.steps:
        summary.write_text(json.dumps(summarise(runs, args.names, args.query_split), indent=2) + "\n")
    if "print" in args.steps:
        found = json.loads(summary.read_text())
        tables = (results_table(found["runs"]), training_table(found["runs"]), comparisons_table(found["comparisons"]))
        print("\n\n".join(map(as_markdown, tables)))


if __name__ == "__main__":
    run_command(main)
