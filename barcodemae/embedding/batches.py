"""Encoded barcodes in batches of nearly equal length: next to no padding."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor


def batches_by_length(
    encoding: dict[str, np.ndarray], batch_size: int, device: str | torch.device = "cpu"
) -> Iterator[tuple[np.ndarray, dict[str, Tensor]]]:
    """Cut what `encode_barcodes` gives into batches, short barcodes first.

    Args:
        encoding: `input_ids`, `attention_mask`, `position_ids`, each `[n, tokens]`.
        batch_size: barcodes in a batch.
        device: of the tensors.

    Yields:
        The rows of a batch, and its tensors `[batch, tokens]` by name. A barcode without a known token is in none.
        Where all are of one length, there is no `attention_mask`: with nothing to mask, attention is fastest.
    """
    lengths = encoding["attention_mask"].sum(1)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    for begin in range(0, len(order), batch_size):
        rows = order[begin : begin + batch_size]
        width = lengths[rows[-1]]
        batch = {name: torch.from_numpy(values[rows, :width]).to(device) for name, values in encoding.items()}
        if lengths[rows[0]] == width:
            del batch["attention_mask"]
        yield rows, batch
