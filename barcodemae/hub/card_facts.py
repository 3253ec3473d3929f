"""The facts of a model card, all read from the files in the checkpoint's folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from barcodemae.checkpoints.files import FRAME_FILE, WEIGHTS_FILE, weights_files, weights_sha256
from barcodemae.errors import CheckpointError
from barcodemae.training.metrics import METRICS_FILE, barcodes_and_seconds, read_metrics
from barcodemae.training.summary import TRAINING_FILE
from barcodemae.training.tuning.tune import TUNING_FILE
from tokenization_barcodemae import ReferenceFrame

_MILESTONES = 6


@dataclass(frozen=True)
class Evaluation:
    """Results of an evaluation of these very weights.

    Attributes:
        file: path within the checkpoint's folder, with slashes.
        results: content of the file.
        seen: name of the split of seen species.
        unseen: name of the split of unseen species.
    """

    file: str
    results: dict[str, Any]
    seen: str
    unseen: str


def read_model(checkpoint: Path) -> dict[str, Any]:
    """Settings of the encoder, its number of weights, and whether there is a decoder that predicts k-mers.

    Raises:
        CheckpointError: a file is missing or broken.
    """
    config = _read_json(checkpoint / "config.json")
    sizes: dict[str, int] = {}
    try:
        for file in weights_files(checkpoint) or [checkpoint / WEIGHTS_FILE]:
            with safe_open(file, "numpy") as weights:
                for name in weights.keys():  # noqa: SIM118
                    sizes[name] = int(np.prod(weights.get_slice(name).get_shape()))
    except Exception as error:  # a missing and a broken file have no common class
        raise CheckpointError(f"{checkpoint / WEIGHTS_FILE}: expected weights: {error}") from error
    predicts_bases = config.get("pooled_target", "bases") == "bases"
    has_decoder = any(
        name.startswith("decoder.")
        or (predicts_bases and name.endswith(("pooled_decoder.output.weight", "projection_head.network.output.weight")))
        for name in sizes
    )
    others = ("decoder.", "pooled_decoder.", "auxiliary_head.", "projection_head.", "bert.projection_head.")
    return {
        "config": config,
        "encoder_weights": sum(size for name, size in sizes.items() if not name.startswith(others)),
        "has_decoder": has_decoder,
    }


def read_frame(checkpoint: Path) -> ReferenceFrame | None:
    """The reference frame, or None if the checkpoint has none.

    Raises:
        CheckpointError: the file is broken.
    """
    file = checkpoint / FRAME_FILE
    try:
        return ReferenceFrame.load(file) if file.is_file() else None
    except ValueError as error:
        raise CheckpointError(str(error)) from error


def earlier_stages(training: dict[str, Any] | None) -> list[dict[str, Any]]:
    """What the runs recorded in whose weights a run started, one after the other; the first one is first."""
    start = (training or {}).get("init_from") or {}
    return [*earlier_stages(start["training"]), start["training"]] if "training" in start else []


def read_training(checkpoint: Path) -> dict[str, Any] | None:
    """Content of `training.json`, with `duration` and `milestones` from the log; None if there is no such file.

    The duration is that of the steps only: the time of validation and saving is not in the log.

    Raises:
        CheckpointError: a file is broken.
    """
    if not (checkpoint / TRAINING_FILE).is_file():
        return None
    training = _read_json(checkpoint / TRAINING_FILE)
    lines = _read_log(checkpoint)
    logged = [line for line in lines if "barcodes_per_second" in line]
    _, seconds = barcodes_and_seconds(logged, training["records_per_step"])
    validated = [line for line in lines if "val_loss" in line]
    chosen = np.unique(np.linspace(0, len(validated) - 1, _MILESTONES).round().astype(int))
    return training | {
        "duration": format_duration(seconds),
        "steps": max((line["step"] for line in logged), default=0),
        "milestones": [validated[i] for i in chosen] if validated else [],
    }


def format_duration(seconds: float) -> str:
    """A duration in a suitable unit: "1.5 hours", "12 minutes", "40 seconds"."""
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} hours"
    if seconds >= 120:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds:.0f} seconds"


def read_tuning(checkpoint: Path) -> dict[str, Any] | None:
    """Content of `tuning.json`; None if there is no such file, as the model was not tuned.

    Raises:
        CheckpointError: the file is broken.
    """
    file = checkpoint / TUNING_FILE
    return _read_json(file) if file.is_file() else None


def read_evaluations(checkpoint: Path) -> list[Evaluation]:
    """All results under `evaluation/`.

    Raises:
        CheckpointError: a file is broken, or was measured on other weights.
    """
    found = []
    for file in sorted((checkpoint / "evaluation").glob("**/results.json")):
        results = _read_json(file)
        _check_weights(file, results.get("provenance", {}), checkpoint)
        try:
            _, seen, unseen = results["splits"]
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"{file}: expected the number of rows of three splits") from error
        found.append(Evaluation(file.relative_to(checkpoint).as_posix(), results, seen, unseen))
    return found


def read_onnx(checkpoint: Path) -> dict[str, Any] | None:
    """Content of `onnx/export.json`, with `sizes` of the ONNX files in MiB; None if there is no such file.

    Raises:
        CheckpointError: the file is broken, or the ONNX files were exported from other weights.
    """
    file = checkpoint / "onnx" / "export.json"
    if not file.is_file():
        return None
    described = _read_json(file)
    _check_weights(file, described, checkpoint)
    return described | {"sizes": {one.name: one.stat().st_size / 2**20 for one in sorted(file.parent.glob("*.onnx"))}}


def _check_weights(file: Path, described: dict[str, Any], checkpoint: Path) -> None:
    expected, got = weights_sha256(checkpoint), described.get("weights_sha256")
    if got != expected:
        raise CheckpointError(
            f"{file}: made from other weights (SHA-256 {str(got)[:12]}...) than those in {WEIGHTS_FILE} "
            f"({expected[:12]}...): make it again, or remove its folder"
        )


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file}: expected a JSON file: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file}: expected a JSON object, got {type(content).__name__}")
    return content


def _read_log(checkpoint: Path) -> list[dict[str, float]]:
    try:
        return read_metrics(checkpoint)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{checkpoint / METRICS_FILE}: expected the log of the training run: {error}") from error
