"""The choice of the fewest records that give the same names as all records of a library.

Condensed nearest neighbours (Hart 1968), with the library's own vote instead of one neighbour. The most typical record
of each species is chosen first. All others are then identified by the chosen ones, and where they get another name than
from the complete library, or are far from all chosen records of the name, more are chosen.

The complete library names a record by all records, also by itself. To leave it out, as editing does (Wilson 1972),
would lose the only record of a haplotype that lies among another species: of queries of a library of 84,225 barcodes of
all animals (`val`), 93.8 % got the right species then, instead of 94.7 %.
"""

import logging
from collections.abc import Iterator

import faiss
import numpy as np
from scipy.sparse import csr_matrix
from tqdm import tqdm

from barcodemae.data.schema import RANKS
from barcodemae.embedding.nearest import Hits
from barcodemae.errors import ConfigurationError
from barcodemae.library.search.evidence import RankNames, Vote, choose_voters, vote
from barcodemae.library.settings import NUM_CANDIDATES
from barcodemae.library.store.stored import StoredLibrary

# Every record has a chosen one of its species that is so near: otherwise barcodes of the library's own species look
# new. Without it, confidences of species names were further off for other species; with 0.98, no more were right.
MIN_IDENTITY = 0.97

# Typical records are chosen among those with nearly as many bases as the longest of their taxon.
_COMPLETE_SHARE = 0.95

_BLOCK_RECORDS = 4096

logger = logging.getLogger(__name__)


def choose_records(library: StoredLibrary, max_records: int | None = None) -> np.ndarray:
    """Choose the records that give the same names as all records of a library.

    Args:
        library: to choose from; takes about a kilobyte of memory for each record, beside what a search takes.
        max_records: maximum number of records; those that most others need are chosen. By default, all that are needed.

    Returns:
        int64, numbers of the chosen records, ascending: at least one of each species, and of each BIN whose records
        have no species.

    Raises:
        ConfigurationError: the maximum is smaller than the number of species and of such BINs.
    """
    choice = _Choice(library)
    max_records = len(library.live) if max_records is None else max_records
    if max_records < choice.num_taxa:
        raise ConfigurationError(
            f"expected at least {choice.num_taxa:,} records, one of each species, and of each BIN without one "
            f"({choice.num_taxa / len(library.live):.4f} of the library), got a maximum of {max_records:,}"
        )
    return library.live[choice.run(max_records)]


