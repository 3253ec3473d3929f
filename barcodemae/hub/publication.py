"""What a Hub repository receives of a checkpoint: chosen by name, and searched for what is nobody else's business."""

import importlib.metadata
import re
import shutil
from pathlib import Path
from typing import Any

from transformers.dynamic_module_utils import get_relative_import_files

import tokenization_barcodemae
from barcodemae.checkpoints.files import WEIGHTS_INDEX_FILE, WEIGHTS_SHARDS, weights_files
from barcodemae.checkpoints.loading import FRAME_FILE, WEIGHTS_FILE, Checkpoint, load_checkpoint
from barcodemae.errors import CheckpointError
from barcodemae.hub import handler
from barcodemae.hub.card import render_card
from barcodemae.hub.private import refuse_links, refuse_private
from modeling_barcodemae import BarcodeMAEConfig, modeling_barcodemae
from tokenization_barcodemae import KmerEncoder, barcode_tokenizer

# As patterns of `Path.glob`. Whatever else lies in the folder (states to resume from, TensorBoard files, run.yaml with
# its paths) stays at home.
_NEEDED = (
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
)
# One file, or as many as `transformers` wrote of a large model, with their index.
_WEIGHTS = (WEIGHTS_FILE, WEIGHTS_INDEX_FILE, WEIGHTS_SHARDS)
_OPTIONAL = (
    "training.json",
    "tuning.json",
    "metrics.jsonl",
    "evaluation/**/results.json",
    "evaluation/**/report.md",
    "evaluation/**/*.png",
    "onnx/*.onnx",
    "onnx/export.json",
)

_HANDLER, _REQUIREMENTS, _CARD = "handler.py", "requirements.txt", "README.md"
_PACKAGE = f"{tokenization_barcodemae.__name__}/*.py"

# What is loaded, and saved again with the code of this package.
_SAVED_AGAIN = ("config.json", "tokenizer.json", "tokenizer_config.json", FRAME_FILE)


def _with_imports(module: Any) -> list[Path]:
    """The file of a module, and those that it imports, as `transformers` follows them."""
    return [Path(file) for file in (module, *get_relative_import_files(module)) if file]


_CODE = sorted({*_with_imports(modeling_barcodemae.__file__), *_with_imports(barcode_tokenizer.__file__)})

PUBLISHED = (
    *(*_NEEDED, *_WEIGHTS, *_OPTIONAL, *_SAVED_AGAIN),
    *("*_barcodemae.py", *(file.name for file in _CODE)),
    *(_HANDLER, _REQUIREMENTS, _CARD, _PACKAGE),
)
"""All that a push writes or once wrote; of it, what a new push lacks is removed from the repository."""

# What handler.py and the tokenization package import; torch is an endpoint's own.
_HANDLER_REQUIREMENTS = ("transformers", "tokenizers", "safetensors", "numpy", "scipy", "pyarrow")


def assemble(checkpoint: Path, repository: str, folder: Path) -> None:
    """Put together all that a Hub repository is to hold: the checkpoint, its card, and what serves it.

    Args:
        checkpoint: folder of a checkpoint; with the results of its evaluation under `evaluation/`, and ONNX files under
            `onnx/`, where there are any.
        repository: id on the Hub, which the card tells how to load.
        folder: an empty one, which is filled.

    Raises:
        CheckpointError: the checkpoint is missing, incomplete or broken, or some file was made from other weights.
        ConfigurationError: a file is a link, or holds a secret or a path of a machine.
    """
    if not checkpoint.is_dir():  # else it would be looked for on the Hub
        raise CheckpointError(f"{checkpoint}: expected the folder of a checkpoint")
    patterns = (*_NEEDED, *_WEIGHTS, *_OPTIONAL, *_SAVED_AGAIN)
    chosen = [file for pattern in patterns for file in sorted(checkpoint.glob(pattern))]
    refuse_links(checkpoint, chosen)
    loaded = load_checkpoint(checkpoint)
    _refuse_others(checkpoint, loaded)
    for pattern in _NEEDED + _OPTIONAL:
        files = sorted(checkpoint.glob(pattern))
        if not files and pattern not in _OPTIONAL:
            raise CheckpointError(f"{checkpoint}: expected {pattern} in it, found none")
        for file in files:
            _copy(file, folder / file.relative_to(checkpoint))
    weights = weights_files(checkpoint)
    index = [checkpoint / WEIGHTS_INDEX_FILE] if len(weights) > 1 else []
    for file in [*weights, *index]:
        _copy(file, folder / file.name)
    # The code is that which the checkpoint was loaded with here, whatever it was trained with.
    config = BarcodeMAEConfig.from_pretrained(checkpoint)
    config.reference_frame = None if loaded.frame is None else loaded.frame.checksum()
    config.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)  # with the reference frame
    for file in _CODE:
        _copy(file, folder / file.name)
    (folder / _CARD).write_text(render_card(checkpoint, repository), encoding="utf-8")
    _add_handler(folder)
    published = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}
    refuse_private(published, checkpoint, "checkpoint")


def _refuse_others(checkpoint: Path, loaded: Checkpoint) -> None:
    """What is published is a masked autoencoder of k-mers: card and handler speak of nothing else."""
    config = loaded.model.config
    if config.objective != "mae" or config.label_ranks is not None or not isinstance(loaded.encoder, KmerEncoder):
        kind = "classification" if config.label_ranks is not None else config.objective
        raise CheckpointError(
            f"{checkpoint}: expected a masked autoencoder of k-mers, whose card can be made, got objective {kind} on "
            f"{loaded.encoder.name}"
        )


def _copy(file: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, place)


def _add_handler(folder: Path) -> None:
    """What Inference Endpoints run: the handler, and the package by which it reads barcodes as we do."""
    _copy(Path(handler.__file__), folder / _HANDLER)
    package = Path(tokenization_barcodemae.__file__).parent
    for file in package.glob("*.py"):
        _copy(file, folder / tokenization_barcodemae.__name__ / file.name)
    declared = importlib.metadata.requires("barcodemae") or []
    needed = [line for line in declared if re.split(r"[^\w-]", line)[0] in _HANDLER_REQUIREMENTS and ";" not in line]
    (folder / _REQUIREMENTS).write_text("".join(f"{line}\n" for line in sorted(needed)))
