"""Queries with known names, and the votes of a library on them, to which probabilities are fitted.

They are of every kind that a library meets. Its own records are searched without themselves, as barcodes of species
that it has; and without their species, genus, family, order, class or phylum, as barcodes that it cannot name at these
ranks. The outgroup that comes with the package, barcodes of many phyla, stands for those that it cannot name at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from barcodemae.data.schema import RANKS
from barcodemae.embedding.nearest import Hits
from barcodemae.errors import ConfigurationError
from barcodemae.library.calibration.probability import LENGTHS, nearest_length
from barcodemae.library.models import Embedder, embed, find_neighbours, is_short, refine_short
from barcodemae.library.search.evidence import Neighbours, RankNames, Vote, choose_voters, vote
from barcodemae.library.search.marker import OnMarker, marker_of
from barcodemae.library.settings import NUM_CANDIDATES
from barcodemae.library.store.stored import StoredLibrary

CUT_LENGTHS = LENGTHS[:-1]
"""Lengths to which barcodes are cut, so that mini-barcodes are calibrated too."""

# The barcodes of one species are right or wrong together, so that a thousand are not a thousand independent cases; but
# a common species is more often a query, too. On `val` and `val_unseen`, with ten half as many more new species got a
# wrong name.
MAX_PER_SPECIES = 50

STRANGER, KNOWN = -1, len(RANKS) - 1
"""Depths of queries: of none of the library's phyla, and of one of its species."""

# Number of records that are searched without themselves and without their species, complete and cut; and of those that
# are searched without their genus, without their family, and so on.
_MAX_OWN, _MAX_CUT = 4000, 1000
_MAX_HIGHER, _MAX_CUT_HIGHER = 800, 250

# A part of a barcode is not searched without a larger taxon: as many more records would have to be compared.
_MAX_EXCLUDED = 64

_OUTGROUP = "outgroup.parquet"
_BLOCK_ROWS = 512
_BLOCK_RECORDS = 8192


@dataclass(frozen=True)
class NamedQueries:
    """Queries with known names, and the votes of a library on them.

    Attributes:
        votes: rank -> vote, on one lineage.
        right: rank -> bool `[n]`, whether the vote's name is the known one; or a name below it is, which a voter has
            together with it: sources call one taxon by several names, such as a phylum, and place it differently.
        named: rank -> bool `[n]`, whether the vote has a name, and the name is known.
        species: `[n]`, the known ones; "" where only higher names are known.
        num_bases: `[n]`, on the frame; queries are complete barcodes, and parts of the lengths of `CUT_LENGTHS`.
        depth: `[n]`, index in `RANKS` of the lowest of the query's names that the library has, apart from what was held
            out: `KNOWN` if it has the species, `STRANGER` if none.
    """

    votes: Mapping[str, Vote]
    right: Mapping[str, np.ndarray]
    named: Mapping[str, np.ndarray]
    species: np.ndarray
    num_bases: np.ndarray
    depth: np.ndarray

    @property
    def is_new(self) -> np.ndarray:
        """Whether the species is not in the library, bool `[n]`."""
        return self.depth < KNOWN

    @property
    def length(self) -> np.ndarray:
        """Index in `LENGTHS` of the one nearest to each query's number of bases, `[n]`."""
        return nearest_length(self.num_bases)

    def take(self, rows: np.ndarray) -> "NamedQueries":
        """Some of the queries: their indices, or bool `[n]`."""
        return NamedQueries(
            {rank: found.take(rows) for rank, found in self.votes.items()},
            {rank: values[rows] for rank, values in self.right.items()},
            {rank: values[rows] for rank, values in self.named.items()},
            self.species[rows],
            self.num_bases[rows],
            self.depth[rows],
        )


