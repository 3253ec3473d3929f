"""Identification of short reads: accuracy, calibration and speed when barcodes are cut to 130, 200 or 300 bases.

`python benchmarks/mini_barcodes.py --data coi_arthropods.parquet [--splits test test_unseen] [--output FILE]` makes a
library of `train`, which calibrates itself, and identifies 300 rows of known species and 700 of new ones of its genera,
complete and cut at random positions; VSEARCH searches the same reads, if it is installed. `--all` takes all rows. Speed
is by the time of the processor, so that other work on the machine hardly changes it: of `Library.identify` on all rows
in one process, and on reads that begin at one primer (Leray); and of VSEARCH's command. The table is printed.
"""

import argparse
import json
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from identification_methods import AlignmentProgram

from barcodemae import Library
from barcodemae.checkpoints import DEFAULT
from barcodemae.cli.command import run_command
from barcodemae.data import sample_path
from barcodemae.embedding.engines import FRAME, load_engine
from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.benchmark import labels, read_usable_records, select_splits
from barcodemae.evaluation.report.content import Table, as_markdown
from barcodemae.files import written_atomically
from barcodemae.library.building import build_library
from barcodemae.library.calibration.fitting import predict
from barcodemae.library.calibration.named_queries import search_named
from barcodemae.library.calibration.reliability import expected_calibration_error
from barcodemae.library.models import describe_model
from barcodemae.library.search.primers import find_region
from barcodemae.library.store.stored import StoredLibrary
from barcodemae.provenance import describe_machine, describe_versions
from tokenization_barcodemae import ReferenceFrame, bases_on_frame

LENGTHS = (130, 200, 300)
COMPLETE = "complete"
NUM_KNOWN, NUM_NEW = 300, 700


def cut(queries: pa.Table, length: int, rng: np.random.Generator) -> pa.Table:
    """Bases of each barcode from a random position on."""
    texts = queries["nucleotides"].to_pylist()
    begins = [int(rng.integers(max(len(text) - length, 0) + 1)) for text in texts]
    parts = [text[begin : begin + length] for text, begin in zip(texts, begins, strict=True)]
    position = queries.column_names.index("nucleotides")
    return queries.set_column(position, "nucleotides", pa.array(parts, pa.large_string()))


def sample(records: pa.Table, num_rows: int, rng: np.random.Generator) -> pa.Table:
    """Some rows, in their order."""
    return records.take(pa.array(np.sort(rng.permutation(len(records))[:num_rows])))


def measure(library: StoredLibrary, embedder: Any, queries: pa.Table, is_known: np.ndarray) -> dict[str, float]:
    """Accuracy of the species of known and of the genus of new species, in percent, and expected calibration errors.

    A read that is not identified counts as wrong.
    """
    calibration = library.calibration()
    assert calibration is not None
    named = search_named(library, embedder, queries)
    found = predict(named, calibration)
    scores = {"identified": 100 * len(named.species) / len(queries)}
    for rank, is_new, num_queries in (("species", False, is_known.sum()), ("genus", True, (~is_known).sum())):
        kind = found[rank].take(found[rank].is_new == is_new)
        scores[rank] = 100 * kind.observed.sum() / num_queries
        scores[f"{rank}_calibration_error"] = 100 * expected_calibration_error(kind.probabilities, kind.observed)
    return scores


def prepared_vsearch(folder: Path, references: pa.Table) -> AlignmentProgram | None:
    """VSEARCH with its database; None if it is not installed."""
    try:
        program = AlignmentProgram(folder, "vsearch")
    except ConfigurationError:
        return None
    program.prepare(references)
    return program


def measure_vsearch(program: AlignmentProgram | None, queries: pa.Table, is_known: np.ndarray) -> dict[str, float]:
    """Accuracy of VSEARCH's best hit, in percent, and queries per second of the processor's time."""
    if program is None:
        return {}
    cost = program.run(queries["nucleotides"].to_pylist())
    taxa = program.results(len(queries)).taxa
    scores = {"queries_per_second": len(queries) / cost.cpu_seconds}
    for rank, kind in (("species", is_known), ("genus", ~is_known)):
        scores[rank] = 100 * float(np.mean((taxa[rank] == labels(queries, rank))[kind]))
    return scores


def queries_per_second(library: Library, queries: pa.Table) -> float:
    texts = queries["nucleotides"].to_pylist()
    library.identify(texts[:10])
    begin = time.process_time()
    library.identify(texts)
    return len(texts) / (time.process_time() - begin)


