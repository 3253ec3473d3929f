"""Round the weights of a checkpoint to half precision: `python tools/halve_checkpoint.py runs/tuned runs/halved`.

Results belong to the weights that they were measured on, and rounded weights are other weights. So a checkpoint is
first halved, then evaluated and then shipped:

    python tools/halve_checkpoint.py runs/tuned runs/halved
    python evaluate_embeddings.py --model runs/halved --data FILE --output-dir runs/halved/evaluation
    python tools/ship_checkpoint.py runs/halved nano_coi

The `dtype` in config.json stays float32: `transformers` computes in this precision, so that all users of the halved
weights get the same embeddings.
"""

import argparse
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from barcodemae.checkpoints.files import WEIGHTS_FILE, WEIGHTS_INDEX_FILE, WEIGHTS_SHARDS, weights_files
from barcodemae.checkpoints.loading import load_checkpoint
from barcodemae.cli.command import run_command
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.files import written_atomically

# Files made from the full weights, and files to resume a run.
_WEIGHTS = (WEIGHTS_FILE, WEIGHTS_INDEX_FILE, WEIGHTS_SHARDS)
_NOT_COPIED = (*_WEIGHTS, "evaluation", "onnx", "state", "tensorboard", "run.yaml", ".lock")


def halve(run: Path, folder: Path, encoder_only: bool = False) -> None:
    """Copy a checkpoint with weights in float16, without results, ONNX files and states of the old ones.

    Args:
        run: folder of a checkpoint.
        folder: a new or empty folder.
        encoder_only: leave out the weights of decoders and heads.

    Raises:
        CheckpointError: the checkpoint is missing, or a weight is too large for half precision.
        ConfigurationError: `folder` is not empty, or is inside of `run`.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ConfigurationError(f"{folder}: expected an empty folder, or none")
    if folder.resolve().is_relative_to(run.resolve()):
        raise ConfigurationError(f"{folder}: expected a folder outside of {run}")
    if not run.is_dir():
        raise CheckpointError(f"{run}: expected the folder of a checkpoint")
    load_checkpoint(run)
    parts = [load_file(file) for file in weights_files(run)]
    weights = {
        name: _half(name, weight)
        for part in parts
        for name, weight in part.items()
        if not encoder_only or name.startswith("bert.")
    }
    with written_atomically(folder) as scratch:
        shutil.copytree(run, scratch, ignore=shutil.ignore_patterns(*_NOT_COPIED), dirs_exist_ok=True)
        save_file(weights, scratch / WEIGHTS_FILE, metadata={"format": "pt"})


def _half(name: str, weight: Tensor) -> Tensor:
    if not weight.is_floating_point():
        return weight
    rounded = weight.half()
    if not rounded.isfinite().all():
        raise CheckpointError(f"{name}: expected weights that half precision can hold, got {weight.abs().max():.3g}")
    return rounded


def main() -> None:
    parser = argparse.ArgumentParser(description="Round the weights of a checkpoint to half precision.")
    parser.add_argument("run", type=Path, help="its folder")
    parser.add_argument("folder", type=Path, help="where the halved one goes")
    parser.add_argument("--encoder-only", action="store_true", help="leave out the weights of decoders and heads")
    arguments = parser.parse_args()
    halve(arguments.run, arguments.folder, arguments.encoder_only)
    print(f"The halved checkpoint is in {arguments.folder}: evaluate that one, then ship it.")


if __name__ == "__main__":
    run_command(main)
