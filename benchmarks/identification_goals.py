"""Confidence: how often names of known species, of new species and of strangers are wrong, and how they are calibrated.

`python benchmarks/identification_goals.py --data coi_arthropods.parquet --strangers coi_other_phyla.parquet` makes a
library of `train`, calibrated by its own records, and measures all of `test`, of `test_unseen` and of the strangers
whose phylum the library does not have. Written: `goals-NAME.json`, and with `--plot` `reliability.png`; with `--short`
also one of each length, such as `reliability-130.png`.
"""

import argparse
import json
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from identification_methods import coverage

from barcodemae.checkpoints import DEFAULT
from barcodemae.cli.command import run_command
from barcodemae.data import RANKS, sample_path
from barcodemae.embedding.engines import FRAME, load_engine
from barcodemae.evaluation.benchmark import read_usable_records, select_splits
from barcodemae.files import written_atomically
from barcodemae.library.building import build_library
from barcodemae.library.calibration.fitting import Predictions, predict
from barcodemae.library.calibration.named_queries import NamedQueries, joined, search_named, search_outgroup
from barcodemae.library.calibration.probability import Calibration
from barcodemae.library.calibration.reliability import draw_reliability, expected_calibration_error
from barcodemae.library.models import describe_model, open_with_model
from barcodemae.library.settings import MIN_CONFIDENCE
from barcodemae.provenance import describe_data, describe_machine, describe_versions

PRECISIONS = (0.95, 0.98)
MAX_ERROR = 0.02
SHORT = (130, 200, 300)


