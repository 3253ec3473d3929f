"""`barcodemae identify`: names barcodes by a reference library."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barcodemae.cli.arguments import parse_arguments
from barcodemae.cli.shards import SHARDS_HELP, run_shards, shared_options
from barcodemae.data.sources import MAX_LENGTH, MAX_LENGTH_HELP, SOURCES_HELP, WHOLE_HEADERS_HELP, check_sources
from barcodemae.errors import ConfigurationError, option_name
from barcodemae.library.settings import BLAST6, FORMATS, MIN_CONFIDENCE, NUM_VOTERS, PRIMERS_HELP

if TYPE_CHECKING:
    import pyarrow as pa

    from barcodemae.library.explanation.contributions import Explainer, Explanation
    from barcodemae.library.identification import Identifier
    from barcodemae.library.mixture import MixtureIdentifier
    from barcodemae.library.store.stored import StoredLibrary

_QUERIES = 4096


@dataclass
class IdentifyArguments:
    """The queries, the library and the output."""

    queries: list[str] = field(metadata={"help": f"{SOURCES_HELP}, or - for standard input."})
    library: list[str] = field(
        metadata={
            "help": "Folder of a library (barcodemae index), or hub:ORG/NAME of one on the Hub (also @REVISION). "
            "For several markers, the folder of a collection (barcodemae index --marker all), or this option once for "
            "each library: a query is identified by the library of its marker.",
            "repeated": True,
        }
    )
    output: str = field(
        metadata={
            "help": "File of results: .tsv, .jsonl, .parquet, the first two also .gz; or - for standard output (TSV, "
            "or the format of --format)."
        }
    )
    format: str | None = field(
        default=None,
        metadata={
            "help": "Format of the output, by default that of its suffix: "
            + "; ".join(f"{name} ({what})" for name, what in FORMATS.items()),
            "choices": list(FORMATS),
        },
    )
    summary: str | None = field(default=None, metadata={"help": "HTML page to write: the results by taxon."})
    by_sample: str | None = field(
        default=None,
        metadata={
            "help": "Table to write, .tsv or .parquet: the number of reads of each taxon in each sample. Samples are "
            "those in the id (sample=, barcodelabel= or merged_sample=), otherwise the file; the number of reads is "
            "that in the id (size= or count=), otherwise 1."
        },
    )
    multiqc: str | None = field(
        default=None,
        metadata={
            "help": "File to write for MultiQC, NAME_mqc.json: the number of reads of each sample by called rank."
        },
    )
    explain: str | None = field(
        default=None,
        metadata={
            "help": "Folder to write: how much each base of a query contributes to its name rather than to the next "
            "best one, as tables, and as pictures of the first queries."
        },
    )
    max_length: int = field(default=MAX_LENGTH, metadata={"help": MAX_LENGTH_HELP})
    whole_headers: bool = field(default=False, metadata={"help": WHOLE_HEADERS_HELP})
    min_confidence: float = field(
        default=MIN_CONFIDENCE,
        metadata={"help": "Minimum confidence of an assigned name, 0 to 1: the probability that it is correct."},
    )
    primers: str | None = field(default=None, metadata={"help": PRIMERS_HELP})
    max_error: float | None = field(
        default=None,
        metadata={
            "help": "Instead of --min-confidence: maximum share of queries with a wrong name, such as 0.02, of species "
            "in the library, of other species and of other phyla alike. The minimum confidence is chosen on held-out "
            "queries; for queries like these it is sufficient with a probability of 95 percent."
        },
    )
    shards: bool = field(default=False, metadata={"help": SHARDS_HELP})
    align: int | None = field(
        default=None,
        metadata={
            "help": f"Number of nearest references, 0 to {NUM_VOTERS}, to align with each query. This reports "
            f"identity, mismatches and gaps as BLAST does, and changes no name; by default 0, or {NUM_VOTERS} with "
            f"--format {BLAST6}."
        },
    )
    model: list[str] = field(
        default_factory=list,
        metadata={
            "help": "Folder or Hub id of the library's model, if it has moved since; of several, once for each.",
            "repeated": True,
        },
    )


def identify(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; nothing is written.
    """
    (args,) = parse_arguments(
        (IdentifyArguments,),
        arguments,
        positionals=("queries",),
        about="Identify barcodes by a reference library, with a confidence for each name.",
        example="barcodemae identify reads.fasta.gz --library library -o names.tsv --summary names.html",
    )
    check_sources(args.queries)
    from barcodemae.library.store.fetching import find_libraries

    args = replace(args, library=find_libraries(args.library))
    (_identify_shards if args.shards else _identify)(args)


