"""The fastest precision and attention implementation on this device."""

import functools
import time

import torch

# The matrix product of a layer for a batch of barcodes; it takes a few milliseconds.
_ROWS, _WIDTH, _REPEATS = 2048, 512, 5

# bfloat16 loses three digits of precision, so it must be faster by this factor.
_WORTHWHILE = 1.2


@functools.cache
def fastest_dtype(device: str) -> torch.dtype:
    """bfloat16 if its matrix products are clearly faster than those in float32 on this device, otherwise float32.

    Processors differ by an order of magnitude in both directions: with AMX or on a GPU bfloat16 is several times
    faster, on a CPU without such units it is slower.

    Args:
        device: such as "cpu" or "cuda:0".
    """
    seconds = {dtype: _matrix_product_seconds(torch.device(device), dtype) for dtype in (torch.float32, torch.bfloat16)}
    faster = seconds[torch.bfloat16] * _WORTHWHILE < seconds[torch.float32]
    return torch.bfloat16 if faster else torch.float32


def choose_attention(device_type: str, mixed_precision: str) -> str:
    """`sdpa`, or `eager` on a CPU in bf16, where the backward pass of fused attention is slow."""
    return "eager" if (device_type, mixed_precision) == ("cpu", "bf16") else "sdpa"


@torch.inference_mode()
def _matrix_product_seconds(device: torch.device, dtype: torch.dtype) -> float:
    left = torch.ones(_ROWS, _WIDTH, device=device, dtype=dtype)
    right = torch.ones(_WIDTH, _WIDTH, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        float((left @ right)[0, 0])  # reading a value back waits for the device
        best = min(best, time.perf_counter() - begin)
    return best
