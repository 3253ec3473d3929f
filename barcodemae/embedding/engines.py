"""The engines that compute embeddings, the whole model or the base map of a tuned one, and their precision."""

from pathlib import Path
from typing import TYPE_CHECKING

from barcodemae.errors import ConfigurationError

if TYPE_CHECKING:
    from barcodemae.embedding.base_map import BaseMapEmbedder
    from barcodemae.embedding.embedder import BarcodeEmbedder

NETWORK, FRAME = "network", "frame"
ENGINES = (NETWORK, FRAME)

FLOAT32, BFLOAT16 = "fp32", "bf16"
PRECISIONS = (FLOAT32, BFLOAT16)


def load_engine(
    engine: str, model: str | Path | None = None, use_frame: bool = True, precision: str = FLOAT32
) -> "BarcodeEmbedder | BaseMapEmbedder":
    """Load a checkpoint into an engine.

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
    if engine == FRAME:
        if not use_frame:
            raise ConfigurationError(f"engine {FRAME}: expected use_frame true, as it reads barcodes on the frame only")
        if precision != FLOAT32:
            raise ConfigurationError(f"engine {FRAME}: expected dtype {FLOAT32}, as it has no network; got {precision}")
        from barcodemae.embedding.base_map import BaseMapEmbedder

        return BaseMapEmbedder.from_pretrained(model)
    import torch

    from barcodemae.embedding.embedder import BarcodeEmbedder

    dtype = {FLOAT32: torch.float32, BFLOAT16: torch.bfloat16}[precision]
    return BarcodeEmbedder.from_pretrained(model, use_frame=use_frame, dtype=dtype)
