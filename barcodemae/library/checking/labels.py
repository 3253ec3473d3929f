"""Suspected mislabelled references: records that are much nearer to another genus than to their own taxon."""

from dataclasses import dataclass

import numpy as np

from barcodemae.library.search.comparison import Comparison
from barcodemae.library.search.evidence import RankNames
from barcodemae.library.store.stored import StoredLibrary

NEARER_TO_OTHERS, SURROUNDED = "nearer to another genus", "surrounded by another genus"
"""Reasons of a suspicion: by the nearest record of its own species, if it has many, or by all near records."""

MARGIN = 0.02
"""How much nearer a record must be to another genus than to its own taxon, in identity: two points."""

MANY_RECORDS = 5
"""Number of records of a species, itself included, from which a record is compared with its species alone."""

SAME_SPECIES = 0.98
"""Identity from which records are as near as those of one species mostly are."""

# Fewer records of another genus may themselves be the mislabelled ones.
_NUM_CONFIRMING = 3
_MAJORITY = 4

# A hit that shares fewer known bases is no evidence against a label.
_MIN_SHARED = 200

_NUM_NEAREST = 50
_BLOCK_RECORDS = 1024
_BLOCK_COMPARED = 32  # their bases and those of their hits stay in the processor's cache


@dataclass(frozen=True)
class Suspect:
    """A record with a doubtful label.

    Attributes:
        record: its number in the library.
        reason: `NEARER_TO_OTHERS` or `SURROUNDED`.
        other: number of the nearest record of another genus.
        identity: with that record, 0 to 1.
        own_identity: with the nearest record of the rest of its species, or for `SURROUNDED` of its genus; 0 if there
            is none.
    """

    record: int
    reason: str
    other: int
    identity: float
    own_identity: float


def find_suspects(library: StoredLibrary, first: int = 0) -> list[Suspect]:
    """Find the records whose labels contradict their sequences.

    Records that were removed are checked too, against those that were not. Records without a genus are not checked.

    Args:
        library: to check.
        first: number of the first record to check.

    Returns:
        The suspects, by number. `NEARER_TO_OTHERS`: of a species with five records or more, and the nearest record is
        of another genus, more than two points of identity nearer than the nearest of the rest of its species. The rest
        are all records with less than 98 % identity, at least four times as many as the others: so a few records that
        are mislabelled alike are found too. `SURROUNDED`: among the records with at least 98 % identity, three or more
        are of another genus, and at least four times as many as of its own.
    """
    names = library.names()
    species, genus = (RankNames(names[rank]).numbers for rank in ("species", "genus"))
    num_records = np.bincount(species[library.live] + 1, minlength=species.max(initial=-1) + 2)
    has_many = (species >= 0) & (num_records[species + 1] >= MANY_RECORDS)
    suspects = []
    to_check = first + np.flatnonzero(genus[first:] >= 0)
    for begin in range(0, len(to_check), _BLOCK_RECORDS):
        records = to_check[begin : begin + _BLOCK_RECORDS]
        hits, identities = _nearest(library, records, genus)
        is_own = genus[hits] == genus[records, None]
        other = np.where((genus[hits] >= 0) & ~is_own, identities, 0)
        conspecific = np.where(species[hits] == species[records, None], identities, 0)
        num_alike, rest = _apart(conspecific)
        best, rows = other.argmax(axis=1), np.arange(len(records))
        may_be_nearer = has_many[records] & (other[rows, best] > rest + MARGIN)
        may_be_nearer &= _MAJORITY * (num_alike + 1) < num_records[species[records] + 1]
        is_surrounded = _is_surrounded(
            np.where(other >= SAME_SPECIES, genus[hits], -1), is_own & (identities >= SAME_SPECIES)
        )
        for row in np.flatnonzero(may_be_nearer | is_surrounded):
            record, identity = int(records[row]), float(other[row, best[row]])
            reason = SURROUNDED
            own_identity = float(np.where(is_own[row], identities[row], 0).max())
            if may_be_nearer[row]:
                relatives = library.live[species[library.live] == species[record]]
                relatives = relatives[relatives != record]
                bases = library.bases(np.array([record]))
                in_species = _identities(library.comparison, bases, library.bases(relatives))[None]
                (num_alike_row,), (rest_row,) = _apart(in_species)
                num_rest = np.count_nonzero(in_species) - num_alike_row
                if identity > rest_row + MARGIN and num_rest >= _MAJORITY * (num_alike_row + 1):
                    reason, own_identity = NEARER_TO_OTHERS, float(rest_row)
                elif not is_surrounded[row]:
                    continue
            suspects.append(Suspect(record, reason, int(hits[row, best[row]]), identity, own_identity))
    return suspects


def _apart(identities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many records are as near as one species mostly is, and the identity of the nearest other one, `[n]` each.

    Args:
        identities: `[n, records]`, 0 for records that do not count.
    """
    is_alike = identities >= SAME_SPECIES
    return is_alike.sum(axis=1), np.where(is_alike, 0, identities).max(axis=1, initial=0)


def _is_surrounded(other_genera: np.ndarray, is_own: np.ndarray) -> np.ndarray:
    """Whether records have enough near ones of one other genus, bool `[n]`.

    Args:
        other_genera: int64 `[n, hits]`, genus of each near record of another genus, -1 for all other hits.
        is_own: bool `[n, hits]`, whether a hit is a near record of the own genus.
    """
    is_same = (other_genera[:, :, None] == other_genera[:, None, :]) & (other_genera >= 0)[:, None, :]
    num_confirming = is_same.sum(axis=2).max(axis=1, where=other_genera >= 0, initial=0)
    return (num_confirming >= _NUM_CONFIRMING) & (num_confirming >= _MAJORITY * is_own.sum(axis=1))


def _nearest(library: StoredLibrary, records: np.ndarray, genus: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest other records `[n, hits]` and their identities, 0 for those that can't be compared.

    Records with near ones of their own genus only, which are most, are not compared: all their identities are 0.
    """
    hits = library.search(library.vectors(records).astype(np.float32), _NUM_NEAREST).rows
    is_other = (hits >= 0) & (hits != records[:, None])
    others = np.maximum(hits, 0)
    has_other_genus = (is_other & (genus[hits] >= 0) & (genus[hits] != genus[records, None])).any(axis=1)
    identities = np.zeros(hits.shape)
    compared = np.flatnonzero(has_other_genus)
    for begin in range(0, len(compared), _BLOCK_COMPARED):
        rows = compared[begin : begin + _BLOCK_COMPARED]
        bases = library.bases(others[rows].ravel()).reshape(*hits[rows].shape, -1)
        identities[rows] = _identities(library.comparison, library.bases(records[rows])[:, None], bases)
    return hits, np.where(is_other, identities, 0)


def _identities(comparison: Comparison, bases: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Identities of barcodes `[..., width]`, which are broadcast, 0 where they share too few known bases."""
    num_equal, num_shared = comparison.compare(bases, others)
    return np.where(num_shared >= _MIN_SHARED, num_equal / np.maximum(num_shared, 1), 0)
