"""What is judged: anything that turns barcodes into vectors."""

from typing import Any, Protocol, runtime_checkable

import numpy as np

from barcodemae.embedding import BarcodeEmbedder
from barcodemae.evaluation.kept_vectors import texts_sha256
from barcodemae.evaluation.rivals.encoder_files import model_sha256


class Representation(Protocol):
    """Barcodes to vectors, by a trained model or by counting."""

    def fit(self, sequences: list[str], genera: np.ndarray) -> None:
        """Learn what is to be learnt from the `train` split: `[n]` barcodes and the genus of each."""

    def embed(self, sequences: list[str]) -> np.ndarray:
        """The barcodes as float32 `[n, dimensions]`."""


@runtime_checkable
class IdentifiedRepresentation(Representation, Protocol):
    """One that learns nothing here, so that its vectors can be kept for the next time."""

    def identity(self) -> dict[str, Any]:
        """All that its vectors depend on, as JSON has it."""


class ModelRepresentation:
    """A pretrained model; it learns nothing here.

    Args:
        embedder: the model.
        batch_size: barcodes in a batch.
    """

    def __init__(self, embedder: BarcodeEmbedder, batch_size: int):
        self._embedder = embedder
        self._batch_size = batch_size

    def fit(self, sequences: list[str], genera: np.ndarray) -> None:
        pass

    def embed(self, sequences: list[str]) -> np.ndarray:
        """Vectors of the model, float32 `[n, dimensions]`; NaN for a barcode without a known k-mer."""
        return self._embedder.encode(
            sequences,
            batch_size=self._batch_size,
            show_progress_bar=True,
            normalize_embeddings=False,
            on_error="skip",
        )

    def identity(self) -> dict[str, Any]:
        embedder, frame = self._embedder, self._embedder.frame
        return {
            "weights_sha256": model_sha256(embedder.model),
            "config_sha256": texts_sha256([embedder.model.config.to_json_string()]),
            "tokens": embedder.encoder.name,
            "frame": None if frame is None else frame.checksum(),
            "dtype": str(embedder.dtype),
        }
