"""Barcodes laid out on their marker: which base stands at which coordinate."""

import numpy as np

from .reference_frame import Placement, ReferenceFrame
from .sequences import SequenceReader, Sequences, base_codes
from .strands import orient

_CODES = base_codes("ACGT")
_BLOCK_ROWS = 4096


def bases_on_frame(sequences: Sequences, frame: ReferenceFrame) -> np.ndarray:
    """Place barcodes on their marker's frame, on its strand, and read their bases there.

    Args:
        sequences: `[n]`, DNA. Each lies where it fits best, whether or not the frame accepts it.
        frame: the marker's.

    Returns:
        As `lay_out` gives them, `[n, frame.length]`.
    """
    return lay_out(sequences, frame.place(sequences), frame.length)


def lay_out(sequences: Sequences, placement: Placement, length: int) -> np.ndarray:
    """Read the bases of placed barcodes at their coordinates.

    Args:
        sequences: `[n]`, DNA.
        placement: of them.
        length: coordinates to read.

    Returns:
        int8 `[n, length]`, 0 to 3 for A, C, G, T, -1 where a barcode has no such base. What lies outside is left out.
    """
    oriented = orient(sequences, placement.strand)
    bases = np.full((len(oriented), length), -1, np.int8)
    for block in SequenceReader(oriented).blocks(_CODES, _BLOCK_ROWS):
        known = np.maximum(np.frombuffer(block.codes, np.int8), -1)  # as a signed byte, `UNKNOWN` is the least
        starts = placement.start[block.rows]
        ends = np.minimum(starts + np.diff(block.bounds), length)
        firsts = np.maximum(starts, 0)
        # Where in the block's bases coordinate 0 of each barcode would be.
        origins = block.bounds[:-1] - starts
        rows = zip(bases[block.rows], firsts.tolist(), ends.tolist(), origins.tolist(), strict=True)
        for row, first, end, origin in rows:
            if first < end:
                row[first:end] = known[origin + first : origin + end]
    return bases
