"""The files of a checkpoint in a folder or on the Hub. Nothing here imports torch."""

import hashlib
import json
import re
from pathlib import Path
from textwrap import shorten
from typing import Any

from barcodemae.checkpoints import shipped_checkpoints, shipped_folder
from barcodemae.errors import CheckpointError
from barcodemae.provenance import sha256

CONFIG_FILE = "config.json"
FRAME_FILE = "reference_frame.safetensors"
PROFILE_FILE = "kmer_profile.safetensors"
WEIGHTS_FILE = "model.safetensors"
WEIGHTS_INDEX_FILE = "model.safetensors.index.json"
WEIGHTS_SHARDS = "model-*-of-*.safetensors"

_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")

MAX_K = 12
"""Largest k of a tokenizer: there are 17 million 12-mers."""

# With these keys, a configuration makes transformers load other weights, or code of other repositories. The code that
# `auto_map` names is loaded by the Auto classes of users who trust it, and never here.
_REFUSED_KEYS = (
    "transformers_weights",
    "quantization_config",
    "attn_implementation",
    "_attn_implementation",
    "experts_implementation",
    "_experts_implementation",
    "per_layer_config",
)

# An untuned encoder is a plain BERT, with the model type of BERT.
_MODEL_TYPES = ("barcodemae", "bert")


def find_checkpoint(name: str | Path) -> str | Path:
    """Resolve the name of a checkpoint that a user gives.

    Args:
        name: a folder, a checkpoint that comes with the package, or an id on the Hub.

    Returns:
        The name itself if there is such a folder; the folder of a shipped checkpoint; or the name itself as an id on
        the Hub.
    """
    if not Path(name).is_dir() and str(name) in shipped_checkpoints():
        return shipped_folder(str(name))
    return name


def is_marker_folder(name: str | Path, file: str) -> bool:
    """Whether a folder is the result of `barcodemae marker build`: it has the marker's file, and no model.

    Args:
        name: of the folder.
        file: `FRAME_FILE`, or `PROFILE_FILE` for a marker without a reference frame.
    """
    return (Path(name) / file).is_file() and not (Path(name) / CONFIG_FILE).exists()


def weights_sha256(name: str | Path, revision: str | None = None) -> str:
    """SHA-256 of a checkpoint's weights, which identifies the model of results.

    Raises:
        CheckpointError: there are no weights.
    """
    try:
        files = weights_files(find_checkpoint(name), revision)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{name}: {WEIGHTS_FILE} can't be read: {shorten(str(error), 300)}") from error
    if not files:
        raise CheckpointError(f"{name}: expected a {WEIGHTS_FILE}, found none")
    if len(files) == 1:
        return sha256(files[0])
    return hashlib.sha256("".join(f"{file.name} {sha256(file)}\n" for file in files).encode()).hexdigest()


def weights_files(name: str | Path, revision: str | None = None) -> list[Path]:
    """The files of a checkpoint's weights: one, or the shards of a large model.

    Args:
        name: a folder, or an id on the Hub.
        revision: branch, tag or commit of a Hub repository.

    Returns:
        An empty list if there are no weights.

    Raises:
        OSError, ValueError: there is no such repository, or a shard of its index is missing.
    """
    if file := optional_file(name, WEIGHTS_FILE, revision):
        return [file]
    index = optional_file(name, WEIGHTS_INDEX_FILE, revision)
    if index is None:
        return []
    try:
        names = sorted(set(map(str, json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{WEIGHTS_INDEX_FILE}: expected the shards of the weights: {error!r}") from error
    files = []
    for shard in names:
        file = optional_file(name, shard, revision) if _SHARD.fullmatch(shard) else None
        if file is None:
            raise ValueError(f"expected the shard {shard} of the weights, named in {WEIGHTS_INDEX_FILE}, found none")
        files.append(file)
    return files


def optional_file(name: str | Path, file: str, revision: str | None = None) -> Path | None:
    """A file of a checkpoint; None if it has no such file.

    Args:
        name: a folder, or an id on the Hub.
        file: path within the folder or repository.
        revision: branch, tag or commit of a Hub repository.

    Raises:
        OSError, ValueError: there is no such repository, or it can't be reached.
    """
    if Path(name).is_dir():
        path = Path(name) / file
        return path if path.is_file() else None
    from huggingface_hub import hf_hub_download  # slow to import, and not needed for a folder
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return Path(hf_hub_download(str(name), file, revision=revision))
    except EntryNotFoundError:
        return None


def refuse_kmer_map(name: str | Path) -> None:
    """Refuse the checkpoint of a marker without a reference frame, where a network is needed.

    Args:
        name: a folder, or a checkpoint that comes with the package; such a checkpoint is not published on the Hub.

    Raises:
        CheckpointError: it is a map of k-mers.
    """
    if (Path(find_checkpoint(name)) / PROFILE_FILE).is_file():
        raise CheckpointError(
            f"{name}: expected a checkpoint with a network, got the map of k-mers of a marker without a reference "
            "frame; index, identify, calibrate, check, cluster and embed use it"
        )


def read_config(file: Path) -> dict[str, Any]:
    """Read the configuration of a checkpoint, and check that it refers to no other files or code.

    Args:
        file: the `config.json`.

    Raises:
        OSError: the file can't be read.
        ValueError: it is not a JSON object, it is of another kind of model, its `k` is not a number of nucleotides, or
            it refers to other files or code.
    """
    config = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(config, dict):
        raise ValueError(f"{CONFIG_FILE}: expected an object, got {type(config).__name__}")
    for key in _REFUSED_KEYS:
        if config.get(key) is not None:
            raise ValueError(f"{CONFIG_FILE}: expected no {key}, got {config[key]!r}")
    if config.get("model_type") not in _MODEL_TYPES:
        raise ValueError(
            f"{CONFIG_FILE}: expected model_type {' or '.join(_MODEL_TYPES)}, got {config.get('model_type')!r}; other "
            "models are not loaded"
        )
    k = config.get("k", 1)
    if type(k) is not int or not 1 <= k <= MAX_K:
        raise ValueError(f"{CONFIG_FILE}: expected k, a whole number from 1 to {MAX_K}, got {k!r}")
    return config
