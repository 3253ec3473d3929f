"""Identification on any marker: `barcodemae identify` beside VSEARCH, BLAST, SINTAX and cosines of 6-mers, in one run.

`python benchmarks/markers.py --data its_fungi.parquet --model MODEL --output-dir FOLDER` makes a library of `train` for
each, and identifies the queries of a split of new species whose genus is in the library, and of a split of known
species. The model may be of a marker with a reference frame or without one. Accuracies are of all queries; a
query without a name is wrong. A rate is queries a second of processor time, less that of a single query, as a ratio to
VSEARCH's; of few queries it is not given. Differences are paired by species. Written: `markers.json`; printed: a table.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from identification_classifiers import Sintax
from identification_methods import AlignmentProgram, Assigned, BarcodeMAE, Cost, Method, coverage

from barcodemae.cli.command import run_command
from barcodemae.data import RANKS
from barcodemae.embedding.kmer_map import kmer_spectra
from barcodemae.evaluation.benchmark import answerable, labels, read_usable_records, select_splits, species_of_rows
from barcodemae.evaluation.scores import paired_comparison
from barcodemae.files import written_atomically
from barcodemae.library.calibration.reliability import expected_calibration_error
from barcodemae.provenance import describe_data, describe_machine, describe_versions

OURS, VSEARCH = "barcodemae", "VSEARCH"
_K = 6
_BLOCK_ROWS = 512

# The processor time of a single query, which is mostly that of the start, varies by a tenth of a second.
_MIN_SECONDS = 0.5


class KmerCosine(Method):
    """The reference with the largest cosine of square-rooted numbers of 6-mers, in this process; it is not timed."""

    def prepare(self, references: pa.Table) -> Cost:
        self._taxa = {rank: labels(references, rank) for rank in RANKS}
        self._spectra = spectra(references["nucleotides"].to_pylist())
        return Cost(0, 0, 0)

    def run(self, queries: list[str]) -> Cost:
        found = [
            (spectra(queries[begin : begin + _BLOCK_ROWS]) @ self._spectra.T).argmax(axis=1)
            for begin in range(0, len(queries), _BLOCK_ROWS)
        ]
        self._rows = np.concatenate(found)
        return Cost(0, 0, 0)

    def results(self, num_queries: int) -> Assigned:
        nothing = np.zeros(num_queries)
        return Assigned({rank: values[self._rows] for rank, values in self._taxa.items()}, {}, nothing)


METHODS: dict[str, Callable[[Path, str], Method]] = {
    OURS: lambda folder, model: BarcodeMAE(folder, "frame", model=model),
    VSEARCH: lambda folder, _: AlignmentProgram(folder, "vsearch"),
    "BLAST": lambda folder, _: AlignmentProgram(folder, "blastn_task_blastn"),
    "SINTAX": lambda folder, _: Sintax(folder),
    "6-mer cosine": lambda folder, _: KmerCosine(folder),
}


def spectra(sequences: list[str]) -> np.ndarray:
    return np.concatenate([part for _, part in kmer_spectra(sequences, _K)])


def measure(method: Method, queries: dict[str, pa.Table]) -> tuple[dict[str, Assigned], float | None]:
    """Assignments of each split, and queries a second of processor time; None if they take too little to measure."""
    alone = method.run(queries[next(iter(queries))]["nucleotides"].to_pylist()[:1]).cpu_seconds
    assigned, seconds, num_queries = {}, 0.0, 0
    for split, records in queries.items():
        seconds += method.run(records["nucleotides"].to_pylist()).cpu_seconds - alone
        num_queries += len(records)
        assigned[split] = method.results(len(records))
    return assigned, num_queries / seconds if seconds >= _MIN_SECONDS else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", required=True, help="Barcodes of one marker, with the columns split and of all ranks."
    )
    parser.add_argument("--model", required=True, help="A model of the marker.")
    parser.add_argument("--output-dir", required=True, help="Folder for the figures.")
    parser.add_argument("--new-species", default="test_unseen", help="Split of species that are not in `train`.")
    parser.add_argument("--known-species", default="test", help="Split of species that are in `train`; or none.")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS), help="To compare.")
    parser.add_argument("--max-queries", type=int, help="Of a split: a random sample of so many.")
    args = parser.parse_args()
    output = Path(args.output_dir)
    records = read_usable_records(args.data, "skip")
    (references,) = select_splits(records, ["train"])
    targets = {args.new_species: "genus"}
    if args.known_species != "none":
        targets[args.known_species] = "species"
    queries = {}
    for split, rank in targets.items():
        (chosen,) = select_splits(records, [split])
        rows = np.flatnonzero(answerable(labels(chosen, rank), labels(references, rank)))
        rows = np.sort(np.random.default_rng(0).permutation(rows)[: args.max_queries])
        queries[split] = chosen.take(pa.array(rows))
    with tempfile.TemporaryDirectory(prefix="markers-") as scratch:
        folder = Path(scratch)
        assigned, rates = {}, {}
        for name in dict.fromkeys([OURS, VSEARCH, *args.methods]):
            method = METHODS[name](folder / name.replace(" ", "_"), args.model)
            method.prepare(references)
            assigned[name], rates[name] = measure(method, queries)
    figures: dict[str, Any] = {"splits": {}, "queries_per_cpu_second": rates}
    for split, rank in targets.items():
        truth, species = labels(queries[split], rank), species_of_rows(queries[split])
        right = {name: found[split].taxa[rank] == truth for name, found in assigned.items()}
        confidence = assigned[OURS][split].confidence[rank]
        figures["splits"][split] = {
            "rank": rank,
            "n_queries": len(truth),
            "accuracy": {name: float(found.mean()) for name, found in right.items()},
            "barcodemae_less": {
                name: paired_comparison(right[OURS], found, species) for name, found in right.items() if name != OURS
            },
            "calibration_error": expected_calibration_error(confidence, right[OURS]),
            "coverage_at_95": coverage(confidence, right[OURS], np.ones(len(truth))),
        }
    figures |= {
        "data": describe_data([args.data]),
        "machine": describe_machine(),
        "versions": describe_versions(("barcodemae", "numpy", "faiss-cpu")),
    }
    with written_atomically(output) as written:
        (written / "markers.json").write_text(json.dumps(figures, indent=2) + "\n")
    print_table(figures)


def print_table(figures: dict[str, Any]) -> None:
    splits, rates = figures["splits"], figures["queries_per_cpu_second"]
    titles = [f"{found['rank']}, `{split}` ({found['n_queries']:,})" for split, found in splits.items()]
    print(f"| method | {' | '.join(titles)} | rate, VSEARCH = 1 |")
    print(f"|---|{'---|' * len(titles)}---|")
    for name, rate in rates.items():
        cells = []
        for found in splits.values():
            cell = f"{100 * found['accuracy'][name]:.1f}"
            if name != OURS:
                low, high = (100 * value for value in found["barcodemae_less"][name]["interval"])
                cell += f" ({low:+.1f} to {high:+.1f})"
            cells.append(cell)
        ratio = f"{rate / rates[VSEARCH]:.1f}" if rate and rates[VSEARCH] else ""
        print(f"| {name} | {' | '.join(cells)} | {ratio} |")
    for split, found in splits.items():
        print(
            f"{split}: expected calibration error {100 * found['calibration_error']:.1f} points, coverage at 95 % "
            f"accuracy {100 * found['coverage_at_95']:.1f} %"
        )


if __name__ == "__main__":
    run_command(main)
