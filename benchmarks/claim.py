"""The paper's claim, put to the test: the same encoder pretrained in ten ways, judged on species that none has seen.

`python benchmarks/claim.py --data coi_arthropods.parquet` trains what is not yet trained (a run that was stopped goes
on), evaluates what is not yet evaluated, and prints the table and the comparisons that the claim is made of. All runs
see the same number of the same barcodes and share `configs/claim.yaml`, whose learning rates were chosen for the MAE,
in short trials: the others had none of their own. What is told of each run below is all that differs. With `--keep
FOLDER` results, comparisons and metrics are copied there, small enough to be committed; from a folder that holds them
all, `--steps print --runs FOLDER` prints the tables without data or training.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from barcodemae.commands import parse_arguments, run_command
from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.assignments import ASSIGNMENTS_FILE
from barcodemae.evaluation.benchmark import labels, species_of_rows
from barcodemae.evaluation.report.content import Table, as_markdown
from barcodemae.evaluation.report.schema import load_results
from barcodemae.evaluation.scores import paired_comparison
from barcodemae.hub.checkpoint import WEIGHTS_FILE
from barcodemae.training.provenance import TRAINING_FILE
from barcodemae.training.state import METRICS_FILE, barcodes_and_seconds, read_metrics

ROOT = Path(__file__).parent.parent

RUNS: dict[str, dict[str, str]] = {
    "mae": {},
    "mlm": {"objective": "mlm"},
    "causal": {"objective": "causal"},
    "mae_seed_1": {"seed": "1"},
    "mlm_seed_1": {"objective": "mlm", "seed": "1"},
    "decoder_1": {"decoder_layers": "1"},
    "decoder_2": {"decoder_layers": "2"},
    "mask_25": {"mask_ratio": "0.25"},
    "mask_75": {"mask_ratio": "0.75"},
    "k_4": {"k": "4"},
}

COMPARISONS: dict[str, tuple[list[str], list[str]]] = {
    "MAE less MLM, both seeds": (["mae", "mae_seed_1"], ["mlm", "mlm_seed_1"]),
    "MAE less causal": (["mae"], ["causal"]),
    "balanced decoder less 1 layer": (["mae"], ["decoder_1"]),
    "balanced decoder less 2 layers": (["mae"], ["decoder_2"]),
    "50 % removed less 25 %": (["mae"], ["mask_25"]),
    "50 % removed less 75 %": (["mae"], ["mask_75"]),
    "6-mers less 4-mers": (["mae"], ["k_4"]),
}

# The two objectives of the claim are read with the frame and without, and each architecture untrained.
_BASELINES = {"mae": "untrained without_frame", "mlm": "without_frame", "causal": "untrained", "k_4": "untrained"}
_COMPARISONS_FILE = "comparisons.json"
_TASKS = "knn clustering novelty"


@dataclass
class ClaimArguments:
    """What to train on, and where the runs go."""

    data: str | None = field(
        default=None,
        metadata={"help": "Barcodes with splits, as coi_arthropods.parquet; not asked where all is there."},
    )
    runs: str = field(default="runs/claim", metadata={"help": "A folder for each run is made in it."})
    names: list[str] = field(default_factory=lambda: list(RUNS), metadata={"help": f"Any of {', '.join(RUNS)}."})
    steps: list[str] = field(
        default_factory=lambda: ["train", "evaluate", "print"], metadata={"help": "Any of train, evaluate, print."}
    )
    query_split: str = field(default="test_unseen", metadata={"help": "Split of unseen species."})
    keep: str | None = field(
        default=None, metadata={"help": "Folder that results, comparisons and metrics are copied to."}
    )

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.names) - set(RUNS)):
            raise ConfigurationError(f"--names: expected any of {', '.join(RUNS)}, got {', '.join(unknown)}")
        if self.data is None and self.steps != ["print"]:
            raise ConfigurationError("--data: expected a file of barcodes to train and evaluate on")


def train(name: str, data: str, folder: Path) -> None:
    """Train one run, or go on with it; nothing where it is finished."""
    if (folder / WEIGHTS_FILE).exists():
        return
    options = {"config": str(ROOT / "configs/claim.yaml"), "data": data, "output_dir": str(folder), **RUNS[name]}
    if (folder / METRICS_FILE).exists():
        options["resume"] = "true"
    call("train.py", options)


def evaluate(name: str, data: str, folder: Path, query_split: str) -> None:
    """Evaluate one run; nothing where that is done."""
    position = folder / "evaluation" / query_split
    if (position / "results.json").exists():
        return
    baselines = _BASELINES.get(name, "none")
    options = {"model": str(folder), "data": data, "output_dir": str(position), "query_split": query_split}
    call("evaluate_embeddings.py", options | {"tasks": _TASKS, "baselines": baselines})


def call(script: str, options: dict[str, str]) -> None:
    """Run a script of this repository with options; its failure is ours."""
    words = [word for option, value in options.items() for word in (f"--{option}", *value.split(" "))]
    subprocess.run([sys.executable, str(ROOT / script), *words], check=True)


def keep(name: str, folder: Path, query_split: str, position: Path) -> None:
    """Copy what is worth keeping of a run, in the run's own layout: results and metrics, no records."""
    for part in (METRICS_FILE, TRAINING_FILE, f"evaluation/{query_split}/results.json"):
        (position / name / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / part, position / name / part)


