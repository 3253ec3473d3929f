"""What of a sequence is a barcode of the marker: references, queries and those that calibrate are judged alike."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data.schema import TOO_LONG
from tokenization_barcodemae import Placement, ReferenceFrame, lay_out

MIN_BASES = 100
"""What covers less of the marker tells too little to be a reference, or to be named."""


@dataclass(frozen=True)
class OnMarker:
    """Sequences on the marker's reference frame.

    Attributes:
        sequences: `[n]`, as given.
        placement: where each lies best.
        bases: int8 `[n, frame_length]`, as `lay_out` gives them.
        is_placed: bool `[n]`, whether the frame accepts that.
    """

    sequences: list[str]
    placement: Placement
    bases: np.ndarray
    is_placed: np.ndarray

    def take(self, rows: np.ndarray) -> "OnMarker":
        sequences = [self.sequences[row] for row in rows]
        return OnMarker(sequences, self.placement.take(rows), self.bases[rows], self.is_placed[rows])

    @property
    def num_bases(self) -> np.ndarray:
        """Known bases on the frame, `[n]`."""
        return (self.bases >= 0).sum(axis=1)

    @property
    def fits(self) -> np.ndarray:
        """Whether each is a barcode of the marker, bool `[n]`."""
        return self.is_placed & (self.num_bases >= MIN_BASES)


def read_on_marker(sequences: list[str], frame: ReferenceFrame) -> OnMarker:
    """Place sequences once, and read their bases there."""
    placement = frame.place(sequences)
    return OnMarker(sequences, placement, lay_out(sequences, placement, frame.length), frame.accepts(placement))


def why_unusable(problems: pa.ChunkedArray, read: OnMarker) -> np.ndarray:
    """Why records are no barcodes of the marker, in words for whoever asked.

    Args:
        problems: `[n]`, what their file has wrong, "" where nothing is.
        read: their sequences, as `normalise_nucleotides` gives them, on the marker.

    Returns:
        Text `[n]`: "too long", "damaged", "no DNA", "not the marker", "too short", or "" for a barcode.
    """
    return np.select(
        [
            pc.starts_with(problems, TOO_LONG).to_numpy(),
            pc.not_equal(problems, "").to_numpy(),
            np.array([not set(sequence) & set("ACGT") for sequence in read.sequences], bool),
            ~read.is_placed,
            read.num_bases < MIN_BASES,
        ],
        [TOO_LONG, "damaged", "no DNA", "not the marker", "too short"],
        default="",
    )
