"""`barcodemae convert`: converts a published checkpoint."""

from dataclasses import dataclass, field
from pathlib import Path

from barcodemae.cli.arguments import parse_arguments


@dataclass
class ConvertArguments:
    """The file to convert, and the new folder."""

    file: str = field(
        metadata={"help": "Checkpoint made by the public code of BarcodeMAE, BarcodeMAE+ or BarcodeBERT (.pt, .pth)."}
    )
    output: str = field(metadata={"help": "Folder of the new checkpoint; it must be new or empty."})


def convert(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; nothing is written then.
    """
    (args,) = parse_arguments(
        (ConvertArguments,),
        arguments,
        positionals=("file", "output"),
        about="Convert a checkpoint of BarcodeMAE, BarcodeMAE+ or BarcodeBERT, without running code that it contains.",
        example="barcodemae convert best_pretraining.pt -o runs/published",
    )
    from barcodemae.hub.conversion import convert_published, describe_pooling
    from barcodemae.outputs import check_output_folder

    check_output_folder(args.output)
    published, difference = convert_published(Path(args.file), Path(args.output))
    config = published.bert.config
    print(
        f"{args.file}: layout {published.layout}, k = {published.k}, {config.num_hidden_layers} layers of "
        f"{config.hidden_size}, {config.num_attention_heads} heads."
    )
    print(f"Weights outside the encoder, left out: {', '.join(published.left_out) or 'none'}.")
    print(describe_pooling(published))
    print(f"Embeddings of real barcodes differ by at most {difference:.1e} from those of the original weights.")
    print(f"The checkpoint is in {args.output}.")
