"""Queries with known names, and the votes of a library on them, to which probabilities are fitted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from barcodemae.data.schema import RANKS
from barcodemae.embedding.nearest import Hits
from barcodemae.errors import ConfigurationError
from barcodemae.library.calibration.probability import NOVELTY, nearest_length
from barcodemae.library.models import Embedder, find_neighbours, refine_short
from barcodemae.library.search.evidence import Neighbours, RankNames, Vote, choose_voters, vote
from barcodemae.library.search.marker import OnMarker, read_on_marker
from barcodemae.library.settings import NUM_CANDIDATES
from barcodemae.library.store.stored import StoredLibrary

# The barcodes of one species are right or wrong together, so that a thousand are not a thousand independent cases. Of 1
# to 1,000, ten gave the smallest errors for the other half of the species of `val_unseen`.
MAX_PER_SPECIES = 10

# Share of new species whose genus is not in the library either: 3 to 5 % of the barcodes of unseen species here. Among
# the library's own species, each held out, it would be a third, since most genera have one species in a library.
ABSENT_GENERA = 0.05

_MAX_OWN = 5000
_MAX_CUT = 1500
_BLOCK_ROWS = 512
_BLOCK_RECORDS = 50_000


@dataclass(frozen=True)
class NamedQueries:
    """Queries with known names, and the votes of a library on them.

    Attributes:
        votes: rank -> vote.
        right: rank -> bool `[n]`, whether the vote's name is the known one.
        named: rank -> bool `[n]`, whether the name is known.
        species: `[n]`, the known ones.
        num_bases: `[n]`, on the frame; queries are complete barcodes, and parts of shorter `LENGTHS`.
        is_new: bool `[n]`, the species is not in the library.
        weights: float64 `[n]`; their sums over queries of known and of new species are equal.
    """

    votes: Mapping[str, Vote]
    right: Mapping[str, np.ndarray]
    named: Mapping[str, np.ndarray]
    species: np.ndarray
    num_bases: np.ndarray
    is_new: np.ndarray
    weights: np.ndarray

    def vote(self, target: str) -> Vote:
        """The evidence on a rank's name, or on `NOVELTY`."""
        return self.votes["species" if target == NOVELTY else target]

    def observed(self, target: str) -> np.ndarray:
        """Whether the rank's name is right, or for `NOVELTY` the species new, bool `[n]`."""
        return self.is_new if target == NOVELTY else self.right[target]

    def is_known(self, target: str) -> np.ndarray:
        """Whether that is known of a query, bool `[n]`."""
        return self.named["species" if target == NOVELTY else target]


def search_named(
    library: StoredLibrary, embedder: Embedder, records: pa.Table, lengths: Sequence[int] = (), seed: int = 0
) -> NamedQueries:
    """Search a library with queries of known names; those without a species, or off the marker, are left out.

    Args:
        library: does not contain the queries themselves.
        embedder: the model that made its vectors.
        records: columns `nucleotides` and the ranks.
        lengths: longer barcodes are also searched cut to these numbers of bases.
        seed: of the positions at which they are cut.

    Raises:
        ConfigurationError: no queries are left.
    """
    known = {rank: np.array(records[rank].to_pylist(), object) for rank in RANKS}
    rows = np.flatnonzero(known["species"] != "")
    rows, read = _read(records["nucleotides"].to_pylist(), rows, rows, embedder, lengths, np.random.default_rng(seed))
    if not len(rows):
        raise ConfigurationError("expected barcodes of the marker with a species to calibrate with, got none")
    found = find_neighbours(library, embedder, read)
    columns = library.names()
    names = {rank: RankNames(columns[rank]) for rank in RANKS}
    library_species = set(columns["species"].take(pa.array(library.live)).to_pylist())
    is_new = np.array([name not in library_species for name in known["species"][rows]])
    return _score_votes(found, names, {rank: known[rank][rows] for rank in RANKS}, read.num_bases, is_new)