def row(name: str, shown: str, scores: dict[str, Any], metrics: Path | None) -> list[str]:
    """A line of the table: a run, or one of its baselines, which has no metrics of its own."""
    knn, clustering = scores["knn"], scores["clustering"]
    low, high = knn["genus_accuracy_interval"]
    cells = [
        shown,
        f"{100 * knn['genus_accuracy']:.1f} ({100 * low:.1f}-{100 * high:.1f})",
        f"{100 * knn['genus_accuracy_by_species']:.1f}",
        f"{100 * knn['seen_species']['species_accuracy']:.1f}",
        f"{100 * clustering['bin_ami']:.1f}",
        f"{100 * scores['harmonic_mean']:.1f}",
        f"{100 * scores['novelty']['auroc']:.1f}",
    ]
    if metrics is None:
        return [*cells, "", "", ""]
    lines = read_metrics(metrics)
    origin = json.loads((metrics / TRAINING_FILE).read_text())
    barcodes, seconds = barcodes_and_seconds([line for line in lines if "loss" in line], origin["records_per_step"])
    last = [line for line in lines if "val_loss" in line][-1]
    return [*cells, f"{100 * last['val_accuracy']:.1f}", f"{barcodes:,.0f}", f"{seconds / 60:.1f}"]


def results_table(runs: Path, names: list[str], query_split: str) -> Table:
    """All runs, the two objectives without the frame, and the untrained network once for each k."""
    titles = [
        "",
        "genus, unseen",
        "by species",
        "species, 1-NN",
        "BIN AMI",
        "harmonic mean",
        "novelty AUROC",
        "tokens right",
        "barcodes seen",
        "minutes",
    ]
    rows, untrained = [], {}
    for name in names:
        results = load_results(runs / name / "evaluation" / query_split / "results.json")
        rows.append(row(name, f"**{name}**", results, runs / name))
        for baseline, scores in results["baselines"].items():
            if baseline == "untrained":
                k = RUNS[name].get("k", "6")
                is_causal = RUNS[name].get("objective") == "causal"
                untrained.setdefault(f"untrained, k = {k}" + ", causal" * is_causal, scores)
            else:
                rows.append(row(name, f"{name}, {baseline.replace('_', ' ')}", scores, None))
    rows += [row("", shown, scores, None) for shown, scores in untrained.items()]
    return Table(titles, rows)


def comparisons_table(found: dict[str, dict[str, Any]]) -> Table:
    """The differences that the claim is made of, paired by barcode and resampled by species."""
    rows = []
    for title, comparison in found.items():
        low, high = comparison["interval"]
        difference = f"{100 * comparison['difference']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
        rows.append([title, difference, f"{comparison['p_value']:.4f}"])
    return Table(["genus, unseen: points", "difference (95 %)", "p"], rows)


def compare_all(runs: Path, names: list[str], query_split: str) -> dict[str, dict[str, Any]]:
    """All comparisons whose runs are there: from their answers, or from the file that was kept of them."""
    file = runs / _COMPARISONS_FILE
    if file.is_file():
        return json.loads(file.read_text())
    return {
        title: compare(left, right, runs, query_split)
        for title, (left, right) in COMPARISONS.items()
        if set(left + right) <= set(names)
    }


def compare(left: list[str], right: list[str], runs: Path, query_split: str) -> dict[str, Any]:
    """Two recipes on the same barcodes: of each barcode the share of a recipe's seeds that named it rightly."""
    tables = {name: pq.read_table(runs / name / "evaluation" / query_split / ASSIGNMENTS_FILE) for name in left + right}
    first = tables[left[0]]
    if any(not table.select(["id", "genus"]).equals(first.select(["id", "genus"])) for table in tables.values()):
        raise ConfigurationError(f"expected answers about the same barcodes of {', '.join(tables)}: evaluate them anew")

    def share_right(names: list[str]) -> np.ndarray:
        return np.mean([labels(tables[name], name) == labels(first, "genus") for name in names], axis=0)

    return paired_comparison(share_right(left), share_right(right), species_of_rows(first))


def main() -> None:
    (args,) = parse_arguments((ClaimArguments,))
    runs = Path(args.runs)
    for name in args.names:
        if "train" in args.steps:
            train(name, args.data, runs / name)
        if "evaluate" in args.steps:
            evaluate(name, args.data, runs / name, args.query_split)
        if args.keep is not None:
            keep(name, runs / name, args.query_split, Path(args.keep))
    comparisons = compare_all(runs, args.names, args.query_split) if args.steps != ["train"] else {}
    if args.keep is not None:
        (Path(args.keep) / _COMPARISONS_FILE).write_text(json.dumps(comparisons, indent=2) + "\n")
    if "print" in args.steps:
        print(as_markdown(results_table(runs, args.names, args.query_split)))
        print()
        print(as_markdown(comparisons_table(comparisons)))


if __name__ == "__main__":
    run_command(main)
