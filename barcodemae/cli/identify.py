"""`barcodemae identify`: queries in, names with their confidence out."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from barcodemae.commands import parse_arguments
from barcodemae.data import stream_records
from barcodemae.errors import ConfigurationError, LibraryError
from barcodemae.reference.evidence import NUM_VOTERS
from barcodemae.reference.identify import LEAST_CONFIDENCE, Identifier
from barcodemae.reference.models import open_with_model
from barcodemae.reference.summary import open_summary
from barcodemae.reference.writers import FORMATS, FORMATS_HELP, open_writer

_QUERIES = 4096


@dataclass
class IdentifyArguments:
    """What to name, by which library, and where to write it."""

    queries: list[str] = field(
        metadata={
            "help": "Files (FASTA, FASTQ, TSV, CSV, Parquet, each also .gz), hub:ORG/NAME, or - for standard input."
        }
    )
    library: str = field(metadata={"help": "Folder of a library (barcodemae index)."})
    output: str = field(metadata={"help": "File of answers: .tsv, .jsonl, .parquet, the first two also .gz."})
    format: str | None = field(
        default=None,
        metadata={"help": f"By default what the output's name says; else {FORMATS_HELP}.", "choices": [*FORMATS]},
    )
    summary: str | None = field(default=None, metadata={"help": "An HTML page to write: what was found, by taxon."})
    least_confidence: float = field(
        default=LEAST_CONFIDENCE, metadata={"help": "A name is called where it is right at least so likely, 0 to 1."}
    )
    align: int | None = field(
        default=None,
        metadata={
            "help": f"So many of the nearest references, 0 to {NUM_VOTERS}, are aligned with each query, which gives "
            f"identity, mismatches and gaps as BLAST has them, and changes no name; by default 0, or {NUM_VOTERS} with "
            "--format blast6."
        },
    )
    model: str | None = field(
        default=None, metadata={"help": "Where the library's model is, if its name alone does not say it."}
    )


def identify(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; nothing is written then.
    """
    (args,) = parse_arguments((IdentifyArguments,), arguments, positionals=("queries",))
    if not 0 <= args.least_confidence <= 1:
        raise ConfigurationError(f"--least_confidence {args.least_confidence}: expected 0 to 1")
    num_aligned = (NUM_VOTERS if args.format == "blast6" else 0) if args.align is None else args.align
    if not 0 <= num_aligned <= NUM_VOTERS:
        raise ConfigurationError(f"--align {num_aligned}: expected 0 to {NUM_VOTERS}")
    output = Path(args.output)
    num_queries = 0
    with ExitStack() as files:
        writers: list[Any] = [files.enter_context(open_writer(output, args.format))]
        if args.summary is not None:
            writers.append(
                files.enter_context(open_summary(Path(args.summary), f"Barcodes of {', '.join(args.queries)}"))
            )
        library, embedder = open_with_model(args.library, args.model)
        calibration = library.calibration()
        if calibration is None:
            raise LibraryError(f"{args.library}: expected a calibrated library; barcodemae calibrate makes it one")
        answer = Identifier(library, embedder, calibration, args.least_confidence, num_aligned)
        with tqdm(desc="identify", unit=" queries", unit_scale=True) as progress:
            for records in stream_records(args.queries, on_error="skip"):
                for begin in range(0, len(records), _QUERIES):
                    answers = answer(records.slice(begin, _QUERIES))
                    for writer in writers:
                        writer.write(answers)
                    num_queries += len(answers)
                    progress.update(len(answers))
    print(f"Answers to {num_queries:,} queries are in {output}.")
    if args.summary is not None:
        print(f"The summary is in {args.summary}.")
