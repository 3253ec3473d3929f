"""Pretrain BarcodeMAE: `accelerate launch train.py [--config FILE.yaml] [--option value ...]`."""

import sys

from barcodemae.cli.command import run_command
from barcodemae.cli.train import train


def main() -> None:
    train(sys.argv[1:])


if __name__ == "__main__":
    run_command(main)
