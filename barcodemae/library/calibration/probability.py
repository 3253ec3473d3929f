"""From evidence to probability: how often names with such evidence are right.

The probability of a lineage is a product: that its phylum is right; that its class is, given that the phylum is; and so
on down to the species. So no name is more probable than the one above it. Each factor is a logistic function of five
features of the vote on the name, and never falls when one of them rises. It is fitted to queries with known names, from
a prior that comes with the package and counts as `PRIOR_QUERIES` queries: what the queries cannot show remains as the
prior has it. No probability is higher than that number of queries can show.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from barcodemae.data.schema import RANKS
from barcodemae.library.calibration.guarantee import Guarantee
from barcodemae.library.search.evidence import Vote, nearness

OWN, QUERIES = "the library's own records", "named queries"

NOVELTY = "novelty"
"""That the species of a query is not in the library: predicted like the correctness of a rank's name."""

TARGETS = (*RANKS, NOVELTY)
"""What is predicted of a query: for a rank, that its name is right; or `NOVELTY`."""

LENGTHS = (130, 200, 300, 600)
"""Numbers of known bases for which separate probabilities are learnt: mini-barcodes, and full-length ones."""

MIN_PROBABILITY = 1e-4
"""No name has a lower probability, and none is more certain than 1 minus this."""

PRIOR_QUERIES = 50
"""Number of queries as which the prior counts."""

VERSION = 3
"""Of the content of a calibration's file."""

NUM_FEATURES = 6

MARGIN_SCALE = 0.1
PRIOR_FILE = "prior.json"


class OutdatedCalibrationError(ValueError):
    """An earlier version has written a calibration."""


@dataclass(frozen=True)
class Prior:
    """What is known of a factor before a library's own queries.

    Attributes:
        weights: `[6]`, of the five features, and of a constant.
        information: `[6, 6]`, the curvature of the log-likelihood at these weights for one query, on average.
    """

    weights: np.ndarray
    information: np.ndarray


FLAT = Prior(np.zeros(NUM_FEATURES), 1e-4 * np.eye(NUM_FEATURES))
"""A prior that knows next to nothing."""


