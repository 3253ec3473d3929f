"""The paper's claim, put to the test: the same encoder pretrained in ten ways, judged on species that none has seen.

`python benchmarks/claim.py --data coi_arthropods.parquet --output_dir runs/claim` trains what is not yet trained (a run
that was stopped goes on), evaluates what is not yet evaluated, and prints the table. All runs see the same barcodes, in
the same order, and share `configs/claim.yaml`; what is told of each run below is all that differs.
"""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from barcodemae.commands import parse_arguments, run_command
from barcodemae.errors import ConfigurationError
from barcodemae.hub.checkpoint import WEIGHTS_FILE

ROOT = Path(__file__).parent.parent

RUNS: dict[str, dict[str, str]] = {
    "mae": {},
    "mlm": {"objective": "mlm"},
    "causal": {"objective": "causal"},
    "mae_seed_1": {"seed": "1"},
    "mlm_seed_1": {"objective": "mlm", "seed": "1"},
    "decoder_1": {"decoder_layers": "1"},
    "decoder_2": {"decoder_layers": "2"},
    "mask_25": {"mask_ratio": "0.25"},
    "mask_75": {"mask_ratio": "0.75"},
    "k_4": {"k": "4"},
}


@dataclass
class ClaimArguments:
    """What to train on, and where the runs go."""

    data: str = field(metadata={"help": "Barcodes with splits, as coi_arthropods.parquet."})
    output_dir: str = field(default="runs/claim", metadata={"help": "A folder for each run is made in it."})
    names: list[str] = field(default_factory=lambda: list(RUNS), metadata={"help": f"Any of {', '.join(RUNS)}."})
    evaluate: bool = field(default=True, metadata={"help": "Evaluate what is trained."})

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.names) - set(RUNS)):
            raise ConfigurationError(f"--names: expected any of {', '.join(RUNS)}, got {', '.join(unknown)}")


def train(name: str, data: str, folder: Path) -> None:
    """Train one run, or go on with it; nothing where it is finished."""
    if (folder / WEIGHTS_FILE).exists():
        return
    options = {"config": str(ROOT / "configs/claim.yaml"), "data": data, "output_dir": str(folder), **RUNS[name]}
    if (folder / "metrics.jsonl").exists():
        options["resume"] = "true"
    call("train.py", options)


def call(script: str, options: dict[str, str]) -> None:
    """Run a script of this repository with options; its failure is ours."""
    words = [word for option, value in options.items() for word in (f"--{option}", *value.split(" "))]
    subprocess.run([sys.executable, str(ROOT / script), *words], check=True)


def main() -> None:
    (args,) = parse_arguments((ClaimArguments,))
    for name in args.names:
        train(name, args.data, Path(args.output_dir) / name)


if __name__ == "__main__":
    run_command(main)
