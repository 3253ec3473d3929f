"""Embeddings of many sequences."""

from typing import TYPE_CHECKING

from barcodemae.lazy import lazy_names

if TYPE_CHECKING:
    from barcodemae.embedding.base_map import BaseMapEmbedder
    from barcodemae.embedding.batches import batches_by_length
    from barcodemae.embedding.embedder import BarcodeEmbedder

__all__ = ["BarcodeEmbedder", "BaseMapEmbedder", "batches_by_length"]

_MODULES = {
    "BarcodeEmbedder": "embedder",
    "BaseMapEmbedder": "base_map",
    "batches_by_length": "batches",
}

__getattr__ = lazy_names(__name__, _MODULES)