def search_own(library: StoredLibrary, embedder: Embedder, lengths: Sequence[int] = (), seed: int = 0) -> NamedQueries:
    """Search a library with its own records: once without the record itself, and once without its species.

    Args:
        library: has records with species.
        embedder: the model that made its vectors.
        lengths: some of the longer records are also searched cut to these numbers of bases.
        seed: of random samples: of 5,000 records (1,500 to be cut), and of ten of a species.

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
    sample = _sample(with_species, species, rng)
    rows = np.arange(len(sample))
    to_cut = rng.permutation(rows)[:_MAX_CUT]
    rows, read = _read(library.nucleotides(sample), rows, to_cut, embedder, lengths, rng)
    queries = sample[rows]
    vectors = embedder.encode(read.sequences, normalize_embeddings=True, placement=read.placement)
    num_conspecific = np.bincount(species[with_species])[species[queries]]
    has_others = np.flatnonzero(num_conspecific > 1)

    def search_others(rows: np.ndarray, numbers: np.ndarray, num_excluded: np.ndarray) -> Hits:
        """The nearest records, except those with the query's own number."""
        found = _nearest_others(
            library, queries[rows], vectors[rows], lambda one, other: numbers[one] == numbers[other]
        )

        def is_excluded(row: np.ndarray, record: np.ndarray) -> np.ndarray:
            return numbers[queries[rows][row]] == numbers[record]

        return refine_short(library, embedder, read.take(rows), found, num_excluded, is_excluded)

    everyone = np.arange(len(queries))
    hits = (
        search_others(has_others, np.arange(len(species)), np.ones(len(has_others), np.int64)),
        search_others(everyone, species, num_conspecific),
    )
    both = np.concatenate([has_others, np.arange(len(queries))])
    candidates = Hits(
        np.concatenate([part.rows for part in hits]), np.concatenate([part.similarities for part in hits])
    )
    found = choose_voters(candidates, read.bases[both], library.bases)
    queries, is_new = queries[both], np.arange(len(both)) >= len(has_others)
    known = {rank: rank_names.decode(rank_names.numbers[queries]) for rank, rank_names in names.items()}
    pairs = np.unique(np.stack([genera[with_species], species[with_species]]), axis=1)
    # One more than there are genera: index -1, of records without a genus, then has no species.
    num_species_of_genus = np.bincount(pairs[0][pairs[0] >= 0], minlength=genera.max() + 2)
    is_absent = is_new & (genera[queries] >= 0) & (num_species_of_genus[genera[queries]] == 1)
    return _score_votes(found, names, known, read.num_bases[both], is_new, is_absent)


def _read(
    sequences: list[str],
    rows: np.ndarray,
    to_cut: np.ndarray,
    embedder: Embedder,
    lengths: Sequence[int],
    rng: np.random.Generator,
) -> tuple[np.ndarray, OnMarker]:
    """Place complete barcodes on the marker, and parts of longer ones, cut at random positions.

    Args:
        sequences: of all rows.
        rows: to be read complete.
        to_cut: rows of which parts are read too.
        embedder: has the frame.
        lengths: of the parts, in bases.
        rng: draws the positions.

    Returns:
        Rows, and sequences on the marker, without those that are not barcodes of the marker.
    """
    assert embedder.frame is not None
    texts, text_rows = [sequences[row] for row in rows], [rows]
    for length in lengths:
        longer = np.array([row for row in to_cut if len(sequences[row]) > length], np.int64)
        begins = [int(rng.integers(len(sequences[row]) - length + 1)) for row in longer]
        texts += [sequences[row][begin : begin + length] for row, begin in zip(longer, begins, strict=True)]
        text_rows.append(longer)
    read = read_on_marker(texts, embedder.frame)
    fits = np.flatnonzero(read.fits)
    return np.concatenate(text_rows)[fits], read.take(fits)


