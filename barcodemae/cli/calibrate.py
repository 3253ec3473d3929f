"""`barcodemae calibrate`: fits the confidence of a library's names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from barcodemae.cli.arguments import parse_arguments
from barcodemae.data.sources import check_sources

if TYPE_CHECKING:
    from barcodemae.library.calibration.fitting import Predictions


@dataclass
class CalibrateArguments:
    """The library, and the queries to calibrate it with."""

    library: str = field(metadata={"help": "Folder of a library (barcodemae index)."})
    queries: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Files of named barcodes that are not in the library, both of species that it contains and of "
            "species that it does not. By default the library's own records, held out."
        },
    )
    plot: str | None = field(
        default=None, metadata={"help": "Plot of accuracy against confidence: a .png, .svg or .pdf file."}
    )
    model: str | None = field(
        default=None, metadata={"help": "Folder or Hub id of the library's model, if it has moved since."}
    )


def calibrate(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; the library stays as it was.
    """
    (args,) = parse_arguments(
        (CalibrateArguments,),
        arguments,
        positionals=("library",),
        about="Fit the confidence of a library's names, with queries whose names are known.",
        example="barcodemae calibrate library --queries named.fasta --plot reliability.png",
    )
    check_sources(args.queries)
    import numpy as np

    from barcodemae.data import filter_records, log_report, read_records
    from barcodemae.library.building import save_calibration
    from barcodemae.library.calibration.fitting import CUT_LENGTHS, predict_others
    from barcodemae.library.calibration.fitting import calibrate as fit_calibration
    from barcodemae.library.calibration.named_queries import search_named, search_own
    from barcodemae.library.calibration.probability import NOVELTY, OWN, QUERIES
    from barcodemae.library.models import open_with_model
    from barcodemae.library.store.manifest import read_manifest
    from barcodemae.outputs import check_output_folder, check_outputs, check_plot, open_output

    read_manifest(Path(args.library))  # a library on the Hub can be searched, but not changed
    check_output_folder(args.library)
    check_outputs({"--plot": args.plot}, [*args.queries, args.library, *filter(None, [args.model])])
    check_plot(args.plot, (".png", ".svg", ".pdf"))
    library, embedder = open_with_model(args.library, args.model)
    if args.queries:
        records, report = filter_records(
            read_records(args.queries, on_error="skip"), drop_duplicates=False, on_error="skip"
        )
        log_report(report)
        queries = search_named(library, embedder, records, CUT_LENGTHS)
    else:
        queries = search_own(library, embedder, CUT_LENGTHS)
    calibration = fit_calibration(queries, QUERIES if args.queries else OWN)
    predicted = predict_others(queries)
    if args.plot is not None:
        from barcodemae.library.calibration.reliability import draw_reliability

        figure = draw_reliability(_predictions_of_length(predicted, predicted[NOVELTY].length.max()))
        with open_output(args.plot) as file:
            figure.savefig(file, format=Path(args.plot).suffix[1:], dpi=150)
    save_calibration(library, calibration)
    for length in np.unique(predicted[NOVELTY].length)[::-1]:
        _print_table(predicted, length)
    print("Expected calibration errors, cross-validated over species (five folds; at most ten barcodes per species).")
    num_new = int(queries.is_new.sum())
    print(f"The calibration is saved in {args.library}: {len(queries.is_new):,} queries, {num_new:,} of new species.")
    if args.plot is not None:
        print(f"The plot is in {args.plot}.")


def _predictions_of_length(predicted: "Mapping[str, Predictions]", length: int) -> "dict[str, Predictions]":
    """The predictions for queries of one length, an index into `LENGTHS`."""
    selected = {rank: predictions.take(predictions.length == length) for rank, predictions in predicted.items()}
    return {rank: predictions for rank, predictions in selected.items() if len(predictions.weights)}


def _print_table(predicted: "Mapping[str, Predictions]", length: int) -> None:
    import numpy as np

    from barcodemae.library.calibration.probability import LENGTHS
    from barcodemae.library.calibration.reliability import expected_calibration_error

    print(f"{f'{LENGTHS[length]} bases':12}{'known species: accuracy, calibration error':>34}{'new species':>34}")
    for rank, predictions in _predictions_of_length(predicted, length).items():
        cells = ""
        for subset in (predictions.take(~predictions.is_new), predictions.take(predictions.is_new)):
            if len(subset.weights):
                error = expected_calibration_error(subset.probabilities, subset.observed, subset.weights)
                accuracy = np.average(subset.observed, weights=subset.weights)
                cells += f"{accuracy:16.1%} {error:16.1%}"
            else:
                cells += f"{'no queries':>32}"
        print(f"{rank:12}{cells}")
