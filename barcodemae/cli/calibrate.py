"""`barcodemae calibrate`: named queries in, how far a library's names can be trusted out."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from barcodemae.commands import parse_arguments
from barcodemae.data import RANKS, judge, read_records, tell
from barcodemae.reference.build import keep_calibration
from barcodemae.reference.calibrate import ask_named, expected_calibration_error
from barcodemae.reference.calibrate import calibrate as fit_calibration
from barcodemae.reference.manifest import read_manifest
from barcodemae.reference.models import open_with_model


@dataclass
class CalibrateArguments:
    """Which library, and by which queries."""

    library: str = field(metadata={"help": "Folder of a library (barcodemae index)."})
    queries: list[str] = field(
        metadata={
            "help": "Files of named barcodes that are not in the library: some of species that it holds, some of "
            "species that it does not."
        }
    )
    model: str | None = field(
        default=None, metadata={"help": "Where the library's model is, if its name alone does not say it."}
    )


def calibrate(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; the library is then what it was before.
    """
    (args,) = parse_arguments((CalibrateArguments,), arguments, positionals=("library",))
    read_manifest(Path(args.library))  # a library on the Hub can be asked, but not written to
    library, embedder = open_with_model(args.library, args.model)
    records, report = judge(read_records(args.queries, on_error="skip"), drop_duplicates=False, on_error="skip")
    tell(report)
    queries = ask_named(library, embedder, records)
    calibration = fit_calibration(queries)
    keep_calibration(Path(args.library), calibration)
    print(f"{'':10}{'known species':>32}{'new species':>32}")
    for rank in RANKS:
        cells = ""
        for kind in (~queries.is_new, queries.is_new):
            rows = np.flatnonzero(queries.named[rank] & kind)
            if len(rows):
                foretold = calibration.ranks[rank](queries.votes[rank].take(rows))
                error = expected_calibration_error(foretold, queries.right[rank][rows])
                cells += f"{queries.right[rank][rows].mean():12.1%} right, error {error:6.1%}"
            else:
                cells += f"{'no query':>32}"
        print(f"{rank:10}{cells}")
    print(f"The calibration is kept in {args.library}: {len(queries.is_new):,} queries, {queries.is_new.sum():,} new.")
