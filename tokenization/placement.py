"""Barcodes placed on their marker: their tokens for a model, and their bases by coordinate."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from .barcode_encoder import BarcodeEncoder
from .indels import leave_out_unplaced
from .reference_frame import Placement, ReferenceFrame
from .sequences import NORMALIZATION, SequenceReader, Sequences, base_codes, orient

_CODES = base_codes("ACGT")
_BLOCK_ROWS = 4096


@dataclass(frozen=True)
class PlacedBarcodes:
    """Barcodes and their coordinates on the marker.

    Attributes:
        nucleotides: `[n]` Arrow strings; those of placed barcodes are read along the frame, see `read_along_frame`.
        starts: int64 `[n]`, frame coordinate of the first nucleotide; 0 for a barcode that is not placed.
        is_placed: bool `[n]`, whether the reference frame accepted the barcode.
        num_slots: slots of the frame; 0 without a frame.
    """

    nucleotides: pa.Array
    starts: np.ndarray
    is_placed: np.ndarray
    num_slots: int

    def __len__(self) -> int:
        return len(self.nucleotides)

    def take(self, rows: np.ndarray) -> "PlacedBarcodes":
        return PlacedBarcodes(
            self.nucleotides.take(pa.array(rows)), self.starts[rows], self.is_placed[rows], self.num_slots
        )


def place_barcodes(
    sequences: list[str], frame: ReferenceFrame | None, k: int, placement: Placement | None = None
) -> PlacedBarcodes:
    """Place sequences on the marker and turn them to its strand; without a frame, they are left unchanged.

    Args:
        sequences: `[n]` DNA sequences.
        frame: the marker's reference frame, or None.
        k: bases in a k-mer.
        placement: their placement on the frame, if it is already known.
    """
    if frame is None:
        nothing = np.zeros(len(sequences), np.int64)
        return PlacedBarcodes(pa.array(sequences, pa.large_string()), nothing, nothing.astype(bool), 0)
    placement = frame.place(sequences) if placement is None else placement
    is_placed = frame.accepts(placement)
    placement = placement._replace(strand=np.where(is_placed, placement.strand, 1))
    oriented = read_along_frame(sequences, placement)
    starts = np.where(is_placed, placement.start, 0)
    return PlacedBarcodes(pa.array(oriented, pa.large_string()), starts, is_placed, frame.slots(k))


def encode_barcodes(
    encoder: BarcodeEncoder,
    barcodes: PlacedBarcodes,
    max_tokens: int | None,
    unaligned: np.ndarray | None = None,
    offsets: np.ndarray | None = None,
    keep_unknown: bool = False,
) -> dict[str, np.ndarray]:
    """The input arrays of a model: the known k-mers of each barcode and their positions.

    Args:
        encoder: cuts barcodes into tokens.
        barcodes: `[n]` barcodes.
        max_tokens: maximum number of tokens of an unaligned barcode, or None; a placed one ends with the frame.
        unaligned: bool `[n]`, barcodes to read unaligned although they are placed: k-mers are cut, and positions
            counted, from the first nucleotide. Barcodes that are not placed are always read in this way.
        offsets: `[n]`, nucleotides to skip at the begin of unaligned barcodes.
        keep_unknown: keep k-mers with an unknown base if the barcode has known ones, for a model that reads them.

    Returns:
        `input_ids`, `attention_mask`, `position_ids`, each int64 `[n, tokens]`. Each row begins with its known k-mers;
        k-mers with an unknown base and slots that a barcode lacks are left out.
    """
    on_frame = barcodes.is_placed if unaligned is None else barcodes.is_placed & ~unaligned
    parts = []
    for selected, is_aligned in ((on_frame, True), (~on_frame, False)):
        rows = np.flatnonzero(selected)
        if len(rows):
            chosen = barcodes.take(rows)
            encoding = encoder(
                chosen.nucleotides,
                offsets=None if is_aligned or offsets is None else offsets[rows],
                starts=chosen.starts if is_aligned else None,
                max_length=chosen.num_slots if is_aligned else max_tokens,
            )
            parts.append((rows, _known_positions_first(encoding, encoder, keep_unknown)))
    width = max((part["input_ids"].shape[1] for _, part in parts), default=0)
    merged = {
        name: np.full((len(barcodes), width), filler, np.int64)
        for name, filler in (("input_ids", encoder.pad_token_id), ("attention_mask", 0), ("position_ids", 0))
    }
    for rows, part in parts:
        for name, values in part.items():
            merged[name][rows, : values.shape[1]] = values
    return merged


def bases_on_frame(sequences: Sequences, frame: ReferenceFrame) -> np.ndarray:
    """Place barcodes on their marker's frame and strand, and give their bases by coordinate.

    Args:
        sequences: `[n]`, DNA. Each is placed at its best position, whether or not the frame accepts it.
        frame: the marker's reference frame.

    Returns:
        int8 `[n, frame.length]`, as from `lay_out`.
    """
    return lay_out(sequences, frame.place(sequences), frame.length)


def lay_out(sequences: Sequences, placement: Placement, length: int) -> np.ndarray:
    """The bases of placed barcodes by coordinate.

    Args:
        sequences: `[n]`, DNA.
        placement: `[n]`, their placement.
        length: number of coordinates; bases outside of them are left out.

    Returns:
        int8 `[n, length]`, 0 to 3 for A, C, G, T, -1 where a barcode has no known base, or around an indel.
    """
    texts, strands = sequences, placement.strand
    if any(placement.unplaced):
        texts, strands = read_along_frame(sequences, placement), np.ones(len(strands), np.int8)
    bases = np.full((len(strands), length), -1, np.int8)
    for block in SequenceReader(texts).blocks(_CODES, _BLOCK_ROWS):
        bases[block.rows] = block.lay_out(placement.start[block.rows], strands[block.rows], length)
    return bases


def read_along_frame(sequences: Sequences, placement: Placement) -> list[str]:
    """Sequences as read on their strand, in which base `i` lies at coordinate `start + i` of the frame.

    Inserted bases are left out, and missing ones are `N`, as are those around an indel whose coordinates are not known.

    Args:
        sequences: `[n]`, DNA.
        placement: `[n]`, their placement.
    """
    texts = orient(sequences, placement.strand)
    for row in np.flatnonzero(placement.unplaced.astype(bool)):
        texts[row] = leave_out_unplaced(texts[row].translate(NORMALIZATION), placement.unplaced[row])
    return texts


def _known_positions_first(
    encoding: dict[str, np.ndarray], encoder: BarcodeEncoder, keep_unknown: bool
) -> dict[str, np.ndarray]:
    ids = encoding["input_ids"]
    known = (encoding["attention_mask"] == 1) & (ids != encoder.unk_token_id) & (ids != encoder.pad_token_id)
    if keep_unknown:
        known |= known.any(1, keepdims=True) & (ids == encoder.unk_token_id)
    counts = known.sum(1)
    width = int(counts.max(initial=0))
    order = np.argsort(~known, axis=1, kind="stable")[:, :width]
    attended = np.arange(width) < counts[:, None]
    return {
        "input_ids": np.where(attended, np.take_along_axis(ids, order, 1), encoder.pad_token_id),
        "attention_mask": attended.astype(np.int64),
        "position_ids": np.where(attended, np.take_along_axis(encoding["position_ids"], order, 1), 0),
    }
