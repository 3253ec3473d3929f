"""What a Hub repository receives of a checkpoint: chosen by name, and searched for what is nobody else's business."""

import importlib.metadata
import json
import re
import shutil
from pathlib import Path

from transformers.dynamic_module_utils import get_relative_imports

import modeling_barcodemae
import tokenization_barcodemae
from barcodemae.checkpoints import is_shipped
from barcodemae.checkpoints.files import WEIGHTS_INDEX_FILE, WEIGHTS_SHARDS, weights_files
from barcodemae.checkpoints.loading import WEIGHTS_FILE, load_checkpoint
from barcodemae.errors import CheckpointError
from barcodemae.hub import handler
from barcodemae.hub.card import render_card
from barcodemae.hub.private import refuse_links, refuse_private
from tokenization_barcodemae import KmerEncoder

# As patterns of `Path.glob`. Whatever else lies in the folder (states to resume from, TensorBoard files, run.yaml with
# its paths) stays at home.
_NEEDED = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
)
# One file, or as many as `transformers` wrote of a large model, with their index.
_WEIGHTS = (WEIGHTS_FILE, WEIGHTS_INDEX_FILE, WEIGHTS_SHARDS)
_OPTIONAL = (
    "reference_frame.safetensors",
    "training.json",
    "tuning.json",
    "metrics.jsonl",
    "evaluation/**/results.json",
    "evaluation/**/report.md",
    "evaluation/**/*.png",
    "onnx/*.onnx",
    "onnx/export.json",
)

# Of these, those that the classes of a checkpoint need, which the other two name.
_CODE = "*_barcodemae.py"
_CODE_NAMED_IN = ("config.json", "tokenizer_config.json")
_HANDLER, _REQUIREMENTS, _CARD = "handler.py", "requirements.txt", "README.md"
_PACKAGE = f"{tokenization_barcodemae.__name__}/*.py"

PUBLISHED = (*_NEEDED, *_WEIGHTS, *_OPTIONAL, _CODE, _HANDLER, _REQUIREMENTS, _CARD, _PACKAGE)
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
    chosen = [file for pattern in (*_NEEDED, *_WEIGHTS, *_OPTIONAL, _CODE) for file in sorted(checkpoint.glob(pattern))]
    refuse_links(checkpoint, chosen)
    _refuse_others(checkpoint)
    # A checkpoint that comes with the package has its code there.
    code = Path(modeling_barcodemae.__file__).parent if is_shipped(checkpoint) else checkpoint
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
    for name in _code_files(checkpoint, code):
        _copy(code / name, folder / name)
    (folder / _CARD).write_text(render_card(checkpoint, repository), encoding="utf-8")
    _add_handler(folder)
    published = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}
    refuse_private(published, checkpoint, "checkpoint")


def _code_files(checkpoint: Path, code: Path) -> list[str]:
    """The modules that the checkpoint's files name, and those that these import, as `transformers` follows them.

    Raises:
        CheckpointError: one is missing.
    """
    described = (json.loads((checkpoint / file).read_text(encoding="utf-8")) for file in _CODE_NAMED_IN)
    classes = [named for one in described for entry in one.get("auto_map", {}).values() for named in _each(entry)]
    found: set[str] = set()
    expected = {named.rpartition("--")[2].partition(".")[0] for named in classes}
    while expected:
        module = expected.pop()
        if not (module.isidentifier() and (code / f"{module}.py").is_file()):
            raise CheckpointError(f"{checkpoint}: expected {module}.py in it, found none")
        found.add(module)
        expected |= set(get_relative_imports(code / f"{module}.py")) - found
    return sorted(f"{module}.py" for module in found)


def _each(entry: str | list[str | None]) -> list[str]:
    return [entry] if isinstance(entry, str) else [named for named in entry if named]


def _refuse_others(checkpoint: Path) -> None:
    """What is published is a masked autoencoder of k-mers: card and handler speak of nothing else."""
    loaded = load_checkpoint(checkpoint)
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
