"""Identification: `barcodemae identify` compared with BLAST and VSEARCH, in one run on the same cores.

`python benchmarks/identification.py --data coi_arthropods.parquet --output-dir FOLDER` makes a library of `train` for
each engine, for BLAST and for VSEARCH (each also at a fast setting), and runs all of them on the same queries: all of
`test_unseen`, and a sample of `test`. Calibration is fitted to `val` and `val_unseen`, which hold other species than
the queries. Accuracy, coverage and novelty are those of the timed results; calibration is that of all of `test` and
`test_unseen`. Written: `identification.md`, `.json`, `.png`, and `reliability.png`.
"""

import argparse
import json
import statistics
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from identification_methods import AlignmentProgram, Assigned, BarcodeMAE, Method, coverage
from identification_report import draw_frontier, write_report
from sklearn.metrics import roc_auc_score

from barcodemae.cli.command import run_command
from barcodemae.data import sample_path
from barcodemae.embedding.engines import ENGINES, FRAME
from barcodemae.evaluation.baselines.aligner_programs import SETTINGS, program_version
from barcodemae.evaluation.benchmark import answerable, labels, read_usable_records, select_splits, species_of_rows
from barcodemae.evaluation.scores import accuracy_scores, draw_species, paired_comparison, percentile_interval
from barcodemae.files import written_atomically
from barcodemae.library.calibration.fitting import Predictions, calibrate, own_queries, predict, with_named
from barcodemae.library.calibration.named_queries import CUT_LENGTHS, NamedQueries, search_named
from barcodemae.library.calibration.probability import NOVELTY, OWN, QUERIES
from barcodemae.library.calibration.reliability import brier_score, draw_reliability, expected_calibration_error
from barcodemae.library.models import open_with_model
from barcodemae.provenance import describe_data, describe_machine, describe_versions

BLAST = "BLAST"
PROGRAMS = {
    BLAST: "blastn",
    "BLAST, words of 64": "blastn_word_64",
    "VSEARCH": "vsearch",
    "VSEARCH, 1 accept": "vsearch_1_accept",
}
ROUNDS = 3
SPLITS = ("train", "val", "val_unseen", "test", "test_unseen")
TARGETS = ("genus", "species", NOVELTY)
_NUM_RESAMPLES = 500


def seconds(method: Method, queries: list[str], rounds: int) -> list[float]:
    return [method.run(queries).seconds for _ in range(rounds)]


def rates(method: Method, queries: list[str], rounds: int) -> dict[str, float]:
    """Queries a second by medians: of the complete command, and without the time for a single query."""
    start = statistics.median(seconds(method, queries[:1], ROUNDS))
    total = statistics.median(seconds(method, queries, rounds))
    return {"per_second": len(queries) / total, "start": start, "net": (len(queries) - 1) / (total - start)}


def balanced_weights(is_new: np.ndarray) -> np.ndarray:
    """Weights that give the queries of known and of new species equal sums, `[n]`."""
    counts = np.bincount(is_new.astype(int), minlength=2)
    return 1 / counts[is_new.astype(int)]


def probability_scores(found: Predictions, species: np.ndarray, seed: int) -> dict[str, Any]:
    """For queries of one kind: mean prediction, observed share, both errors, and the interval of the first.

    Args:
        found: `[n]`; each row has equal weight.
        species: `[n]`, resampled by the bootstrap.
        seed: random seed of the bootstrap.

    Returns:
        `predicted, observed, calibration_error, calibration_error_interval, brier, num_rows`.
    """
    _, group = np.unique(species, return_inverse=True)
    drawn = draw_species(np.random.default_rng(seed), group.max() + 1, _NUM_RESAMPLES)
    errors = [expected_calibration_error(found.probabilities, found.observed, times[group]) for times in drawn]
    return {
        "predicted": float(found.probabilities.mean()),
        "observed": float(found.observed.mean()),
        "calibration_error": expected_calibration_error(found.probabilities, found.observed),
        "calibration_error_interval": list(percentile_interval(np.array(errors))),
        "brier": brier_score(found.probabilities, found.observed),
        "n_rows": len(species),
    }


def accuracies(assigned: Assigned, queries: pa.Table, references: pa.Table, seed: int) -> dict[str, Any]:
    """Genus of new species that have theirs in the library, and species of known ones."""
    is_unseen = labels(queries, "split") == "test_unseen"
    found = {}
    for rank, rows in (("genus", is_unseen), ("species", ~is_unseen)):
        rows = rows & answerable(labels(queries, rank), labels(references, rank))
        possible = queries.filter(pa.array(rows))
        scores = accuracy_scores(
            rank, assigned.taxa[rank][rows], labels(possible, rank), species_of_rows(possible), seed
        )
        found[rank] = scores | {"n_rows": int(rows.sum())}
    return found


def confidence(assigned: Assigned, queries: pa.Table) -> dict[str, float]:
    """How useful the order of confidences is: coverage at an accuracy of 95 %, and the AUROC of novelty."""
    is_new = labels(queries, "split") == "test_unseen"
    right = {rank: assigned.taxa[rank] == labels(queries, rank) for rank in assigned.taxa}
    weights = balanced_weights(is_new)
    genus = assigned.confidence["genus"]
    return {
        "coverage_genus_new": coverage(genus[is_new], right["genus"][is_new], weights[is_new]),
        "coverage_genus_known": coverage(genus[~is_new], right["genus"][~is_new], weights[~is_new]),
        "coverage_species": coverage(assigned.confidence["species"], right["species"], weights),
        "novelty_auroc": float(roc_auc_score(is_new, assigned.novelty)),
    }


