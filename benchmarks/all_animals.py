"""A library of all animals: `barcodemae` beside BLAST and VSEARCH on the same queries, in one run.

`python benchmarks/all_animals.py --data coi_large.parquet` builds a library of the split `train`, and databases of
BLAST (`blastn`, whose default is megablast) and VSEARCH. For each of the splits of known and of new species it
identifies 2,000 queries, drawn at random, and a sample of these by BLAST and VSEARCH, which assign the taxa of the best
hit. For each rank it reports the share of most probable names that are right, among queries whose name the library
has; the processor's time and the largest memory of each command; and the rate of further queries after the first ten,
since opening a large library takes longer than naming some hundred queries.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from identification_methods import AlignmentProgram, BarcodeMAE, Method
from results_file import save_results

from barcodemae.cli.command import run_command
from barcodemae.data import RANKS, sample_path
from barcodemae.evaluation.baselines.aligner_programs import SETTINGS, program_version
from barcodemae.evaluation.benchmark import answerable, labels, read_usable_records, select_splits, species_of_rows
from barcodemae.evaluation.scores import paired_comparison
from barcodemae.library.store.manifest import MANIFEST_FILE
from barcodemae.provenance import describe_data

OURS = "barcodemae"
PROGRAMS = {"BLAST": "blastn", "VSEARCH": "vsearch"}
NUM_FIRST = 10


def is_right(found: Mapping[str, np.ndarray], queries: pa.Table) -> dict[str, np.ndarray]:
    """Rank -> bool `[n]`, whether the assigned name is the query's."""
    return {rank: found[rank] == labels(queries, rank) for rank in RANKS}


def accuracies(right: Mapping[str, np.ndarray], is_known: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Rank -> percent that are right, and the number of queries, of those whose name the library has."""
    return {
        rank: {"accuracy": 100 * float(right[rank][rows].mean()), "queries": int(rows.sum())}
        for rank, rows in is_known.items()
        if rows.any()
    }


def differences(
    ours: Mapping[str, np.ndarray],
    others: Mapping[str, np.ndarray],
    is_known: Mapping[str, np.ndarray],
    species: np.ndarray,
) -> dict[str, Any]:
    """Rank -> how much more often our names are right than others, of the same queries, with a 95 % interval."""
    found = {}
    for rank, rows in is_known.items():
        if rows.any():
            compared = paired_comparison(ours[rank][rows], others[rank][rows], species[rows])
            found[rank] = {key: compared[key] for key in ("difference", "interval", "p_value")}
    return found


def run(method: Method, texts: list[str]) -> dict[str, Any]:
    """Identify queries; the cost of all, that of the first ones alone, and the rate of the others."""
    first = method.run(texts[:NUM_FIRST])
    cost = method.run(texts)
    rate = (len(texts) - NUM_FIRST) / max(cost.cpu_seconds - first.cpu_seconds, 1e-9)
    return {"queries": len(texts), "cost": asdict(cost), "first": asdict(first), "queries_per_cpu_second": rate}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(sample_path()), help="Parquet file of real barcodes with splits.")
    parser.add_argument("--splits", nargs="+", default=["test", "test_unseen"], help="Of the queries.")
    parser.add_argument("--queries", type=int, default=2000, help="Number of queries of a split.")
    parser.add_argument("--aligned", type=int, default=500, help="Number of these for BLAST and VSEARCH.")
    parser.add_argument("--folder", type=Path, help="Of the libraries, which stay, and are used again.")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "all_animals.json")
    args = parser.parse_args()
    versions = {name: program_version(name) for name in PROGRAMS.values()}
    references, *tables = select_splits(read_usable_records(args.data, "skip"), ["train", *args.splits])
    results: dict[str, Any] = {"references": len(references), "methods": {}, "splits": {}}
    with tempfile.TemporaryDirectory(prefix="animals-") if args.folder is None else nullcontext(args.folder) as made:
        folder = Path(made)
        ours = BarcodeMAE(folder / OURS, "frame")
        methods: dict[str, Method] = {OURS: ours}
        methods |= {name: AlignmentProgram(folder / name, setting) for name, setting in PROGRAMS.items()}
        for name, method in methods.items():
            is_made = method is ours and (ours.library / MANIFEST_FILE).exists()
            cost = asdict(method.prepare(references))
            results["methods"][name] = {"index": None if is_made else cost, "identify": {}}
            print(f"{name}: made the library", file=sys.stderr)
        for split, table in zip(args.splits, tables, strict=True):
            queries = table.take(pa.array(drawn(len(table), args.queries, seed=0)))
            aligned = drawn(len(queries), args.aligned, seed=1)
            some = queries.take(pa.array(aligned))
            known, some_known = (
                {rank: answerable(labels(one, rank), labels(references, rank)) for rank in RANKS}
                for one in (queries, some)
            )
            figures: dict[str, Any] = {"queries": len(queries), "aligned_queries": len(some), "aligned": {}}
            for name, method in methods.items():
                sample = queries if method is ours else some
                results["methods"][name]["identify"][split] = run(method, sample["nucleotides"].to_pylist())
                right = is_right(method.results(len(sample)).taxa, sample)
                if method is ours:
                    figures["accuracy"] = accuracies(right, known)
                    own = right = {rank: values[aligned] for rank, values in right.items()}
                figures["aligned"][name] = {"accuracy": accuracies(right, some_known)}
                if method is not ours:
                    figures["aligned"][name]["barcodemae_less"] = differences(
                        own, right, some_known, species_of_rows(some)
                    )
                print(f"{split}, {name}: done", file=sys.stderr)
            results["splits"][split] = figures
    results |= {
        "settings": {name: SETTINGS[setting].options for name, setting in PROGRAMS.items()},
        "programs": versions,
        "data": describe_data([args.data]),
    }
    save_results(results, args.output)


def drawn(num_rows: int, size: int, seed: int) -> np.ndarray:
    """Some rows, ascending."""
    return np.sort(np.random.default_rng(seed).permutation(num_rows)[:size])


if __name__ == "__main__":
    run_command(main)
