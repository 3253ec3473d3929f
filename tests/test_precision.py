"""The choice of the precision of training."""

import pytest
import torch

from barcodemae.training import precision


@pytest.mark.parametrize(("seconds", "expected"), [(1.1, torch.float32), (1.3, torch.bfloat16), (0.5, torch.float32)])
def test_bfloat16_must_be_clearly_faster(seconds, expected, monkeypatch):
    measured = {torch.float32: seconds, torch.bfloat16: 1.0}
    monkeypatch.setattr(precision, "_matrix_product_seconds", lambda device, dtype: measured[dtype])
    assert precision.fastest_dtype.__wrapped__("cpu") == expected


def test_precision_is_measured_once(monkeypatch):
    precision.fastest_dtype.cache_clear()
    first = precision.fastest_dtype("cpu")
    monkeypatch.setattr(precision, "_matrix_product_seconds", None)
    assert precision.fastest_dtype("cpu") is first
