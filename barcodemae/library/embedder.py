"""What libraries and queries need of a model."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from tokenization_barcodemae import Placement, ReferenceFrame


class Embedder(Protocol):
    """What makes vectors of barcodes."""

    frame: ReferenceFrame | None
    dimension: int

    def encode(
        self,
        sequences: Sequence[str],
        *,
        normalize_embeddings: bool = False,
        on_error: str = "raise",
        placement: Placement | None = None,
    ) -> np.ndarray: ...
