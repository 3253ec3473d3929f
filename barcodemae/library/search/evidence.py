"""What the nearest references say of a query: how near they are, and how they vote at each rank."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from barcodemae.embedding.nearest import Hits
from barcodemae.library.settings import NUM_VOTERS

# Of the score, beside the cosine, and the difference of scores at which a vote counts 1/e. Chosen on `val` and
# `val_unseen`, where 0.2 to 1 and 0.01 to 0.05 give the same within half a point.
IDENTITY_WEIGHT = 0.5
VOTE_SCALE = 0.02

MAX_MARGIN = 0.5

_NO_BASE = np.int8(-2)

# What is compared at a time stays in the processor's cache.
_BLOCK_CELLS = 2**20


@dataclass(frozen=True)
class Neighbours:
    """The references that vote on each query, best first.

    Attributes:
        records: int64 `[n, voters]`, numbers in the library; -1 where there are fewer.
        similarities: float32 `[n, voters]`, cosine of both vectors.
        identities: float32 `[n, voters]`, share of equal bases of those that both have on the reference frame.
        scores: float32 `[n, voters]`, what they are ordered by: -inf where there is none.
    """

    records: np.ndarray
    similarities: np.ndarray
    identities: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Vote:
    """The name that a rank's vote gives, and how clear it is.

    Attributes:
        names: int64 `[n]`, the name's number; -1 where no voter has a name.
        similarities: float32 `[n]`, the largest of the voters for it; 0 without a name, as the next three.
        identities: float32 `[n]`, likewise.
        shares: float32 `[n]`, of the votes that name anything.
        margins: float32 `[n]`, the best score for it, less the best one for another name; at most 0.5.
    """

    names: np.ndarray
    similarities: np.ndarray
    identities: np.ndarray
    shares: np.ndarray
    margins: np.ndarray

    def take(self, rows: np.ndarray) -> "Vote":
        return Vote(*(values[rows] for values in vars(self).values()))


def compare_bases(queries: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Share of equal bases, of those that a query and a reference both have; 0 where they share none.

    Args:
        queries: int8 `[n, coordinates]`, -1 where unknown.
        references: int8 `[n, hits, coordinates]`, those of each query.

    Returns:
        float32 `[n, hits]`.
    """
    is_known = queries >= 0
    # An unknown base of a query then equals none of a reference.
    bases = np.where(is_known, queries, _NO_BASE)
    num_equal = (bases[:, None] == references).sum(axis=2, dtype=np.uint16)
    num_both = (is_known[:, None] & (references >= 0)).sum(axis=2, dtype=np.uint16)
    return (num_equal / np.maximum(num_both, 1)).astype(np.float32)


def choose_voters(hits: Hits, bases: np.ndarray, bases_of: Callable[[np.ndarray], np.ndarray]) -> Neighbours:
    """Order candidates by cosine and bases together, and keep those that vote.

    The vectors know which differences tell relatives; the bases count each alike, which is what tells a species'
    barcodes from its sister's.

    Args:
        hits: `[n, candidates]`.
        bases: int8 `[n, coordinates]`, of the queries on the reference frame.
        bases_of: gives the bases of references by their numbers.
    """
    identities = np.zeros(hits.rows.shape, np.float32)
    step = max(1, _BLOCK_CELLS // (bases.shape[1] * hits.rows.shape[1]))
    for begin in range(0, len(bases), step):
        block = slice(begin, begin + step)
        records = np.maximum(hits.rows[block], 0)
        references = bases_of(records.ravel()).reshape(*records.shape, -1)
        identities[block] = compare_bases(bases[block], references)
    scores = np.where(hits.rows >= 0, hits.similarities + IDENTITY_WEIGHT * identities, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :NUM_VOTERS]
    return Neighbours(
        *(np.take_along_axis(one, order, 1) for one in (hits.rows, hits.similarities, identities, scores))
    )


def vote(neighbours: Neighbours, names: np.ndarray) -> Vote:
    """The name with most votes at a rank; a voter's weight falls with its distance from the best one in score.

    Args:
        neighbours: of `n` queries.
        names: int64 `[records]`, number of each reference's name at the rank, -1 where it has none.
    """
    given = np.where(neighbours.records >= 0, names[neighbours.records], -1)
    known = given >= 0
    with np.errstate(invalid="ignore"):
        weights = np.exp((neighbours.scores - neighbours.scores[:, :1]) / VOTE_SCALE)
    weights = np.where(known, weights, 0)
    # The first voter of a name stands for it: of equal names, the nearest decides.
    alike = (given[:, :, None] == given[:, None, :]) & known[:, None, :]
    votes = (alike * weights[:, None, :]).sum(axis=2) * known
    winner = votes.argmax(axis=1)
    rows = np.arange(len(given))
    name = np.where(known.any(axis=1), given[rows, winner], -1)
    for_it, for_others = (given == name[:, None]) & known, (given != name[:, None]) & known

    def best(values: np.ndarray, of: np.ndarray) -> np.ndarray:
        return np.where(of, values, -np.inf).max(axis=1)

    someone = name >= 0
    with np.errstate(invalid="ignore"):
        margins = np.minimum(best(neighbours.scores, for_it) - best(neighbours.scores, for_others), MAX_MARGIN)
    return Vote(
        names=name,
        similarities=np.where(someone, best(neighbours.similarities, for_it), 0).astype(np.float32),
        identities=np.where(someone, best(neighbours.identities, for_it), 0).astype(np.float32),
        shares=np.where(someone, votes[rows, winner] / np.maximum(weights.sum(axis=1), 1e-12), 0).astype(np.float32),
        margins=np.where(someone, margins, 0).astype(np.float32),
    )
