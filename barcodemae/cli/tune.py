"""`barcodemae tune`: fits a projection head that ranks relatives."""

from barcodemae.checkpoints import check_checkpoint
from barcodemae.cli.arguments import parse_arguments
from barcodemae.data.sources import check_sources
from barcodemae.training.tuning.settings import TuneArguments


def tune(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; nothing is written then.
    """
    (args,) = parse_arguments(
        (TuneArguments,),
        arguments,
        positionals=("checkpoint", "output"),
        about="Fit a projection head to a pretrained checkpoint, in closed form, so that embeddings rank relatives.",
        example="barcodemae tune runs/first -o runs/tuned --data barcodes.parquet",
        takes_config=True,
    )
    check_checkpoint(args.checkpoint)
    check_sources(args.data)
    from barcodemae.outputs import check_output_folder
    from barcodemae.training.tuning.tune import tune as tune_checkpoint

    check_output_folder(args.output)
    fitted = tune_checkpoint(args)
    named = f", {fitted.num_named:,} of them with a genus" if args.label_share else ""
    print(
        f"The tuned checkpoint is in {args.output}: fitted on {fitted.num_barcodes:,} barcodes{named}, in "
        f"{fitted.num_clusters:,} clusters with {fitted.num_pairs:,} pairs of relatives."
    )
