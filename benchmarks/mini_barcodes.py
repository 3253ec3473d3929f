"""Identification of short reads: accuracy and calibration when barcodes are cut to 130, 200 or 300 bases.

`python benchmarks/mini_barcodes.py --data coi_arthropods.parquet` makes a library of `train`, which calibrates itself,
and identifies the rows of `test` and `test_unseen`, complete and cut at random positions. Printed as Markdown.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from barcodemae.checkpoints import DEFAULT
from barcodemae.cli.command import run_command
from barcodemae.data import sample_path
from barcodemae.embedding.engines import FRAME, load_engine
from barcodemae.evaluation.benchmark import labels, read_usable_records, select_splits
from barcodemae.evaluation.report.content import Table, as_markdown
from barcodemae.library.building import build_library
from barcodemae.library.calibration.fitting import Predictions, predict
from barcodemae.library.calibration.named_queries import search_named
from barcodemae.library.calibration.probability import NOVELTY
from barcodemae.library.calibration.reliability import expected_calibration_error
from barcodemae.library.models import describe_model
from barcodemae.library.store.stored import StoredLibrary
from barcodemae.provenance import describe_machine

LENGTHS = (130, 200, 300)
COMPLETE = "complete"


def cut(queries: pa.Table, length: int, rng: np.random.Generator) -> pa.Table:
    """Bases of each barcode from a random position on."""
    texts = queries["nucleotides"].to_pylist()
    begins = [int(rng.integers(max(len(text) - length, 0) + 1)) for text in texts]
    parts = [text[begin : begin + length] for text, begin in zip(texts, begins, strict=True)]
    position = queries.column_names.index("nucleotides")
    return queries.set_column(position, "nucleotides", pa.array(parts, pa.large_string()))


def accuracy_and_error(found: Predictions, is_new: bool) -> str:
    kind = found.take(found.is_new == is_new)
    error = expected_calibration_error(kind.probabilities, kind.observed)
    return f"{100 * kind.observed.mean():.1f}, {100 * error:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(sample_path()), help="Barcodes with splits; by default the sample.")
    args = parser.parse_args()
    train, test, unseen = select_splits(read_usable_records(args.data, "skip"), ["train", "test", "test_unseen"])
    genera = pa.array(np.isin(labels(unseen, "genus"), labels(train, "genus")))
    queries = pa.concat_tables([test, unseen.filter(genera)])
    rng = np.random.default_rng(0)
    embedder = load_engine(FRAME)
    with tempfile.TemporaryDirectory(prefix="mini-") as scratch:
        folder = Path(scratch)
        pq.write_table(train, folder / "train.parquet")
        build_library(
            folder / "library", [str(folder / "train.parquet")], embedder, describe_model(DEFAULT, FRAME), "skip"
        )
        library = StoredLibrary.open(folder / "library")
        calibration = library.calibration()
        assert calibration is not None
        rows = []
        for length in (*LENGTHS, COMPLETE):
            shortened = queries if length == COMPLETE else cut(queries, int(length), rng)
            named = search_named(library, embedder, shortened)
            found = predict(named, calibration)
            identified = f"{100 * len(named.species) / len(shortened):.1f}"
            new_species = accuracy_and_error(found["genus"], is_new=True)
            known_species = accuracy_and_error(found["species"], is_new=False)
            novelty = [f"{found[NOVELTY].probabilities[named.is_new == is_new].mean():.2f}" for is_new in (False, True)]
            rows.append([str(length), identified, new_species, known_species, *novelty])
    columns = [
        "bases",
        "identified, %",
        "genus of new species: accuracy, error",
        "species of known ones: accuracy, error",
        "mean novelty of known species",
        "of new ones",
    ]
    print(f"{len(queries):,} queries, {len(train):,} references; {describe_machine()}.\n")
    print(as_markdown(Table(columns, rows)))


if __name__ == "__main__":
    run_command(main)
