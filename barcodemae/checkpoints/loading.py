"""A checkpoint: one folder, or Hub repository, with model, tokenizer, reference frame and model code."""

from copy import copy
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import PreTrainedModel

from barcodemae.checkpoints import shipped_checkpoints
from barcodemae.checkpoints.files import (
    CONFIG_FILE,
    FRAME_FILE,
    WEIGHTS_FILE,
    find_checkpoint,
    optional_file,
    read_config,
    weights_files,
    weights_sha256,
)
from barcodemae.checkpoints.sentence_transformers import write_sentence_transformers_files
from barcodemae.errors import CheckpointError
from barcodemae.files import written_atomically
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEModel
from tokenization_barcodemae import BarcodeEncoder, BarcodeTokenizer, ReferenceFrame, build_kmer_tokenizer, encoder_for

__all__ = [
    "FRAME_FILE",
    "WEIGHTS_FILE",
    "Checkpoint",
    "find_checkpoint",
    "load_checkpoint",
    "load_model",
    "load_saved_tokenizer",
    "save_checkpoint",
    "weights_sha256",
]


@dataclass(frozen=True)
class Checkpoint:
    """An encoder with what it needs to read barcodes.

    Attributes:
        model: in evaluation mode.
        tokenizer: with the frame.
        encoder: does the same for many barcodes at once.
        frame: the marker's reference frame, or None where the model was trained without.
    """

    model: BarcodeMAEModel
    tokenizer: BarcodeTokenizer
    encoder: BarcodeEncoder
    frame: ReferenceFrame | None


def save_checkpoint(
    folder: Path,
    model: PreTrainedModel,
    frame: ReferenceFrame | None,
    tokenizer: BarcodeTokenizer | None = None,
) -> None:
    """Write a checkpoint that loads anywhere: each file is complete when its name appears.

    Args:
        folder: is made where it does not exist; what else lies in it stays.
        model: any of the family.
        frame: which its barcodes are placed on, or None. It is stored beside the model, whose configuration says so.
        tokenizer: by default the k-mer tokenizer of the model's k; it is saved with the frame.
    """
    config: Any = model.config
    if tokenizer is None:
        tokenizer = build_kmer_tokenizer(config.k, model_max_length=config.max_position_embeddings)
    tokenizer = copy(tokenizer)
    tokenizer.frame = frame
    if hasattr(config, "reference_frame"):  # a Mamba-2's configuration is not ours
        config.reference_frame = None if frame is None else frame.checksum()
    with written_atomically(folder) as scratch:
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        width = getattr(config, "pooled_size", config.hidden_size)
        write_sentence_transformers_files(scratch, width, tokenizer.model_max_length)


def load_checkpoint(name: str | Path, revision: str | None = None, use_frame: bool = True) -> Checkpoint:
    """Load a folder, a shipped checkpoint or a Hub repository. No code that it brings is run, and nobody is asked.

    Args:
        name: a folder, a checkpoint that comes with the package, or an id on the Hub.
        revision: branch, tag or commit of a Hub repository.
        use_frame: false leaves the reference frame out.

    Raises:
        CheckpointError: it is missing, incomplete, broken, or no BarcodeMAE checkpoint; its reference frame, which it
            was trained with, is not there, and `use_frame` is not false.
    """
    place = find_checkpoint(name)
    if "/" not in str(place) and not Path(place).is_dir():
        shipped = ", ".join(shipped_checkpoints())
        raise CheckpointError(
            f"{name}: expected a folder, ORG/NAME on the Hub, or a checkpoint that comes with the package ({shipped})"
        )
    try:
        model, loading = load_model(BarcodeMAEModel, place, revision)
        frame_file = optional_file(place, FRAME_FILE, revision) if use_frame else None
        frame = ReferenceFrame.load(frame_file) if frame_file else None
        tokenizer = load_saved_tokenizer(place, revision)
        encoder = encoder_for(tokenizer)
    except Exception as error:  # what libraries raise over a broken folder has no common class
        raise CheckpointError(f"{name}: no checkpoint could be loaded: {shorten(str(error), 300)}") from error
    config = model.config
    if loading["missing_keys"] or loading["mismatched_keys"]:
        absent = sorted(map(str, loading["missing_keys"] or loading["mismatched_keys"]))
        raise CheckpointError(f"{name}: expected all weights of the encoder, but {absent[0]} and maybe more is missing")
    if (encoder.k, encoder.vocab_size) != (config.k, config.vocab_size):
        raise CheckpointError(
            f"{name}: expected a tokenizer of {config.vocab_size} tokens with k = {config.k}, as config.json has it, "
            f"got one of {encoder.vocab_size} with k = {encoder.k}"
        )
    found = None if frame is None else frame.checksum()
    is_needed = config.reference_frame is not None or config.frame_slots > 0
    if use_frame and is_needed and (frame is None or config.reference_frame not in (None, found)):
        raise CheckpointError(
            f"{name}: expected the reference frame that it was trained with, found "
            f"{'another one' if frame else 'none'} as {FRAME_FILE}: copy that file from the checkpoint that this one "
            "was made of, or set use_frame=False to read barcodes from their first nucleotide"
        )
    tokenizer.frame = frame
    return Checkpoint(model.eval(), tokenizer, encoder, frame)