@dataclass(frozen=True)
class Calibration:
    """All probabilities of a result, for barcodes of several lengths: identity is weaker evidence for a short one.

    Attributes:
        weights: rank, or `NOVELTY` -> `[lengths, 6]`: of the features and of a constant in the log odds that the rank's
            name is right, if those above it are; or the species new. Evidence of novelty is the vote on species.
        num_species: rank, or `NOVELTY` -> `[lengths]`, number of species of the queries that it was learnt from: with
            the prior, `n` of which all are right show a probability of at most `(n + 1) / (n + 2)` (Laplace's rule of
            succession).
        by: the queries that it was learnt from, `OWN` or `QUERIES`.
        guarantee: how often held-out queries got a wrong name.
        notes: what was not learnt from these queries, and on what it rests instead, in words for the user.
    """

    weights: Mapping[str, np.ndarray]
    num_species: Mapping[str, np.ndarray]
    by: str
    guarantee: Guarantee
    notes: tuple[str, ...] = ()

    def __call__(self, votes: Mapping[str, Vote], num_bases: np.ndarray) -> dict[str, np.ndarray]:
        """Probabilities of the names, and of novelty.

        Args:
            votes: rank -> vote, on one lineage for each of `n` queries.
            num_bases: `[n]`, known bases of the queries on the frame.

        Returns:
            Rank, or `NOVELTY` -> float32 `[n]`. It does not rise from a rank to the next; at a rank without a name it
            is that of the rank above.
        """
        length = nearest_length(num_bases)
        found = {}
        lineage, limit = np.ones(len(num_bases)), np.ones(len(num_bases))
        for rank in RANKS:
            is_named = votes[rank].names >= 0
            factor = _logistic(features(votes[rank]), self.weights[rank][length])
            lineage = lineage * np.where(is_named, factor, 1)
            limit = np.where(is_named, np.minimum(limit, self._limits(rank)[length]), limit)
            found[rank] = np.minimum(lineage, limit)
        is_new = 1 - _logistic(features(votes["species"]), self.weights[NOVELTY][length])
        has_species = votes["species"].names >= 0
        # Where the species is right, it is in the library.
        found[NOVELTY] = np.where(has_species, np.minimum(is_new, 1 - found["species"]), is_new)
        found[NOVELTY] = np.minimum(found[NOVELTY], self._limits(NOVELTY)[length])
        bounds = MIN_PROBABILITY, 1 - MIN_PROBABILITY
        return {target: np.clip(values, *bounds).astype(np.float32) for target, values in found.items()}

    def _limits(self, target: str) -> np.ndarray:
        """The highest probabilities that the queries can show, `[lengths]`."""
        num_queries = self.num_species[target] + PRIOR_QUERIES
        return (num_queries + 1) / (num_queries + 2)

    def as_json(self) -> dict[str, Any]:
        """Content for a JSON file."""
        return {
            "version": VERSION,
            "by": self.by,
            "lengths": list(LENGTHS),
            "weights": {target: weights.tolist() for target, weights in self.weights.items()},
            "num_species": {target: numbers.tolist() for target, numbers in self.num_species.items()},
            "guarantee": self.guarantee.as_json(),
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Calibration":
        """The inverse of `as_json`.

        Raises:
            OutdatedCalibrationError: an earlier version has written it.
            ValueError, KeyError, TypeError: other content.
        """
        if ("version" not in data and "probabilities" in data) or data["version"] in range(2, VERSION):
            raise OutdatedCalibrationError("expected a calibration of this version, got one of an earlier version")
        if data["version"] != VERSION:
            raise ValueError(f"expected a calibration of version {VERSION}, got version {data['version']!r}")
        if data["by"] not in (OWN, QUERIES):
            raise ValueError(f"expected a calibration by {OWN} or {QUERIES}, got {data['by']!r}")
        if data["lengths"] != list(LENGTHS):
            raise ValueError(f"expected the lengths {list(LENGTHS)}, got {data['lengths']!r}")
        weights = {target: _checked_weights(data["weights"][target]) for target in TARGETS}
        num_species = {target: _checked_numbers(data["num_species"][target]) for target in TARGETS}
        notes = data["notes"]
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            raise ValueError(f"expected a list of notes, got {notes!r}")
        return cls(weights, num_species, data["by"], Guarantee.from_json(data["guarantee"], len(LENGTHS)), tuple(notes))


def nearest_length(num_bases: np.ndarray) -> np.ndarray:
    """Index in `LENGTHS` of the one nearest by ratio, `[n]`."""
    return np.abs(np.log(np.maximum(num_bases, 1))[:, None] - np.log(LENGTHS)).argmin(axis=1)


def features(vote: Vote) -> np.ndarray:
    """Features of votes, float64 `[n, 6]`: nearness, share, margin, support, gap, and 1."""
    near = nearness(vote.identities.astype(np.float64))
    margins, supports = vote.margins / MARGIN_SCALE, vote.supports / MARGIN_SCALE
    return np.stack([near, vote.shares, margins, supports, vote.gaps, np.ones(len(near))], axis=1)


def fit_weights(
    evidence: np.ndarray, observed: np.ndarray, weights: np.ndarray, is_only_nearness: bool, prior: Prior
) -> np.ndarray:
    """The most probable weights of a factor, `[6]`; those of features are 0 or more.

    Args:
        evidence: `[n, 6]`, as from `features`.
        observed: bool `[n]`, whether the event occurred, such as that the name was right.
        weights: `[n]`, as how many independent queries each counts.
        is_only_nearness: leave all other features out.
        prior: of the weights.
    """

    def loss(found: np.ndarray) -> tuple[float, np.ndarray]:
        sums = evidence @ found
        shift = found - prior.weights
        pull = PRIOR_QUERIES * prior.information @ shift
        value = (weights * (np.logaddexp(0, sums) - observed * sums)).sum() + shift @ pull / 2
        return value, evidence.T @ (weights * (expit(sums) - observed)) + pull

    free, none = (0, None), (0, 0)
    others = none if is_only_nearness else free
    fitted = minimize(
        loss, prior.weights, jac=True, method="L-BFGS-B", bounds=[free, *[others] * (NUM_FEATURES - 2), (None, None)],
        options={"maxiter": 1000, "ftol": 1e-12},
    )  # fmt: skip
    return fitted.x


def information(
    evidence: np.ndarray, observed: np.ndarray, weights: np.ndarray, is_only_nearness: bool, fitted: np.ndarray
) -> np.ndarray:
    """The information of one query on fitted weights, on average, `[6, 6]`; see `fit_weights` and `Prior`."""
    probability = expit(evidence @ fitted)
    curvature = weights * probability * (1 - probability) / max(weights.sum(), 1e-12)
    return evidence.T @ (evidence * curvature[:, None]) + FLAT.information


@cache
def bundled_priors() -> dict[str, tuple[Prior, ...]]:
    """The priors that come with the package: rank, or `NOVELTY` -> one for each of `LENGTHS`."""
    data = json.loads((files(__package__) / "bundled" / PRIOR_FILE).read_text(encoding="utf-8"))
    return {
        target: tuple(Prior(np.array(one["weights"]), np.array(one["information"])) for one in data[target])
        for target in TARGETS
    }


def _logistic(evidence: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return expit((evidence * weights).sum(axis=1))


def _checked_numbers(values: Any) -> np.ndarray:
    if len(values) != len(LENGTHS) or not all(type(value) is int and value >= 0 for value in values):
        raise ValueError(f"expected {len(LENGTHS)} numbers of species, got {values!r}")
    return np.array(values, np.int64)


def _checked_weights(values: Any) -> np.ndarray:
    weights = np.array(values, np.float64)
    if weights.shape != (len(LENGTHS), NUM_FEATURES) or not np.isfinite(weights).all():
        raise ValueError(f"expected {len(LENGTHS)} times {NUM_FEATURES} finite weights, got {weights.shape}")
    if (weights[:, :-1] < 0).any():
        raise ValueError("expected weights of 0 or more for the features, got negative ones")
    return weights
