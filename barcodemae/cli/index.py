"""`barcodemae index`: builds a reference library."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from barcodemae.checkpoints import CHECKPOINT_HELP, DEFAULT, check_checkpoint
from barcodemae.cli.arguments import parse_arguments
from barcodemae.data.sources import MAX_LENGTH, MAX_LENGTH_HELP, SOURCES_HELP, check_sources
from barcodemae.embedding.engines import ENGINES, FRAME


@dataclass
class IndexArguments:
    """The records, the library and the model."""

    data: list[str] = field(metadata={"help": f"{SOURCES_HELP}; with or without names."})
    output: str = field(
        metadata={
            "help": "Folder of the library: a new or empty one, or that of an interrupted build, which is resumed. "
            "To repeat a finished command changes nothing.",
        }
    )
    taxonomy: str | None = field(
        default=None,
        metadata={"help": "Table of names by id (TSV or CSV with ranks, or the two columns of QIIME 2)."},
    )
    model: str = field(
        default=DEFAULT,
        metadata={"help": f"{CHECKPOINT_HELP}."},
    )
    engine: str = field(
        default=FRAME,
        metadata={
            "help": "frame: the base map of a tuned model, without torch; network: the whole model.",
            "choices": list(ENGINES),
        },
    )
    append: bool = field(
        default=False,
        metadata={"help": "Add to an existing library. Files that it was built from are not added again."},
    )
    max_length: int = field(default=MAX_LENGTH, metadata={"help": MAX_LENGTH_HELP})
    on_error: str = field(
        default="skip",
        metadata={
            "help": "A record that is not a barcode of the marker: skip (leave out and count) or raise (stop).",
            "choices": ["skip", "raise"],
        },
    )


def index(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; the library stays as it was.
    """
    (args,) = parse_arguments(
        (IndexArguments,),
        arguments,
        positionals=("data", "output"),
        about="Build a reference library of named barcodes, or add to one.",
        example="barcodemae index references.fasta -o library",
    )
    check_sources(args.data)
    check_checkpoint(args.model)
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
        print(f"The library {args.output} already has the records of {', '.join(args.data)}; nothing was added.")
        return
    search = added.index["kind"]
    if "recall" in added.index:
        search += f" (recall of nearest neighbours: {added.index['recall']:.1%})"
    print(f"Records added to {args.output}: {added.num_records:,}; off the marker: {added.off_marker:,}.")
    if added.known_ids:
        print(
            f"Ids that the library already had: {len(added.known_ids):,} (such as {added.known_ids[0]}); both records "
            "stay."
        )
    print(f"Search: {search}.")
    print("Calibrated with its own records; independent named barcodes do it better: barcodemae calibrate --queries.")
    for note in added.notes:
        print(f"Note: {note}")
