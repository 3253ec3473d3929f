"""The bases that a pooled decoder is to reconstruct: those of the whole barcode, however the encoder reads it."""

from dataclasses import dataclass

import numpy as np

from barcodemae.data.stored import StoredBarcodes
from tokenization_barcodemae import Placement, lay_out

# So many barcodes, at even distances, tell the frequencies of bases.
_COUNTED = 8192


@dataclass(frozen=True)
class OwnBases:
    """Each barcode is to reconstruct itself.

    Coordinates are those of the reference frame where the barcode lies on it, and are counted from its first base
    where it does not. A barcode that an epoch reads freely keeps its coordinates on the frame: so what the encoder
    makes of it comes to lie near what it makes of the same barcode on the frame.

    Attributes:
        training: records to learn from.
        validation: records to validate on.
        coordinates: how many the decoder has.
    """

    training: StoredBarcodes
    validation: StoredBarcodes
    coordinates: int

    def __call__(self, records: np.ndarray, epoch: int) -> np.ndarray:
        """Targets of some records.

        Args:
            records: `[n]`, their indices.
            epoch: from 0; -1 for validation.

        Returns:
            int8 `[n, coordinates]`, 0 to 3 for A, C, G, T, -1 where the barcode has none.
        """
        return bases_of(self.validation if epoch < 0 else self.training, records, self.coordinates)


def bases_of(barcodes: StoredBarcodes, records: np.ndarray, coordinates: int) -> np.ndarray:
    """int8 `[n, coordinates]`, 0 to 3 for A, C, G, T, -1 where a barcode has none."""
    taken = barcodes.take(records)
    strand, score = np.ones(len(records), np.int8), np.zeros(len(records), np.float32)
    return lay_out(taken.nucleotides, Placement(taken.starts.astype(np.int64), strand, score), coordinates)


def count_bases(barcodes: StoredBarcodes, coordinates: int) -> np.ndarray:
    """int64 `[coordinates, 4]`, how often A, C, G and T stand at each coordinate, in a sample of the barcodes."""
    rows = np.unique(np.linspace(0, len(barcodes) - 1, min(len(barcodes), _COUNTED)).astype(np.int64))
    bases = bases_of(barcodes, rows, coordinates)
    return np.stack([(bases == base).sum(axis=0) for base in range(4)], axis=1)
