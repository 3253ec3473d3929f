"""The evidence that the nearest references give on a query: how near they are, and for which lineage they vote."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.embedding.nearest import Hits
from barcodemae.library.search.comparison import Comparison
from barcodemae.library.settings import NUM_VOTERS

# The difference of scores at which the weight of a vote is 1/e. Chosen on `val` and `val_unseen`, where 0.01 to 0.05
# give the same within half a point.
VOTE_SCALE = 0.02

MAX_MARGIN = 0.5

# Identity beyond that of random sequences, and half a base of a short barcode: without them the odds would be infinite.
CHANCE = 0.25
MIN_BEYOND_CHANCE, MIN_DIFFERENCE = 0.01, 0.005

# So many bases compared at a time fit into the processor's cache.
_BLOCK_BASES = 2**20


@dataclass(frozen=True)
class Neighbours:
    """The references near each query, best first. The first `NUM_VOTERS` vote; the others are evidence against a name.

    Attributes:
        records: int64 `[n, candidates]`, numbers in the library; -1 where there are fewer.
        similarities: float32 `[n, candidates]`, cosine of the two vectors.
        identities: float32 `[n, candidates]`, share of equal bases, out of those known in both.
        scores: float32 `[n, candidates]`, by which they are ordered; -inf where there are fewer.
        among_identities: float32 `[n, candidates]`, identities of the best reference with each of those that vote; 0
            for the others.
    """

    records: np.ndarray
    similarities: np.ndarray
    identities: np.ndarray
    scores: np.ndarray
    among_identities: np.ndarray

    def in_order(self, order: np.ndarray) -> "Neighbours":
        """Each query's references in another order, or some of them: int64 `[n, references]`, their indices."""
        return Neighbours(*(np.take_along_axis(values, order, axis=1) for values in vars(self).values()))

    def take(self, rows: np.ndarray) -> "Neighbours":
        """Those of some of the queries: their indices, or bool `[n]`."""
        return Neighbours(*(values[rows] for values in vars(self).values()))

    def voters(self) -> "Neighbours":
        """Those that vote."""
        return Neighbours(*(values[:, :NUM_VOTERS] for values in vars(self).values()))


class RankNames:
    """The names of all records at one rank, as numbers.

    Args:
        column: name of each record, "" where unknown.

    Attributes:
        numbers: int64 `[records]`, -1 where unknown.
    """

    def __init__(self, column: pa.ChunkedArray):
        encoded = pc.dictionary_encode(column).combine_chunks()
        self._names = np.array([*encoded.dictionary.to_pylist(), ""], object)
        numbers = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        self.numbers = np.where(self._names[numbers] == "", -1, numbers)

    def decode(self, numbers: np.ndarray) -> np.ndarray:
        """Names `[n]` of numbers `[n]`, "" for -1."""
        return self._names[numbers]


@dataclass(frozen=True)
class Vote:
    """The name that wins the vote at a rank, and how clearly.

    Attributes:
        names: int64 `[n]`, the name's number; -1 where no voter has a name. Without a name all others are 0.
        identities: float32 `[n]`, the largest among the voters for it.
        shares: float32 `[n]`, its share of the votes of all voters with a name at the rank.
        margins: float32 `[n]`, the best score for it minus the best one for another name among all candidates; at most
            0.5.
        supports: float32 `[n]`, the margin without the species of the best reference with the name: whether the name
            has another reason than this one species, which may be mislabelled, or misplaced. From -0.5 to 0.5; 0 for a
            species.
        gaps: float32 `[n]`, for a species how much nearer the query is to its references than they are to each other,
            in `nearness`, on average: less than 0 across a barcode gap. 0 for the other ranks, with one reference that
            votes for it, and where the best reference is of another species.
    """

    names: np.ndarray
    identities: np.ndarray
    shares: np.ndarray
    margins: np.ndarray
    supports: np.ndarray
    gaps: np.ndarray

    def take(self, rows: np.ndarray) -> "Vote":
        """The votes on some of the queries."""
        return Vote(*(values[rows] for values in vars(self).values()))


