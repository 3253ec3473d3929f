"""Give a tuned checkpoint another network: `python tools/replace_network.py nano_coi runs/pretrained runs/tuned`.

The map of the bases stays as it is, bit for bit, so that what was measured with it stays valid. The network, pretrained
with a decoder of the pooled vector, completes barcodes, as in a model of `barcodemae tune`.
"""

import argparse
import json
import shutil
from datetime import datetime, timezone
from pathlib import Path

import torch

from barcodemae.checkpoints.files import find_checkpoint, weights_sha256
from barcodemae.checkpoints.loading import load_checkpoint, save_checkpoint
from barcodemae.cli.command import run_command
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.files import written_atomically
from barcodemae.training.metrics import METRICS_FILE
from barcodemae.training.summary import TRAINING_FILE
from barcodemae.training.tuning.settings import HeadSettings
from barcodemae.training.tuning.tune import TUNING_FILE, add_head, load_pretrained


def replace_network(tuned: str, pretrained: str, folder: Path) -> None:
    """Write the checkpoint with the map of the bases of one, and encoder and pooled decoder of another.

    Args:
        tuned: a tuned checkpoint: a folder, or a name of one that comes with the package.
        pretrained: folder of a run with a decoder of the pooled vector.
        folder: a new folder.

    Raises:
        CheckpointError: a checkpoint is missing, or not of the kind expected.
        ConfigurationError: `folder` exists.
    """
    if folder.exists():
        raise ConfigurationError(f"{folder}: expected a folder that does not exist yet")
    old, new = load_checkpoint(tuned), load_pretrained(pretrained)
    config = old.model.config
    if old.frame is None or not config.embedding_size:
        raise CheckpointError(f"{tuned}: expected a tuned checkpoint with a reference frame")
    if new.pooled_decoder is None:
        raise CheckpointError(f"{pretrained}: expected a decoder of bases from the pooled vector, got none")
    for name in ("k", "reference_frame"):
        if getattr(new.model.config, name) != getattr(config, name):
            raise CheckpointError(f"{pretrained}: expected the {name} of {tuned}, got another one")
    for name in (TRAINING_FILE, METRICS_FILE):
        if not (Path(pretrained) / name).is_file():
            raise CheckpointError(f"{pretrained}: expected the folder of a run, with {name}")
    weight = HeadSettings().completion_weight
    settings = {name: getattr(config, name) for name in ("embedding_size", "frame_slots")}
    model = add_head(new, settings | {"encoder_stride": 1, "completion_weight": weight})
    with torch.no_grad():
        model.base_model.projection_head.bases.weight.copy_(old.model.projection_head.bases.weight)
    origin = json.loads((Path(find_checkpoint(tuned)) / TUNING_FILE).read_text())
    # The settings of the fit stay as they were: they are those of the map of the bases.
    origin["network_replaced"] = {
        "tuned_weights_sha256": weights_sha256(tuned),
        "pretrained_weights_sha256": weights_sha256(pretrained),
        "completion_weight": weight,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    with written_atomically(folder.resolve().parent) as scratch:
        written = scratch / folder.name
        save_checkpoint(written, model, old.frame, old.tokenizer)
        (written / TUNING_FILE).write_text(json.dumps(origin, indent=2) + "\n")
        for name in (TRAINING_FILE, METRICS_FILE):
            shutil.copyfile(Path(pretrained) / name, written / name)


def main() -> None:
    parser = argparse.ArgumentParser(description="Give a tuned checkpoint another network.")
    parser.add_argument("tuned", help="a tuned checkpoint, whose map of the bases is kept")
    parser.add_argument("pretrained", help="folder of a run with --pooled-decoder-weight above 0")
    parser.add_argument("folder", type=Path, help="a new folder")
    args = parser.parse_args()
    replace_network(args.tuned, args.pretrained, args.folder)


if __name__ == "__main__":
    run_command(main)
