"""`barcodemae calibrate`: fits the confidence of a library's names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from barcodemae.cli.arguments import parse_arguments
from barcodemae.data.sources import check_sources

if TYPE_CHECKING:
    from barcodemae.library.calibration.fitting import Predictions
    from barcodemae.library.calibration.named_queries import NamedQueries
    from barcodemae.library.models import Embedder
    from barcodemae.library.store.stored import StoredLibrary


@dataclass
class CalibrateArguments:
    """The library, and the queries to calibrate it with."""

    library: str = field(metadata={"help": "Folder of a library (barcodemae index)."})
    queries: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Files of named barcodes that are not in the library, both of species that it contains and of "
            "species that it does not; where they are too few of one kind, the library's own records, held out, are "
            "used too. By default only these."
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

    from barcodemae.library.building import save_calibration
    from barcodemae.library.calibration.fitting import calibrate as fit_calibration
    from barcodemae.library.calibration.fitting import group_rows, own_queries, predict_others, with_named
    from barcodemae.library.calibration.probability import OWN
    from barcodemae.library.models import open_with_model
    from barcodemae.library.store.manifest import read_manifest
    from barcodemae.outputs import check_output_folder, check_outputs, check_plot, open_output

    read_manifest(Path(args.library))  # a library on the Hub can be searched, but not changed
    check_output_folder(args.library)
    check_outputs({"--plot": args.plot}, [*args.queries, args.library, *filter(None, [args.model])])
    check_plot(args.plot, (".png", ".svg", ".pdf"))
    library, embedder = open_with_model(args.library, args.model)
    named, notes = _search_files(library, embedder, args.queries) if args.queries else (None, [])
    queries, by = own_queries(library, embedder), OWN
    if named is not None:
        queries, by, more = with_named(named, queries)
        notes += more
    calibration = fit_calibration(queries, by, notes)
    predicted = predict_others(queries)
    if args.plot is not None and predicted:
        from barcodemae.library.calibration.reliability import draw_reliability

        figure = draw_reliability(
            _predictions_of_length(predicted, max(one.length.max() for one in predicted.values()))
        )
        with open_output(args.plot) as file:
            figure.savefig(file, format=Path(args.plot).suffix[1:], dpi=150)
    save_calibration(library, calibration)
    for length in np.unique(np.concatenate([one.length for one in predicted.values()]))[::-1] if predicted else ():
        _print_table(predicted, length)
    print("Expected calibration errors, cross-validated over species (five folds; at most fifty barcodes per species).")
    counts = ", ".join(f"{rows.sum():,} of {group}" for group, rows in group_rows(queries.depth).items())
    print(f"The calibration is saved in {args.library}. It was learnt from queries: {counts}.")
    for note in calibration.notes:
        print(f"Note: {note}")
    if args.plot is not None and predicted:
        print(f"The plot is in {args.plot}.")


def _search_files(
    library: "StoredLibrary", embedder: "Embedder", sources: list[str]
) -> "tuple[NamedQueries | None, list[str]]":
    """The queries in files, without copies of references; None where no other is left. And notes, in words."""
    import numpy as np
    import pyarrow as pa

    from barcodemae.data import filter_records, log_report, read_records
    from barcodemae.library.calibration.named_queries import CUT_LENGTHS, equal_references, search_named

    records, report = filter_records(read_records(sources, on_error="skip"), drop_duplicates=False, on_error="skip")
    log_report(report)
    is_copy = equal_references(library, embedder, records["nucleotides"].to_pylist())
    notes = []
    if is_copy.any():
        notes.append(
            f"{is_copy.sum():,} of {len(is_copy):,} named queries equal references and were left out: they do not show "
            "how barcodes that are not in the library are named."
        )
    if len(is_copy) and is_copy.all():
        return None, notes
    return search_named(library, embedder, records.take(pa.array(np.flatnonzero(~is_copy))), CUT_LENGTHS), notes


def _predictions_of_length(predicted: "Mapping[str, Predictions]", length: int) -> "dict[str, Predictions]":
    """The predictions for queries of one length, an index into `LENGTHS`."""
    selected = {rank: predictions.take(predictions.length == length) for rank, predictions in predicted.items()}
    return {rank: predictions for rank, predictions in selected.items() if len(predictions.weights)}


def _print_table(predicted: "Mapping[str, Predictions]", length: int) -> None:
    import numpy as np

    from barcodemae.library.calibration.guarantee import GROUPS
    from barcodemae.library.calibration.probability import LENGTHS
    from barcodemae.library.calibration.reliability import expected_calibration_error

    print(f"{f'{LENGTHS[length]} bases':12}" + "".join(f"{name:>26}" for name in GROUPS))
    print(f"{'':12}" + f"{'accuracy, error':>26}" * len(GROUPS))
    for rank, predictions in _predictions_of_length(predicted, length).items():
        cells = ""
        for rows in predictions.groups.values():
            subset = predictions.take(rows)
            if len(subset.weights):
                error = expected_calibration_error(subset.probabilities, subset.observed, subset.weights)
                accuracy = np.average(subset.observed, weights=subset.weights)
                cells += f"{accuracy:18.1%} {error:7.1%}"
            else:
                cells += f"{'no queries':>26}"
        print(f"{rank:12}{cells}")
