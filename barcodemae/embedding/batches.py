"""Encoded barcodes in windows that a model can read, and in batches of similar length, which need little padding."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor


def batches_by_length(
    encoding: dict[str, np.ndarray], batch_size: int, device: str | torch.device = "cpu"
) -> Iterator[tuple[np.ndarray, dict[str, Tensor]]]:
    """Cut the output of `encode_barcodes` into batches, short barcodes first.

    Args:
        encoding: `input_ids`, `attention_mask`, `position_ids`, each `[n, tokens]`.
        batch_size: number of barcodes in a batch.
        device: device of the tensors.

    Yields:
        The rows of a batch, and its tensors `[batch, tokens]` by name. Barcodes without a known token are left out.
        There is no `attention_mask` if all barcodes of a batch have the same length, since attention is fastest
        without.
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


def cut_windows(encoding: dict[str, np.ndarray], max_tokens: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Cut the output of `encode_barcodes` into windows that do not overlap and that the model can read.

    Args:
        encoding: `input_ids`, `attention_mask` and `position_ids`, each `[n, tokens]`; the tokens of a row precede its
            padding, in the order of their positions.
        max_tokens: number of positions of the model.

    Returns:
        The row of each window, `[windows]`, and the arrays of the windows, `[windows, tokens]`, with positions that
        count from the start of a window. A row without tokens has no window; if no row is too long, all rows are
        returned unchanged.
    """
    attended = encoding["attention_mask"] == 1
    if encoding["position_ids"].max(initial=0, where=attended) < max_tokens:
        return np.arange(len(attended)), encoding
    rows, columns = np.nonzero(attended)
    positions = encoding["position_ids"][rows, columns]
    per_row = positions.max() // max_tokens + 1
    names, window, counts = np.unique(rows * per_row + positions // max_tokens, return_inverse=True, return_counts=True)
    column = np.arange(len(rows)) - (np.cumsum(counts) - counts)[window]
    cut = {name: np.zeros((len(names), counts.max()), np.int64) for name in encoding}
    for name, values in encoding.items():
        cut[name][window, column] = values[rows, columns]
    cut["position_ids"] %= max_tokens
    return names // per_row, cut


def group_by_length(lengths: np.ndarray, max_length: int, budget: int) -> list[np.ndarray]:
    """Group sequences to encode together, so that a long sequence does not make the array of all others as wide.

    Args:
        lengths: `[n]`, number of bases of each sequence.
        max_length: sequences up to this length are one group.
        budget: maximum of number times longest length in a group of longer sequences.

    Returns:
        Row numbers of each group; each row is in one group.
    """
    groups = [np.flatnonzero(lengths <= max_length)]
    longer = np.flatnonzero(lengths > max_length)
    longer = longer[np.argsort(-lengths[longer], kind="stable")]
    while len(longer):
        count = max(1, budget // int(lengths[longer[0]]))
        groups.append(longer[:count])
        longer = longer[count:]
    return [group for group in groups if len(group)]