def choose_voters(
    hits: Hits, bases: np.ndarray, reference_bases: Callable[[np.ndarray], np.ndarray], comparison: Comparison
) -> Neighbours:
    """Order candidates by cosine and bases together; the first `NUM_VOTERS` vote.

    In the vectors, the differences that matter among relatives weigh more; in the identity all bases weigh the same,
    which distinguishes a species from its sister species.

    Args:
        hits: `[n, candidates]`.
        bases: int8 `[n, width]`, of the queries, see `OnMarker`.
        reference_bases: returns those of references, given their numbers.
        comparison: how they are compared.
    """
    identities = np.zeros(hits.rows.shape, np.float32)
    among = np.zeros(hits.rows.shape, np.float32)
    scores = np.zeros(hits.rows.shape, np.float32)
    order = np.zeros(hits.rows.shape, np.int64)
    step = max(1, _BLOCK_BASES // (bases.shape[1] * hits.rows.shape[1]))
    for begin in range(0, len(bases), step):
        block = slice(begin, begin + step)
        records = np.maximum(hits.rows[block], 0)
        references = reference_bases(records.ravel()).reshape(*records.shape, -1)
        identities[block] = _identities(bases[block, None], references, comparison)
        similarities = hits.similarities[block] * np.float32(comparison.cosine_weight)
        known = similarities + comparison.identity_weight * identities[block]
        scores[block] = np.where(hits.rows[block] >= 0, known, -np.inf)
        order[block] = np.argsort(-scores[block], axis=1, kind="stable")
        voters = order[block, :NUM_VOTERS]
        queries = np.arange(len(voters))[:, None]
        best, others = references[queries, voters[:, :1]], references[queries, voters[:, 1:]]
        among[block][queries, voters[:, 1:]] = _identities(best, others, comparison)
    return Neighbours(hits.rows, hits.similarities, identities, scores, among).in_order(order)


def _identities(bases: np.ndarray, others: np.ndarray, comparison: Comparison) -> np.ndarray:
    """Shares of equal bases, out of those known in both; the leading axes are broadcast."""
    num_equal, num_shared = comparison.compare(bases, others)
    return num_equal / np.maximum(num_shared, 1)


def nearness(identities: np.ndarray) -> np.ndarray:
    """Log odds of an equal base beyond chance, as the first differing base matters more than the 30th."""
    beyond_chance = np.maximum(identities - CHANCE, MIN_BEYOND_CHANCE)
    return np.log(beyond_chance / (1 + MIN_DIFFERENCE - identities))


def vote(neighbours: Neighbours, names: Mapping[str, np.ndarray]) -> dict[str, Vote]:
    """The lineage with most votes, from the highest rank down; the weight of a vote decreases with its distance from
    the best score.

    At each rank only those voters can win that do not contradict the names that have won above, so that the names are
    those of one lineage; the share of the votes and the margin count all of them.

    Args:
        neighbours: of `n` queries.
        names: rank, from the highest down -> int64 `[records]`, number of each reference's name, -1 where unknown.
    """
    voters = neighbours.voters()
    with np.errstate(invalid="ignore"):
        weights = np.exp((voters.scores - voters.scores[:, :1]) / VOTE_SCALE)
    weights = np.where(voters.records >= 0, weights, 0)
    is_in_lineage = voters.records >= 0
    found = {}
    species = np.where(neighbours.records >= 0, names["species"][neighbours.records], -1)
    for rank, numbers in names.items():
        is_species = rank == "species"
        candidates = species if is_species else np.where(neighbours.records >= 0, numbers[neighbours.records], -1)
        at_rank = candidates[:, :NUM_VOTERS]
        vote_at_rank = _vote_at_rank(neighbours, weights, candidates, is_in_lineage)
        if is_species:
            found[rank] = replace(vote_at_rank, gaps=_gaps(voters, vote_at_rank.names, at_rank))
        else:
            supports = _supports(neighbours, vote_at_rank.names, candidates, species)
            found[rank] = replace(vote_at_rank, supports=supports)
        name = found[rank].names[:, None]
        is_in_lineage &= (at_rank == name) | (at_rank < 0) | (name < 0)
    return found


def _vote_at_rank(
    neighbours: Neighbours, weights: np.ndarray, candidates: np.ndarray, is_in_lineage: np.ndarray
) -> Vote:
    """The vote at one rank.

    Args:
        neighbours: of `n` queries.
        weights: `[n, voters]`, of the votes.
        candidates: int64 `[n, candidates]`, the names of all candidates at the rank, -1 where unknown.
        is_in_lineage: bool `[n, voters]`, whose name can win.
    """
    at_rank = candidates[:, :NUM_VOTERS]
    has_name = at_rank >= 0
    can_win = has_name & is_in_lineage
    weights = np.where(has_name, weights, 0)
    name = np.where(can_win.any(axis=1), at_rank[np.arange(len(at_rank)), can_win.argmax(axis=1)], -1)
    contested = np.flatnonzero((can_win & (at_rank != name[:, None])).any(axis=1))
    # The votes for a name are summed at each of its voters; argmax takes the first, so that the nearest decides a tie.
    names, is_open = at_rank[contested], can_win[contested]
    is_same = (names[:, :, None] == names[:, None, :]) & is_open[:, None, :]
    votes = (is_same * weights[contested, None, :]).sum(axis=2) * is_open
    name[contested] = names[np.arange(len(names)), votes.argmax(axis=1)]
    is_named = name >= 0
    is_for = (at_rank == name[:, None]) & has_name
    with np.errstate(invalid="ignore"):
        best_for, best_against = (_best_score(neighbours.scores, where) for where in _for_and_against(name, candidates))
        margins = np.minimum(best_for - best_against, MAX_MARGIN)
    shares = np.where(is_for, weights, 0).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-12)
    return Vote(
        names=name,
        identities=np.where(is_for, neighbours.identities[:, :NUM_VOTERS], 0).max(axis=1),
        shares=np.where(is_named, shares, 0).astype(np.float32),
        margins=np.where(is_named, margins, 0).astype(np.float32),
        supports=np.zeros(len(name), np.float32),
        gaps=np.zeros(len(name), np.float32),
    )


