"""`train.py` with one more size, small enough for a test: `--size micro`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from barcodemae.cli.command import run_command
from barcodemae.cli.train import train
from modeling_barcodemae import SIZES

SIZES["micro"] = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}

if __name__ == "__main__":
    run_command(lambda: train(sys.argv[1:]))
