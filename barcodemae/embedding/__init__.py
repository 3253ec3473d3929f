"""Sequences to vectors, in bulk."""

from typing import TYPE_CHECKING

from barcodemae.lazy import lazy_names

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

__getattr__ = lazy_names(__name__, _MODULES)
