"""Taxa of the training records, for objectives and batches that need labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from barcodemae.data.schema import RANKS
from barcodemae.errors import ConfigurationError
from barcodemae.training.stored import StoredBarcodes


def read_taxa(option: str, rank: str, barcodes: StoredBarcodes) -> tuple[list[str], np.ndarray]:
    """The taxa at a rank, of which there must be two or more.

    Args:
        option: the option that gives the rank, for messages.
        rank: any of `RANKS`.
        barcodes: `[n]`, records to train on.

    Returns:
        The names, sorted; and int64 `[n]`, the index of each barcode's taxon among them, -1 if it is unknown.

    Raises:
        ConfigurationError: the rank is unknown, or the records have fewer than two taxa at it.
    """
    if rank not in RANKS:
        raise ConfigurationError(f"{option}: expected any of {', '.join(RANKS)}, got {rank}")
    names, taxa = barcodes.taxa(rank)
    if len(names) < 2:
        raise ConfigurationError(
            f"{option} {rank}: expected training records of two taxa or more, got {names or 'no names'}"
        )
    return names, taxa


@dataclass(frozen=True)
class AuxiliaryTaxa:
    """The inputs of the auxiliary objective: taxa and its weight, which is 0 in the first epochs.

    It is computed in those epochs nevertheless, so that every process has gradients of the same parameters.

    Attributes:
        taxa: int64 `[n]`, the taxon of each training record, -1 if it is unknown.
        weight: weight of the auxiliary objective after the first epochs.
        warmup_epochs: number of first epochs without it.
    """

    taxa: np.ndarray
    weight: float
    warmup_epochs: int

    def __call__(self, records: np.ndarray, epoch: int) -> dict[str, Any]:
        """Arguments of the model.

        Args:
            records: `[n]`, indices of records.
            epoch: from 0; -1 for validation, which has only the reconstruction.
        """
        if epoch < 0:
            return {}
        weight = self.weight if epoch >= self.warmup_epochs else 0.0
        return {"taxa": self.taxa[records], "auxiliary_weight": weight}
