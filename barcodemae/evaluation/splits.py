"""The records of an evaluation: which splits it reads, and their labels as arrays."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data import judge, read_records, tell
from barcodemae.errors import ConfigurationError

# As in pretraining by default.
MIN_NUCLEOTIDES = 100
MAX_AMBIGUOUS = 0.5


def read_usable_records(source: str | Path, on_error: str) -> pa.Table:
    """Read one file or Hub data set; a record that is no barcode stops the reading or is counted and left out.

    Duplicates stay: each row is a question of its own.

    Raises:
        UnreadableFileError: as `read_records`.
        BadRecordError: as `judge`.
        ConfigurationError: no usable record is left.
    """
    records, report = judge(
        read_records(source, on_error=on_error),
        min_length=MIN_NUCLEOTIDES,
        max_ambiguous=MAX_AMBIGUOUS,
        drop_duplicates=False,
        on_error=on_error,
    )
    tell(report)
    if len(records) == 0:
        raise ConfigurationError(f"{source}: expected usable barcodes, got none")
    return records


def select_splits(records: pa.Table, names: Sequence[str]) -> list[pa.Table]:
    """The rows of each named split.

    Raises:
        ConfigurationError: one of them has no rows.
    """
    splits = [records.filter(pc.equal(records["split"], name)) for name in names]
    for name, split in zip(names, splits, strict=True):
        if len(split) == 0:
            found = ", ".join(sorted(set(records["split"].to_pylist()) - {""}))
            raise ConfigurationError(f"expected rows of the split {name!r}, got splits: {found or 'none'}")
    return splits


def labels(records: pa.Table, column: str) -> np.ndarray:
    """A column as an array of text `[n]`; "" is unknown."""
    return np.array(records[column].to_pylist(), dtype=str)


def answerable(queries: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Which queries have a known label that stands among the keys, bool `[n_queries]`."""
    return (queries != "") & np.isin(queries, keys)


def species_of_rows(records: pa.Table) -> np.ndarray:
    """Species `[n]` to average over and to resample; a row of unknown species is a species of its own."""
    species = labels(records, "species")
    rows = np.char.add("row ", np.arange(len(species)).astype(str))
    return np.where(species == "", rows, species)
