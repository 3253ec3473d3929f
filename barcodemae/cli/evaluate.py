"""`barcodemae evaluate`: compares a model with baselines."""

from pathlib import Path

from barcodemae.checkpoints import check_checkpoint
from barcodemae.cli.arguments import parse_arguments
from barcodemae.data.sources import check_sources
from barcodemae.evaluation.options import EvaluationArguments


def evaluate(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        BarcodeMAEError: bad input.
    """
    (args,) = parse_arguments(
        (EvaluationArguments,),
        arguments,
        positionals=("model",),
        about="Evaluate a model by the protocol of the paper, and compare it with baselines.",
        example="barcodemae evaluate nano_coi --output-dir runs/evaluation",
        takes_config=True,
    )
    check_sources([args.data])
    if "/" in args.model:  # other names are those of published encoders
        check_checkpoint(args.model)
    from barcodemae.evaluation.report.pages import results_table
    from barcodemae.evaluation.run import run_evaluation

    results = run_evaluation(args)
    print(f"\n{results_table(results)}\n")
    print("In percent, with 95 % confidence intervals over species.")
    plots = ", ".join(sorted(file.name for file in Path(args.output_dir).glob("*.png")))
    files = "report.html, report.md, results.json, assignments.parquet"
    print(f"In {args.output_dir}: {files} and the plots {plots}.")
