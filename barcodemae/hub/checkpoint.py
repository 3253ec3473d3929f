"""A checkpoint: one folder, or Hub repository, with model, tokenizer, reference frame and model code."""

from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from barcodemae.checkpoints import shipped_checkpoints
from barcodemae.errors import CheckpointError
from barcodemae.files import written_whole
from barcodemae.hub.checkpoint_files import FRAME_FILE, WEIGHTS_FILE, find_checkpoint, optional_file, weights_sha256
from barcodemae.hub.sentence_transformers import write_sentence_transformers_files
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEModel
from tokenization_barcodemae import BarcodeEncoder, ReferenceFrame, build_kmer_tokenizer, encoder_of

__all__ = [
    "FRAME_FILE",
    "WEIGHTS_FILE",
    "Checkpoint",
    "find_checkpoint",
    "load_checkpoint",
    "load_saved_tokenizer",
    "save_checkpoint",
    "weights_sha256",
]


@dataclass(frozen=True)
class Checkpoint:
    """An encoder with what it needs to read barcodes.

    Attributes:
        model: in evaluation mode.
        tokenizer: as saved.
        encoder: does the same for many barcodes at once.
        frame: the marker's reference frame, or None where the model was trained without.
    """

    model: BarcodeMAEModel
    tokenizer: PreTrainedTokenizerBase
    encoder: BarcodeEncoder
    frame: ReferenceFrame | None


def save_checkpoint(
    folder: Path,
    model: PreTrainedModel,
    frame: ReferenceFrame | None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> None:
    """Write a checkpoint that loads anywhere: each file is complete when its name appears.

    Args:
        folder: is made where it does not exist; what else lies in it stays.
        model: any of the family.
        frame: stored beside the model.
        tokenizer: by default the plain k-mer tokenizer of the model's k.
    """
    config: Any = model.config
    if tokenizer is None:
        tokenizer = build_kmer_tokenizer(config.k, model_max_length=config.max_position_embeddings)
    with written_whole(folder) as scratch:
        model.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        width = getattr(config, "pooled_size", config.hidden_size)  # a Mamba-2's configuration is not ours
        write_sentence_transformers_files(scratch, width, tokenizer.model_max_length)
        if frame is not None:
            frame.save(scratch / FRAME_FILE)


def load_checkpoint(name: str | Path, revision: str | None = None, use_frame: bool = True) -> Checkpoint:
    """Load a folder, a shipped checkpoint or a Hub repository.

    Args:
        name: a folder, a checkpoint that comes with the package, or an id on the Hub.
        revision: branch, tag or commit of a Hub repository.
        use_frame: false leaves the reference frame out.

    Raises:
        CheckpointError: it is missing, incomplete, broken, or no BarcodeMAE checkpoint.
    """
    place = find_checkpoint(name)
    if "/" not in str(place) and not Path(place).is_dir():
        shipped = ", ".join(shipped_checkpoints())
        raise CheckpointError(
            f"{name}: expected a folder, ORG/NAME on the Hub, or a checkpoint that comes with the package ({shipped})"
        )
    options: dict[str, Any] = {"revision": revision, "dtype": torch.float32}
    try:
        config = BarcodeMAEConfig.from_pretrained(place, **options)
        loaded: Any = BarcodeMAEModel.from_pretrained(place, config=config, output_loading_info=True, **options)
        frame_file = optional_file(place, FRAME_FILE, revision) if use_frame else None
        frame = ReferenceFrame.load(frame_file) if frame_file else None
        tokenizer = load_saved_tokenizer(place, revision)
        encoder = encoder_of(tokenizer)
    except Exception as error:  # what libraries raise over a broken folder has no common class
        raise CheckpointError(f"{name}: no checkpoint could be loaded: {shorten(str(error), 300)}") from error
    model, loading = loaded
    if loading["missing_keys"] or loading["mismatched_keys"]:
        absent = sorted(map(str, loading["missing_keys"] or loading["mismatched_keys"]))
        raise CheckpointError(f"{name}: expected all weights of the encoder, but {absent[0]} and maybe more is missing")
    if (encoder.k, encoder.vocab_size) != (config.k, config.vocab_size):
        raise CheckpointError(
            f"{name}: expected a tokenizer of {config.vocab_size} tokens with k = {config.k}, as config.json has it, "
            f"got one of {encoder.vocab_size} with k = {encoder.k}"
        )
    return Checkpoint(model.eval(), tokenizer, encoder, frame)


def load_saved_tokenizer(name: str | Path, revision: str | None = None) -> Any:
    """A tokenizer of a folder or a Hub repository, as it can be saved again: without a note of where it was."""
    tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
    for note in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(note, None)
    return tokenizer
