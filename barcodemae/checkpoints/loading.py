"""Loads and saves checkpoints: folders or Hub repositories with model, tokenizer, reference frame and model code."""

import json
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import PreTrainedModel

from barcodemae.checkpoints import check_checkpoint
from barcodemae.checkpoints.files import (
    CONFIG_FILE,
    FRAME_FILE,
    WEIGHTS_FILE,
    find_checkpoint,
    optional_file,
    read_config,
    refuse_kmer_map,
    weights_files,
)
from barcodemae.errors import CheckpointError
from barcodemae.files import written_atomically
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEModel
from tokenization_barcodemae import BarcodeEncoder, BarcodeTokenizer, ReferenceFrame, build_kmer_tokenizer, encoder_for

_POOLING_FOLDER = "1_Pooling"


@dataclass(frozen=True)
class Checkpoint:
    """An encoder with its tokenizer and reference frame.

    Attributes:
        model: the encoder, in evaluation mode.
        tokenizer: the tokenizer, with the frame.
        encoder: gives the ids of the tokenizer for many barcodes at once.
        frame: the marker's reference frame, or None if the model was trained without one.
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
    """Write a checkpoint atomically: each file is complete when it appears.

    Args:
        folder: created if it does not exist; other files in it stay.
        model: any model of the family.
        frame: the reference frame that its barcodes are placed on, or None. Its checksum is in the configuration.
        tokenizer: by default the k-mer tokenizer of the model's k; it is saved with the frame.
    """
    config: Any = model.config
    if tokenizer is None:
        tokenizer = build_kmer_tokenizer(config.k, model_max_length=config.max_position_embeddings)
    tokenizer = copy(tokenizer)
    tokenizer.frame = frame
    if hasattr(config, "reference_frame"):  # the configuration of a Mamba-2 has no such field
        config.reference_frame = None if frame is None else frame.checksum()
    with written_atomically(folder) as scratch:
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        width = getattr(config, "pooled_size", config.hidden_size)
        _write_sentence_transformers_files(scratch, width, tokenizer.model_max_length)


def _write_sentence_transformers_files(folder: Path, width: int, max_tokens: int) -> None:
    """Write the files from which sentence-transformers and text-embeddings-inference learn the pooling of tokens.

    Their format is that of sentence-transformers 2, which all later versions and text-embeddings-inference read.

    Args:
        folder: folder of the checkpoint.
        width: dimension of an embedding.
        max_tokens: maximum number of tokens that the model reads.
    """
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": _POOLING_FOLDER, "type": "sentence_transformers.models.Pooling"},
    ]
    pooling = {"word_embedding_dimension": width, "pooling_mode_mean_tokens": True}
    pooling |= dict.fromkeys(
        ("pooling_mode_cls_token", "pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens"), False
    )
    contents: dict[str, Any] = {
        "modules.json": modules,
        "sentence_bert_config.json": {"max_seq_length": max_tokens, "do_lower_case": False},
        "config_sentence_transformers.json": {"similarity_fn_name": "cosine"},
        f"{_POOLING_FOLDER}/config.json": pooling,
    }
    (folder / _POOLING_FOLDER).mkdir()
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")


def load_checkpoint(name: str | Path, revision: str | None = None, use_frame: bool = True) -> Checkpoint:
    """Load a folder, a shipped checkpoint or a Hub repository. Code in it is never run.

    Args:
        name: a folder, a checkpoint that comes with the package, or an id on the Hub.
        revision: branch, tag or commit of a Hub repository.
        use_frame: false ignores the reference frame.

    Raises:
        CheckpointError: the checkpoint is missing, incomplete, broken, or not of BarcodeMAE; or the reference frame
            that it was trained with is missing and `use_frame` is true.

    Examples:
        >>> from barcodemae.checkpoints.loading import load_checkpoint
        >>> checkpoint = load_checkpoint("nano_coi")
        >>> checkpoint.encoder.k, checkpoint.frame.length
        (6, 658)
    """
    check_checkpoint(name)
    source = find_checkpoint(name)
    refuse_kmer_map(name)
    try:
        model, loading = load_model(BarcodeMAEModel, source, revision)
        frame_file = optional_file(source, FRAME_FILE, revision) if use_frame else None
        frame = ReferenceFrame.load(frame_file) if frame_file else None
        tokenizer = load_saved_tokenizer(source, revision)
        encoder = encoder_for(tokenizer)
    except Exception as error:  # the errors of the libraries for broken folders have no common class
        raise CheckpointError(f"{name}: no checkpoint could be loaded: {shorten(str(error), 300)}") from error
    config = model.config
    if loading["missing_keys"] or loading["mismatched_keys"]:
        missing = sorted(map(str, loading["missing_keys"] or loading["mismatched_keys"]))
        raise CheckpointError(f"{name}: expected all weights of the encoder, but {missing[0]} is missing")
    if (encoder.k, encoder.vocab_size) != (config.k, config.vocab_size):
        raise CheckpointError(
            f"{name}: expected a tokenizer of {config.vocab_size} tokens with k = {config.k}, as in {CONFIG_FILE}, got "
            f"one of {encoder.vocab_size} with k = {encoder.k}"
        )
    found = None if frame is None else frame.checksum()
    is_needed = config.reference_frame is not None or config.frame_slots > 0
    if use_frame and is_needed and (frame is None or config.reference_frame not in (None, found)):
        raise CheckpointError(
            f"{name}: expected the reference frame that it was trained with, found "
            f"{'another one' if frame else 'none'} as {FRAME_FILE}: copy it from the original checkpoint, or set "
            "use_frame=False to read barcodes from their first nucleotide"
        )
    tokenizer.frame = frame
    return Checkpoint(model.eval(), tokenizer, encoder, frame)


def load_model(kind: type[PreTrainedModel], source: str | Path, revision: str | None = None) -> tuple[Any, Any]:
    """Load a model in float32, with the weights of `model.safetensors` or of its shards and of no other file.

    Args:
        kind: class of the model, one of the family.
        source: a folder, or an id on the Hub.
        revision: branch, tag or commit of a Hub repository.

    Returns:
        The model, and the loading info of transformers: `missing_keys` and more.

    Raises:
        OSError, ValueError: a file is missing or broken, or the weights do not match the configuration.
    """
    settings, weights = optional_file(source, CONFIG_FILE, revision), weights_files(source, revision)
    if settings is None or not weights:
        raise ValueError(f"expected the files {CONFIG_FILE} and {WEIGHTS_FILE}")
    read_config(settings)
    options: dict[str, Any] = {"revision": revision}
    config = BarcodeMAEConfig.from_pretrained(source, **options)
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
    """Check that a configuration matches its weights, before memory is allocated for the model.

    Raises:
        ValueError: the configuration has more layers, or other sizes.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for part in weights:
        with safe_open(part, framework="pt") as file:
            shapes |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    for num_layers in (config.num_hidden_layers, config.decoder_num_hidden_layers or 1):
        if not 1 <= num_layers <= len(shapes):
            raise ValueError(
                f"{CONFIG_FILE}: expected 1 to {len(shapes)} layers, as many as there are weights, got {num_layers}"
            )
    with torch.device("meta"):
        model: Any = kind(config)
    prefix = f"{model.base_model_prefix}."
    for name, value in model.state_dict().items():
        names = (name, name.removeprefix(prefix), f"{prefix}{name}")
        found = next((shapes[one] for one in names if one in shapes), tuple(value.shape))
        if found != value.shape:
            raise ValueError(f"expected {name} of shape {tuple(value.shape)}, as in {CONFIG_FILE}, got {found}")


def load_saved_tokenizer(name: str | Path, revision: str | None = None) -> BarcodeTokenizer:
    """Load the tokenizer of a folder or a Hub repository, without a reference frame. Code in it is never run.

    Raises:
        OSError, ValueError: a file is missing or broken.
    """
    tokenizer = BarcodeTokenizer.from_pretrained(name, revision=revision, reference_frame=None)
    tokenizer.frame = None
    return tokenizer
