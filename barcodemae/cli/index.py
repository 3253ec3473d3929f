"""`barcodemae index`: builds a reference library."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barcodemae.checkpoints import ALL, AUTO, CHECKPOINT_HELP, MODELS, check_checkpoint
from barcodemae.cli.arguments import parse_arguments
from barcodemae.data.sources import MAX_LENGTH, MAX_LENGTH_HELP, SOURCES_HELP, WHOLE_HEADERS_HELP, check_sources
from barcodemae.embedding.engines import ENGINES, FRAME
from barcodemae.errors import ConfigurationError
from barcodemae.library.settings import PRIMERS_HELP

if TYPE_CHECKING:
    import pyarrow as pa

    from barcodemae.library.building import Added


@dataclass
class IndexArguments:
    """The records, the library and the model."""

    data: list[str] = field(metadata={"help": f"{SOURCES_HELP}; with or without names."})
    output: str = field(
        metadata={
            "help": "Folder of the library, or of the collection: a new or empty one, or that of an interrupted build, "
            "which is resumed. To repeat a finished command changes nothing.",
        }
    )
    taxonomy: str | None = field(
        default=None,
        metadata={"help": "Table of names by id (TSV or CSV with ranks, or the two columns of QIIME 2)."},
    )
    marker: str = field(
        default=AUTO,
        metadata={
            "help": "Marker of the library, such as COI-5P: records of other markers are left out and counted. With "
            f"{AUTO}, it is that of the model, or without --model the most frequent one, and a mixture is an error. "
            f"With {ALL}, the output is a collection: a library of each marker, which identify uses together."
        },
    )
    model: list[str] = field(
        default_factory=list,
        metadata={
            "help": f"{CHECKPOINT_HELP}; by default, one of the marker that comes with the package "
            f"({', '.join(MODELS.values())}). With --marker {ALL}, once for each marker that has none there.",
            "repeated": True,
        },
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
        metadata={
            "help": "Add to an existing library or collection. Files that it was built from are not added again."
        },
    )
    exclude_suspects: bool = field(
        default=False,
        metadata={
            "help": "Leave out records with doubtful labels, which are nearer to another genus than to their own; "
            "barcodemae check lists them, with the evidence."
        },
    )
    primers: str | None = field(default=None, metadata={"help": f"{PRIMERS_HELP} For a library of amplicons alone."})
    max_length: int = field(default=MAX_LENGTH, metadata={"help": MAX_LENGTH_HELP})
    whole_headers: bool = field(default=False, metadata={"help": WHOLE_HEADERS_HELP})
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
    for model in args.model:
        check_checkpoint(model)
    from barcodemae.data.taxonomy import read_taxonomy
    from barcodemae.outputs import check_output_folder

    check_output_folder(args.output)
    taxonomy = None if args.taxonomy is None else read_taxonomy(args.taxonomy)
    (_index_all if args.marker == ALL else _index_one)(args, taxonomy)


def _index_one(args: IndexArguments, taxonomy: "pa.Table | None") -> None:
    """Build a library of one marker, or add to it."""
    from barcodemae.embedding.engines import load_engine
    from barcodemae.library.building import append_records, build_library
    from barcodemae.library.models import check_marker, choose_model, describe_model
    from barcodemae.library.segments import describe_markers

    if len(args.model) > 1:
        raise ConfigurationError(f"--model: expected one for a library, got {len(args.model)}; --marker {ALL} uses all")
    model = args.model[0] if args.model else choose_model(args.data, args.marker)
    embedder: Any = load_engine(args.engine, model)
    check_marker(embedder, args.marker)
    add = append_records if args.append else build_library
    added = add(
        Path(args.output),
        args.data,
        embedder,
        describe_model(model, args.engine),
        args.on_error,
        taxonomy,
        args.max_length,
        args.whole_headers,
        args.exclude_suspects,
        args.primers,
        refuse_mixture=args.marker == AUTO,
    )
    if added is None:
        print(f"The library {args.output} already has the records of {', '.join(args.data)}; nothing was added.")
        return
    others = describe_markers(added.other_markers)
    recognised = f" (recognised: {others})" if others else ""
    print(f"Records added to {args.output}: {added.num_records:,}; off the marker: {added.off_marker:,}{recognised}.")
    _print_added(args.output, added)


def _index_all(args: IndexArguments, taxonomy: "pa.Table | None") -> None:
    """Build a library of each marker in a collection, or add to them."""
    from barcodemae.library.collection import MIN_RECORDS, build_collection, plan_collection

    if args.primers is not None:
        raise ConfigurationError(f"--primers {args.primers}: expected one marker, got --marker {ALL}")
    if args.on_error != "skip":
        raise ConfigurationError(
            f"--on-error {args.on_error}: expected skip with --marker {ALL}, as each library leaves out other markers"
        )
    reading = (args.max_length, args.whole_headers)
    sources = ", ".join(args.data)
    plan = plan_collection(Path(args.output), args.data, args.model, args.engine, *reading, is_append=args.append)
    print(f"Markers in {sources}: {plan.counts}.", flush=True)
    made = build_collection(plan, args.data, taxonomy, *reading, args.exclude_suspects, is_append=args.append)
    summaries = []
    for path, added in made:
        if added is None:
            print(f"The library {path} already has the records of {sources}; nothing was added.", flush=True)
            summaries.append(f"{path.name} (nothing added)")
        else:
            print(f"Records added to {path}: {added.num_records:,}.")
            _print_added(str(path), added)
            summaries.append(f"{path.name} ({added.num_records:,} records added)")
    print(f"Libraries in {args.output}: {', '.join(summaries)}.")
    for marker, count in plan.too_few.items():
        print(f"No library of {marker}, as it has {count:,} records; --marker {marker} makes one of so few.")
    for marker, count in plan.counts.others.most_common():
        what = f"No library of {marker}, as its {count:,} records have no model"
        if count < MIN_RECORDS:
            print(f"{what}, and are few.")
        else:
            print(
                f"{what}; make one, and repeat the command with --model {marker}_model: {_how_to_model(args, marker)}"
            )
    models = "".join(f" --model {shlex.quote(model)}" for model in args.model if Path(model).is_dir())
    library = shlex.quote(args.output)
    print(f"Identify by all of them: barcodemae identify QUERIES --library {library}{models} -o names.tsv")


def _how_to_model(args: IndexArguments, marker: str) -> str:
    """The commands that make a model of a marker from the records."""
    sources = shlex.join(args.data)
    build = f"barcodemae marker build {sources} --name {marker} --uneven -o {marker}_marker"
    return f"{build} && barcodemae tune {marker}_marker -o {marker}_model --data {sources}"


def _print_added(folder: str, added: "Added") -> None:
    """Print what is to be known of the records added to a library."""
    search = added.index["kind"]
    if "recall" in added.index:
        search += f" (recall of nearest neighbours: {added.index['recall']:.1%})"
    _print_names(added.names)
    if added.known_ids:
        print(
            f"Ids that the library already had: {len(added.known_ids):,} (such as {added.known_ids[0]}); both records "
            "stay."
        )
    if added.suspects:
        what = "left out" if added.num_excluded else "in use; --exclude-suspects leaves them out"
        print(
            f"Records with doubtful labels: {len(added.suspects):,} (such as {added.suspects[0]}), {what}. "
            f"The evidence: barcodemae check {folder}."
        )
    print(f"Search: {search}.")
    print("Calibrated with its own records; independent named barcodes do it better: barcodemae calibrate --queries.")
    for note in added.notes:
        print(f"Note: {note}", flush=True)


def _print_names(names: "pa.Table") -> None:
    """Print how many records have a name at each rank, and which have fewer ranks than the rest."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from barcodemae.data.schema import RANKS

    num_records = len(names)
    is_named = {rank: pc.not_equal(names[rank], "") for rank in RANKS}
    counts = {rank: pc.sum(is_named[rank]).as_py() or 0 for rank in RANKS}
    print(f"Records with a name: {', '.join(f'{rank} {count:,}' for rank, count in counts.items())}.")
    has_any = pa.chunked_array([pa.repeat(False, num_records)])
    for rank in reversed(RANKS):
        has_any = pc.or_(has_any, is_named[rank])
        num_named = pc.sum(has_any).as_py() or 0
        # Above a rank that a record has, it should have those that most others have.
        lacks = pc.and_(has_any, pc.invert(is_named[rank]))
        num_lacking = pc.sum(lacks).as_py() or 0
        if rank in RANKS[:4] and 0 < num_lacking < num_named / 2:
            example = names["id"].filter(lacks)[0].as_py()
            print(f"Records that lack the {rank}, which most others have: {num_lacking:,} (such as {example}).")
    num_nameless = num_records - (pc.sum(has_any).as_py() or 0)
    if num_nameless:
        print(f"Records without any name: {num_nameless:,}.")
