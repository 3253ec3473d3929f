"""`barcodemae marker build`: makes the reference frame of a marker from sequences of it."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from barcodemae.cli.arguments import parse_arguments
from barcodemae.data.sources import SOURCES_HELP, check_sources
from barcodemae.errors import ConfigurationError

_BUILD = "build"


@dataclass
class MarkerArguments:
    """The sequences, and the marker."""

    data: list[str] = field(
        metadata={
            "help": f"{SOURCES_HELP}: sequences that cover the marker from its first to its last base, on the coding "
            "strand, or an alignment of it in FASTA. Of a mixture of known markers, those of this one are used."
        }
    )
    name: str = field(metadata={"help": "Name of the marker, such as rbcL."})
    output: str = field(metadata={"help": "Folder of the marker, a new one, from which barcodemae tune makes a model."})
    length: int | None = field(
        default=None,
        metadata={"help": "Use the sequences of this number of nucleotides; by default, of the most frequent one."},
    )
    hmm: str | None = field(
        default=None,
        metadata={
            "help": "Hidden Markov model of DNA (hmmbuild of HMMER 3): its match states become the coordinates, and "
            "the sequences, of any length, only decide the minimum score."
        },
    )

    uneven: bool = field(
        default=False,
        metadata={
            "help": "For a marker whose length is uneven, such as ITS, 12S, 16S, 18S or trnL: it has no reference "
            "frame, and is recognised and compared by its k-mers."
        },
    )

    def __post_init__(self) -> None:
        if self.length is not None and self.length < 1:
            raise ConfigurationError(f"--length {self.length}: expected 1 nucleotide or more")
        if self.length is not None and self.hmm is not None:
            raise ConfigurationError("expected --length or --hmm, got both")
        if self.uneven and (self.length is not None or self.hmm is not None):
            raise ConfigurationError("--uneven: expected neither --length nor --hmm, as the marker gets no frame")


def marker(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; nothing is written.
    """
    action, *options = arguments or ["--help"]
    if action not in (_BUILD, "-h", "--help"):
        raise ConfigurationError(f"barcodemae marker: expected {_BUILD}, got {action}")
    sys.argv[0] = f"barcodemae marker {_BUILD}"
    (args,) = parse_arguments(
        (MarkerArguments,),
        options if action == _BUILD else [action],
        positionals=("data",),
        about="Make the reference frame of a marker without length differences, or with few, from sequences of it.",
        example="barcodemae marker build rbcl.fasta --name rbcL -o rbcl",
    )
    check_sources([*args.data, *filter(None, [args.hmm])])
    from barcodemae.checkpoints.marker import build_marker, build_profile
    from barcodemae.outputs import check_output_folder

    check_output_folder(args.output)
    if args.uneven:
        learnt = build_profile(args.data, args.name, Path(args.output))
        numbers = f"{learnt.num_accepted:,} of {learnt.num_sequences:,} different sequences"
        print(f"The k-mer profile of {args.name} is in {args.output}: either half recognises the other, {numbers}.")
        print(f"A model of the marker: barcodemae tune {args.output} -o MODEL --data BARCODES")
        return
    built = build_marker(args.data, args.name, Path(args.output), args.length, args.hmm)
    origin = f"{built.num_used:,} of {built.num_sequences:,} different sequences"
    if args.hmm is not None:
        origin = f"the match states of {args.hmm}"
    print(f"The reference frame of {args.name} is in {args.output}: {built.frame.length:,} nucleotides, from {origin}.")
    print(f"It accepts {built.num_placed:,} of the {built.num_sequences:,} sequences.")
    print(f"A model of the marker: barcodemae tune {args.output} -o MODEL --data BARCODES")
