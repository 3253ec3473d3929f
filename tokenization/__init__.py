"""DNA text to ids, and the place of a barcode on its marker."""

from typing import Any

from .barcode_encoder import BarcodeEncoder, encoder_of
from .bases import bases_on_frame, lay_out
from .bpe_encoder import BpeEncoder
from .bpe_tokenizer import train_bpe_tokenizer
from .kmer_encoder import KmerEncoder
from .kmer_tokenizer import build_kmer_tokenizer
from .placement import PlacedBarcodes, encode_barcodes, place_barcodes
from .reference_frame import Placement, ReferenceFrame
from .strands import orient, reverse_complement

__all__ = [
    "BarcodeEncoder",
    "BarcodeTokenizer",
    "BpeEncoder",
    "KmerEncoder",
    "PlacedBarcodes",
    "Placement",
    "ReferenceFrame",
    "bases_on_frame",
    "build_kmer_tokenizer",
    "encode_barcodes",
    "encoder_of",
    "lay_out",
    "orient",
    "place_barcodes",
    "reverse_complement",
    "train_bpe_tokenizer",
]


def __getattr__(name: str) -> Any:
    if name == "BarcodeTokenizer":  # imports transformers, which is slow, and few need it
        from .barcode_tokenizer import BarcodeTokenizer

        return BarcodeTokenizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