def joined(parts: Sequence[NamedQueries]) -> NamedQueries:
    """The queries of several parts, in their order."""

    def together(arrays: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate(arrays)

    votes = {
        rank: Vote(*map(together, zip(*(vars(part.votes[rank]).values() for part in parts), strict=True)))
        for rank in RANKS
    }
    return NamedQueries(
        votes,
        {rank: together([part.right[rank] for part in parts]) for rank in RANKS},
        {rank: together([part.named[rank] for part in parts]) for rank in RANKS},
        together([part.species for part in parts]),
        together([part.num_bases for part in parts]),
        together([part.depth for part in parts]),
    )


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
    return _search_others(library, embedder, {rank: names[rows] for rank, names in known.items()}, read)


def equal_references(library: StoredLibrary, embedder: Embedder, sequences: list[str]) -> np.ndarray:
    """Whether barcodes are copies of references, bool `[n]`: with the same bases on the frame, or the same k-mers."""
    queries = [row.tobytes() for row in marker_of(embedder).read(sequences).bases]
    wanted, copied = set(queries), set()
    for begin in range(0, len(library.live), _BLOCK_RECORDS):
        references = library.bases(library.live[begin : begin + _BLOCK_RECORDS])
        copied |= wanted & {row.tobytes() for row in references}
    return np.array([query in copied for query in queries], bool)


def search_outgroup(
    library: StoredLibrary, embedder: Embedder, lengths: Sequence[int] = (), seed: int = 0
) -> NamedQueries:
    """Search a library with those barcodes of the outgroup whose phyla, or any lower taxa, it does not have.

    Args:
        library: to search.
        embedder: the model that made its vectors.
        lengths: longer barcodes are also searched cut to these numbers of bases.
        seed: of the positions at which they are cut.
    """
    with as_file(files(__package__) / "bundled" / _OUTGROUP) as file:
        records = pq.read_table(file)
    known = {rank: np.array(records[rank].to_pylist(), object) for rank in RANKS}
    held = _held_names(library)
    is_held = [(names != "") & np.isin(names.astype(str), held[rank]) for rank, names in known.items()]
    rows = np.flatnonzero(~np.any(is_held, axis=0))
    rows, read = _read(records["nucleotides"].to_pylist(), rows, rows, embedder, lengths, np.random.default_rng(seed))
    return _search_others(library, embedder, {rank: names[rows] for rank, names in known.items()}, read)


def search_own(library: StoredLibrary, embedder: Embedder, lengths: Sequence[int] = (), seed: int = 0) -> NamedQueries:
    """Search a library with its own records, each without itself, without its species, and without its higher taxa.

    Args:
        library: to search. Records without a species are left out, but in a library without any species.
        embedder: the model that made its vectors.
        lengths: some of the longer records are also searched cut to these numbers of bases.
        seed: of random samples: of 4,000 records (1,000 to be cut), of which 800 (250) are held out with each higher
            taxon, and of fifty of a species.
    """
    columns = library.names()
    names = {rank: RankNames(columns[rank]) for rank in RANKS}
    rng = np.random.default_rng(seed)
    species = names["species"].numbers
    with_species = library.live[species[library.live] >= 0]
    sample = _sample(with_species if len(with_species) else library.live, species, rng)
    rows = np.arange(len(sample))
    rows, read = _read(library.nucleotides(sample), rows, rng.permutation(rows)[:_MAX_CUT], embedder, lengths, rng)
    queries = sample[rows]
    vectors = embed(embedder, read)
    few = np.isin(rows, rng.permutation(len(sample))[:_MAX_HIGHER])
    is_cut = np.arange(len(rows)) >= len(sample)
    few[is_cut] &= rng.random(is_cut.sum()) < _MAX_CUT_HIGHER * len(lengths) / max(1, few[is_cut].sum())
    held_out = _HeldOut(library, names)
    numbers = np.stack([names[rank].numbers[queries] for rank in RANKS])
    lowest = np.where(numbers >= 0, np.arange(len(RANKS))[:, None], STRANGER).max(axis=0)
    found, chosen, depths = [], [], []
    for rank in (None, *reversed(RANKS)):
        depth = held_out.depth(queries, rank)
        is_used = depth == lowest if rank is None else names[rank].numbers[queries] >= 0
        if rank not in (None, "species"):
            is_used &= few
        is_used &= ~is_short(embedder, read) | (held_out.max_excluded(rank, queries) <= _MAX_EXCLUDED)
        if rank is None:
            is_used[is_used] &= _has_comparable(library, species, queries[is_used], read.bases[is_used])
        used = np.flatnonzero(is_used)
        found.append(_hits_of_others(library, embedder, held_out, rank, queries[used], read.take(used), vectors[used]))
        chosen.append(used)
        depths.append(depth[used])
    every = np.concatenate(chosen)
    candidates = Hits(
        np.concatenate([part.rows for part in found]), np.concatenate([part.similarities for part in found])
    )
    neighbours = choose_voters(candidates, read.bases[every], library.bases, library.comparison)
    known = {rank: rank_names.decode(rank_names.numbers[queries[every]]) for rank, rank_names in names.items()}
    return _named(neighbours, names, known, read.num_bases[every], np.concatenate(depths))


def _has_comparable(library: StoredLibrary, species: np.ndarray, queries: np.ndarray, bases: np.ndarray) -> np.ndarray:
    """Whether another record of its species can be compared with a query, bool `[n]`.

    ITS1 and ITS2 of a specimen may be two records. Without one of them the species is still there, but by the other one
    the query can be recognised no better than that of a new species, of which the first would be the only query.

    Args:
        library: to search.
        species: of all records, -1 where unknown.
        queries: int64 `[n]`, numbers of records.
        bases: int8 `[n, width]`, of the queries, which may be parts of the records.
    """
    comparison = library.comparison
    found = np.ones(len(queries), bool)
    if comparison.min_identity == 0:  # all records have coordinates of one frame
        return found
    live = library.live[np.argsort(species[library.live], kind="stable")]
    for one in np.unique(species[queries][species[queries] >= 0]):
        begin, end = np.searchsorted(species[live], [one, one + 1])
        records = live[begin:end][: MAX_PER_SPECIES + 1]
        rows = np.flatnonzero(species[queries] == one)
        num_equal, num_shared = comparison.compare(bases[rows][:, None], library.bases(records))
        is_like = num_equal >= comparison.min_identity * num_shared
        found[rows] = (is_like & (queries[rows][:, None] != records)).any(axis=1)
    return found


def search_as_new(library: StoredLibrary, embedder: Embedder, records: np.ndarray) -> NamedQueries:
    """Search a library with records, complete, as barcodes of a new species: each without its species.

    Args:
        library: to search.
        embedder: the model that made its vectors.
        records: int64, numbers of records with a species, which may be removed ones of the library.
    """
    columns = library.names()
    names = {rank: RankNames(columns[rank]) for rank in RANKS}
    read = marker_of(embedder).read(library.nucleotides(records))
    held_out = _HeldOut(library, names)
    fits = read.fits & (~is_short(embedder, read) | (held_out.max_excluded("species", records) <= _MAX_EXCLUDED))
    records, read = records[fits], read.take(np.flatnonzero(fits))
    vectors = library.vectors(records).astype(np.float32)
    hits = _hits_of_others(library, embedder, held_out, "species", records, read, vectors)
    found = choose_voters(hits, read.bases, library.bases, library.comparison)
    known = {rank: rank_names.decode(rank_names.numbers[records]) for rank, rank_names in names.items()}
    return _named(found, names, known, read.num_bases, held_out.depth(records, "species"))


class _HeldOut:
    """Which records are left out with a query's taxon, and what is left of its lineage.

    Where a name is in several taxa of a higher rank, such as a class under an old and a new name of its phylum, all
    records of the name are left out with each of them: otherwise a query without its phylum would be near to references
    of its own class, whose phylum counts as wrong.

    Args:
        library: of the records.
        names: rank -> names of all records.
    """

    def __init__(self, library: StoredLibrary, names: Mapping[str, RankNames]):
        self._live = library.live
        self._numbers = {rank: rank_names.numbers for rank, rank_names in names.items()}
        # Rank -> a lower rank with names in several of its taxa -> number of records with each of these names.
        self._in_several: dict[str, dict[str, np.ndarray]] = {rank: {} for rank in RANKS}
        for index, rank in enumerate(RANKS):
            for lower in RANKS[index + 1 :]:
                counts = self._count_in_several(rank, lower)
                if counts.any():
                    self._in_several[rank][lower] = counts

    def _count_in_several(self, rank: str, lower: str) -> np.ndarray:
        """Number of records with each name of a lower rank, 0 for a name in one taxon; the last is that of no name."""
        names, taxa = self._numbers[lower][self._live], self._numbers[rank][self._live]
        has_both = (names >= 0) & (taxa >= 0)
        names, taxa = names[has_both], taxa[has_both]
        num_names = self._numbers[lower].max(initial=-1) + 2
        taxon = np.zeros(num_names, np.int64)
        taxon[names] = taxa
        is_in_several = np.bincount(names[taxon[names] != taxa], minlength=num_names) > 0
        return np.where(is_in_several, np.bincount(names, minlength=num_names), 0)

    def is_excluded(self, rank: str | None, queries: np.ndarray, records: np.ndarray) -> np.ndarray:
        """Whether records may be of the queries' taxon; broadcast.

        A record without a name at the rank may be, unless it differs at the next higher rank where it has a name.

        Args:
            rank: of the taxon; None for the record itself.
            queries, records: their numbers.
        """
        if rank is None:
            return queries == records
        numbers = self._numbers[rank]
        excluded = numbers[queries] == numbers[records]
        for lower in self._in_several[rank]:
            below = self._numbers[lower]
            excluded |= (below[queries] == below[records]) & (below[records] >= 0)
        is_open = numbers[records] < 0
        if is_open.any():
            for higher in reversed(RANKS[: RANKS.index(rank)]):
                above = self._numbers[higher]
                is_named = is_open & (above[records] >= 0)
                excluded |= is_named & (above[queries] == above[records])
                is_open &= ~is_named
            excluded |= is_open
        return excluded

    def max_excluded(self, rank: str | None, queries: np.ndarray) -> np.ndarray:
        """Number of records that are at most excluded, `[n]`."""
        if rank is None:
            return np.ones(len(queries), np.int64)
        numbers = self._numbers[rank][self._live]
        counts = np.bincount(numbers[numbers >= 0], minlength=self._numbers[rank].max() + 2)
        found = counts[self._numbers[rank][queries]] + (numbers < 0).sum()
        for lower, in_several in self._in_several[rank].items():
            found += in_several[self._numbers[lower][queries]]
        return found

    def depth(self, queries: np.ndarray, rank: str | None) -> np.ndarray:
        """The depth of queries, as in `NamedQueries`, when their taxa of a rank are left out; None for the record."""
        depth = np.full(len(queries), STRANGER)
        for index, held in enumerate(RANKS if rank is None else RANKS[: RANKS.index(rank)]):
            above = self._numbers[held]
            below = np.arange(len(above)) if rank is None else self._numbers[rank]
            pairs = np.unique(np.stack([above[self._live], below[self._live]]), axis=1)
            pairs = pairs[:, (pairs >= 0).all(axis=0)]
            num_below = np.bincount(pairs[0], minlength=above.max() + 2)  # the last one is of records without a name
            depth = np.where((above[queries] >= 0) & (num_below[above[queries]] > 1), index, depth)
        return depth


def _held_names(library: StoredLibrary) -> dict[str, np.ndarray]:
    """Rank -> the names that a library has."""
    names = library.names().take(pa.array(library.live))
    return {rank: np.array(names[rank].unique().to_pylist(), str) for rank in RANKS}


def _search_others(
    library: StoredLibrary, embedder: Embedder, known: Mapping[str, np.ndarray], read: OnMarker
) -> NamedQueries:
    """Search with barcodes that are not in the library."""
    held = _held_names(library)
    depth = np.full(len(read.sequences), STRANGER)
    for index, rank in enumerate(RANKS):
        depth = np.where((known[rank] != "") & np.isin(known[rank].astype(str), held[rank]), index, depth)
    columns = library.names()
    names = {rank: RankNames(columns[rank]) for rank in RANKS}
    return _named(find_neighbours(library, embedder, read), names, known, read.num_bases, depth)


def _named(
    found: Neighbours,
    names: Mapping[str, RankNames],
    known: Mapping[str, np.ndarray],
    num_bases: np.ndarray,
    depth: np.ndarray,
) -> NamedQueries:
    votes = vote(found, {rank: rank_names.numbers for rank, rank_names in names.items()})
    named = {rank: (known[rank] != "") & (votes[rank].names >= 0) for rank in RANKS}
    right = {rank: (names[rank].decode(votes[rank].names) == known[rank]) & named[rank] for rank in RANKS}
    voters = found.voters().records
    has_name = {rank: (names[rank].numbers[voters] == votes[rank].names[:, None]) & (voters >= 0) for rank in RANKS}
    for index, rank in enumerate(RANKS):
        for lower in RANKS[index + 1 :]:
            right[rank] |= named[rank] & right[lower] & (has_name[rank] & has_name[lower]).any(axis=1)
    return NamedQueries(votes, right, named, known["species"], num_bases, depth)


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
    texts, text_rows = [sequences[row] for row in rows], [rows]
    for length in lengths:
        longer = np.array([row for row in to_cut if len(sequences[row]) > length], np.int64)
        begins = [int(rng.integers(len(sequences[row]) - length + 1)) for row in longer]
        texts += [sequences[row][begin : begin + length] for row, begin in zip(longer, begins, strict=True)]
        text_rows.append(longer)
    read = marker_of(embedder).read(texts)
    fits = np.flatnonzero(read.fits)
    return np.concatenate(text_rows)[fits], read.take(fits)


def _sample(records: np.ndarray, species: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random sample of records, at most fifty of a species and 4,000 in all, ascending."""
    shuffled = rng.permutation(records)
    shuffled = shuffled[np.argsort(species[shuffled], kind="stable")]
    begins = np.r_[0, np.flatnonzero(np.diff(species[shuffled])) + 1]
    index_in_species = np.arange(len(shuffled)) - np.repeat(begins, np.diff(np.r_[begins, len(shuffled)]))
    few = shuffled[(index_in_species < MAX_PER_SPECIES) | (species[shuffled] < 0)]
    return np.sort(rng.permutation(few)[:_MAX_OWN])


def _hits_of_others(
    library: StoredLibrary,
    embedder: Embedder,
    held_out: _HeldOut,
    rank: str | None,
    queries: np.ndarray,
    read: OnMarker,
    vectors: np.ndarray,
) -> Hits:
    """Find the nearest records of queries, also of short ones, except those that are left out with them.

    Args:
        library: to search.
        embedder: the model that made its vectors.
        held_out: which records are left out.
        rank: of the taxa that are left out; None for the record itself.
        queries: int64 `[n]`, numbers of records.
        read: their sequences, or parts of them, on the marker.
        vectors: float32 `[n, dimension]`, of these.
    """

    def is_excluded(rows: np.ndarray, records: np.ndarray) -> np.ndarray:
        return held_out.is_excluded(rank, queries[rows], records)

    hits = _nearest_others(library, held_out, rank, queries, vectors)
    return refine_short(library, embedder, read, hits, held_out.max_excluded(rank, queries), is_excluded)


def _nearest_others(
    library: StoredLibrary, held_out: _HeldOut, rank: str | None, queries: np.ndarray, query_vectors: np.ndarray
) -> Hits:
    """Find the nearest records of records by exact search, except those that are left out with them.

    Args:
        library: to search.
        held_out: which records are.
        rank: of the taxa that are left out; None for the record itself.
        queries: int64 `[n]`, numbers of records.
        query_vectors: float32 `[n, dimension]`, of the complete records, or of parts.
    """
    rows = np.full((len(queries), NUM_CANDIDATES), -1)
    similarities = np.full(rows.shape, -np.inf, np.float32)
    # Each block has records of the whole library, so that after the first one few are nearer than those found before.
    num_blocks = -(-len(library.live) // _BLOCK_RECORDS)
    for begin in range(num_blocks):
        records = library.live[begin::num_blocks]
        vectors = library.vectors(records).astype(np.float32)
        for first in range(0, len(queries), _BLOCK_ROWS):
            block = slice(first, first + _BLOCK_ROWS)
            cosines = query_vectors[block] @ vectors.T
            cosines[held_out.is_excluded(rank, queries[block][:, None], records)] = -np.inf
            if begin == 0:
                column = np.argpartition(-cosines, min(NUM_CANDIDATES, len(records)) - 1, axis=1)[:, :NUM_CANDIDATES]
                row, column = np.repeat(np.arange(len(cosines)), column.shape[1]), column.ravel()
            else:
                row, column = np.nonzero(cosines > similarities[block, -1:])
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
