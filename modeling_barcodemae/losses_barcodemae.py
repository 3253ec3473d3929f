"""Losses and log-odds: pure functions on tensors."""

import torch
from torch import Tensor, nn


def rank_cross_entropy(logits: Tensor, labels: Tensor, counts: list[int]) -> Tensor:
    """Mean cross-entropy over all known taxa of all barcodes; 0 if none is known.

    Args:
        logits: `[batch, taxa]`, those of the first rank, then those of the second, and so on.
        labels: `[batch, ranks]`, index of the taxon among those of its rank; -100 if it is unknown.
        counts: number of taxa at each rank.
    """
    by_rank = zip(logits.split(counts, dim=1), labels.unbind(1), strict=True)
    losses = [summed_cross_entropy(rank_logits, taxa) for rank_logits, taxa in by_rank]
    return torch.stack(losses).sum() / labels.ne(-100).sum().clamp(min=1)


def log_odds(logits: Tensor) -> Tensor:
    """Log-odds of each class against all others, float32 and finite; their sigmoid is the softmax of `logits`.

    Args:
        logits: `[n, classes]`.
    """
    log_probabilities = logits.float().log_softmax(1)
    complements = -torch.expm1(log_probabilities.clamp(max=-torch.finfo(torch.float32).eps))
    return log_probabilities - torch.log(complements)


def summed_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy in float32, summed over the rows of `logits [n, targets]`.

    Args:
        logits: `[n, targets]`.
        labels: int64 `[n]`, -100 for rows without one; or float32 `[n, targets]`, how often each target counts.
    """
    return nn.functional.cross_entropy(logits.float(), labels, reduction="sum")