def _score_votes(
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
    for rows in (np.flatnonzero(nearest == number) for number in np.unique(nearest)):
        absent = None if is_absent is None else is_absent[rows]
        weights[rows] = _weights(known["species"][rows], is_new[rows], absent)
    return NamedQueries(votes, right, named, known["species"], num_bases, is_new, weights)


def _weights(species: np.ndarray, is_new: np.ndarray, is_absent: np.ndarray | None) -> np.ndarray:
    """Weights of queries of one length: at most that of ten for a species, with equal sums for known and new species.

    Args:
        species: `[n]`, names.
        is_new: bool `[n]`, the species is not in the library.
        is_absent: bool `[n]`, nor is the genus; these get the share `ABSENT_GENERA` of the weight of new species.
    """
    weights = np.ones(len(species))
    for kind in (is_new, ~is_new):
        _, number, counts = np.unique(species[kind], return_inverse=True, return_counts=True)
        weights[kind] = np.minimum(MAX_PER_SPECIES / counts, 1)[number]
    if is_absent is not None and is_absent.any() and (is_new & ~is_absent).any():
        weights[is_absent] *= ABSENT_GENERA / weights[is_absent].sum()
        weights[is_new & ~is_absent] *= (1 - ABSENT_GENERA) / weights[is_new & ~is_absent].sum()
    for kind in (is_new, ~is_new):
        if kind.any():
            weights[kind] /= weights[kind].sum()
    return weights * len(weights) / weights.sum()


def _sample(records: np.ndarray, species: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random sample of records, at most ten of a species and 5,000 in all, ascending."""
    shuffled = rng.permutation(records)
    shuffled = shuffled[np.argsort(species[shuffled], kind="stable")]
    begins = np.r_[0, np.flatnonzero(np.diff(species[shuffled])) + 1]
    index_in_species = np.arange(len(shuffled)) - np.repeat(begins, np.diff(np.r_[begins, len(shuffled)]))
    few = shuffled[index_in_species < MAX_PER_SPECIES]
    return np.sort(rng.permutation(few)[:_MAX_OWN])


def _nearest_others(
    library: StoredLibrary,
    queries: np.ndarray,
    query_vectors: np.ndarray,
    is_excluded: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Hits:
    """Find the nearest records of records by exact search, except excluded ones.

    Args:
        library: to search.
        queries: int64 `[n]`, numbers of records.
        query_vectors: float32 `[n, dimension]`, of the complete records, or of parts.
        is_excluded: whether, for a query, a record is excluded, by their numbers, which are broadcast.
    """
    rows = np.full((len(queries), NUM_CANDIDATES), -1)
    similarities = np.full(rows.shape, -np.inf, np.float32)
    for begin in range(0, len(library.live), _BLOCK_RECORDS):
        records = library.live[begin : begin + _BLOCK_RECORDS]
        vectors = library.vectors(records).astype(np.float32)
        for first in range(0, len(queries), _BLOCK_ROWS):
            block = slice(first, first + _BLOCK_ROWS)
            cosines = query_vectors[block] @ vectors.T
            if begin == 0:
                cosines[is_excluded(queries[block][:, None], records)] = -np.inf
                column = np.argpartition(-cosines, min(NUM_CANDIDATES, len(records)) - 1, axis=1)[:, :NUM_CANDIDATES]
                row, column = np.repeat(np.arange(len(cosines)), column.shape[1]), column.ravel()
            else:  # few are nearer than the fifty found before
                row, column = np.nonzero(cosines > similarities[block, -1:])
                is_allowed = ~is_excluded(queries[block][row], records[column])
                row, column = row[is_allowed], column[is_allowed]
            best = _best_of_each(
                np.concatenate([np.repeat(np.arange(len(cosines)), NUM_CANDIDATES), row]),
                np.concatenate([similarities[block].ravel(), cosines[row, column]]),
            )
            rows[block] = np.concatenate([rows[block].ravel(), records[column]])[best]
            similarities[block] = np.concatenate([similarities[block].ravel(), cosines[row, column]])[best]
    return Hits(np.where(np.isfinite(similarities), rows, -1), similarities)


def _best_of_each(query: np.ndarray, similarities: np.ndarray) -> np.ndarray:
    """Indices of the fifty largest similarities of each query, `[queries, 50]`; each query has at least fifty."""
    order = np.lexsort((-similarities, query))
    begins = np.searchsorted(query[order], np.arange(query.max() + 1))
    return order[begins[:, None] + np.arange(NUM_CANDIDATES)]