def _identify_shards(args: IdentifyArguments) -> None:
    """Identify each of the files, or those of this process, into a file of its own."""
    single = {name: getattr(args, name) for name in ("format", "summary", "by_sample", "explain", "multiqc")}
    for name, value in single.items():
        if value is not None:
            raise ConfigurationError(f"{option_name(name)}: expected no such option with --shards, only Parquet files")
    from barcodemae.library.store.fetching import find_library
    from barcodemae.library.store.manifest import MANIFEST_FILE, read_manifest
    from barcodemae.provenance import sha256

    libraries = [find_library(library) for library in args.library]
    for library in libraries:
        read_manifest(library)
    made_of = " ".join(sha256(library / MANIFEST_FILE) for library in libraries)
    options = shared_options(args, "queries", "library", "model", *single)
    run_shards(
        args.queries,
        Path(args.output),
        {"command": "identify", "library": made_of} | options,
        lambda shard, file: _identify(replace(args, queries=[shard], output=str(file))),
    )


def _identify(args: IdentifyArguments) -> None:
    if args.explain is not None and len(args.library) > 1:
        raise ConfigurationError(f"--explain {args.explain}: expected one library, got {len(args.library)}")
    if not 0 <= args.min_confidence <= 1:
        raise ConfigurationError(f"--min-confidence {args.min_confidence}: expected 0 to 1")
    if args.max_error is not None:
        if not 0 < args.max_error < 1:
            raise ConfigurationError(f"--max-error {args.max_error}: expected more than 0 and less than 1")
        if args.min_confidence != MIN_CONFIDENCE:
            raise ConfigurationError("expected --max-error or --min-confidence, got both")
    num_aligned = (NUM_VOTERS if args.format == BLAST6 else 0) if args.align is None else args.align
    if not 0 <= num_aligned <= NUM_VOTERS:
        raise ConfigurationError(f"--align {num_aligned}: expected 0 to {NUM_VOTERS}")
    import pyarrow.compute as pc
    from tqdm import tqdm

    from barcodemae.data.sources import STANDARD_INPUT
    from barcodemae.embedding.processes import joined_processes
    from barcodemae.library.explanation.contributions import Explainer
    from barcodemae.library.explanation.explanation_files import open_explanations
    from barcodemae.library.identification import Identifier
    from barcodemae.library.mixture import MixtureIdentifier
    from barcodemae.library.models import open_with_models
    from barcodemae.library.results.samples import SampleCounts
    from barcodemae.library.results.schema import CALLS
    from barcodemae.library.segments import describe_markers
    from barcodemae.outputs import describe_output, message_stream

    messages = message_stream(args.output, args.summary, args.by_sample, args.multiqc)
    calls: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    markers: Counter[str] = Counter()
    num_reads = 0
    with joined_processes() as processes, ExitStack() as files:
        if processes.count > 1 and STANDARD_INPUT in args.queries:
            raise ConfigurationError(
                f"expected files for {processes.count} processes, got '-': only one process can read standard input"
            )

        def begin() -> "tuple[list[Any], MixtureIdentifier, Explainer | None]":
            if processes.is_first:
                _check_outputs(args)
            opened = open_with_models(args.library, args.model)
            identifier = MixtureIdentifier(
                [
                    Identifier.from_library(*one, args.min_confidence, num_aligned, args.primers, args.max_error)
                    for one in opened
                ]
            )
            libraries = [library for library, _ in opened]
            explainer = None
            if args.explain is not None:
                explainer = Explainer(*opened[0], identifier.identifiers[0].ranks)
            return _open_writers(args, files, libraries) if processes.is_first else [], identifier, explainer

        def work(records: "pa.Table") -> "tuple[pa.Table, list[Explanation]]":
            if explainer is None:
                return identifier(records), []
            (alone,) = identifier.identifiers
            searched = alone.search(records)
            results = alone.results(records, searched)
            return results, list(explainer(searched, results))

        writers, identifier, explainer = processes.together(begin)
        explanations = None
        if args.explain is not None and processes.is_first:
            explanations = files.enter_context(open_explanations(Path(args.explain)))
        with tqdm(desc="identify", unit=" queries", unit_scale=True, disable=not processes.is_first) as progress:
            blocks = _blocks(args.queries, args.max_length, args.whole_headers)
            for results, explained in processes.share(blocks, work):
                for writer in writers:
                    writer.write(results)
                if explanations is not None:
                    explanations.write(explained)
                calls.update(results["call"].to_pylist())
                reasons.update(filter(None, results["reason"].to_pylist()))
                markers.update(filter(None, results["marker"].to_pylist()))
                num_reads += pc.sum(results["size"]).as_py() or 0
                progress.update(len(results))
    if processes.is_first:
        reads = f" ({num_reads:,} reads)" if num_reads > calls.total() else ""
        print(f"Results of {calls.total():,} queries{reads} are in {describe_output(args.output)}.", file=messages)
        found = ", ".join(f"{call} {calls[call]:,}" for call in reversed(CALLS) if calls[call])
        print(f"Calls: {found}." if found else "There was no query.", file=messages)
        if reasons:
            print(f"Reasons: {', '.join(f'{why} {n:,}' for why, n in reasons.most_common())}.", file=messages)
        if len(args.library) > 1:
            print(f"Markers: {describe_markers(dict(markers.most_common()))}.", file=messages)
        if args.max_error is not None:
            for one in identifier.identifiers:
                print(_guarantee(args.max_error, one), file=messages)
        if explanations is not None:
            print(
                f"Explanations of {explanations.num_queries:,} names are in {args.explain}; their contributions add up "
                f"to the difference of the scores, but for at most {explanations.max_error:.0e}.",
                file=messages,
            )
        if args.summary is not None:
            print(f"The summary is in {describe_output(args.summary)}.", file=messages)
        if args.by_sample is not None:
            (samples,) = (writer for writer in writers if isinstance(writer, SampleCounts))
            print(f"Samples in {describe_output(args.by_sample)}: {_sources_of(*samples.sources())}.", file=messages)


