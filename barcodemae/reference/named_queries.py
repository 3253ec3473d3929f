"""Barcodes whose names are known, and what a library says of them: what probabilities are learnt from and judged by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from barcodemae.data.schema import RANKS
from barcodemae.errors import ConfigurationError
from barcodemae.reference.embedder import Embedder
from barcodemae.reference.evidence import NUM_CANDIDATES, Neighbours, Vote, choose_voters, vote
from barcodemae.reference.library import Library
from barcodemae.reference.marker import read_on_marker
from barcodemae.reference.names import NamesOfRank
from barcodemae.reference.neighbours import find_neighbours
from barcodemae.vectors.nearest import Hits

NOVELTY = "novelty"
"""Beside the ranks, what can be foretold of a query: that the library does not hold its species."""

# A species of a thousand barcodes is still one species: its barcodes are right together and wrong together. Of 1 to
# 1,000, ten gave the smallest errors for the other half of the species of `val_unseen`.
MOST_OF_SPECIES = 10

# Of new species, those of a genus that the library does not hold: 3 to 5 % of the barcodes of unseen species here. A
# library's own species, held out one by one, would say that it is a third: most genera have one species in a library.
ABSENT_GENERA = 0.05

_MOST_OWN = 5000
_BLOCK_ROWS = 512
_BLOCK_RECORDS = 50_000


@dataclass(frozen=True)
class NamedQueries:
    """Queries whose names are known, and what a library says of them.

    Attributes:
        votes: rank -> vote.
        right: rank -> bool `[n]`, whether the vote's name is the known one.
        named: rank -> bool `[n]`, whether it is known at all.
        species: `[n]`, the known ones.
        is_new: bool `[n]`, the library does not hold the species.
        weights: float64 `[n]`, how much each counts; queries of held and of new species count alike in sum.
    """

    votes: Mapping[str, Vote]
    right: Mapping[str, np.ndarray]
    named: Mapping[str, np.ndarray]
    species: np.ndarray
    is_new: np.ndarray
    weights: np.ndarray

    def vote(self, what: str) -> Vote:
        """The evidence on a rank's name, or on `NOVELTY`."""
        return self.votes["species" if what == NOVELTY else what]

    def happened(self, what: str) -> np.ndarray:
        """Whether the rank's name was right, or the species new, bool `[n]`."""
        return self.is_new if what == NOVELTY else self.right[what]

    def counts(self, what: str) -> np.ndarray:
        """Of which queries that is known, bool `[n]`."""
        return self.named["species" if what == NOVELTY else what]


def ask_named(library: Library, embedder: Embedder, records: pa.Table) -> NamedQueries:
    """Ask a library for names that are known. Queries without a species, or off the marker, do not count.

    Args:
        library: does not hold the queries themselves.
        embedder: the one that it was made with.
        records: columns `nucleotides` and the ranks.

    Raises:
        ConfigurationError: no query counts.
    """
    assert embedder.frame is not None
    read = read_on_marker(records["nucleotides"].to_pylist(), embedder.frame)
    counts = read.fits & (np.array(records["species"].to_pylist(), object) != "")
    rows = np.flatnonzero(counts)
    if not len(rows):
        raise ConfigurationError("expected barcodes of the marker with a species to calibrate with, got none")
    found = find_neighbours(library, embedder, read.take(rows))
    known = {rank: np.array(records[rank].to_pylist(), object)[rows] for rank in RANKS}
    columns = library.names()
    held = set(columns["species"].take(pa.array(library.live)).to_pylist())
    is_new = np.array([one not in held for one in known["species"]])
    names = {rank: NamesOfRank(columns[rank]) for rank in RANKS}
    return _judged(found, names, known, is_new, _weights(known["species"], is_new))


def ask_own(library: Library, seed: int = 0) -> NamedQueries:
    """Ask a library for the names of its own records: once without the record itself, and once without its species.

    Args:
        library: has records with species.
        seed: of the draw, where there are more than 5,000, or more than ten of a species.

    Raises:
        ConfigurationError: no record has a species.
    """
    columns = library.names()
    names = {rank: NamesOfRank(columns[rank]) for rank in RANKS}
    species, genera = names["species"].numbers, names["genus"].numbers
    live = library.live
    with_species = live[species[live] >= 0]
    if not len(with_species):
        raise ConfigurationError(f"{library.folder}: expected records with a species to calibrate with, got none")
    drawn = _draw(with_species, species, np.random.default_rng(seed))
    num_of_species = np.bincount(species[with_species])
    held = drawn[num_of_species[species[drawn]] > 1]
    without_itself = _nearest_but(library, held, lambda query, record: query == record)
    without_species = _nearest_but(library, drawn, lambda query, record: species[query] == species[record])
    asked = np.concatenate([held, drawn])
    both = (without_itself, without_species)
    hits = Hits(np.concatenate([one.rows for one in both]), np.concatenate([one.similarities for one in both]))
    found = choose_voters(hits, library.letters(asked), library.letters)
    is_new = np.arange(len(asked)) >= len(held)
    known = {rank: of_rank.of(of_rank.numbers[asked]) for rank, of_rank in names.items()}
    pairs = np.unique(np.stack([genera[with_species], species[with_species]]), axis=1)
    num_species_of_genus = np.bincount(pairs[0][pairs[0] >= 0], minlength=genera.max() + 1)
    is_absent = is_new & (genera[asked] >= 0) & (num_species_of_genus[genera[asked]] == 1)
    return _judged(found, names, known, is_new, _weights(known["species"], is_new, is_absent))


