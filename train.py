"""Pretrain BarcodeMAE: `accelerate launch train.py [--config FILE.yaml] [--option value ...]`."""

import sys

from barcodemae.cli.train import train
from barcodemae.commands import run_command

if __name__ == "__main__":
    run_command(lambda: train(sys.argv[1:]))
