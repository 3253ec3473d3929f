"""Sequences to vectors, in bulk."""

from barcodemae.embedding.batches import batches_by_length
from barcodemae.embedding.embedder import BarcodeEmbedder
from barcodemae.embedding.precision import fastest_dtype

__all__ = ["BarcodeEmbedder", "batches_by_length", "fastest_dtype"]
