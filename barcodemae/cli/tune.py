"""`barcodemae tune`: a pretrained checkpoint to one whose embeddings rank relatives."""

from barcodemae.commands import parse_arguments
from barcodemae.outputs import check_output_folder
from barcodemae.tuning.tune import TuneArguments
from barcodemae.tuning.tune import tune as tune_checkpoint


def tune(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input; nothing is written then.
    """
    (args,) = parse_arguments((TuneArguments,), arguments, positionals=("checkpoint", "output"))
    check_output_folder(args.output)
    fitted = tune_checkpoint(args)
    named = f", {fitted.num_named:,} of them with a genus" if args.label_share else ""
    print(
        f"The tuned checkpoint is in {args.output}: fitted on {fitted.num_barcodes:,} barcodes{named}, in "
        f"{fitted.num_clusters:,} clusters with {fitted.num_pairs:,} pairs of relatives."
    )