class _Choice:
    """The records of a library, some of which are chosen. A row is an index into `library.live`.

    Attributes:
        num_taxa: number of species, and of BINs, or else lowest names, whose records have no species.
    """

    def __init__(self, library: StoredLibrary):
        self._library, self._records = library, library.live
        names = library.names()
        self._numbers = {rank: RankNames(names[rank]).numbers for rank in RANKS}
        self._taxa = self._number_taxa(RankNames(names["bin"]).numbers[self._records])
        self.num_taxa = int(self._taxa.max(initial=-1)) + 1
        self._vectors = library.vectors(self._records)
        self._num_bases = np.zeros(len(self._records), np.int64)
        for block, records in self._blocks():
            self._num_bases[block] = library.comparison.num_bases(library.bases(records))
        # The names that the complete library gives, -1 where they are not those of the record.
        self._expected = np.full((len(RANKS), len(self._records)), -1)
        # The chosen records nearest to each, as rows, and their cosines.
        self._nearest = np.full((len(self._records), NUM_CANDIDATES), -1, np.int32)
        self._cosines = np.full(self._nearest.shape, -np.inf, np.float32)
        # A number of the wrong name that the chosen records give, 0 for the expected one.
        self._wrong = np.zeros(len(self._records), np.int64)

    def run(self, max_records: int) -> np.ndarray:
        """The rows of the chosen records, ascending."""
        self._expect()
        is_chosen = np.zeros(len(self._records), bool)
        added = self._most_typical(np.arange(len(self._records)), self._taxa)
        while len(added):
            is_chosen[added] = True
            self._compare(added)
            missing = self._missing(is_chosen)
            logger.info("%s records chosen; at least %s more are needed", f"{is_chosen.sum():,}", f"{len(missing):,}")
            added = missing[: max_records - is_chosen.sum()]
        return np.flatnonzero(is_chosen)

    def _missing(self, is_chosen: np.ndarray) -> np.ndarray:
        """More records to choose: the most typical of each taxon and wrong name, that of the most records first."""
        rows = np.flatnonzero((self._wrong > 0) & ~is_chosen)
        kinds = np.stack([self._taxa[rows], self._wrong[rows]])
        _, group, counts = np.unique(kinds, axis=1, return_inverse=True, return_counts=True)
        return self._most_typical(rows, group.ravel())[np.argsort(-counts, kind="stable")]

    def _expect(self) -> None:
        """Name all records by the complete library."""
        for block, records in tqdm(list(self._blocks()), desc="names by all records", unit=" blocks"):
            hits = self._library.search(self._vectors[block].astype(np.float32), NUM_CANDIDATES)
            for depth, (rank, one) in enumerate(self._vote(hits, records).items()):
                self._expected[depth, block] = np.where(one.names == self._numbers[rank][records], one.names, -1)

    def _compare(self, added: np.ndarray) -> None:
        """Compare all records with more chosen ones, and name those again that are near to one of them."""
        vectors = self._vectors[added].astype(np.float32)
        num_hits = min(NUM_CANDIDATES, len(added))
        for block, _ in tqdm(list(self._blocks()), desc="names by chosen records", unit=" blocks", leave=False):
            queries = self._vectors[block].astype(np.float32)
            cosines, nearest = faiss.knn(queries, vectors, num_hits, metric=faiss.METRIC_INNER_PRODUCT)
            changed = np.flatnonzero(cosines[:, 0] > self._cosines[block, -1])
            rows = changed + block.start
            cosines = np.concatenate([self._cosines[rows], cosines[changed]], axis=1)
            nearest = np.concatenate([self._nearest[rows], added[nearest[changed]]], axis=1)
            order = np.argsort(-cosines, axis=1, kind="stable")[:, :NUM_CANDIDATES]
            self._cosines[rows] = np.take_along_axis(cosines, order, axis=1)
            self._nearest[rows] = np.take_along_axis(nearest, order, axis=1)
            self._name(rows)

    def _name(self, rows: np.ndarray) -> None:
        """Compare the names that the chosen records give with the expected ones."""
        is_found = self._nearest[rows] >= 0
        hits = Hits(np.where(is_found, self._records[self._nearest[rows]], -1), self._cosines[rows])
        wrong = np.zeros(len(rows), np.int64)
        for depth, one in enumerate(self._vote(hits, self._records[rows]).values()):
            expected = self._expected[depth, rows]
            is_wrong = (one.names != expected) | (one.identities < MIN_IDENTITY)
            is_wrong &= (expected >= 0) & (wrong == 0)
            wrong = np.where(is_wrong, 1 + depth + len(RANKS) * (1 + one.names), wrong)
        self._wrong[rows] = wrong

    def _vote(self, hits: Hits, records: np.ndarray) -> dict[str, Vote]:
        bases = self._library.bases
        return vote(choose_voters(hits, bases(records), bases, self._library.comparison), self._numbers)

    def _most_typical(self, rows: np.ndarray, groups: np.ndarray) -> np.ndarray:
        """The record of each group that is nearest to the mean of the group's vectors, among the complete ones.

        Args:
            rows: `[n]`.
            groups: int64 `[n]`, from 0 without gaps.

        Returns:
            Rows `[groups]`.
        """
        sums = np.zeros((groups.max(initial=-1) + 1, self._vectors.shape[1]), np.float32)
        cosines = np.zeros(len(rows), np.float32)
        blocks = [slice(begin, begin + _BLOCK_RECORDS) for begin in range(0, len(rows), _BLOCK_RECORDS)]
        for block in blocks:
            numbers, index = np.unique(groups[block], return_inverse=True)
            members = csr_matrix((np.ones(len(index), np.float32), (index, np.arange(len(index)))))
            sums[numbers] += members @ self._vectors[rows[block]].astype(np.float32)
        for block in blocks:
            vectors = self._vectors[rows[block]].astype(np.float32)
            cosines[block] = np.einsum("nd,nd->n", vectors, sums[groups[block]])
        longest = np.zeros(len(sums))
        np.maximum.at(longest, groups, self._num_bases[rows])
        is_short = self._num_bases[rows] < _COMPLETE_SHARE * longest[groups]
        order = np.lexsort((-cosines, is_short, groups))
        return rows[order[np.unique(groups[order], return_index=True)[1]]]

    def _number_taxa(self, bins: np.ndarray) -> np.ndarray:
        """The species of each record, or else its BIN, or else its lowest name, as numbers `[n]` without gaps."""
        kind, number = (np.full(len(bins), -1) for _ in range(2))
        by_kind = [*(self._numbers[rank][self._records] for rank in RANKS[:-1]), bins]
        for order, numbers in enumerate([*by_kind, self._numbers[RANKS[-1]][self._records]]):
            kind, number = np.where(numbers >= 0, order, kind), np.where(numbers >= 0, numbers, number)
        return np.unique(np.stack([kind, number]), axis=1, return_inverse=True)[1].ravel()

    def _blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        for begin in range(0, len(self._records), _BLOCK_RECORDS):
            block = slice(begin, begin + _BLOCK_RECORDS)
            yield block, self._records[block]