def _judged(
    found: Neighbours,
    names: Mapping[str, NamesOfRank],
    known: Mapping[str, np.ndarray],
    is_new: np.ndarray,
    weights: np.ndarray,
) -> NamedQueries:
    votes = {rank: vote(found, of_rank.numbers) for rank, of_rank in names.items()}
    named = {rank: known[rank] != "" for rank in RANKS}
    right = {rank: (names[rank].of(votes[rank].names) == known[rank]) & named[rank] for rank in RANKS}
    return NamedQueries(votes, right, named, known["species"], is_new, weights)


def _weights(species: np.ndarray, is_new: np.ndarray, is_absent: np.ndarray | None = None) -> np.ndarray:
    """Of each query: a species counts as ten at most, held and new ones alike.

    Args:
        species: `[n]`, names.
        is_new: bool `[n]`, the library does not hold the species.
        is_absent: bool `[n]`, nor the genus, where these shall be `ABSENT_GENERA` of the new ones.
    """
    weights = np.ones(len(species))
    for kind in (is_new, ~is_new):
        _, place, counts = np.unique(species[kind], return_inverse=True, return_counts=True)
        weights[kind] = np.minimum(MOST_OF_SPECIES / counts, 1)[place]
    if is_absent is not None and is_absent.any() and (is_new & ~is_absent).any():
        weights[is_absent] *= ABSENT_GENERA / weights[is_absent].sum()
        weights[is_new & ~is_absent] *= (1 - ABSENT_GENERA) / weights[is_new & ~is_absent].sum()
    for kind in (is_new, ~is_new):
        if kind.any():
            weights[kind] /= weights[kind].sum()
    return weights * len(weights) / weights.sum()


def _draw(records: np.ndarray, species: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Records, at most ten of a species and 5,000 in all, in order."""
    mixed = rng.permutation(records)
    by_species = np.argsort(species[mixed], kind="stable")
    of = species[mixed][by_species]
    begins = np.r_[0, np.flatnonzero(np.diff(of)) + 1]
    place_in_species = np.arange(len(of)) - np.repeat(begins, np.diff(np.r_[begins, len(of)]))
    few = mixed[by_species[place_in_species < MOST_OF_SPECIES]]
    return np.sort(rng.permutation(few)[:_MOST_OWN])


def _nearest_but(
    library: Library, asked: np.ndarray, is_barred: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Hits:
    """The nearest records of records by exact search, without those that are barred.

    Args:
        library: to search.
        asked: int64 `[n]`, numbers of records.
        is_barred: of numbers asked and numbers of records, bool; both broadcast.
    """
    rows = np.full((len(asked), NUM_CANDIDATES), -1)
    similarities = np.full(rows.shape, -np.inf, np.float32)
    queries = library.vectors(asked).astype(np.float32)
    for begin in range(0, len(library.live), _BLOCK_RECORDS):
        records = library.live[begin : begin + _BLOCK_RECORDS]
        vectors = library.vectors(records).astype(np.float32)
        for first in range(0, len(asked), _BLOCK_ROWS):
            block = slice(first, first + _BLOCK_ROWS)
            cosines = queries[block] @ vectors.T
            if begin == 0:
                cosines[is_barred(asked[block][:, None], records)] = -np.inf
                place = np.argpartition(-cosines, min(NUM_CANDIDATES, len(records)) - 1, axis=1)[:, :NUM_CANDIDATES]
                query, place = np.repeat(np.arange(len(cosines)), place.shape[1]), place.ravel()
            else:  # few are nearer than the fifty that are there
                query, place = np.nonzero(cosines > similarities[block, -1:])
                is_free = ~is_barred(asked[block][query], records[place])
                query, place = query[is_free], place[is_free]
            best = _best_of_each(
                np.concatenate([np.repeat(np.arange(len(cosines)), NUM_CANDIDATES), query]),
                np.concatenate([similarities[block].ravel(), cosines[query, place]]),
            )
            rows[block] = np.concatenate([rows[block].ravel(), records[place]])[best]
            similarities[block] = np.concatenate([similarities[block].ravel(), cosines[query, place]])[best]
    return Hits(np.where(np.isfinite(similarities), rows, -1), similarities)


def _best_of_each(query: np.ndarray, similarities: np.ndarray) -> np.ndarray:
    """Places of the fifty largest similarities of each query, `[queries, 50]`; each has fifty at least."""
    order = np.lexsort((-similarities, query))
    begins = np.searchsorted(query[order], np.arange(query.max() + 1))
    return order[begins[:, None] + np.arange(NUM_CANDIDATES)]