def _guarantee(max_error: float, identifier: "Identifier") -> str:
    from barcodemae.library.calibration.guarantee import CERTAINTY
    from barcodemae.library.calibration.probability import LENGTHS

    chosen = ", ".join(
        f"{length}: {minimum:.4f}" if minimum <= 1 else f"{length}: none, no name is given"
        for length, minimum in zip(LENGTHS, identifier.min_confidences, strict=True)
    )
    return (
        f"{identifier.marker}: at most {max_error:.1%} of the queries get a wrong name, with a probability of "
        f"{CERTAINTY:.0%}: of species in the library, of other species and of other phyla alike, if these are "
        f"like the held-out queries of the calibration. Minimum confidence by number of bases: {chosen}."
    )


def _sources_of(num_annotated: int, num_files: int) -> str:
    """Where samples are from, and how many."""
    found = []
    if num_annotated:
        found.append(f"{num_annotated:,} from ids (sample=, barcodelabel= or merged_sample=)")
    if num_files or not num_annotated:
        found.append(f"{num_files:,} from names of files")
    return ", ".join(found)


def _check_outputs(args: IdentifyArguments) -> None:
    from barcodemae.library.explanation.explanation_files import CONTRIBUTIONS_FILE, QUERIES_FILE
    from barcodemae.library.results.multiqc import check_multiqc_name
    from barcodemae.library.results.tables import check_table_name
    from barcodemae.library.results.writers import results_format
    from barcodemae.library.store.manifest import MANIFEST_FILE
    from barcodemae.outputs import check_output_folder, check_outputs

    inputs = [*args.queries, *args.library, *args.model]
    outputs = {name: getattr(args, name) for name in ("output", "summary", "by_sample", "multiqc")}
    if args.explain is not None:
        check_output_folder(args.explain, without=[MANIFEST_FILE])
        outputs |= {f"explain: {name}": Path(args.explain) / name for name in (QUERIES_FILE, CONTRIBUTIONS_FILE)}
    check_outputs({f"--{name.replace('_', '-')}": file for name, file in outputs.items()}, inputs)
    results_format(Path(args.output), args.format)
    if args.multiqc is not None:
        check_multiqc_name(Path(args.multiqc))
    if args.by_sample is not None:
        check_table_name(Path(args.by_sample))


def _open_writers(args: IdentifyArguments, files: ExitStack, libraries: "list[StoredLibrary]") -> list[Any]:
    from barcodemae.data.formats import STANDARD_INPUT_NAME
    from barcodemae.data.sources import HUB, STANDARD_INPUT
    from barcodemae.library.results.multiqc import open_multiqc
    from barcodemae.library.results.samples import open_samples
    from barcodemae.library.results.writers import open_writer
    from barcodemae.library.summary.page import open_summary

    writers: list[Any] = [files.enter_context(open_writer(Path(args.output), args.format))]
    if args.by_sample is not None:
        writers.append(files.enter_context(open_samples(Path(args.by_sample))))
    if args.multiqc is not None:
        writers.append(files.enter_context(open_multiqc(Path(args.multiqc))))
    if args.summary is not None:
        names = (source if source.startswith(HUB) else Path(source).name for source in args.queries)
        title = f"Barcodes of {', '.join(STANDARD_INPUT_NAME if name == STANDARD_INPUT else name for name in names)}"
        folders = (one if one.startswith(HUB) else Path(one).resolve().name for one in args.library)
        models = (library.manifest.model for library in libraries)
        facts = {
            "library": "; ".join(
                f"{name}, {len(library.live):,} records" for name, library in zip(folders, libraries, strict=True)
            ),
            "model": "; ".join(f"{model['name']} ({model['engine']})" for model in models),
            "minimum confidence": (
                f"{args.min_confidence:g}"
                if args.max_error is None
                else f"for at most {args.max_error:.1%} wrong names"
            ),
            "date": datetime.now().astimezone().date().isoformat(),
        }
        writers.append(files.enter_context(open_summary(Path(args.summary), title, facts)))
    return writers


def _blocks(queries: list[str], max_length: int, whole_headers: bool) -> "Iterator[pa.Table]":
    from barcodemae.data import stream_records
    from barcodemae.data.schema import Preset

    for records in stream_records(queries, Preset(whole_headers=whole_headers), "skip", max_length):
        for begin in range(0, len(records), _QUERIES):
            yield records.slice(begin, _QUERIES)
