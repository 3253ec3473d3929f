"""The engines that compute embeddings, the whole model or the base map of a tuned one, and their precision."""

from pathlib import Path
from typing import TYPE_CHECKING

from barcodemae.checkpoints.files import PROFILE_FILE, find_checkpoint, optional_file
from barcodemae.errors import ConfigurationError

if TYPE_CHECKING:
    from barcodemae.embedding.base_map import BaseMapEmbedder
    from barcodemae.embedding.embedder import BarcodeEmbedder
    from barcodemae.embedding.kmer_map import KmerMapEmbedder

NETWORK, FRAME = "network", "frame"
ENGINES = (NETWORK, FRAME)

FLOAT32, BFLOAT16 = "fp32", "bf16"
PRECISIONS = (FLOAT32, BFLOAT16)


def load_engine(
    engine: str, model: str | Path | None = None, use_frame: bool = True, precision: str = FLOAT32
) -> "BarcodeEmbedder | BaseMapEmbedder | KmerMapEmbedder":
    """Load a checkpoint into an engine.

    A map of k-mers, the model of a marker without a reference frame, is the same in either engine.

    Args:
        engine: "network", the whole model, or "frame", the base map of a tuned model, which needs no torch.
        model: a folder, a checkpoint that comes with the package, or an id on the Hub; by default `nano_coi`.
        use_frame: false reads all sequences from their first nucleotide.
        precision: of the network, one of `PRECISIONS`.

    Raises:
        ConfigurationError: there is no such engine or precision, or the base map is to be used in another precision or
            without the frame.
        CheckpointError: the checkpoint is missing or broken, or was not tuned, as the base map needs.
    """
    if engine not in ENGINES:
        raise ConfigurationError(f"engine {engine}: expected {' or '.join(ENGINES)}")
    if precision not in PRECISIONS:
        raise ConfigurationError(f"dtype {precision}: expected {' or '.join(PRECISIONS)}")
    if model is not None and is_kmer_map(model):
        if precision != FLOAT32:
            raise ConfigurationError(f"{model}: expected dtype {FLOAT32}, as it has no network; got {precision}")
        return load_linear_map(model)
    if engine == FRAME:
        if not use_frame:
            raise ConfigurationError(f"engine {FRAME}: expected use_frame true, as it reads barcodes on the frame only")
        if precision != FLOAT32:
            raise ConfigurationError(f"engine {FRAME}: expected dtype {FLOAT32}, as it has no network; got {precision}")
        return load_linear_map(model)
    import torch

    from barcodemae.embedding.embedder import BarcodeEmbedder

    dtype = {FLOAT32: torch.float32, BFLOAT16: torch.bfloat16}[precision]
    return BarcodeEmbedder.from_pretrained(model, use_frame=use_frame, dtype=dtype)


def load_linear_map(model: str | Path | None = None) -> "BaseMapEmbedder | KmerMapEmbedder":
    """Load the linear map of a tuned checkpoint: of bases on the reference frame, or of k-mers.

    Args:
        model: a folder, a checkpoint that comes with the package, or an id on the Hub; by default `nano_coi`.

    Raises:
        CheckpointError: the checkpoint is missing or broken, or was not tuned.
    """
    if model is not None and is_kmer_map(model):
        from barcodemae.embedding.kmer_map import KmerMapEmbedder

        return KmerMapEmbedder.from_pretrained(model)
    from barcodemae.embedding.base_map import BaseMapEmbedder

    return BaseMapEmbedder.from_pretrained(model)


def is_kmer_map(model: str | Path) -> bool:
    """Whether a checkpoint is a map of k-mers, by the file of its marker's profile; false if there is none."""
    try:
        return optional_file(find_checkpoint(model), PROFILE_FILE) is not None
    except (OSError, ValueError):
        return False
