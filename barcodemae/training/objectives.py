"""What is learnt: an objective turns a batch of barcodes into a loss and metrics."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from barcodemae.data.randomness import Stream, uniform
from modeling_barcodemae.masking_barcodemae import count_kept


class Objective(Protocol):
    """One thing to learn. The loop knows no more of it than this."""

    def arrays(self, encoding: dict[str, np.ndarray], records: np.ndarray, epoch: int) -> dict[str, Any]:
        """What `sums` needs beside the encoded barcodes, made on the host.

        Args:
            encoding: `input_ids`, `attention_mask`, `position_ids`, each `[batch, tokens]`.
            records: `[batch]`, indices of the records.
            epoch: from 0; -1 for validation.

        Returns:
            Arrays and plain numbers, by the names of the model's arguments.
        """

    def sums(self, model: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Loss and metrics of a batch, as sums, so that batches and processes add up.

        Args:
            model: on the batch's device.
            batch: tensors and plain numbers.

        Returns:
            Scalars: `count`, `loss` (with a gradient) and metrics, all summed over what `count` counts.
        """


@dataclass(frozen=True)
class MaskedReconstruction:
    """Cross-entropy over the k-mers that were masked: removed (BarcodeMAE, arXiv 2502.18405, section 3), or replaced by
    `[MASK]` (BarcodeBERT, arXiv 2311.02401). Which, the model knows; the places are the same.

    Attributes:
        seed: of the run.
        mask_ratio: the model's.
    """

    seed: int
    mask_ratio: float

    def arrays(self, encoding: dict[str, np.ndarray], records: np.ndarray, epoch: int) -> dict[str, Any]:
        known = encoding["attention_mask"]
        fewest = int(known.sum(1).min(initial=known.shape[1]))
        return {
            "noise": uniform(self.seed, Stream.MASK, epoch, records, known.shape[1]),
            # Told here, it need not be read back from the device; with an empty row the model has to look for itself.
            "num_kept": count_kept(fewest, self.mask_ratio) if fewest else None,
        }

    def sums(self, model: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
        return _token_sums(model, batch)


@dataclass(frozen=True)
class NextTokenPrediction:
    """Cross-entropy over the k-mers that follow another, each told from those before it."""

    def arrays(self, encoding: dict[str, np.ndarray], records: np.ndarray, epoch: int) -> dict[str, Any]:
        return {}

    def sums(self, model: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
        return _token_sums(model, batch)


def _token_sums(model: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
    output = model(**batch, num_items_in_batch=1)
    counted = output.labels >= 0
    with torch.no_grad():
        correct = (output.logits.argmax(-1) == output.labels) & counted
    return {"count": counted.sum(), "loss": output.loss, "accuracy": correct.sum()}
