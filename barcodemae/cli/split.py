"""`barcodemae split`: holds species out for validation and test."""

from dataclasses import dataclass, field
from pathlib import Path

from barcodemae.cli.arguments import parse_arguments
from barcodemae.data.sources import check_sources
from barcodemae.errors import ConfigurationError


@dataclass
class SplitArguments:
    """The records to split, and the output."""

    data: str = field(metadata={"help": "A file (FASTA, FASTQ, TSV, CSV, Parquet, also compressed) or hub:ORG/NAME."})
    output: str = field(metadata={"help": "A .parquet file: the same records with a new column split."})
    of: str = field(
        default="all",
        metadata={
            "help": "all: all rows become train, test and test_unseen; train: only the rows of the split train become "
            "train, val and val_unseen, for the choice of models.",
            "choices": ["all", "train"],
        },
    )
    against: list[str] = field(
        default_factory=list,
        metadata={
            "help": "File of references, such as training data, or several: the records are queries, and become "
            "test (of a species of the references), test_unseen (of another one of their genera), copy (with the "
            "sequence of a reference, or a part of it, or a longer one) or no_genus. No species is held out.",
            "repeated": True,
        },
    )
    fold: int = field(default=0, metadata={"help": "Number of the fold; each fold holds out other species."})
    seed: int = field(default=0, metadata={"help": "Random seed of the choice of species and rows."})
    on_error: str = field(
        default="raise",
        metadata={
            "help": "A damaged row, or a record that is too long: raise (stop) or skip (leave out, count and list).",
            "choices": ["raise", "skip"],
        },
    )


def split(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; nothing is written then.
    """
    (args,) = parse_arguments(
        (SplitArguments,),
        arguments,
        positionals=("data", "output"),
        about="Hold species out for validation and test.",
        example="barcodemae split barcodes.tsv -o split.parquet",
    )
    check_sources([args.data, *args.against])
    if args.against and args.of != "all":
        raise ConfigurationError(f"--against: expected --of all, got --of {args.of}")
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from barcodemae.data import read_records
    from barcodemae.data.quality import log_records
    from barcodemae.evaluation.folds import fold_of_train, split_by_references, split_by_species
    from barcodemae.outputs import check_outputs, open_output

    output = Path(args.output)
    if output.suffix != ".parquet":
        raise ConfigurationError(f"--output {output}: expected a name that ends with .parquet")
    check_outputs({"--output": output}, [args.data, *args.against])
    records = read_records(args.data, on_error=args.on_error)
    is_damaged = pc.not_equal(records["problem"], "")
    if pc.any(is_damaged).as_py():
        log_records(records.filter(is_damaged), "problem")
        print(f"Records left out, as they are damaged: {pc.sum(is_damaged).as_py():,}.")
        records = records.filter(pc.invert(is_damaged))
    if args.against:
        records = split_by_references(records, args.against)
    elif args.of == "train":
        records = fold_of_train(records, args.fold, args.seed)
    else:
        records = split_by_species(records, args.seed, fold=args.fold)
    with open_output(output) as file:
        pq.write_table(records.drop_columns(["file", "line", "problem"]), file, compression="zstd")
    counts = {entry["values"]: entry["counts"] for entry in records["split"].value_counts().to_pylist()}
    sizes = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    print(f"{len(records):,} records are in {output}: {sizes}.")
