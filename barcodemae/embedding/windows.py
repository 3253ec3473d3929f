"""Sequences that are longer than a model reads, cut into windows that it can."""

import numpy as np


def cut_windows(encoding: dict[str, np.ndarray], max_tokens: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Cut what `encode_barcodes` gives into windows of positions that the model has, side by side.

    Args:
        encoding: `input_ids`, `attention_mask` and `position_ids`, each `[n, tokens]`, the tokens of a row first, in
            the order of their positions.
        max_tokens: positions that the model has.

    Returns:
        Of each window the row that it belongs to, `[windows]`, and the same arrays, `[windows, tokens]`, whose
        positions count from the start of the window. A row without tokens has no window, unless all rows are short
        enough: then they come back as they are.
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
    """Rows to encode together, so that one long sequence does not make an array of all of them as wide as it is.

    Args:
        lengths: `[n]`, bases of each sequence.
        max_length: up to here, all sequences go together.
        budget: of longer ones, so many go together that their number times the longest length is at most this.

    Returns:
        Row numbers, each row in one group.
    """
    groups = [np.flatnonzero(lengths <= max_length)]
    longer = np.flatnonzero(lengths > max_length)
    longer = longer[np.argsort(-lengths[longer], kind="stable")]
    while len(longer):
        count = max(1, budget // int(lengths[longer[0]]))
        groups.append(longer[:count])
        longer = longer[count:]
    return [group for group in groups if len(group)]
