"""Splits that hold whole species out: to choose a model without the test splits, and for files without splits."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import pyarrow as pa

from barcodemae.data import normalise_nucleotides, stream_records
from barcodemae.data.schema import STRING
from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.benchmark import labels, rank_within, select_splits
from barcodemae.evaluation.copies import CopySearch

SPECIES_SHARE = 0.15
SEEN_SHARE = 0.15

# Rows that may be of any species, a held-out one among them, are neither references nor queries.
NO_SPECIES = "no_species"

COPY, NO_GENUS = "copy", "no_genus"
"""Splits of queries that references decide on, or know nothing of."""


def split_by_species(
    records: pa.Table,
    seed: int = 0,
    *,
    fold: int = 0,
    species_share: float = SPECIES_SHARE,
    seen_share: float = SEEN_SHARE,
    names: tuple[str, str, str] = ("train", "test", "test_unseen"),
) -> pa.Table:
    """Give every row a split: whole species are held out, and some rows of the others.

    A species is held out only if its genus has another one that is not, so that its genus can be named. Of each
    other species with two different sequences or more, at least one goes to the seen queries and at least one
    stays. Equal sequences of a species stay together. The split of a row depends on the seed, the fold and the
    set of names and sequences, not on the order of rows.

    Args:
        records: of `barcodemae.data.schema.SCHEMA`.
        seed: random seed of the choice.
        fold: number of the fold; a species may be held out in several folds, or in none.
        species_share: of all species, 0 to 1: how many are held out, as far as their genera allow.
        seen_share: of a species' sequences, 0 to 1.
        names: of the references, of queries of the same species, and of queries of the held-out species.

    Returns:
        The same rows in the same order with another column `split`; rows of unknown species get `no_species`.

    Raises:
        ConfigurationError: a share is not between 0 and 1, no genus has two species, or no species that stays has two
            sequences.
    """
    for name, share in (("species_share", species_share), ("seen_share", seen_share)):
        if not 0 < share < 1:
            raise ConfigurationError(f"expected {name} between 0 and 1, got {share}")
    species, genera = labels(records, "species"), labels(records, "genus")
    known = species != ""
    key = f"{seed} {fold}"
    is_unseen = np.isin(species, _species_held_out(species[known], genera[known], species_share, key))
    stays = known & ~is_unseen
    is_seen = np.zeros(len(records), bool)
    is_seen[stays] = _rows_seen(
        species[stays], records["nucleotides"].filter(pa.array(stays)).to_pylist(), seen_share, key
    )
    if not is_seen.any():
        raise ConfigurationError("expected a species with two different sequences beside those held out, got none")
    split = np.select([~known, is_unseen, is_seen], [NO_SPECIES, names[2], names[1]], names[0])
    position = records.column_names.index("split")
    return records.set_column(position, records.schema.field(position), pa.array(split.tolist(), STRING))


def fold_of_train(records: pa.Table, fold: int, seed: int = 0) -> pa.Table:
    """The rows of `train` as a benchmark of their own, to choose a model by: `train`, `val` and `val_unseen`.

    Raises:
        ConfigurationError: as `split_by_species`, or there are no rows of `train`.
    """
    (train,) = select_splits(records, ["train"])
    return split_by_species(train, seed, fold=fold, names=("train", "val", "val_unseen"))


def split_by_references(records: pa.Table, references: Sequence[str]) -> pa.Table:
    """Give each query a split by what references have of it.

    Args:
        records: the queries, of `barcodemae.data.schema.SCHEMA`.
        references: files or data sets, as for `stream_records`; they may be many millions.

    Returns:
        The same rows in the same order with another column `split`: `copy` for a query with the sequence of a
        reference, or a part of it, or a longer one (see `copies`); of the others, `test` where the references have its
        species, `test_unseen` where they have its genus alone, and `no_genus`.
    """
    search = CopySearch(normalise_nucleotides(records["nucleotides"]).to_pylist())
    known: dict[str, set[str]] = {"genus": set(), "species": set()}
    for table in stream_records(references, on_error="skip"):
        search.add(normalise_nucleotides(table["nucleotides"]).to_pylist())
        for rank, names in known.items():
            names.update(table[rank].unique().to_pylist())
    has = {rank: np.isin(labels(records, rank), sorted(names - {""})) for rank, names in known.items()}
    split = np.select([search.is_copy, has["species"], has["genus"]], [COPY, "test", "test_unseen"], NO_GENUS)
    position = records.column_names.index("split")
    return records.set_column(position, records.schema.field(position), pa.array(split.tolist(), STRING))


def _species_held_out(species: np.ndarray, genera: np.ndarray, share: float, key: str) -> list[str]:
    num_species = len(np.unique(species))
    with_genus = sorted({(name, genus) for name, genus in zip(species.tolist(), genera.tolist(), strict=True) if genus})
    genus_of = dict(reversed(with_genus))  # a species under two genera counts under the first
    names = list(genus_of)
    number = _random(names, key)
    # The first of each genus stays; of the others, those with the smallest numbers go.
    may_go = np.flatnonzero(rank_within(np.array(list(genus_of.values()), dtype=str), number) > 0)
    if len(may_go) == 0:
        raise ConfigurationError("expected a genus with two species or more, to hold one of them out, got none")
    num_held_out = max(1, round(share * num_species))
    return [names[i] for i in may_go[np.argsort(number[may_go])][:num_held_out]]


def _rows_seen(species: np.ndarray, sequences: list[str], share: float, key: str) -> np.ndarray:
    pairs = [f"{name} {sequence}" for name, sequence in zip(species.tolist(), sequences, strict=True)]
    # Equal sequences of a species have one number, so that they stay together.
    numbers, row, row_of_pair = np.unique(_random(pairs, key), return_index=True, return_inverse=True)
    names = species[row]
    _, group, num_sequences = np.unique(names, return_inverse=True, return_counts=True)
    num_seen = np.rint(share * num_sequences).clip(1, num_sequences - 1)  # none, where there is one sequence
    return (rank_within(names, numbers) < num_seen[group])[row_of_pair]


def _random(texts: list[str], key: str) -> np.ndarray:
    """A number for each text, uint64 `[n]`, as good as random."""
    digests = b"".join(blake2b(text.encode(), digest_size=8, key=key.encode()).digest() for text in texts)
    return np.frombuffer(digests, np.uint64)
