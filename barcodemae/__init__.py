"""BarcodeMAE: identify, cluster and embed DNA barcodes with calibrated confidence; pretrain and evaluate the models."""

from importlib.metadata import version
from typing import TYPE_CHECKING

from barcodemae.lazy import lazy_names

if TYPE_CHECKING:
    from barcodemae.clustering.grouping import cluster
    from barcodemae.embedding.embedder import BarcodeEmbedder
    from barcodemae.embedding.letters import LetterEmbedder
    from barcodemae.library.library import Library

__all__ = ["BarcodeEmbedder", "LetterEmbedder", "Library", "cluster"]

__version__ = version("barcodemae")

__getattr__ = lazy_names(
    __name__,
    {
        "BarcodeEmbedder": "embedding.embedder",
        "LetterEmbedder": "embedding.letters",
        "Library": "library.library",
        "cluster": "clustering.grouping",
    },
)
