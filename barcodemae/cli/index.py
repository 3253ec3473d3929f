"""`barcodemae index`: barcodes with names in, a reference library out."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from barcodemae.checkpoints import DEFAULT
from barcodemae.cli.arguments import parse_arguments
from barcodemae.data.limits import MAX_LENGTH, MAX_LENGTH_HELP
from barcodemae.embedding.engines import ENGINES, FRAME


@dataclass
class IndexArguments:
    """What to make a library of, and with which model."""

    data: list[str] = field(
        metadata={
            "help": "Files (Parquet, TSV, CSV, FASTA, each also .gz), hub:ORG/NAME, or sample; with names or without."
        }
    )
    output: str = field(
        metadata={
            "short": "-o",
            "help": "Folder of the library: a new or empty one, or that of a build that was interrupted, which goes "
            "on. Repeated when it is done, the same command changes nothing.",
        }
    )
    taxonomy: str | None = field(
        default=None, metadata={"help": "Table of names by id (TSV or CSV with ranks, or QIIME 2's two columns)."}
    )
    model: str = field(
        default=DEFAULT,
        metadata={"help": "Folder of a checkpoint, its id on the Hub, or the name of one that comes with the package."},
    )
    engine: str = field(
        default=FRAME,
        metadata={
            "help": "frame: a tuned model's bases alone, without torch; network: the whole model.",
            "choices": list(ENGINES),
        },
    )
    append: bool = field(
        default=False,
        metadata={"help": "Add to a library that is there. Files that it was made of already are not added again."},
    )
    max_length: int = field(default=MAX_LENGTH, metadata={"help": MAX_LENGTH_HELP})
    on_error: str = field(
        default="skip",
        metadata={
            "help": "A record that is no barcode of the marker: skip (leave out, count) or raise (stop).",
            "choices": ["skip", "raise"],
        },
    )


def index(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; the library is then what it was before.
    """
    (args,) = parse_arguments(
        (IndexArguments,),
        arguments,
        positionals=("data", "output"),
        about="Make a reference library of named barcodes, or add to one.",
        example="barcodemae index references.fasta -o library",
    )
    from barcodemae.data.taxonomy import read_taxonomy
    from barcodemae.embedding.engines import load_engine
    from barcodemae.library.building import append_records, build_library
    from barcodemae.library.models import describe_model
    from barcodemae.outputs import check_output_folder

    check_output_folder(args.output)
    taxonomy = None if args.taxonomy is None else read_taxonomy(args.taxonomy)
    embedder: Any = load_engine(args.engine, args.model)
    add = append_records if args.append else build_library
    added = add(
        Path(args.output),
        args.data,
        embedder,
        describe_model(args.model, args.engine),
        args.on_error,
        taxonomy,
        args.max_length,
    )
    if added is None:
        print(f"The library {args.output} holds the records of {', '.join(args.data)} already; nothing was added.")
        return
    searched = added.index["kind"]
    if "recall" in added.index:
        searched += f" ({added.index['recall']:.1%} of the nearest records are found)"
    print(f"Records added to {args.output}: {added.num_records:,}; off the marker: {added.off_marker:,}.")
    if added.known_ids:
        print(f"Ids that the library held before: {len(added.known_ids):,} (such as {added.known_ids[0]}); both stay.")
    print(f"Search: {searched}.")
    if added.is_calibrated:
        print("Calibrated; named barcodes that are not in it make confidences surer: barcodemae calibrate --queries.")
    else:
        print("Not calibrated, for want of named records: barcodemae calibrate --queries makes it usable.")
