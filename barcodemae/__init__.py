"""BarcodeMAE: identify, cluster and embed DNA barcodes with calibrated confidence; pretrain and evaluate the models."""

from importlib.metadata import version
from typing import TYPE_CHECKING

from barcodemae.lazy import lazy_names

if TYPE_CHECKING:
    from barcodemae.clustering.grouping import cluster
    from barcodemae.embedding.base_map import BaseMapEmbedder
    from barcodemae.embedding.embedder import BarcodeEmbedder
    from barcodemae.library.library import Library

__all__ = ["BarcodeEmbedder", "BaseMapEmbedder", "Library", "cluster"]

__version__ = version("barcodemae")

__getattr__ = lazy_names(
    __name__,
    {
        "BarcodeEmbedder": "embedding.embedder",
        "BaseMapEmbedder": "embedding.base_map",
        "Library": "library.library",
        "cluster": "clustering.grouping",
    },
)
