"""Sequences to bases on the reference frame, and the reason where a sequence is no barcode of the marker."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from barcodemae.data import normalise_nucleotides
from barcodemae.data.schema import STRING
from barcodemae.library.search.marker import read_on_marker, why_unusable
from tokenization_barcodemae import ReferenceFrame


@dataclass(frozen=True)
class Barcodes:
    """All records that were read.

    Attributes:
        ids: text `[n]`.
        sequences: text `[n]`, in upper case and without gaps, as read: not turned, nothing cut off.
        reasons: `[n]`, why a record is no barcode of the marker; "" where it is one.
        bases: int8 `[m, coordinates]`, of the barcodes of the marker alone, in their order; -1 where unknown.
    """

    ids: pa.ChunkedArray
    sequences: pa.ChunkedArray
    reasons: np.ndarray
    bases: np.ndarray

    @property
    def usable(self) -> np.ndarray:
        """Records that are barcodes of the marker, int64 `[m]`."""
        return np.flatnonzero(self.reasons == "")


def read_barcodes(tables: Iterable[pa.Table], frame: ReferenceFrame, show_progress_bar: bool = False) -> Barcodes:
    """Place barcodes on the marker.

    Args:
        tables: of `data.schema.SCHEMA`, as `stream_records` gives them with `on_error="skip"`.
        frame: the marker's reference frame.
        show_progress_bar: whether to show one.
    """
    ids: list[pa.ChunkedArray] = []
    sequences: list[pa.ChunkedArray] = []
    reasons, bases = [np.zeros(0, "U1")], [np.zeros((0, frame.length), np.int8)]
    with tqdm(desc="read", unit=" barcodes", unit_scale=True, disable=not show_progress_bar) as progress:
        for records in tables:
            nucleotides = normalise_nucleotides(records["nucleotides"])
            texts = nucleotides.to_pylist()
            read = read_on_marker(texts, frame)
            why = why_unusable(records["problem"], read)
            ids.append(records["id"])
            sequences.append(nucleotides)
            reasons.append(why)
            bases.append(read.bases[why == ""])
            progress.update(len(records))
    return Barcodes(_joined(ids), _joined(sequences), np.concatenate(reasons), np.concatenate(bases))


def _joined(parts: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks], STRING)
