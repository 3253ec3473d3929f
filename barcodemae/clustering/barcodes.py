"""The barcodes to be clustered: read, and placed on the marker."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from barcodemae.data import normalise_nucleotides
from barcodemae.data.schema import STRING
from barcodemae.embedding import BaseMapEmbedder
from barcodemae.embedding.kmer_map import KmerMapEmbedder
from barcodemae.library.search.marker import Marker, why_unusable


@dataclass(frozen=True)
class Barcodes:
    """All records that were read.

    Attributes:
        ids: text `[n]`.
        sequences: text `[n]`, in upper case and without gaps, otherwise as read: on the strand given, not trimmed.
        reasons: `[n]`, why a record is not a barcode of the marker; "" where it is one.
        bases: int8 `[m, width]`, what is compared of the barcodes of the marker only, in their order, see
            `library.search.comparison`.
        reads: int64 `[m]`, number of reads that each barcode of the marker is for.
    """

    ids: pa.ChunkedArray
    sequences: pa.ChunkedArray
    reasons: np.ndarray
    bases: np.ndarray
    reads: np.ndarray

    @property
    def usable(self) -> np.ndarray:
        """Rows of the records that are barcodes of the marker, int64 `[m]`."""
        return np.flatnonzero(self.reasons == "")

    def vectors(self, embedder: BaseMapEmbedder | KmerMapEmbedder, rows: np.ndarray) -> np.ndarray:
        """Vectors of barcodes of the marker, float32 `[len(rows), dimension]`, by a model of it."""
        if isinstance(embedder, BaseMapEmbedder):
            return embedder.embed_bases(self.bases[rows])
        return embedder.encode(self.sequences.take(pa.array(self.usable[rows])).to_pylist())


def read_barcodes(
    tables: Iterable[pa.Table], marker: Marker, show_progress_bar: bool = False, primers: str | None = None
) -> Barcodes:
    """Read records and place them on the marker.

    Args:
        tables: of `data.schema.SCHEMA`, as `stream_records` yields them with `on_error="skip"`.
        marker: by which they are read.
        show_progress_bar: whether to show one.
        primers: of the barcodes, see `find_region`; only bases between them are compared.

    Raises:
        ConfigurationError: the primers are not on the marker.
    """
    region = None if primers is None else marker.region(primers)
    ids: list[pa.ChunkedArray] = []
    sequences: list[pa.ChunkedArray] = []
    reasons, bases = [np.zeros(0, object)], [np.zeros((0, marker.comparison.width), np.int8)]
    reads = [np.zeros(0, np.int64)]
    with tqdm(desc="read", unit=" barcodes", unit_scale=True, disable=not show_progress_bar) as progress:
        for records in tables:
            nucleotides = normalise_nucleotides(records["nucleotides"])
            read = marker.read(nucleotides.to_pylist(), region)
            why = why_unusable(records["problem"], read, marker.name)
            ids.append(records["id"])
            sequences.append(nucleotides)
            reasons.append(why)
            bases.append(read.bases[why == ""])
            reads.append(records["size"].to_numpy()[why == ""])
            progress.update(len(records))
    return Barcodes(
        _concatenated(ids),
        _concatenated(sequences),
        np.concatenate(reasons),
        np.concatenate(bases),
        np.concatenate(reads),
    )


def _concatenated(parts: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks], STRING)
