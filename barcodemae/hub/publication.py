"""The files of a checkpoint's repository on the Hub: selected by name, and searched for private data."""

import importlib.metadata
import re
import shutil
from pathlib import Path
from typing import Any

from transformers.dynamic_module_utils import get_relative_import_files

import tokenization_barcodemae
from barcodemae.checkpoints.files import (
    FRAME_FILE,
    WEIGHTS_FILE,
    WEIGHTS_INDEX_FILE,
    WEIGHTS_SHARDS,
    find_checkpoint,
    weights_files,
)
from barcodemae.checkpoints.loading import Checkpoint, load_checkpoint
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.files import written_atomically
from barcodemae.hub import handler
from barcodemae.hub.card import render_card
from barcodemae.hub.private import refuse_links, refuse_private
from modeling_barcodemae import BarcodeMAEConfig, modeling_barcodemae
from tokenization_barcodemae import KmerEncoder, barcode_tokenizer

# Patterns of `Path.glob`. No other file of the folder is published (states to resume from, TensorBoard files, run.yaml
# with its paths).
_NEEDED = (
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
)
# One file, or the shards of a large model with their index.
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

# Loaded, and saved again with the code of this package.
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
"""Patterns of all files that a push writes or has ever written. Those that a new push lacks are removed."""

# Imported by handler.py and the tokenization package; endpoints come with torch.
_HANDLER_REQUIREMENTS = ("transformers", "tokenizers", "safetensors", "numpy", "scipy", "pyarrow")


def assemble(checkpoint: Path, repository: str, folder: Path) -> None:
    """Write all files of a Hub repository: the checkpoint, its card, its model code and its handler.

    Args:
        checkpoint: folder of a checkpoint. Results of evaluations under `evaluation/` and ONNX files under `onnx/` are
            included.
        repository: id on the Hub, for the snippets of the card.
        folder: an empty folder to write to.

    Raises:
        CheckpointError: the checkpoint is missing, incomplete or broken, or a file was made from other weights.
        ConfigurationError: a file is a link, or contains a secret or a path of a machine.
    """
    if not checkpoint.is_dir():  # otherwise it would be looked for on the Hub
        raise CheckpointError(f"{checkpoint}: expected the folder of a checkpoint")
    patterns = (*_NEEDED, *_WEIGHTS, *_OPTIONAL, *_SAVED_AGAIN)
    chosen = [file for pattern in patterns for file in sorted(checkpoint.glob(pattern))]
    refuse_links(checkpoint, chosen)
    loaded = load_checkpoint(checkpoint)
    _check_kind(checkpoint, loaded)
    for pattern in _NEEDED + _OPTIONAL:
        files = sorted(checkpoint.glob(pattern))
        if not files and pattern not in _OPTIONAL:
            raise CheckpointError(f"{checkpoint}: expected a file {pattern}, found none")
        for file in files:
            _copy(file, folder / file.relative_to(checkpoint))
    weights = weights_files(checkpoint)
    index = [checkpoint / WEIGHTS_INDEX_FILE] if len(weights) > 1 else []
    for file in [*weights, *index]:
        _copy(file, folder / file.name)
    # The code of this package, which loaded the checkpoint above, not the code that it was trained with.
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


def write_hub_folder(checkpoint: str | Path, folder: Path, repository: str | None = None) -> None:
    """Write a folder like a Hub repository, which `transformers` and sentence-transformers load without this package.

    Args:
        checkpoint: its folder, or the name of one that comes with the package.
        folder: a new or empty folder.
        repository: id on the Hub, for the snippets of the card; by default `ORG/` and the name of the folder.

    Raises:
        CheckpointError: the checkpoint is missing, incomplete or broken.
        ConfigurationError: the folder is not empty, or a file must not be published.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"{folder}: expected a new or an empty folder")
    with written_atomically(folder) as scratch:
        assemble(Path(find_checkpoint(checkpoint)), repository or f"ORG/{folder.resolve().name}", scratch)


def _check_kind(checkpoint: Path, loaded: Checkpoint) -> None:
    """Refuse all but masked autoencoders of k-mers: card and handler describe only these."""
    config = loaded.model.config
    if config.objective != "mae" or config.label_ranks is not None or not isinstance(loaded.encoder, KmerEncoder):
        kind = "classification" if config.label_ranks is not None else config.objective
        raise CheckpointError(
            f"{checkpoint}: expected a masked autoencoder of k-mers, got a model with objective {kind} of "
            f"{loaded.encoder.name}"
        )


def _copy(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)


def _add_handler(folder: Path) -> None:
    """Add what Inference Endpoints run: the handler, and the tokenization package that it imports."""
    _copy(Path(handler.__file__), folder / _HANDLER)
    package = Path(tokenization_barcodemae.__file__).parent
    for file in package.glob("*.py"):
        _copy(file, folder / tokenization_barcodemae.__name__ / file.name)
    declared = importlib.metadata.requires("barcodemae") or []
    needed = [line for line in declared if re.split(r"[^\w-]", line)[0] in _HANDLER_REQUIREMENTS and ";" not in line]
    (folder / _REQUIREMENTS).write_text("".join(f"{line}\n" for line in sorted(needed)))