def share(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def calls(queries: NamedQueries, calibration: Calibration, max_error: float | None = None) -> dict[str, np.ndarray]:
    """For each query the index of the called rank, -1 for none, and whether the name there is wrong."""
    probabilities = calibration(queries.votes, queries.num_bases)
    minimum = np.full(len(queries.length), MIN_CONFIDENCE)
    if max_error is not None:
        minimum = calibration.guarantee.min_confidences(max_error)[queries.length]
    called, wrong = np.full(len(minimum), -1), np.zeros(len(minimum), bool)
    for index, rank in enumerate(RANKS):
        is_called = (queries.votes[rank].names >= 0) & (probabilities[rank] >= minimum)
        called[is_called] = index
        wrong[is_called] = (queries.named[rank] & ~queries.right[rank])[is_called]
    return {"rank": called, "wrong": wrong}


def scores(known: NamedQueries, new: NamedQueries, strangers: NamedQueries, calibration: Calibration) -> dict[str, Any]:
    """The figures of the goals; shares from 0 to 1."""
    found = {name: predict(queries, calibration) for name, queries in (("known", known), ("new", new))}

    def error(kind: str, rank: str) -> float:
        one: Predictions = found[kind][rank]
        return expected_calibration_error(one.probabilities, one.observed)

    genus: Predictions = found["new"]["genus"]
    called = {
        name: calls(queries, calibration)
        for name, queries in (("known", known), ("new", new), ("strangers", strangers))
    }
    species = RANKS.index("species")
    return {
        "n_known": len(known.species),
        "n_new": len(new.species),
        "n_strangers": len(strangers.species),
        "genus_error_new": error("new", "genus"),
        "species_error_known": error("known", "species"),
        "genus_error_known": error("known", "genus"),
        "species_right_known": share(known.right["species"]),
        "genus_right_new": share(new.right["genus"]),
        "species_called_known": share((called["known"]["rank"] == species) & ~called["known"]["wrong"]),
        "species_called_new": share(called["new"]["rank"] == species),
        "wrong_calls_known": share(called["known"]["wrong"]),
        "wrong_calls_new": share(called["new"]["wrong"]),
        "strangers_below_phylum": share(called["strangers"]["rank"] > 0),
        "strangers_phylum": share(called["strangers"]["rank"] == 0),
        **{
            f"coverage_genus_new_{round(100 * precision)}": coverage(
                genus.probabilities, genus.observed, np.ones(len(genus.observed)), precision
            )
            for precision in PRECISIONS
        },
    }


def guaranteed(
    known: NamedQueries, new: NamedQueries, strangers: NamedQueries, calibration: Calibration
) -> dict[str, Any]:
    """What `--max-error` guarantees, and what happens."""
    found: dict[str, Any] = {"min_confidence": float(calibration.guarantee.min_confidences(MAX_ERROR)[-1])}
    for name, queries in (("known", known), ("new", new), ("strangers", strangers)):
        one = calls(queries, calibration, MAX_ERROR)
        found[name] = {"wrong": share(one["wrong"]), "called": share(one["rank"] >= 0)}
        found[name]["species"] = share(one["rank"] == RANKS.index("species"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(sample_path()), help="Barcodes with splits; by default the sample.")
    parser.add_argument("--strangers", help="Barcodes of other phyla; by default the bundled outgroup.")
    parser.add_argument("--splits", nargs=2, default=("test", "test_unseen"), help="Of known and of new species.")
    parser.add_argument("--short", action="store_true", help="Also measure the barcodes cut to 130, 200 and 300 bases.")
    parser.add_argument("--exclude-suspects", action="store_true", help="Leave references with doubtful labels out.")
    parser.add_argument("--library", type=Path, help="A library of `train` that is there already.")
    parser.add_argument("--plot", action="store_true", help="Draw the reliability diagram.")
    parser.add_argument("--name", default="", help="Of the files of results; by default that of the data.")
    parser.add_argument("--output-dir", type=Path, default=Path(__file__).parent / "results" / "identification")
    args = parser.parse_args()
    references, *named = select_splits(read_usable_records(args.data, "skip"), ("train", *args.splits))
    with tempfile.TemporaryDirectory(prefix="goals-") as scratch:
        folder, duration = args.library, None
        if folder is None:
            folder = Path(scratch) / "library"
            pq.write_table(references, Path(scratch) / "train.parquet")
            begin = time.perf_counter()
            source = str(Path(scratch) / "train.parquet")
            model = describe_model(DEFAULT, FRAME)
            excluded = args.exclude_suspects
            build_library(folder, [source], load_engine(FRAME, DEFAULT), model, "skip", exclude_suspects=excluded)
            duration = time.perf_counter() - begin
        library, embedder = open_with_model(folder)
        calibration = library.calibration()
        assert calibration is not None
        known, new = (search_named(library, embedder, records) for records in named)
        held = pc.unique(library.names()["phylum"])
        if args.strangers is None:
            strangers = search_outgroup(library, embedder)
        else:
            others = pq.read_table(args.strangers)
            others = others.filter(pc.invert(pc.is_in(others["phylum"], value_set=held)))
            strangers = search_named(library, embedder, others)
        short = [search_named(library, embedder, records, SHORT) for records in named] if args.short else []
    results = {
        "data": describe_data([args.data]),
        "splits": list(args.splits),
        "n_references": len(library.live),
        "n_excluded": len(library.removed),
        "index_seconds": duration,
        "goals": scores(known, new, strangers, calibration),
        "short": {
            str(length): {
                "species_error_known": error_at(short[0], calibration, index, "species"),
                "genus_error_new": error_at(short[1], calibration, index, "genus"),
            }
            for index, length in enumerate(SHORT if args.short else ())
        },
        "guarantee": {"max_error": MAX_ERROR} | guaranteed(known, new, strangers, calibration),
        "versions": describe_versions(("barcodemae", "faiss-cpu", "numpy", "scipy")),
        "machine": describe_machine(),
        "date": datetime.now(timezone.utc).date().isoformat(),
    }
    print(json.dumps(results, indent=2))
    name = args.name or Path(args.data).stem + "-without_suspects" * args.exclude_suspects
    with written_atomically(args.output_dir) as scratch_folder:
        (scratch_folder / f"goals-{name}.json").write_text(json.dumps(results, indent=2) + "\n")
        if args.plot:
            predicted = predict(joined([known, new, strangers]), calibration)
            draw_reliability(predicted).savefig(scratch_folder / "reliability.png", dpi=150)
            for index, length in enumerate(SHORT if args.short else ()):
                cut = joined(short)
                predicted = predict(cut.take(cut.length == index), calibration)
                draw_reliability(predicted).savefig(scratch_folder / f"reliability-{length}.png", dpi=150)


def error_at(queries: NamedQueries, calibration: Calibration, length: int, rank: str) -> float:
    """Expected calibration error of a rank's names, for queries of one of the lengths."""
    found = predict(queries.take(queries.length == length), calibration)[rank]
    return expected_calibration_error(found.probabilities, found.observed)


if __name__ == "__main__":
    run_command(main)
