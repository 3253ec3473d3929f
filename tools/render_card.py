"""Render the card of a checkpoint: `python tools/render_card.py runs/tiny_coi ORG/NAME README.md`."""

import argparse
from pathlib import Path

from barcodemae.cli.command import run_command
from barcodemae.hub.card import render_card


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the card of a checkpoint.")
    parser.add_argument("checkpoint", type=Path, help="its folder")
    parser.add_argument("repository", help="its id on the Hub, ORG/NAME")
    parser.add_argument("output", type=Path, help="Markdown file")
    arguments = parser.parse_args()
    arguments.output.write_text(render_card(arguments.checkpoint, arguments.repository), encoding="utf-8")
    print(f"The card is in {arguments.output}.")


if __name__ == "__main__":
    run_command(main)
