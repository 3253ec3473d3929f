"""Barcodes laid out on their marker: which letter stands at which coordinate."""

import numpy as np

from .kmer_encoder import KmerEncoder
from .reference_frame import ReferenceFrame
from .strands import orient

# An encoding takes 24 bytes for what is one here.
_BLOCK_ROWS = 4096


def letters_on_frame(sequences: list[str], frame: ReferenceFrame) -> np.ndarray:
    """Place barcodes on their marker's frame, on its strand, and read their letters there.

    Args:
        sequences: `[n]`, DNA. Each lies where it fits best, whether or not the frame accepts it.
        frame: the marker's.

    Returns:
        int8 `[n, frame.length]`, 0 to 3 for A, C, G, T, -1 where a barcode has no such letter. What lies outside the
        frame is left out.
    """
    encoder = KmerEncoder(1)
    placement = frame.place(sequences)
    oriented = orient(sequences, placement.strand)
    letters = np.full((len(sequences), frame.length), -1, np.int8)
    for begin in range(0, len(sequences), _BLOCK_ROWS):
        rows = slice(begin, begin + _BLOCK_ROWS)
        encoding = encoder(oriented[rows], starts=placement.start[rows], max_length=frame.length)
        ids = encoding["input_ids"]
        known = np.where(encoding["attention_mask"] == 1, ids - (encoder.unk_token_id + 1), -1)
        letters[rows, : ids.shape[1]] = known
    return letters
