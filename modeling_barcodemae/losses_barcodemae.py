"""Losses, and the scores that go with them: pure functions on tensors."""

import torch
from torch import Tensor, nn


def cross_entropy_of_ranks(logits: Tensor, labels: Tensor, counts: list[int]) -> Tensor:
    """Mean cross-entropy over all ranks of all barcodes that are known; 0 where none is.

    Args:
        logits: `[batch, taxa]`, those of the first rank, then those of the second, and so on.
        labels: `[batch, ranks]`, the number of the taxon among those of its rank; -100 where it is unknown.
        counts: taxa of each rank.
    """
    by_rank = zip(logits.split(counts, dim=1), labels.unbind(1), strict=True)
    losses = [summed_cross_entropy(scores, taxa) for scores, taxa in by_rank]
    return torch.stack(losses).sum() / labels.ne(-100).sum().clamp(min=1)


def log_odds(scores: Tensor) -> Tensor:
    """Of each class against all others, float32 and finite: its sigmoid is the soft-max of `scores [n, classes]`."""
    of_class = scores.float().log_softmax(1)
    return of_class - torch.log(-torch.expm1(of_class.clamp(max=-torch.finfo(torch.float32).eps)))


def summed_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy in float32, summed over the rows of `logits [n, targets]` whose label is not -100."""
    return nn.functional.cross_entropy(logits.float(), labels, reduction="sum")
