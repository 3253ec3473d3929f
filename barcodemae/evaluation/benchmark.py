"""The records that representations are judged on."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.splits import answerable, labels, select_splits


@dataclass(frozen=True)
class Benchmark:
    """The records that representations are judged on.

    Attributes:
        train: labelled records: the keys of every nearest-neighbour probe, and what is learnt from.
        seen: other records of species of `train`.
        unseen: records of species that are in no training split.
        extra: more queries, of any species, or None.
    """

    train: pa.Table
    seen: pa.Table
    unseen: pa.Table
    extra: pa.Table | None = None


def build_benchmark(records: pa.Table, query_split: str = "test_unseen", extra: pa.Table | None = None) -> Benchmark:
    """Choose the splits. With `val_unseen`, `val` takes the place of `test`: no test split is looked at.

    Args:
        records: of `barcodemae.data.schema.SCHEMA`; rows of `train` without a genus are left out.
        query_split: the split of unseen species.
        extra: more queries.

    Raises:
        ConfigurationError: a split has no rows, or none of its rows can be answered from `train`, or species that are
            to be unseen stand there.
    """
    seen_split = "val" if query_split == "val_unseen" else "test"
    train, seen, unseen = select_splits(records, ["train", seen_split, query_split])
    train = train.filter(pa.array(labels(train, "genus") != ""))
    if len(train) == 0:
        raise ConfigurationError("expected rows of the split train with a genus, got none")
    questions = [("species", seen_split, seen), ("genus", query_split, unseen)]
    if overlap := set(labels(unseen, "species")) & set(labels(train, "species")) - {""}:
        raise ConfigurationError(
            f"expected species in {query_split} that are not in train, got {len(overlap)} that are, such as "
            f"{min(overlap)}"
        )
    if extra is not None:
        questions.append(("genus", "the extra queries", extra))
    for rank, name, queries in questions:
        if not answerable(labels(queries, rank), labels(train, rank)).any():
            raise ConfigurationError(f"expected a {rank} of the split train in {name}, got none")
    return Benchmark(train, seen, unseen, extra)


def drawn_queries(benchmark: Benchmark, n_seen: int, n_unseen: int, seed: int = 0) -> Benchmark:
    """The same keys, and fewer queries: each as likely to be drawn as any other, so that accuracies stay what they are.

    Args:
        benchmark: the records.
        n_seen: most seen records.
        n_unseen: most unseen records, and most extra queries.
        seed: of the draw.
    """

    def draw(records: pa.Table, n_most: int) -> pa.Table:
        if len(records) <= n_most:
            return records
        return records.take(pa.array(np.sort(np.random.default_rng(seed).permutation(len(records))[:n_most])))

    return replace(
        benchmark,
        seen=draw(benchmark.seen, n_seen),
        unseen=draw(benchmark.unseen, n_unseen),
        extra=None if benchmark.extra is None else draw(benchmark.extra, n_unseen),
    )
