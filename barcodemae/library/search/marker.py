"""Barcodes of the marker: which sequences are, by one rule for references and queries, and how their bases compare."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data.schema import TOO_LONG
from barcodemae.library.search.primers import Region
from tokenization_barcodemae import Placement, ReferenceFrame, UnplacedPart, lay_out, original_positions

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
        num_given: int64 `[n]`, number of known bases, on the frame or not; that on the frame if these are enough.
    """

    sequences: list[str]
    placement: Placement
    bases: np.ndarray
    is_placed: np.ndarray
    num_given: np.ndarray

    def take(self, rows: np.ndarray) -> "OnMarker":
        sequences = [self.sequences[row] for row in rows]
        return OnMarker(
            sequences, self.placement.take(rows), self.bases[rows], self.is_placed[rows], self.num_given[rows]
        )

    @property
    def num_bases(self) -> np.ndarray:
        """Number of known bases on the frame, `[n]`."""
        return (self.bases >= 0).sum(axis=1)

    @property
    def fits(self) -> np.ndarray:
        """Whether each is a barcode of the marker, bool `[n]`."""
        return self.is_placed & (self.num_bases >= MIN_BASES)


def read_on_marker(sequences: list[str], frame: ReferenceFrame, region: Region | None = None) -> OnMarker:
    """Place sequences on the frame, and read their bases there.

    Args:
        sequences: `[n]`, as `normalise_nucleotides` returns them.
        frame: the marker's reference frame.
        region: bases outside of it, such as those of primers, become unknown, also in the sequences.
    """
    placement = frame.place(sequences)
    given = sequences
    if region is not None:
        sequences = [
            _only_region(text, start, strand, parts, region)
            for text, start, strand, parts in zip(
                sequences, placement.start.tolist(), placement.strand.tolist(), placement.unplaced, strict=True
            )
        ]
    bases = lay_out(sequences, placement, frame.length)
    num_given = (bases >= 0).sum(axis=1)
    for row in np.flatnonzero(num_given < MIN_BASES):
        num_given[row] = sum(map(given[row].count, "ACGT"))
    return OnMarker(sequences, placement, bases, frame.accepts(placement), num_given)


def _only_region(text: str, start: int, strand: int, parts: Sequence[UnplacedPart], region: Region) -> str:
    """A sequence with N in place of all bases outside of a region, given its placement."""
    first, end = (max(coordinate - start, 0) for coordinate in region)
    if parts:
        positions = np.append(original_positions(len(text), parts), len(text))
        first, end = (int(positions[min(index, len(positions) - 1)]) for index in (first, end))
    if strand < 0:
        first, end = len(text) - end, len(text) - first
    first, end = max(first, 0), max(end, 0)
    return "N" * min(first, len(text)) + text[first:end] + "N" * (len(text) - max(end, first))


def why_unusable(problems: pa.ChunkedArray, read: OnMarker) -> np.ndarray:
    """Why records are not barcodes of the marker, in words for the user.

    Args:
        problems: `[n]`, of records that could not be read; "" for the others.
        read: their sequences, as `normalise_nucleotides` returns them, on the marker.

    Returns:
        Text `[n]`: "too long", "damaged", "no DNA", "not the marker", "outside the region" for one of which less than
        `MIN_BASES` are on the frame or between the primers, "too short" for one without as many, or "" for a barcode.
    """
    has_few = read.num_bases < MIN_BASES
    return np.select(
        [
            pc.starts_with(problems, TOO_LONG).to_numpy(),
            pc.not_equal(problems, "").to_numpy(),
            read.num_given == 0,
            ~read.is_placed,
            has_few & (read.num_given >= MIN_BASES),
            has_few,
        ],
        [TOO_LONG, "damaged", "no DNA", "not the marker", "outside the region", "too short"],
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
