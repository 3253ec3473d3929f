"""Soft targets of masked k-mers: a similar k-mer is a better prediction than a dissimilar one."""

from functools import lru_cache

import torch
from torch import Tensor


def soft_cross_entropy(logits: Tensor, labels: Tensor, k: int, temperature: float) -> Tensor:
    """Cross-entropy in float32 against soft targets, summed over the rows whose label is not negative.

    The target is the soft-max of the negative edit distances of all k-mers from the label, divided by the temperature.

    Args:
        logits: `[n, 4^k]`.
        labels: `[n]`, the masked k-mers; negative for rows to ignore.
        k: nucleotides in a k-mer.
        temperature: above 0; with a temperature near 0 it is the usual cross-entropy.
    """
    is_counted = labels >= 0
    distances = edit_distances(k, logits.device)[labels[is_counted]]
    targets = (-distances.float() / temperature).softmax(1)
    return -(targets * logits[is_counted].float().log_softmax(1)).sum()


@torch.compiler.disable
@lru_cache(maxsize=4)
def edit_distances(k: int, device: torch.device) -> Tensor:
    """Levenshtein distances between all k-mers: int8 `[4^k, 4^k]`. Computed once for each k and device.

    Args:
        k: nucleotides in a k-mer.
        device: where the table is computed and remains.
    """
    kmers = torch.arange(4**k, device=device)
    bases = [(kmers // 4 ** (k - 1 - i) % 4).to(torch.int8) for i in range(k)]
    shape = (len(kmers), len(kmers))
    # Wagner and Fischer (1974), for all pairs at once: row[j] is the distance of the first i bases from the first j.
    row = [torch.full(shape, j, dtype=torch.int8, device=device) for j in range(k + 1)]
    for i in range(k):
        next_row = [torch.full(shape, i + 1, dtype=torch.int8, device=device)]
        for j in range(k):
            substituted = row[j] + (bases[i][:, None] != bases[j][None])
            next_row.append(substituted.minimum(torch.minimum(row[j + 1], next_row[j]) + 1))
        row = next_row
    return row[k]
