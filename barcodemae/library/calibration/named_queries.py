"""Barcodes whose names are known, and what a library says of them: what probabilities are learnt from and judged by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from barcodemae.data.schema import RANKS
from barcodemae.embedding.nearest import Hits
from barcodemae.errors import ConfigurationError
from barcodemae.library.calibration.probability import NOVELTY, nearest_length
from barcodemae.library.embedder import Embedder
from barcodemae.library.neighbours import find_neighbours
from barcodemae.library.search.evidence import Neighbours, RankNames, Vote, choose_voters, vote
from barcodemae.library.search.marker import OnMarker, read_on_marker
from barcodemae.library.settings import NUM_CANDIDATES
from barcodemae.library.store.stored import StoredLibrary

# A species of a thousand barcodes is still one species: its barcodes are right together and wrong together. Of 1 to
# 1,000, ten gave the smallest errors for the other half of the species of `val_unseen`.
MAX_PER_SPECIES = 10

# Of new species, those of a genus that the library does not hold: 3 to 5 % of the barcodes of unseen species here. A
# library's own species, held out one by one, would say that it is a third: most genera have one species in a library.
ABSENT_GENERA = 0.05

_MAX_OWN = 5000
_MAX_CUT = 1500
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
        num_bases: `[n]`, on the frame: queries are asked whole, and cut to shorter `LENGTHS`.
        is_new: bool `[n]`, the library does not hold the species.
        weights: float64 `[n]`, how much each counts; queries of held and of new species count alike in sum.
    """

    votes: Mapping[str, Vote]
    right: Mapping[str, np.ndarray]
    named: Mapping[str, np.ndarray]
    species: np.ndarray
    num_bases: np.ndarray
    is_new: np.ndarray
    weights: np.ndarray

    def vote(self, what: str) -> Vote:
        """The evidence on a rank's name, or on `NOVELTY`."""
        return self.votes["species" if what == NOVELTY else what]

    def observed(self, what: str) -> np.ndarray:
        """Whether the rank's name was right, or the species new, bool `[n]`."""
        return self.is_new if what == NOVELTY else self.right[what]

    def counts(self, what: str) -> np.ndarray:
        """Of which queries that is known, bool `[n]`."""
        return self.named["species" if what == NOVELTY else what]


def search_named(
    library: StoredLibrary, embedder: Embedder, records: pa.Table, lengths: Sequence[int] = (), seed: int = 0
) -> NamedQueries:
    """Ask a library for names that are known. Queries without a species, or off the marker, do not count.

    Args:
        library: does not hold the queries themselves.
        embedder: the one that it was made with.
        records: columns `nucleotides` and the ranks.
        lengths: longer barcodes are asked once more, cut to so many bases.
        seed: of the places where they are cut.

    Raises:
        ConfigurationError: no query counts.
    """
    known = {rank: np.array(records[rank].to_pylist(), object) for rank in RANKS}
    rows = np.flatnonzero(known["species"] != "")
    rows, read = _read(records["nucleotides"].to_pylist(), rows, rows, embedder, lengths, np.random.default_rng(seed))
    if not len(rows):
        raise ConfigurationError("expected barcodes of the marker with a species to calibrate with, got none")
    found = find_neighbours(library, embedder, read)
    columns = library.names()
    names = {rank: RankNames(columns[rank]) for rank in RANKS}
    held = set(columns["species"].take(pa.array(library.live)).to_pylist())
    is_new = np.array([one not in held for one in known["species"][rows]])
    return _judged(found, names, {rank: known[rank][rows] for rank in RANKS}, read.num_bases, is_new)


