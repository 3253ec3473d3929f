"""Which places of a barcode the encoder sees: pure functions on tensors.

A place is a position of the token matrix. It is known if it holds a k-mer of plain nucleotides, unknown if it holds
`[MASK]` or `[UNK]`, and absent if the barcode has nothing there. The encoder only ever gets known places.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .configuration_barcodemae import BarcodeMAEConfig


class Partition(NamedTuple):
    """Each row's places in the order kept, masked, absent.

    Attributes:
        order: `[batch, places]`, indices of places.
        cached_counts: `[batch]`, how many of them the encoder sees.
        present_counts: `[batch]`, how many of them are kept or masked.
        num_kept: columns of `order` that hold a kept place in some row.
        first_masked: first column of `order` that holds a place which is not kept in some row. Equal to `num_kept`
            where every row keeps the same number: then the encoder's batch is dense.
    """

    order: Tensor
    cached_counts: Tensor
    present_counts: Tensor
    num_kept: int
    first_masked: int

    def kept(self) -> Tensor:
        """`[batch, places]`, in the order of `order`: true where the place is kept."""
        return self._ranks() < self.cached_counts[:, None]

    def masked(self) -> Tensor:
        """`[batch, places]`, in the order of `order`: true where the place is masked."""
        return self.present() & ~self.kept()

    def present(self) -> Tensor:
        """`[batch, places]`, in the order of `order`: true where the place is kept or masked."""
        return self._ranks() < self.present_counts[:, None]

    def _ranks(self) -> Tensor:
        return torch.arange(self.order.shape[1], device=self.order.device)[None]


def partition_equally(noise: Tensor, known: Tensor, mask_ratio: float, num_kept: int | None = None) -> Partition:
    """Keep the same number of places in every row: those with the smallest noise.

    Args:
        noise: `[batch, places]`, uniform in [0, 1); infinite where a place is not to be kept. A row that has fewer
            others keeps fewer.
        known: `[batch, places]`, places that may be kept or masked.
        mask_ratio: share of the places to mask, counted in the row that has fewest.
        num_kept: the number to keep, where the caller knows it; no row may have fewer places to keep. Then nothing is
            read back from the device, and no shape depends on the data.
    """
    order, present_counts = _order_positions(noise, known), known.sum(1)
    if num_kept is not None:
        return Partition(order, torch.full_like(present_counts, num_kept), present_counts, num_kept, num_kept)
    num_kept = count_kept(int(present_counts.min()), mask_ratio)
    cached_counts = (known & noise.isfinite()).sum(1).clamp(max=num_kept)
    return _partition(order, cached_counts, present_counts)


def partition_by_chance(noise: Tensor, known: Tensor, mask_ratio: float) -> Partition:
    """Mask each known place with chance `mask_ratio`, as published.

    Unlike there, a row of two places or more always keeps one and masks one: with none kept, attention has nothing to
    look at.

    Args:
        noise: `[batch, places]`, uniform in [0, 1).
        known: `[batch, places]`, places that may be kept or masked.
        mask_ratio: chance that a place is masked.
    """
    present_counts = known.sum(1)
    drawn = (known & (noise < 1 - mask_ratio)).sum(1)
    cached_counts = drawn.minimum(present_counts - 1).clamp(min=1).minimum(present_counts)
    return _partition(_order_positions(noise, known), cached_counts, present_counts)


def choose_positions(
    config: BarcodeMAEConfig, known: Tensor, noise: Tensor | None = None, num_kept: int | None = None
) -> Partition:
    """Keep and mask places as the model's configuration says.

    Args:
        config: `mask_ratio` and `mask_by_chance`.
        known: `[batch, places]`, places that may be kept or masked.
        noise: `[batch, places]`, uniform in [0, 1); by default drawn here.
        num_kept: see `partition_equally`; not used with `mask_by_chance`.
    """
    if noise is None:
        noise = torch.rand(known.shape, device=known.device)
    if config.mask_by_chance:
        return partition_by_chance(noise, known, config.mask_ratio)
    return partition_equally(noise, known, config.mask_ratio, num_kept)


def partition_unknown(known: Tensor, unknown: Tensor) -> Partition:
    """Keep all that is known and mask all that is not.

    Args:
        known: `[batch, places]`.
        unknown: `[batch, places]`, places of the barcode whose k-mer is to be found.
    """
    cached_counts = known.sum(1)
    return _partition(_order_positions(unknown.float(), known | unknown), cached_counts, cached_counts + unknown.sum(1))


def count_kept(num_tokens: int, mask_ratio: float) -> int:
    """How many of `num_tokens` stay when `mask_ratio` of them are masked: at least one, and not all of two."""
    return max(1, min(num_tokens - 1, round(num_tokens * (1 - mask_ratio))))


def take_positions(values: Tensor, places: Tensor) -> Tensor:
    """Gather places of each row: `values [batch, all, ...]`, `places [batch, some]` to `[batch, some, ...]`."""
    return values[torch.arange(len(values), device=values.device)[:, None], places]


def put_positions(values: Tensor, places: Tensor, into: Tensor) -> Tensor:
    """The reverse of `take_positions`: a copy of `into [batch, all, ...]` with `values` at `places`."""
    rows = torch.arange(len(into), device=into.device)[:, None].expand_as(places)
    return into.index_put((rows, places), values)


def _order_positions(noise: Tensor, present: Tensor) -> Tensor:
    # Infinite noise ranks before what is absent.
    ranks = noise.clamp(max=torch.finfo(noise.dtype).max).masked_fill(~present, float("inf"))
    return ranks.argsort(dim=1, stable=True)


def _partition(order: Tensor, cached_counts: Tensor, present_counts: Tensor) -> Partition:
    # One column at least: a batch in which no barcode has a known place still has a shape.
    widest, most = (max(1, int(counts.max())) for counts in (present_counts, cached_counts))
    return Partition(order[:, :widest], cached_counts, present_counts, most, int(cached_counts.min()))
