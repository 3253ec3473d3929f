"""What embeds: the whole model, or a tuned model's letters alone."""

from pathlib import Path
from typing import TYPE_CHECKING

from barcodemae.embedding.letters import LetterEmbedder
from barcodemae.errors import ConfigurationError

if TYPE_CHECKING:
    import torch

    from barcodemae.embedding.embedder import BarcodeEmbedder

NETWORK, FRAME = "network", "frame"
ENGINES = (NETWORK, FRAME)


def load_engine(
    engine: str, model: str | Path | None = None, use_frame: bool = True, dtype: "torch.dtype | None" = None
) -> "BarcodeEmbedder | LetterEmbedder":
    """Load a checkpoint into an engine.

    Args:
        engine: "network", the whole model, or "frame", the letters of a tuned model alone, which needs no torch.
        model: a folder, a checkpoint that comes with the package, or an id on the Hub; by default `nano_coi`.
        use_frame: false reads all sequences from their first nucleotide.
        dtype: of the network; by default what the device is fastest in.

    Raises:
        ConfigurationError: there is no such engine, or it can't do without the frame.
        CheckpointError: the checkpoint is missing or broken, or has not what the engine needs.
    """
    if engine not in ENGINES:
        raise ConfigurationError(f"engine {engine}: expected {' or '.join(ENGINES)}")
    if engine == FRAME:
        if not use_frame:
            raise ConfigurationError(f"engine {FRAME}: expected use_frame true, for there is nothing else to read by")
        return LetterEmbedder.from_pretrained(model)
    from barcodemae.embedding.embedder import BarcodeEmbedder  # imports torch

    return BarcodeEmbedder.from_pretrained(model, use_frame=use_frame, dtype=dtype)
