"""Hand-made records for the tests of the evaluation."""

import numpy as np
import pyarrow as pa

from barcodemae.data.conforming import conform


def make_records(**columns: list[str]) -> pa.Table:
    """A table of the record schema; columns that are not given are unknown."""
    n = len(next(iter(columns.values())))
    columns.setdefault("nucleotides", ["ACGT"] * n)
    return conform(pa.table(columns), "hand-made", np.arange(1, n + 1))
