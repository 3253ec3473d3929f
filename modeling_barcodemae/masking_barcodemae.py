"""Which tokens of a barcode the encoder sees: pure functions on tensors.

A token is known if it is a k-mer of plain nucleotides, unknown if it is `[MASK]` or `[UNK]`, and absent if it is
padding or not attended. The encoder gets only known tokens.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .configuration_barcodemae import BarcodeMAEConfig


class Partition(NamedTuple):
    """The tokens of each row in the order kept, masked, absent.

    Attributes:
        order: `[batch, tokens]`, column indices of the tokens.
        kept_counts: `[batch]`, number of tokens that the encoder sees.
        present_counts: `[batch]`, number of tokens that are kept or masked.
        num_kept: number of columns of `order` with a kept token in any row.
        first_masked: first column of `order` with a token that is not kept in some row. Equal to `num_kept` if every
            row keeps the same number: then the encoder's batch is dense.
    """

    order: Tensor
    kept_counts: Tensor
    present_counts: Tensor
    num_kept: int
    first_masked: int

    def kept(self) -> Tensor:
        """`[batch, tokens]`, in the order of `order`: true for kept tokens."""
        return self._ranks() < self.kept_counts[:, None]

    def masked(self) -> Tensor:
        """`[batch, tokens]`, in the order of `order`: true for masked tokens."""
        return self.present() & ~self.kept()

    def present(self) -> Tensor:
        """`[batch, tokens]`, in the order of `order`: true for kept and masked tokens."""
        return self._ranks() < self.present_counts[:, None]

    def _ranks(self) -> Tensor:
        return torch.arange(self.order.shape[1], device=self.order.device)[None]


def partition_equally(noise: Tensor, known: Tensor, mask_ratio: float, num_kept: int | None = None) -> Partition:
    """Keep the same number of tokens in every row: those with the smallest noise.

    Args:
        noise: `[batch, tokens]`, uniform in [0, 1); infinite for tokens that must not be kept. A row with too few
            finite values keeps fewer tokens.
        known: `[batch, tokens]`, true for tokens that may be kept or masked.
        mask_ratio: share of the tokens to mask in the shortest row.
        num_kept: number of tokens to keep, if the caller knows it; no row may have fewer. Then no value is copied from
            the device to the host, and no shape depends on the data.
    """
    order, present_counts = _order_columns(noise, known), known.sum(1)
    if num_kept is not None:
        return Partition(order, torch.full_like(present_counts, num_kept), present_counts, num_kept, num_kept)
    num_kept = count_kept(int(present_counts.min()), mask_ratio)
    kept_counts = (known & noise.isfinite()).sum(1).clamp(max=num_kept)
    return _partition(order, kept_counts, present_counts)


def partition_by_chance(noise: Tensor, known: Tensor, mask_ratio: float) -> Partition:
    """Mask each known token with probability `mask_ratio`, as published.

    Other than published, a row of two tokens or more always keeps one and masks one, because attention needs a kept
    token.

    Args:
        noise: `[batch, tokens]`, uniform in [0, 1).
        known: `[batch, tokens]`, true for tokens that may be kept or masked.
        mask_ratio: probability that a token is masked.
    """
    present_counts = known.sum(1)
    drawn = (known & (noise < 1 - mask_ratio)).sum(1)
    kept_counts = drawn.minimum(present_counts - 1).clamp(min=1).minimum(present_counts)
    return _partition(_order_columns(noise, known), kept_counts, present_counts)


def choose_partition(
    config: BarcodeMAEConfig, known: Tensor, noise: Tensor | None = None, num_kept: int | None = None
) -> Partition:
    """Keep and mask tokens according to the model's configuration.

    Args:
        config: gives `mask_ratio` and `mask_by_chance`.
        known: `[batch, tokens]`, true for tokens that may be kept or masked.
        noise: `[batch, tokens]`, uniform in [0, 1); by default drawn here.
        num_kept: see `partition_equally`; not used with `mask_by_chance`.
    """
    if noise is None:
        noise = torch.rand(known.shape, device=known.device)
    if config.mask_by_chance:
        return partition_by_chance(noise, known, config.mask_ratio)
    return partition_equally(noise, known, config.mask_ratio, num_kept)


def partition_unknown(known: Tensor, unknown: Tensor) -> Partition:
    """Keep all known tokens and mask all unknown ones.

    Args:
        known: `[batch, tokens]`.
        unknown: `[batch, tokens]`, true for tokens whose k-mer is to be predicted.
    """
    kept_counts = known.sum(1)
    return _partition(_order_columns(unknown.float(), known | unknown), kept_counts, kept_counts + unknown.sum(1))


def count_kept(num_tokens: int, mask_ratio: float) -> int:
    """The number of tokens kept if a share `mask_ratio` of them is masked: at least one, and not all of two or more."""
    return max(1, min(num_tokens - 1, round(num_tokens * (1 - mask_ratio))))


def take_columns(values: Tensor, columns: Tensor) -> Tensor:
    """Gather columns of each row: `[batch, some, ...]` of `values [batch, all, ...]` at `columns [batch, some]`."""
    return values[torch.arange(len(values), device=values.device)[:, None], columns]


def put_columns(values: Tensor, columns: Tensor, into: Tensor) -> Tensor:
    """The reverse of `take_columns`: a copy of `into [batch, all, ...]` with `values` at `columns`."""
    rows = torch.arange(len(into), device=into.device)[:, None].expand_as(columns)
    return into.index_put((rows, columns), values)


def _order_columns(noise: Tensor, present: Tensor) -> Tensor:
    # Tokens with infinite noise come before absent ones.
    ranks = noise.clamp(max=torch.finfo(noise.dtype).max).masked_fill(~present, float("inf"))
    return ranks.argsort(dim=1, stable=True)


def _partition(order: Tensor, kept_counts: Tensor, present_counts: Tensor) -> Partition:
    # At least one column, also if no barcode of the batch has a known token.
    width, num_kept = (max(1, int(counts.max())) for counts in (present_counts, kept_counts))
    return Partition(order[:, :width], kept_counts, present_counts, num_kept, int(kept_counts.min()))