def search_own(library: StoredLibrary, embedder: Embedder, lengths: Sequence[int] = (), seed: int = 0) -> NamedQueries:
    """Ask a library for the names of its own records: once without the record itself, and once without its species.

    Args:
        library: has records with species.
        embedder: the one that it was made with.
        lengths: some of the longer ones are asked once more, cut to so many bases.
        seed: of the draw, where there are more than 5,000 (1,500 to be cut), or more than ten of a species.

    Raises:
        ConfigurationError: no record has a species.
    """
    columns = library.names()
    names = {rank: RankNames(columns[rank]) for rank in RANKS}
    species, genera = names["species"].numbers, names["genus"].numbers
    with_species = library.live[species[library.live] >= 0]
    if not len(with_species):
        raise ConfigurationError(f"{library.folder}: expected records with a species to calibrate with, got none")
    rng = np.random.default_rng(seed)
    drawn = _draw(with_species, species, rng)
    places = np.arange(len(drawn))
    to_cut = rng.permutation(places)[:_MAX_CUT]
    place, read = _read(library.nucleotides(drawn), places, to_cut, embedder, lengths, rng)
    asked = drawn[place]
    vectors = embedder.encode(read.sequences, normalize_embeddings=True, placement=read.placement)
    held = np.flatnonzero(np.bincount(species[with_species])[species[asked]] > 1)
    hits = (
        _nearest_but(library, asked[held], vectors[held], lambda query, record: query == record),
        _nearest_but(library, asked, vectors, lambda query, record: species[query] == species[record]),
    )
    both = np.concatenate([held, np.arange(len(asked))])
    joined = Hits(np.concatenate([one.rows for one in hits]), np.concatenate([one.similarities for one in hits]))
    found = choose_voters(joined, read.bases[both], library.bases)
    asked, is_new = asked[both], np.arange(len(both)) >= len(held)
    known = {rank: rank_names.decode(rank_names.numbers[asked]) for rank, rank_names in names.items()}
    pairs = np.unique(np.stack([genera[with_species], species[with_species]]), axis=1)
    # The last number is that of records without a genus, whose number is -1; there may be no others.
    num_species_of_genus = np.bincount(pairs[0][pairs[0] >= 0], minlength=genera.max() + 2)
    is_absent = is_new & (genera[asked] >= 0) & (num_species_of_genus[genera[asked]] == 1)
    return _judged(found, names, known, read.num_bases[both], is_new, is_absent)


def _read(
    sequences: list[str],
    rows: np.ndarray,
    to_cut: np.ndarray,
    embedder: Embedder,
    lengths: Sequence[int],
    rng: np.random.Generator,
) -> tuple[np.ndarray, OnMarker]:
    """Barcodes whole, and the longer ones of some cut at random places.

    Args:
        sequences: of all rows.
        rows: those to read whole.
        to_cut: those to cut.
        embedder: has the frame.
        lengths: bases that are left.
        rng: draws the places.

    Returns:
        The row of each, and what was read: of those alone that are barcodes of the marker.
    """
    assert embedder.frame is not None
    texts, of_rows = [sequences[row] for row in rows], [rows]
    for length in lengths:
        longer = np.array([row for row in to_cut if len(sequences[row]) > length], np.int64)
        begins = [int(rng.integers(len(sequences[row]) - length + 1)) for row in longer]
        texts += [sequences[row][begin : begin + length] for row, begin in zip(longer, begins, strict=True)]
        of_rows.append(longer)
    read = read_on_marker(texts, embedder.frame)
    fits = np.flatnonzero(read.fits)
    return np.concatenate(of_rows)[fits], read.take(fits)


def _judged(
    found: Neighbours,
    names: Mapping[str, RankNames],
    known: Mapping[str, np.ndarray],
    num_bases: np.ndarray,
    is_new: np.ndarray,
    is_absent: np.ndarray | None = None,
) -> NamedQueries:
    votes = {rank: vote(found, rank_names.numbers) for rank, rank_names in names.items()}
    named = {rank: known[rank] != "" for rank in RANKS}
    right = {rank: (names[rank].decode(votes[rank].names) == known[rank]) & named[rank] for rank in RANKS}
    weights = np.ones(len(is_new))
    nearest = nearest_length(num_bases)
    for rows in (np.flatnonzero(nearest == place) for place in np.unique(nearest)):
        absent = None if is_absent is None else is_absent[rows]
        weights[rows] = _weights(known["species"][rows], is_new[rows], absent)
    return NamedQueries(votes, right, named, known["species"], num_bases, is_new, weights)


def _weights(species: np.ndarray, is_new: np.ndarray, is_absent: np.ndarray | None) -> np.ndarray:
    """Of each query of a length: a species counts as ten at most, held and new ones alike.

    Args:
        species: `[n]`, names.
        is_new: bool `[n]`, the library does not hold the species.
        is_absent: bool `[n]`, nor the genus, where these shall be `ABSENT_GENERA` of the new ones.
    """
    weights = np.ones(len(species))
    for kind in (is_new, ~is_new):
        _, place, counts = np.unique(species[kind], return_inverse=True, return_counts=True)
        weights[kind] = np.minimum(MAX_PER_SPECIES / counts, 1)[place]
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
    few = mixed[by_species[place_in_species < MAX_PER_SPECIES]]
    return np.sort(rng.permutation(few)[:_MAX_OWN])


def _nearest_but(
    library: StoredLibrary,
    asked: np.ndarray,
    queries: np.ndarray,
    is_barred: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Hits:
    """The nearest records of records by exact search, without those that are barred.

    Args:
        library: to search.
        asked: int64 `[n]`, numbers of records.
        queries: float32 `[n, dimension]`, vectors of them, whole or cut.
        is_barred: of numbers asked and numbers of records, bool; both broadcast.
    """
    rows = np.full((len(asked), NUM_CANDIDATES), -1)
    similarities = np.full(rows.shape, -np.inf, np.float32)
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
