"""Sequences to vectors, in bulk."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from barcodemae.embedding.batches import batches_by_length
    from barcodemae.embedding.embedder import BarcodeEmbedder
    from barcodemae.embedding.letters import LetterEmbedder
    from barcodemae.embedding.precision import fastest_dtype

__all__ = ["BarcodeEmbedder", "LetterEmbedder", "batches_by_length", "fastest_dtype"]

_MODULES = {
    "BarcodeEmbedder": "embedder",
    "LetterEmbedder": "letters",
    "batches_by_length": "batches",
    "fastest_dtype": "precision",
}


def __getattr__(name: str) -> Any:
    """Each comes when it is asked for: torch is slow to import, and `LetterEmbedder` does without."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
