"""The records of an evaluation: their splits and labels, and draws that give every taxon the same chance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data import filter_records, log_report, read_records
from barcodemae.errors import ConfigurationError

# As in pretraining by default.
MIN_NUCLEOTIDES = 100
MAX_AMBIGUOUS = 0.5


def read_usable_records(source: str | Path, on_error: str) -> pa.Table:
    """Read one file or Hub data set; a record that is not a barcode stops the reading, or is counted and left out.

    Duplicates are kept: each row is a query of its own.

    Raises:
        UnreadableFileError: as `read_records`.
        BadRecordError: as `filter_records`.
        ConfigurationError: no usable record is left.
    """
    records, report = filter_records(
        read_records(source, on_error=on_error),
        min_length=MIN_NUCLEOTIDES,
        max_ambiguous=MAX_AMBIGUOUS,
        drop_duplicates=False,
        on_error=on_error,
    )
    log_report(report)
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


def answerable(queries: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Which queries have a known label that occurs among the references, bool `[num_queries]`."""
    return (queries != "") & np.isin(queries, references)


def species_of_rows(records: pa.Table) -> np.ndarray:
    """Species `[n]` to average over and to resample; a row of unknown species is a species of its own."""
    species = labels(records, "species")
    rows = np.char.add("row ", np.arange(len(species)).astype(str))
    return np.where(species == "", rows, species)


@dataclass(frozen=True)
class Benchmark:
    """The records that methods are evaluated on.

    Attributes:
        train: labelled records: the references of every nearest-neighbour search, and the training data of every probe.
        seen: other records of species of `train`.
        unseen: records of species that are in no training split.
        extra: more queries, of any species, or None.
    """

    train: pa.Table
    seen: pa.Table
    unseen: pa.Table
    extra: pa.Table | None = None


def build_benchmark(records: pa.Table, query_split: str = "test_unseen", extra: pa.Table | None = None) -> Benchmark:
    """Choose the splits. With `val_unseen`, `val` is used instead of `test`, so that no test split is read.

    Args:
        records: of `barcodemae.data.schema.SCHEMA`; rows of `train` without a genus are left out.
        query_split: the split of unseen species.
        extra: more queries.

    Raises:
        ConfigurationError: a split has no rows, or none of its taxa is in `train`, or species that should be unseen are
            in `train`.
    """
    seen_split = "val" if query_split == "val_unseen" else "test"
    train, seen, unseen = select_splits(records, ["train", seen_split, query_split])
    train = train.filter(pa.array(labels(train, "genus") != ""))
    if len(train) == 0:
        raise ConfigurationError("expected rows of the split train with a genus, got none")
    query_sets = [("species", seen_split, seen), ("genus", query_split, unseen)]
    if overlap := set(labels(unseen, "species")) & set(labels(train, "species")) - {""}:
        raise ConfigurationError(
            f"expected species in {query_split} that are not in train, got {len(overlap)} that are, such as "
            f"{min(overlap)}"
        )
    if extra is not None:
        query_sets.append(("genus", "the extra queries", extra))
    for rank, name, queries in query_sets:
        if not answerable(labels(queries, rank), labels(train, rank)).any():
            raise ConfigurationError(f"expected a {rank} of the split train in {name}, got none")
    return Benchmark(train, seen, unseen, extra)


def sample_queries(benchmark: Benchmark, num_seen: int, num_unseen: int, seed: int = 0) -> Benchmark:
    """The same references with a uniform random sample of the queries, which leaves expected accuracies unchanged.

    Args:
        benchmark: the records.
        num_seen: maximum number of seen records.
        num_unseen: maximum number of unseen records, and of extra queries.
        seed: random seed of the sample.
    """

    def draw(records: pa.Table, max_rows: int) -> pa.Table:
        if len(records) <= max_rows:
            return records
        return records.take(pa.array(np.sort(np.random.default_rng(seed).permutation(len(records))[:max_rows])))

    return replace(
        benchmark,
        seen=draw(benchmark.seen, num_seen),
        unseen=draw(benchmark.unseen, num_unseen),
        extra=None if benchmark.extra is None else draw(benchmark.extra, num_unseen),
    )


def draw_per_taxon(taxa: np.ndarray, max_rows: int, seed: int | Sequence[int]) -> np.ndarray:
    """Rows of at most `max_rows` barcodes of each taxon, drawn at random.

    With the same seed, a smaller draw is a part of a larger one.

    Args:
        taxa: `[n]`, names.
        max_rows: barcodes of one taxon.
        seed: random seed of the draw.

    Returns:
        Row numbers, by taxon in the order of names.
    """
    chances = np.random.default_rng(seed).random(len(taxa))
    order = np.lexsort((chances, taxa))
    return order[rank_within(taxa, chances)[order] < max_rows]


def draw_by_turns(taxa: np.ndarray, max_rows: int, seed: int) -> np.ndarray:
    """Rows of `max_rows` barcodes, or of all if there are fewer: one of each taxon, then a second one, and so on.

    Args:
        taxa: `[n]`, names.
        max_rows: barcodes in all.
        seed: random seed of the draw.

    Returns:
        Row numbers, in order.
    """
    order = np.random.default_rng(seed).permutation(len(taxa))
    by_turns = np.lexsort([order, rank_within(taxa, order)])
    return np.sort(by_turns[:max_rows])


def rank_within(groups: np.ndarray, priorities: np.ndarray) -> np.ndarray:
    """Rank of each item within its group, smallest priority first, from 0: int64 `[n]`."""
    _, group, num_items = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.lexsort([priorities, group])
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - np.repeat(np.cumsum(num_items) - num_items, num_items)
    return ranks
