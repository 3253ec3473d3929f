"""Barcodes placed on their marker, and the arrays that a model takes of them."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from .barcode_encoder import BarcodeEncoder
from .reference_frame import Placement, ReferenceFrame
from .strands import orient


@dataclass(frozen=True)
class PlacedBarcodes:
    """Barcodes, and where on the marker they lie.

    Attributes:
        nucleotides: `[n]` Arrow strings, all on the marker's strand where they are placed.
        starts: `[n]` frame coordinate of the first nucleotide; 0 where a barcode is not placed.
        is_placed: `[n]`, whether the reference frame accepted the barcode.
        num_slots: slots of the frame; 0 where there is none.
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
    """Place sequences on the marker and turn them to its strand; without a frame they stay as they are.

    Args:
        sequences: `[n]`.
        frame: the marker's.
        k: bases in a k-mer.
        placement: where they lie on the frame, if that is known already.
    """
    if frame is None:
        nothing = np.zeros(len(sequences), np.int64)
        return PlacedBarcodes(pa.array(sequences, pa.large_string()), nothing, nothing.astype(bool), 0)
    placement = frame.place(sequences) if placement is None else placement
    is_placed = frame.accepts(placement)
    oriented = orient(sequences, np.where(is_placed, placement.strand, 1))
    starts = np.where(is_placed, placement.start, 0)
    return PlacedBarcodes(pa.array(oriented, pa.large_string()), starts, is_placed, frame.slots(k))


def encode_barcodes(
    encoder: BarcodeEncoder,
    barcodes: PlacedBarcodes,
    max_tokens: int | None,
    free: np.ndarray | None = None,
    offsets: np.ndarray | None = None,
    keep_unknown: bool = False,
) -> dict[str, np.ndarray]:
    """Known k-mers and their positions: what the encoder may see, with nothing between.

    Args:
        encoder: cuts barcodes into words, and knows their ids.
        barcodes: `[n]` of them.
        max_tokens: most tokens of a barcode that is read freely, or None for all; a placed one ends with the frame.
        free: `[n]`, barcodes to read freely although they are placed: k-mers are cut, and positions counted, from the
            first nucleotide. Barcodes that are not placed are always read so.
        offsets: `[n]` nucleotides to cut off the front of those that are read freely.
        keep_unknown: keep the k-mers with an unknown base where a barcode has others, for a model that reads them.

    Returns:
        `input_ids`, `attention_mask`, `position_ids`, each int64 `[n, tokens]`. Each row's known k-mers stand first;
        k-mers with an unknown base and slots that a barcode lacks are left out.
    """
    on_frame = barcodes.is_placed if free is None else barcodes.is_placed & ~free
    parts = []
    for selected, placed in ((on_frame, True), (~on_frame, False)):
        rows = np.flatnonzero(selected)
        if len(rows):
            chosen = barcodes.take(rows)
            encoding = encoder(
                chosen.nucleotides,
                offsets=None if placed or offsets is None else offsets[rows],
                starts=chosen.starts if placed else None,
                max_length=chosen.num_slots if placed else max_tokens,
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
