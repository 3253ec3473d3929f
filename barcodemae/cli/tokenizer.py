"""`barcodemae tokenizer`: learns a byte-pair encoding from barcodes."""

from dataclasses import dataclass, field
from pathlib import Path

from barcodemae.cli.arguments import parse_arguments
from barcodemae.data.sources import SOURCES_HELP, check_sources
from barcodemae.errors import ConfigurationError


@dataclass
class TokenizerArguments:
    """The barcodes, the folder and the size of the vocabulary."""

    data: list[str] = field(metadata={"help": f"{SOURCES_HELP}."})
    output: str = field(metadata={"help": "Folder of the tokenizer, for `barcodemae train --tokenizer`."})
    vocab_size: int = field(default=512, metadata={"help": "Number of tokens, 128 to 4,096, with three special ones."})
    splits: list[str] = field(
        default_factory=lambda: ["pretrain", "train"],
        metadata={"help": "Splits to learn from; records without a split are always used."},
    )


def tokenizer(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; nothing is written then.
    """
    (args,) = parse_arguments(
        (TokenizerArguments,),
        arguments,
        positionals=("data", "output"),
        about="Learn a byte-pair encoding from barcodes.",
        example="barcodemae tokenizer barcodes.parquet -o bpe --vocab-size 512",
    )
    check_sources(args.data)
    from barcodemae.data import filter_records, log_report, read_records
    from barcodemae.files import written_atomically
    from barcodemae.outputs import check_output_folder
    from tokenization_barcodemae import train_bpe_tokenizer

    check_output_folder(args.output, without=["config.json"])  # a checkpoint, which has a tokenizer of its own
    records, report = filter_records(read_records(args.data, on_error="skip"), min_length=1, on_error="skip")
    log_report(report)
    rows = zip(records["nucleotides"].to_pylist(), records["split"].to_pylist(), strict=True)
    sequences = [sequence for sequence, split in rows if split in {*args.splits, ""}]
    if not sequences:
        raise ConfigurationError(f"--splits {' '.join(args.splits)}: expected barcodes of these splits, got none")
    try:
        learnt = train_bpe_tokenizer(sequences, args.vocab_size)
    except ValueError as error:
        raise ConfigurationError(f"--vocab-size {args.vocab_size}: {error}") from error
    with written_atomically(Path(args.output)) as scratch:
        learnt.save_pretrained(scratch)
    print(f"A tokenizer of {len(learnt):,} tokens, learnt from {len(sequences):,} barcodes, is in {args.output}.")
