"""Sums of loss and metrics over batches and processes."""

from collections.abc import Mapping

import torch
from accelerate import Accelerator
from torch import Tensor


class Totals:
    """Adds up, on the device, what an objective returns. Nothing is read from the device before `reduced`."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}

    def add(self, sums: Mapping[str, Tensor], weight: float = 1.0) -> None:
        for name, value in sums.items():
            value = value.detach().float() * weight
            self._sums[name] = self._sums[name] + value if name in self._sums else value

    def reduced(self, accelerator: Accelerator) -> dict[str, float]:
        """The sums over all processes, the same in each."""
        names = sorted(self._sums)
        values = accelerator.reduce(torch.stack([self._sums[name] for name in names]), "sum")
        return dict(zip(names, values.tolist(), strict=True))


def added(sums: Mapping[str, float], more: Mapping[str, float]) -> dict[str, float]:
    """Sums of two, name by name."""
    return {name: sums.get(name, 0.0) + more.get(name, 0.0) for name in {**sums, **more}}


def means(sums: Mapping[str, float]) -> dict[str, float]:
    """All sums divided by their `count`; nothing where nothing was counted."""
    count = sums.get("count", 0.0)
    return {name: value / count for name, value in sums.items() if name != "count"} if count else {}
