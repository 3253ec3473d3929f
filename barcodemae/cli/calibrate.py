"""`barcodemae calibrate`: named queries in, how far a library's names can be trusted out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from barcodemae.cli.arguments import parse_arguments
from barcodemae.errors import ConfigurationError

if TYPE_CHECKING:
    from barcodemae.library.calibration.fitting import Predictions

_PLOTS = (".png", ".svg", ".pdf")


@dataclass
class CalibrateArguments:
    """Which library, and by which queries."""

    library: str = field(metadata={"help": "Folder of a library (barcodemae index)."})
    queries: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Files of named barcodes that are not in the library: some of species that it holds, some of "
            "species that it does not. By default the library's own records, held out."
        },
    )
    plot: str | None = field(
        default=None, metadata={"help": "A .png, .svg or .pdf file for a plot of accuracy against confidence."}
    )
    model: str | None = field(
        default=None, metadata={"help": "Where the library's model is, if its name alone does not say it."}
    )


def calibrate(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; the library is then what it was before.
    """
    (args,) = parse_arguments(
        (CalibrateArguments,),
        arguments,
        positionals=("library",),
        about="Learn how far a library's names can be trusted, by queries whose names are known.",
        example="barcodemae calibrate library --queries named.fasta --plot reliability.png",
    )
    import numpy as np

    from barcodemae.data import judge, read_records, tell
    from barcodemae.library.building import save_calibration
    from barcodemae.library.calibration.fitting import CUT_LENGTHS, predict_others
    from barcodemae.library.calibration.fitting import calibrate as fit_calibration
    from barcodemae.library.calibration.named_queries import search_named, search_own
    from barcodemae.library.calibration.probability import NOVELTY, OWN, QUERIES
    from barcodemae.library.models import open_with_model
    from barcodemae.library.store.manifest import read_manifest
    from barcodemae.outputs import check_output_folder, check_outputs, open_output

    read_manifest(Path(args.library))  # a library on the Hub can be asked, but not written to
    check_output_folder(args.library)
    check_outputs({"--plot": args.plot}, [*args.queries, args.library, *filter(None, [args.model])])
    if args.plot is not None and Path(args.plot).suffix not in _PLOTS:
        raise ConfigurationError(f"--plot {args.plot}: expected a name that ends with {', '.join(_PLOTS)}")
    library, embedder = open_with_model(args.library, args.model)
    if args.queries:
        records, report = judge(read_records(args.queries, on_error="skip"), drop_duplicates=False, on_error="skip")
        tell(report)
        queries = search_named(library, embedder, records, CUT_LENGTHS)
    else:
        queries = search_own(library, embedder, CUT_LENGTHS)
    calibration = fit_calibration(queries, QUERIES if args.queries else OWN)
    predicted = predict_others(queries)
    if args.plot is not None:
        from barcodemae.library.calibration.reliability_plot import draw_reliability  # imports matplotlib

        figure = draw_reliability(_of_length(predicted, predicted[NOVELTY].length.max()))
        with open_output(args.plot) as file:
            figure.savefig(file, format=Path(args.plot).suffix[1:], dpi=150)
    save_calibration(library, calibration)
    for place in np.unique(predicted[NOVELTY].length)[::-1]:
        _tell(predicted, place)
    print("Expected calibration errors of species that were not learnt from (five folds; ten barcodes each at most).")
    num_new = int(queries.is_new.sum())
    print(f"The calibration is kept in {args.library}: {len(queries.is_new):,} queries, {num_new:,} of new species.")
    if args.plot is not None:
        print(f"The plot is in {args.plot}.")


def _of_length(predicted: "Mapping[str, Predictions]", place: int) -> "dict[str, Predictions]":
    of_length = {what: found.take(found.length == place) for what, found in predicted.items()}
    return {what: found for what, found in of_length.items() if len(found.weights)}


def _tell(predicted: "Mapping[str, Predictions]", place: int) -> None:
    import numpy as np

    from barcodemae.library.calibration.probability import LENGTHS
    from barcodemae.library.calibration.reliability import expected_calibration_error

    print(f"{f'{LENGTHS[place]} bases':12}{'known species: accuracy, calibration error':>34}{'new species':>34}")
    for what, found in _of_length(predicted, place).items():
        cells = ""
        for kind in (found.take(~found.is_new), found.take(found.is_new)):
            if len(kind.weights):
                error = expected_calibration_error(kind.probabilities, kind.observed, kind.weights)
                accuracy = np.average(kind.observed, weights=kind.weights)
                cells += f"{accuracy:16.1%} {error:16.1%}"
            else:
                cells += f"{'no query':>32}"
        print(f"{what:12}{cells}")
