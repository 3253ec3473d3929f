"""Evaluate a model: `python evaluate_embeddings.py --model DIR_OR_HUB_ID --data FILE --output_dir DIR`."""

from pathlib import Path

from barcodemae.commands import parse_arguments, run_command
from barcodemae.evaluation.options import EvaluationArguments
from barcodemae.evaluation.report.pages import results_table
from barcodemae.evaluation.run import run_evaluation


def main() -> None:
    (arguments,) = parse_arguments([EvaluationArguments])
    results = run_evaluation(arguments)
    print(f"\n{results_table(results)}\n")
    print("In percent, with 95 % intervals over species.")
    plots = ", ".join(sorted(file.name for file in Path(arguments.output_dir).glob("*.png")))
    files = "report.html, report.md, results.json, assignments.parquet"
    print(f"In {arguments.output_dir}: {files} and the plots {plots}.")


if __name__ == "__main__":
    run_command(main)
