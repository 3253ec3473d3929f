"""DNA sequences to token ids, and the position of a barcode on its marker."""

from typing import Any

from .barcode_encoder import BarcodeEncoder, encoder_for
from .bpe_encoder import BpeEncoder
from .dna_tokenizers import build_kmer_tokenizer, train_bpe_tokenizer
from .indels import UnplacedPart, original_positions
from .kmer_encoder import KmerEncoder
from .kmer_profile import KmerProfile, MarkerScores
from .kmers import KmerBlock, read_kmers, reverse_complement_ids
from .placement import PlacedBarcodes, bases_on_frame, encode_barcodes, lay_out, place_barcodes, read_along_frame
from .reference_frame import Placement, ReferenceFrame
from .sequences import orient, reverse_complement

__all__ = [
    "BarcodeEncoder",
    "BarcodeTokenizer",
    "BpeEncoder",
    "KmerBlock",
    "KmerEncoder",
    "KmerProfile",
    "MarkerScores",
    "PlacedBarcodes",
    "Placement",
    "ReferenceFrame",
    "UnplacedPart",
    "bases_on_frame",
    "build_kmer_tokenizer",
    "encode_barcodes",
    "encoder_for",
    "lay_out",
    "orient",
    "original_positions",
    "place_barcodes",
    "read_along_frame",
    "read_kmers",
    "reverse_complement",
    "reverse_complement_ids",
    "train_bpe_tokenizer",
]


def __getattr__(name: str) -> Any:
    if name == "BarcodeTokenizer":  # imports transformers, which is slow and rarely needed
        from .barcode_tokenizer import BarcodeTokenizer

        return BarcodeTokenizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
