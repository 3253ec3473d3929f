"""`barcodemae export`: writes a checkpoint for other programs."""

from dataclasses import dataclass, field
from pathlib import Path

from barcodemae.checkpoints import CHECKPOINT_HELP, check_checkpoint
from barcodemae.cli.arguments import parse_arguments


@dataclass
class ExportArguments:
    """The checkpoint, the folder and the format."""

    checkpoint: str = field(metadata={"help": f"{CHECKPOINT_HELP}."})
    output: str = field(
        metadata={
            "help": "Folder to write to: a new one; with --format onnx also that of the checkpoint itself.",
        }
    )
    format: str = field(
        default="onnx",
        metadata={
            "help": "onnx: the encoder for onnxruntime and transformers.js; hub: a folder like a Hub repository, which "
            "transformers and sentence-transformers load with trust_remote_code=True and without this package.",
            "choices": ["onnx", "hub"],
        },
    )


def export(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input, or an exported model that differs from the checkpoint; nothing is written then.
    """
    (args,) = parse_arguments(
        (ExportArguments,),
        arguments,
        positionals=("checkpoint", "output"),
        about="Write a checkpoint for other programs.",
        example="barcodemae export nano_coi -o nano_coi --format hub",
    )
    check_checkpoint(args.checkpoint)
    from barcodemae.hub.onnx import EXPORT_FILE, ONNX_FOLDER, export_onnx
    from barcodemae.hub.publication import write_hub_folder
    from barcodemae.outputs import check_output_folder

    check_output_folder(args.output)
    folder = Path(args.output)
    if args.format == "hub":
        write_hub_folder(args.checkpoint, folder)
        print(f'Load it: AutoModel.from_pretrained("{folder}", trust_remote_code=True)')
        return
    parity = export_onnx(args.checkpoint, folder)
    print(f"On {parity.barcodes} real barcodes, float32 differs by at most {parity.float32_max_difference:.1e};")
    print(f"with 8-bit weights, {parity.quantized_equal_neighbours:.1%} of nearest neighbours stay the same.")
    print(f"The files are in {folder / ONNX_FOLDER}; {EXPORT_FILE} records their source.")
