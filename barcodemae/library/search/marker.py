"""Barcodes of the marker: which sequences are, by one rule for references and queries, and how their bases compare."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data.schema import TOO_LONG
from tokenization_barcodemae import Placement, ReferenceFrame, lay_out

MIN_BASES = 100
"""Minimum number of known bases on the marker for a reference or a query."""


@dataclass(frozen=True)
class OnMarker:
    """Sequences on the marker's reference frame.

    Attributes:
        sequences: `[n]`, as given.
        placement: the best one of each.
        bases: int8 `[n, frame_length]`, as `lay_out` returns them: -1 where unknown.
        is_placed: bool `[n]`, whether the frame accepts the placement.
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
        """Number of known bases on the frame, `[n]`."""
        return (self.bases >= 0).sum(axis=1)

    @property
    def fits(self) -> np.ndarray:
        """Whether each is a barcode of the marker, bool `[n]`."""
        return self.is_placed & (self.num_bases >= MIN_BASES)


def read_on_marker(sequences: list[str], frame: ReferenceFrame) -> OnMarker:
    """Place sequences on the frame, and read their bases there."""
    placement = frame.place(sequences)
    return OnMarker(sequences, placement, lay_out(sequences, placement, frame.length), frame.accepts(placement))


def why_unusable(problems: pa.ChunkedArray, read: OnMarker) -> np.ndarray:
    """Why records are not barcodes of the marker, in words for the user.

    Args:
        problems: `[n]`, of records that could not be read; "" for the others.
        read: their sequences, as `normalise_nucleotides` returns them, on the marker.

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


def compare_bases(bases: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare barcodes base by base.

    Args:
        bases, others: int8 `[..., coordinates]`, -1 where unknown; the leading axes are broadcast.

    Returns:
        Number of equal bases, and of bases known in both, int64 `[...]`.
    """
    # An unknown base, -1, becomes -2 and so equals no other. Sums of 16 bits are several times as fast as the default.
    num_equal = (bases - (bases < 0) == others).sum(axis=-1, dtype=np.uint16)
    num_shared = ((bases >= 0) & (others >= 0)).sum(axis=-1, dtype=np.uint16)
    return num_equal.astype(np.int64), num_shared.astype(np.int64)


def dereplicate(bases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the unique barcodes: copies of one barcode are compared as one.

    Args:
        bases: of one byte each, `[n, coordinates]`; also packed ones.

    Returns:
        The row of the first copy of each unique barcode `[unique]`, ascending; and for each barcode, the index of its
        unique barcode `[n]`.
    """
    buffers = [None, pa.py_buffer(np.ascontiguousarray(bases))]
    rows = pa.FixedSizeBinaryArray.from_buffers(pa.binary(bases.shape[1]), len(bases), buffers)
    unique = rows.dictionary_encode().indices.to_numpy()
    return np.unique(unique, return_index=True)[1], unique
