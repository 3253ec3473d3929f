"""`barcodemae distil`: makes a small library that gives the same names."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from barcodemae.cli.arguments import parse_arguments
from barcodemae.data.sources import check_sources
from barcodemae.errors import ConfigurationError

if TYPE_CHECKING:
    from barcodemae.library.distillation.distilling import Distilled


@dataclass
class DistilArguments:
    """The library, the small one to make, and queries to compare them with."""

    library: str = field(metadata={"help": "Folder of a library (barcodemae index), or hub:ORG/NAME of one."})
    output: str = field(
        metadata={"help": "Folder of the small library: a new or empty one, or that of the same command, interrupted."}
    )
    share: float | None = field(
        default=None,
        metadata={
            "help": "Maximum share of the records, such as 0.15; some names may be lost then. By default, as many as "
            "the same names need."
        },
    )
    queries: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Files of named barcodes that are not in the library, to measure both libraries with. By default "
            "records of the library, which are held out."
        },
    )
    model: str | None = field(
        default=None, metadata={"help": "Folder or Hub id of the library's model, if it has moved since."}
    )


def distil(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; no small library is left.
    """
    (args,) = parse_arguments(
        (DistilArguments,),
        arguments,
        positionals=("library",),
        about="Make a small library that gives the same names: a few records of each species, with a calibration.",
        example="barcodemae distil library -o small_library",
    )
    check_sources(args.queries)
    if args.share is not None and not 0 < args.share <= 1:
        raise ConfigurationError(f"--share {args.share}: expected more than 0, and at most 1")
    from barcodemae.data import filter_records, log_report, read_records
    from barcodemae.library.distillation.distilling import distil_library
    from barcodemae.library.models import open_with_model
    from barcodemae.outputs import check_output_folder

    check_output_folder(args.output, without=["library.json"])
    library, embedder = open_with_model(args.library, args.model)
    queries = None
    if args.queries:
        queries, report = filter_records(
            read_records(args.queries, on_error="skip"), drop_duplicates=False, on_error="skip"
        )
        log_report(report)
    made = distil_library(library, embedder, Path(args.output), args.share, queries)
    num_records = len(made.library.live)
    print(f"Records in {args.output}: {num_records:,} of {made.num_records:,} ({num_records / made.num_records:.1%}).")
    _print_comparison(made, is_own=not args.queries)


def _print_comparison(made: "Distilled", is_own: bool) -> None:
    """Print the accuracy and calibration of both libraries."""
    import numpy as np

    from barcodemae.data.schema import RANKS
    from barcodemae.library.calibration.guarantee import GROUPS
    from barcodemae.library.calibration.reliability import expected_calibration_error

    if not made.before:
        print("Too few records of each species to measure the accuracy: name barcodes with --queries.")
        return
    print(f"{'':33}{'queries':>9}{'accuracy before':>17}{'after':>9}{'error before':>14}{'after':>9}")
    for depth, rank in enumerate(RANKS):
        for group in GROUPS:
            cells = []
            for predicted in (made.before, made.after):
                if rank in predicted and (rows := predicted[rank].groups[group]).any():
                    found = predicted[rank].take(rows)
                    in_library = found.observed[found.depth >= depth]
                    error = expected_calibration_error(found.probabilities, found.observed)
                    cells.append((len(in_library), np.mean(in_library) if len(in_library) else np.nan, error))
            if len(cells) == 2 and cells[0][0]:
                (number, accuracy, error), (_, accuracy_after, error_after) = cells
                print(
                    f"{rank:9}{group:24}{number:9,}{accuracy:17.2%}{accuracy_after:9.2%}{error:14.2%}{error_after:9.2%}"
                )
    print(
        "Measured with records that were held out, of species with five or more; as a new species, each without its "
        "species in both libraries."
        if is_own
        else f"Measured with {made.num_measured:,} queries."
    )
    print("Accuracy: of queries whose name is in the library. Error: expected calibration error, of all queries.")