def _supports(neighbours: Neighbours, name: np.ndarray, candidates: np.ndarray, species: np.ndarray) -> np.ndarray:
    """The margins of names `[n]` without the species of the best reference with the name.

    Args:
        neighbours: of `n` queries.
        name: `[n]`.
        candidates, species: int64 `[n, candidates]`, the names of all candidates at the rank, and their species.
    """
    is_for, is_against = _for_and_against(name, candidates)
    rows = np.arange(len(name))
    nearest = species[rows, is_for.argmax(axis=1)]
    is_for &= species != nearest[:, None]
    # A name of which there is no such candidate can be no nearer than the last one.
    last = neighbours.scores[rows, np.maximum((neighbours.records >= 0).sum(axis=1), 1) - 1]
    best_for, best_against = (np.maximum(_best_score(neighbours.scores, where), last) for where in (is_for, is_against))
    with np.errstate(invalid="ignore"):
        supports = np.clip(best_for - best_against, -MAX_MARGIN, MAX_MARGIN)
    return np.where((name >= 0) & (nearest >= 0), supports, 0).astype(np.float32)


def _for_and_against(name: np.ndarray, candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which candidates have a name `[n]`, and which another one, bool `[n, candidates]` each."""
    has_name = candidates >= 0
    is_same = candidates == name[:, None]
    return is_same & has_name, ~is_same & has_name


def _best_score(scores: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The best of some scores `[n, candidates]`, which are descending: `[n]`, -inf where there are none."""
    rows, first = np.arange(len(scores)), where.argmax(axis=1)
    return np.where(where[rows, first], scores[rows, first], -np.inf)


def _gaps(voters: Neighbours, name: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """How much nearer queries are to the references of a species than these are to each other, `[n]`.

    Args:
        voters: of `n` queries, best first.
        name: `[n]`, of the species.
        candidates: int64 `[n, voters]`, the species of the voters.
    """
    is_own = (candidates == name[:, None]) & (candidates >= 0)
    is_other = is_own & is_own[:, :1]
    is_other[:, :1] = False
    differences = nearness(voters.identities) - nearness(voters.among_identities)
    sums = np.where(is_other, differences, 0).sum(axis=1)
    return (sums / np.maximum(is_other.sum(axis=1), 1)).astype(np.float32)
