"""`barcodemae convert`: a published checkpoint in, one of ours out."""

from dataclasses import dataclass, field
from pathlib import Path

from barcodemae.cli.arguments import parse_arguments


@dataclass
class ConvertArguments:
    """What to convert, and where to."""

    file: str = field(metadata={"help": "Checkpoint as BarcodeMAE or BarcodeBERT published it (.pt, .pth)."})
    output: str = field(
        metadata={"help": "Folder of the new checkpoint, which must not exist or be empty.", "short": "-o"}
    )


def convert(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; nothing is written then.
    """
    (args,) = parse_arguments(
        (ConvertArguments,),
        arguments,
        positionals=("file", "output"),
        about="Make a checkpoint of one that BarcodeMAE or BarcodeBERT published, without running what it holds.",
        example="barcodemae convert best_pretraining.pt -o runs/published",
    )
    from barcodemae.hub.published import convert_published
    from barcodemae.outputs import check_output_folder

    check_output_folder(args.output)
    published, difference = convert_published(Path(args.file), Path(args.output))
    config = published.bert.config
    print(
        f"{args.file}: layout {published.layout}, k = {published.k}, {config.num_hidden_layers} layers of "
        f"{config.hidden_size}, {config.num_attention_heads} heads."
    )
    print(f"Left out, as no part of the encoder: {', '.join(published.left_out) or 'nothing'}.")
    print(f"Embeddings of real barcodes differ by at most {difference:.1e} from those of the file's own weights.")
    print(f"The checkpoint is in {args.output}.")
