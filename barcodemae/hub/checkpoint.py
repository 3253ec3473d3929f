"""A checkpoint: one folder, or Hub repository, with model, tokenizer, reference frame and model code."""

from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from barcodemae.checkpoints import shipped_checkpoints, shipped_folder
from barcodemae.errors import CheckpointError
from barcodemae.files import written_whole
from barcodemae.hub.sentence_transformers import write_sentence_transformers_files
from barcodemae.provenance import sha256
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEModel
from tokenization_barcodemae import BarcodeEncoder, ReferenceFrame, build_kmer_tokenizer, encoder_of

FRAME_FILE = "reference_frame.safetensors"
WEIGHTS_FILE = "model.safetensors"


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
        write_sentence_transformers_files(scratch, config.pooled_size, tokenizer.model_max_length)
        if frame is not None:
            frame.save(scratch / FRAME_FILE)


def find_checkpoint(name: str | Path) -> str | Path:
    """What the name of a checkpoint stands for, wherever one is asked for.

    Args:
        name: a folder, a checkpoint that comes with the package, or an id on the Hub.

    Returns:
        The name itself where there is a folder of that name; else the shipped checkpoint's folder; else the name again,
        for the Hub to know.
    """
    if not Path(name).is_dir() and str(name) in shipped_checkpoints():
        return shipped_folder(str(name))
    return name


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
        frame_file = _optional_file(place, FRAME_FILE, revision) if use_frame else None
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


def weights_sha256(name: str | Path, revision: str | None = None) -> str:
    """SHA-256 of a checkpoint's weights: what ties results to the model that they were measured on.

    Raises:
        CheckpointError: there are none.
    """
    try:
        file = _optional_file(find_checkpoint(name), WEIGHTS_FILE, revision)
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise CheckpointError(f"{name}: no {WEIGHTS_FILE} could be read: {shorten(str(error), 300)}") from error
    if file is None:
        raise CheckpointError(f"{name}: expected a {WEIGHTS_FILE}, found none")
    return sha256(file)


def _optional_file(name: str | Path, file: str, revision: str | None) -> Path | None:
    if Path(name).is_dir():
        path = Path(name) / file
        return path if path.is_file() else None
    try:
        return Path(hf_hub_download(str(name), file, revision=revision))
    except EntryNotFoundError:
        return None