def differences(assigned_by: dict[str, Assigned], queries: pa.Table, references: pa.Table, seed: int) -> dict[str, Any]:
    """For each engine, its paired differences from BLAST."""
    is_unseen = labels(queries, "split") == "test_unseen"
    found: dict[str, Any] = {}
    for rank, rows in (("genus", is_unseen), ("species", ~is_unseen)):
        rows = rows & answerable(labels(queries, rank), labels(references, rank))
        possible = queries.filter(pa.array(rows))
        right = {name: one.taxa[rank][rows] == labels(possible, rank) for name, one in assigned_by.items()}
        found[rank] = {
            engine: paired_comparison(right[engine], right[BLAST], species_of_rows(possible), seed)
            for engine in ENGINES
        }
    return found


def calibrations(library: Path, named: pa.Table, queries: pa.Table, seed: int) -> tuple[dict[str, Any], Any]:
    """Calibration error on `queries`, fitted to the library's own records and to `named`.

    Returns:
        by -> what -> kind -> scores; and what the first predicts.
    """
    opened, embedder = open_with_model(library)
    searched = search_named(opened, embedder, queries)
    own = own_queries(opened, embedder)
    replaced, *_ = with_named(search_named(opened, embedder, named, CUT_LENGTHS), own)
    sources: dict[str, NamedQueries] = {OWN: own, QUERIES: replaced}
    scores: dict[str, Any] = {}
    predictions = {by: predict(searched, calibrate(source, by)) for by, source in sources.items()}
    for by, predicted in predictions.items():
        scores[by] = {
            what: {
                kind: probability_scores(
                    predicted[what].take(predicted[what].is_new == is_new),
                    searched.species[searched.is_known(what)][predicted[what].is_new == is_new],
                    seed,
                )
                for kind, is_new in (("known", False), ("new", True))
            }
            for what in TARGETS
        }
    return scores, predictions[OWN]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(sample_path()), help="Barcodes with splits; by default the sample.")
    parser.add_argument("--known-queries", type=int, default=1600, help="Sample of `test`; 0 for all.")
    parser.add_argument("--seed", type=int, default=0, help="Random seed of the sample and the bootstrap.")
    parser.add_argument("--output-dir", type=Path, default=Path(__file__).parent / "results" / "identification")
    args = parser.parse_args()
    programs = {name: program_version(name) for name in ("blastn", "vsearch")}
    tables = dict(zip(SPLITS, select_splits(read_usable_records(args.data, "skip"), SPLITS), strict=True))
    references, test = tables["train"], tables["test"]
    num_known = min(args.known_queries or len(test), len(test))
    sample = np.sort(np.random.default_rng(args.seed).choice(len(test), num_known, replace=False))
    queries = pa.concat_tables([tables["test_unseen"], test.take(pa.array(sample))])
    named = pa.concat_tables([tables["val"], tables["val_unseen"]])
    found: dict[str, Any] = {}
    assigned_by: dict[str, Assigned] = {}
    with tempfile.TemporaryDirectory(prefix="identification-") as scratch:
        folder = Path(scratch)
        methods: dict[str, Method] = {
            **{name: AlignmentProgram(folder / setting, setting) for name, setting in PROGRAMS.items()},
            **{engine: BarcodeMAE(folder / engine, engine, named) for engine in ENGINES},
        }
        texts = queries["nucleotides"].to_pylist()
        for name, method in methods.items():
            method.prepare(references)
            # BLAST takes minutes, in which the moments of a busy machine are evened out.
            speed = rates(method, texts, 1 if name.startswith(BLAST) else ROUNDS)
            assigned_by[name] = method.results(len(texts))
            found[name] = {
                "speed": speed,
                "accuracy": accuracies(assigned_by[name], queries, references, args.seed),
                "trust": confidence(assigned_by[name], queries),
            }
            print(f"{name}: done", file=sys.stderr)
        judged = pa.concat_tables([test, tables["test_unseen"]])
        calibration, plots = {}, {}
        for engine in ENGINES:
            calibration[engine], plots[engine] = calibrations(folder / engine / "library", named, judged, args.seed)
    results = {
        "title": "Identification: accuracy, speed and confidence",
        "data": describe_data([args.data]),
        "n_references": len(references),
        "n_new": len(tables["test_unseen"]),
        "n_known": num_known,
        "n_named": len(named),
        "n_judged": len(judged),
        "settings": {name: SETTINGS[setting].options for name, setting in PROGRAMS.items()},
        "methods": found,
        "differences": differences(assigned_by, queries, references, args.seed),
        "calibration": calibration,
        "programs": programs,
        "versions": describe_versions(("barcodemae", "faiss-cpu", "torch", "numpy", "scipy")),
        "machine": describe_machine(),
        "date": datetime.now(timezone.utc).date().isoformat(),
    }
    report = write_report(results)
    print(report)
    with written_atomically(args.output_dir) as scratch_folder:
        (scratch_folder / "identification.md").write_text(report)
        (scratch_folder / "identification.json").write_text(json.dumps(results, indent=2) + "\n")
        draw_frontier(results).savefig(scratch_folder / "identification.png", dpi=150)
        draw_reliability(plots[FRAME]).savefig(scratch_folder / "reliability.png", dpi=150)


if __name__ == "__main__":
    run_command(main)
