"""DNA text to ids, and the place of a barcode on its marker."""

from .barcode_encoder import BarcodeEncoder, encoder_of
from .bpe_encoder import BpeEncoder
from .bpe_tokenizer import train_bpe_tokenizer
from .kmer_encoder import KmerEncoder
from .kmer_tokenizer import build_kmer_tokenizer
from .letters import lay_out, letters_on_frame
from .placement import PlacedBarcodes, encode_barcodes, place_barcodes
from .reference_frame import Placement, ReferenceFrame
from .strands import orient, reverse_complement

__all__ = [
    "BarcodeEncoder",
    "BpeEncoder",
    "KmerEncoder",
    "PlacedBarcodes",
    "Placement",
    "ReferenceFrame",
    "build_kmer_tokenizer",
    "encode_barcodes",
    "encoder_of",
    "lay_out",
    "letters_on_frame",
    "orient",
    "place_barcodes",
    "reverse_complement",
    "train_bpe_tokenizer",
]