def amplicons(queries: pa.Table, length: int) -> pa.Table:
    """The first bases of the region of Leray et al. of those barcodes that have them, up to `length`."""
    frame = ReferenceFrame.coi()
    region = find_region("leray", frame)
    bases = bases_on_frame(queries["nucleotides"].to_pylist(), frame)[:, region.begin : region.begin + length]
    parts = ["".join("ACGTN"[base] for base in row).strip("N") for row in bases]  # -1 is N
    is_complete = (bases >= 0).all(axis=1)
    return pa.table({"nucleotides": np.array(parts, object)[is_complete].tolist()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(sample_path()), help="Barcodes with splits; by default the sample.")
    parser.add_argument("--splits", nargs=2, default=["test", "test_unseen"], help="Of known and of new species.")
    parser.add_argument("--all", action="store_true", help="All rows of the splits, not 300 and 700.")
    parser.add_argument("--output", type=Path, help="JSON file of the results.")
    args = parser.parse_args()
    train, known, new = select_splits(read_usable_records(args.data, "skip"), ["train", *args.splits])
    known = known.filter(pa.array(labels(known, "species") != ""))
    new = new.filter(pa.array(np.isin(labels(new, "genus"), labels(train, "genus")) & (labels(new, "species") != "")))
    everyone = pa.concat_tables([known, new])
    rng = np.random.default_rng(0)
    if not args.all:
        known, new = sample(known, NUM_KNOWN, rng), sample(new, NUM_NEW, rng)
    queries = pa.concat_tables([known, new])
    is_known = np.arange(len(queries)) < len(known)
    embedder = load_engine(FRAME)
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="mini-") as scratch:
        folder = Path(scratch)
        pq.write_table(train, folder / "train.parquet")
        build_library(
            folder / "library", [str(folder / "train.parquet")], embedder, describe_model(DEFAULT, FRAME), "skip"
        )
        library, vsearch = StoredLibrary.open(folder / "library"), prepared_vsearch(folder / "vsearch", train)
        opened = Library.open(folder / "library")
        for length in (*LENGTHS, COMPLETE):
            reads = queries if length == COMPLETE else cut(queries, int(length), rng)
            many = everyone if length == COMPLETE else cut(everyone, int(length), rng)
            results[str(length)] = {
                "barcodemae": measure(library, embedder, reads, is_known),
                "vsearch": measure_vsearch(vsearch, reads, is_known),
                "queries_per_second": queries_per_second(opened, many),
            }
            if length != COMPLETE:
                amplicon = amplicons(everyone, int(length))
                results[str(length)]["amplicon_queries_per_second"] = queries_per_second(opened, amplicon)
    rows = []
    for length, found in results.items():
        ours, other = found["barcodemae"], found["vsearch"]
        rows.append(
            [
                length,
                *(
                    f"{ours[rank]:.1f} ({other[rank]:.1f})" if other else f"{ours[rank]:.1f}"
                    for rank in ("species", "genus")
                ),
                f"{ours['species_calibration_error']:.1f}, {ours['genus_calibration_error']:.1f}",
                f"{found['queries_per_second']:,.0f}",
                f"{found['amplicon_queries_per_second']:,.0f}" if length != COMPLETE else "",
                f"{found['queries_per_second'] / other['queries_per_second']:.1f}" if other else "",
            ]
        )
    columns = [
        "bases",
        "species of known ones, % (VSEARCH)",
        "genus of new ones, % (VSEARCH)",
        "calibration error of both, points",
        "queries/s",
        "of one amplicon",
        "times VSEARCH",
    ]
    print(f"{len(known):,} queries of known species, {len(new):,} of new ones; {len(train):,} references.")
    print(f"{describe_machine()}.\n")
    print(as_markdown(Table(columns, rows)))
    if args.output is not None:
        about = {
            "date": datetime.now(timezone.utc).date().isoformat(),
            "machine": describe_machine(),
            "versions": describe_versions(("barcodemae", "faiss-cpu", "numpy", "pyarrow")),
            "num_queries": {"known": len(known), "new": len(new)},
            "num_references": len(train),
        }
        with written_atomically(args.output.parent) as scratch_folder:
            (scratch_folder / args.output.name).write_text(json.dumps(about | {"results": results}, indent=2) + "\n")


if __name__ == "__main__":
    run_command(main)
