"""Distilled libraries: are the names of queries those of the complete library, and how many records do they need?

`python benchmarks/distillation.py LIBRARY --data coi_large.parquet [--families 0.2] [--splits test test_unseen]`

The library is one of the split `train` of the data (`barcodemae index`). Of a random part of its families, records are
chosen as `barcodemae distil` does. Queries are all records of the other splits, of species in the library or of new
species of its genera; for each rank, accuracy is over queries whose name the library has, and the difference between
both libraries has a 95 % interval from a bootstrap over species. `barcodemae distil` also prints calibration errors.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from results_file import save_results

from barcodemae.cli.command import run_command
from barcodemae.data import RANKS
from barcodemae.evaluation.benchmark import read_usable_records, select_splits
from barcodemae.evaluation.scores import paired_comparison
from barcodemae.library.calibration.named_queries import KNOWN, NamedQueries, search_named
from barcodemae.library.distillation.choosing import choose_records
from barcodemae.library.models import open_with_model
from barcodemae.library.store.stored import StoredLibrary
from barcodemae.provenance import describe_data


def families_of(library: StoredLibrary, share: float) -> StoredLibrary:
    """The part of a library that has a random share of its families."""
    family = np.array(library.names()["family"].to_pylist(), str)
    names = np.unique(family[family != ""])
    drawn = np.random.default_rng(0).permutation(names)[: round(share * len(names))]
    return library.without(np.setdiff1d(library.live, np.flatnonzero(np.isin(family, drawn))))


def compare(before: NamedQueries, after: NamedQueries) -> dict[str, Any]:
    """Known and new species -> rank -> accuracy by both libraries, and their difference."""
    groups = {"known species": before.depth == KNOWN, "new species": (before.depth < KNOWN) & (before.depth >= 0)}
    found: dict[str, Any] = {name: {} for name in groups}
    for name, in_group in groups.items():
        for depth, rank in enumerate(RANKS):
            rows = in_group & (before.depth >= depth) & before.named[rank]
            if rows.any():
                right = [one.right[rank][rows] for one in (after, before)]
                found[name][rank] = {
                    "before": 100 * float(right[1].mean()),
                    "after": 100 * float(right[0].mean()),
                    "difference": paired_comparison(*right, before.species[rows].astype(str)),
                }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=Path)
    parser.add_argument("--data", required=True, help="Parquet file of real barcodes with splits.")
    parser.add_argument("--families", type=float, default=1.0, help="Share of the families.")
    parser.add_argument("--splits", nargs="+", default=["test", "test_unseen"], help="Of the queries.")
    parser.add_argument("--output", type=Path, help="JSON file of the results.")
    args = parser.parse_args()
    library, embedder = open_with_model(args.library)
    library = families_of(library, args.families)
    queries = pa.concat_tables(select_splits(read_usable_records(args.data, "skip"), args.splits))
    families = library.names()["family"].take(pa.array(library.live)).unique()
    queries = queries.filter(pa.array(np.isin(queries["family"].to_pylist(), families.to_pylist())))
    before = search_named(library, embedder, queries)
    begin = time.process_time()
    chosen = choose_records(library)
    seconds = time.process_time() - begin
    after = search_named(library.without(np.setdiff1d(library.live, chosen)), embedder, queries)
    results = {
        "records": len(library.live),
        "chosen": len(chosen),
        "cpu_seconds": seconds,
        "queries": len(before.species),
        "accuracy": compare(before, after),
        "data": describe_data([args.data]),
    }
    save_results(results, args.output)


if __name__ == "__main__":
    run_command(main)
