"""`barcodemae sites`: lists the sites that distinguish a taxon from its nearest relatives."""

from dataclasses import dataclass, field
from pathlib import Path

from barcodemae.cli.arguments import parse_arguments
from barcodemae.data.schema import RANKS
from barcodemae.errors import ConfigurationError


@dataclass
class SitesArguments:
    """The library, the taxon, the taxa to compare it with, and the output."""

    library: str = field(metadata={"help": "Folder of a library (barcodemae index), or hub:ORG/NAME of one."})
    taxon: str = field(metadata={"help": "Name of a genus, or of another taxon, in quotation marks if it has spaces."})
    output: str = field(default="-", metadata={"help": "Table, .tsv or .parquet; by default standard output (TSV)."})
    against: list[str] = field(
        default_factory=list,
        metadata={"help": "Names of taxa of the same rank to distinguish it from, by default the nearest ones."},
    )
    num_others: int = field(default=3, metadata={"help": "Number of nearest taxa that it is compared with."})
    min_share: float = field(
        default=0.95,
        metadata={
            "help": "Minimum share of the taxon with the base of a site, and of another taxon without it, more than "
            "0.5 and at most 1; each species counts alike."
        },
    )
    rank: str | None = field(
        default=None, metadata={"help": "Rank of the taxon, if the name occurs at several.", "choices": list(RANKS)}
    )
    model: str | None = field(
        default=None, metadata={"help": "Folder or Hub id of the library's model, if it has moved since."}
    )


def sites(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; nothing is written.
    """
    (args,) = parse_arguments(
        (SitesArguments,),
        arguments,
        positionals=("library", "taxon"),
        about="List the sites at which a taxon differs from its nearest relatives (diagnostic nucleotides).",
        example="barcodemae sites library Euxoa -o sites.tsv",
    )
    if not 0.5 < args.min_share <= 1:
        raise ConfigurationError(f"--min-share {args.min_share}: expected more than 0.5 and at most 1")
    if args.num_others < 1:
        raise ConfigurationError(f"--num-others {args.num_others}: expected 1 or more")
    import pyarrow.compute as pc

    from barcodemae.library.explanation.diagnostic_sites import (
        SEPARATOR,
        TEXTS_FROM_FILES,
        find_sites,
        find_taxon,
        nearest_taxa,
    )
    from barcodemae.library.models import open_with_model
    from barcodemae.library.results.tables import check_table_name, write_table
    from barcodemae.outputs import check_outputs, describe_output, message_stream, open_output

    check_outputs({"--output": args.output}, [args.library])
    check_table_name(Path(args.output))
    library, embedder = open_with_model(args.library, args.model)
    rank, taxon = find_taxon(library, args.taxon, args.rank)
    if args.against:
        others = [find_taxon(library, name, rank)[1] for name in dict.fromkeys(args.against)]
    else:
        others = nearest_taxa(library, rank, taxon.name, args.num_others)
    if not others or taxon.name in args.against:
        raise ConfigurationError(f"{args.taxon}: expected another {rank} to distinguish it from, got none")
    found = find_sites(library, embedder, taxon, others, args.min_share)
    with open_output(args.output) as file:
        write_table(found, file, Path(args.output).suffix == ".parquet", TEXTS_FROM_FILES)
    described = [f"{one.name} ({one.num_species:,} species, {len(one.records):,} records)" for one in (taxon, *others)]
    num_all = pc.sum(pc.equal(found["num_distinguished"], len(others))).as_py() or 0
    names = [name for text in found["distinguished_from"].to_pylist() for name in text.split(SEPARATOR)]
    numbers = ", ".join(f"{one.name} {names.count(one.name):,}" for one in others)
    messages = message_stream(args.output)
    print(f"{rank.capitalize()} {described[0]} against {', '.join(described[1:])}.", file=messages)
    print(
        f"{len(found):,} sites are in {describe_output(args.output)}: {num_all:,} distinguish it from all of them; "
        f"from each: {numbers}.",
        file=messages,
    )
