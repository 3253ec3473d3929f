"""Evaluate a model: `python evaluate_embeddings.py --model FOLDER_OR_HUB_ID --data FILE --output-dir FOLDER`."""

import sys

from barcodemae.cli.command import run_command
from barcodemae.cli.evaluate import evaluate


def main() -> None:
    evaluate(sys.argv[1:])


if __name__ == "__main__":
    run_command(main)
