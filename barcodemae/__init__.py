"""BarcodeMAE: pretrain, embed and evaluate masked autoencoders for DNA barcodes."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from barcodemae.embedding import BarcodeEmbedder, LetterEmbedder

__all__ = ["BarcodeEmbedder", "LetterEmbedder"]


def __getattr__(name: str) -> Any:
    """What is slow to import comes when it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from barcodemae import embedding

    return getattr(embedding, name)
