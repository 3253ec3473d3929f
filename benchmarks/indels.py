"""Insertions and deletions: how many species are still called, and what their search costs the placement of others.

`python benchmarks/indels.py --data coi_arthropods.parquet [--split test] [--output FILE]` makes a library of `train`,
and identifies 400 barcodes of its species as they are, and with one and three indels of one base at random positions.
VSEARCH searches the same barcodes, if it is installed. The speed of placement is measured with and without the search
for indels, in turns, on barcodes of `train`.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from barcodemae import Library
from barcodemae.cli.command import run_command
from barcodemae.data import sample_path
from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.baselines.aligners import AlignmentSearcher
from barcodemae.evaluation.benchmark import labels, read_usable_records, select_splits
from barcodemae.evaluation.report.content import Table, as_markdown
from barcodemae.files import written_atomically
from barcodemae.provenance import describe_machine, describe_versions
from tokenization_barcodemae import ReferenceFrame

NUM_QUERIES = 400
NUM_INDELS = (0, 1, 3)
NUM_TIMED = 8000
ROUNDS = 5


class WithoutIndels(ReferenceFrame):
    """A frame that places all sequences in one piece."""

    def _place_pieces(self, *_: Any) -> None:
        pass


def with_indels(text: str, number: int, rng: np.random.Generator) -> str:
    """A sequence with single bases inserted or deleted at random positions."""
    for _ in range(number):
        position = int(rng.integers(len(text)))
        if rng.random() < 0.5:
            text = text[:position] + text[position + 1 :]
        else:
            text = text[:position] + "ACGT"[rng.integers(4)] + text[position:]
    return text


def species_of_vsearch(references: pa.Table, queries: list[str]) -> np.ndarray | None:
    """The species of VSEARCH's best hits; None if it is not installed."""
    try:
        searcher = AlignmentSearcher("vsearch")
    except ConfigurationError:
        return None
    rows = searcher.search(references["nucleotides"].to_pylist(), queries).rows[:, 0]
    return np.where(rows >= 0, labels(references, "species")[rows], "")


def seconds(function: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(sample_path()), help="Barcodes with splits; by default the sample.")
    parser.add_argument("--split", default="test", help="Of the queries, whose species are in `train`.")
    parser.add_argument("--output", type=Path, help="JSON file of the results.")
    args = parser.parse_args()
    train, known = select_splits(read_usable_records(args.data, "skip"), ["train", args.split])
    rng = np.random.default_rng(0)
    known = known.take(pa.array(np.sort(rng.permutation(len(known))[:NUM_QUERIES])))
    species = labels(known, "species")
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="indels-") as scratch:
        folder = Path(scratch)
        pq.write_table(train, folder / "train.parquet")
        library = Library.build(folder / "train.parquet", folder / "library")
        for number in NUM_INDELS:
            queries = [with_indels(text, number, rng) for text in known["nucleotides"].to_pylist()]
            found = library.identify(queries)
            called = np.array(found["call"].to_pylist()) == "species"
            vsearch = species_of_vsearch(train, queries)
            results[str(number)] = {
                "called": int((called & (np.array(found["name"].to_pylist()) == species)).sum()),
                "called_wrong": int((called & (np.array(found["name"].to_pylist()) != species)).sum()),
                "best_name": int((np.array(found["best_species"].to_pylist()) == species).sum()),
                "vsearch": None if vsearch is None else int((vsearch == species).sum()),
                "mean_indels_found": float(np.mean(found["indels"].to_numpy())),
            }
    frame = ReferenceFrame.coi()
    plain = WithoutIndels(frame.profile, frame.min_score, frame.marker)
    texts = train["nucleotides"].to_pylist()[:NUM_TIMED]
    times = [(seconds(lambda: plain.place(texts)), seconds(lambda: frame.place(texts))) for _ in range(ROUNDS)]
    without, with_search = np.min(times, axis=0)
    speed = {
        "barcodes_per_second": len(texts) / with_search,
        "barcodes_per_second_in_one_piece": len(texts) / without,
        "share_with_indels": float((frame.place(texts).num_indels > 0).mean()),
    }
    rows = [[number, *(str(value) for value in list(row.values())[:4])] for number, row in results.items()]
    print(f"{len(known)} barcodes of `{args.split}`, {len(train):,} references; {describe_machine()}.\n")
    columns = ["indels", "right species called", "wrong one called", "best name right", "VSEARCH's best hit right"]
    print(as_markdown(Table(columns, rows)))
    print(
        f"\nPlacement: {speed['barcodes_per_second']:,.0f} barcodes/s, in one piece "
        f"{speed['barcodes_per_second_in_one_piece']:,.0f}; {100 * speed['share_with_indels']:.1f} % have indels."
    )
    if args.output is not None:
        about = {
            "date": datetime.now(timezone.utc).date().isoformat(),
            "machine": describe_machine(),
            "versions": describe_versions(("barcodemae", "faiss-cpu", "numpy", "pyarrow")),
        }
        with written_atomically(args.output.parent) as folder:
            (folder / args.output.name).write_text(
                json.dumps(about | {"results": results, "placement": speed}, indent=2) + "\n"
            )


if __name__ == "__main__":
    run_command(main)