def load_model(kind: type[PreTrainedModel], place: str | Path, revision: str | None = None) -> tuple[Any, Any]:
    """A model in float32, its weights those of `model.safetensors`, or of its shards, and of no other file.

    Args:
        kind: of the family.
        place: a folder, or an id on the Hub.
        revision: branch, tag or commit of a Hub repository.

    Returns:
        The model, and what transformers tells of its weights: `missing_keys` and more.

    Raises:
        OSError, ValueError: a file is missing or broken, or the weights are not those of the configuration.
    """
    settings, weights = optional_file(place, CONFIG_FILE, revision), weights_files(place, revision)
    if settings is None or not weights:
        raise ValueError(f"expected {CONFIG_FILE} and {WEIGHTS_FILE} in it")
    read_config(settings)
    options: dict[str, Any] = {"revision": revision}
    config = BarcodeMAEConfig.from_pretrained(place, **options)
    _check_sizes(kind, config, weights)
    loaded: Any = kind.from_pretrained(
        None,
        config=config,
        state_dict={name: value for file in weights for name, value in load_file(file).items()},
        dtype=torch.float32,
        attn_implementation="sdpa",
        output_loading_info=True,
    )
    return loaded


def _check_sizes(kind: type[PreTrainedModel], config: BarcodeMAEConfig, weights: list[Path]) -> None:
    """See to it that a configuration is that of its weights before any memory is taken for it.

    Raises:
        ValueError: it has more layers, or other sizes.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for part in weights:
        with safe_open(part, framework="pt") as file:
            shapes |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    for num_layers in (config.num_hidden_layers, config.decoder_num_hidden_layers or 1):
        if not 1 <= num_layers <= len(shapes):
            raise ValueError(f"expected weights of a layer or more, {num_layers} by {CONFIG_FILE}, got {len(shapes)}")
    with torch.device("meta"):
        model: Any = kind(config)
    prefix = f"{model.base_model_prefix}."
    for name, value in model.state_dict().items():
        names = (name, name.removeprefix(prefix), f"{prefix}{name}")
        found = next((shapes[one] for one in names if one in shapes), tuple(value.shape))
        if found != value.shape:
            raise ValueError(f"expected {name} of {tuple(value.shape)}, as {CONFIG_FILE} has it, got {found}")


def load_saved_tokenizer(name: str | Path, revision: str | None = None) -> BarcodeTokenizer:
    """A tokenizer of a folder or a Hub repository, without a reference frame. No code of it is run.

    Raises:
        OSError, ValueError: a file is missing or broken.
    """
    tokenizer = BarcodeTokenizer.from_pretrained(name, revision=revision, reference_frame=None)
    tokenizer.frame = None
    return tokenizer
