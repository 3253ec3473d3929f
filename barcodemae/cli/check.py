"""`barcodemae check`: lists doubtful references of a library, or doubtful sequences."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barcodemae.checkpoints import CHECKPOINT_HELP, DEFAULT
from barcodemae.cli.arguments import parse_arguments
from barcodemae.data.sources import MAX_LENGTH, MAX_LENGTH_HELP, check_sources
from barcodemae.errors import ConfigurationError

if TYPE_CHECKING:
    from barcodemae.library.store.stored import StoredLibrary


@dataclass
class CheckArguments:
    """What is checked, and the output."""

    input: str = field(
        metadata={
            "help": "Folder of a library (barcodemae index), or of a collection: its labels, names and sequences are "
            "checked; or a file of sequences, or - for standard input: stop codons and frame shifts."
        }
    )
    output: str = field(
        default="-", metadata={"help": "Table of findings, .tsv or .parquet; by default standard output (TSV)."}
    )
    library: str | None = field(
        default=None,
        metadata={"help": "For sequences: folder of a library; chimeras of two of its genera are found too."},
    )
    model: str | None = field(
        default=None,
        metadata={"help": f"{CHECKPOINT_HELP}. By default that of the library, or without one {DEFAULT}."},
    )
    max_length: int = field(default=MAX_LENGTH, metadata={"help": MAX_LENGTH_HELP})


def check(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; nothing is written then.
    """
    (args,) = parse_arguments(
        (CheckArguments,),
        arguments,
        positionals=("input",),
        about="List the references of a library that are doubtful, or sequences that are.",
        example="barcodemae check library -o doubtful.tsv",
    )
    is_library = Path(args.input).is_dir()
    if is_library and args.library is not None:
        raise ConfigurationError(f"--library: expected only with sequences, got the folder {args.input} to check")
    if not is_library:
        check_sources([args.input])
    import pyarrow as pa

    from barcodemae.data import stream_records
    from barcodemae.embedding.engines import FRAME, load_engine
    from barcodemae.library.checking.tables import (
        SEQUENCE_FINDINGS,
        TEXTS_FROM_FILES,
        SequenceChecker,
        check_library,
        count_reasons,
    )
    from barcodemae.library.models import open_with_model, open_with_models
    from barcodemae.library.results.tables import check_table_name, write_table
    from barcodemae.library.store.fetching import find_libraries
    from barcodemae.outputs import check_outputs, describe_output, message_stream, open_output

    check_outputs({"--output": args.output}, [args.input, *filter(None, [args.library])])
    check_table_name(Path(args.output))
    if is_library:
        opened = open_with_models(find_libraries([args.input]), [] if args.model is None else [args.model])
        findings = pa.concat_tables([check_library(*one) for one in opened])
        checked = f"{sum(len(library.live) for library, _ in opened):,} records of {args.input}"
    else:
        library: StoredLibrary | None = None
        embedder: Any
        if args.library is not None:
            library, embedder = open_with_model(args.library, args.model)
        else:
            embedder = load_engine(FRAME, DEFAULT if args.model is None else args.model)
        check_records = SequenceChecker(embedder, library)
        tables, num_records = [SEQUENCE_FINDINGS.empty_table()], 0
        for records in stream_records([args.input], on_error="skip", max_length=args.max_length):
            tables.append(check_records(records))
            num_records += len(records)
        findings, checked = pa.concat_tables(tables), f"{num_records:,} sequences"
    with open_output(args.output) as file:
        write_table(findings, file, Path(args.output).suffix == ".parquet", TEXTS_FROM_FILES)
    messages = message_stream(args.output)
    print(f"Found in {checked}: {count_reasons(findings)}.", file=messages)
    print(f"The findings are in {describe_output(args.output)}.", file=messages)
