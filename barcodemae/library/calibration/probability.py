"""From evidence to probability: how often a name with such evidence is right, learnt from queries whose name is known.

At each rank a logistic regression of the evidence gives an order, and isotonic regression its probability (Zadrozny and
Elkan 2002, "Transforming classifier scores into accurate multiclass probability estimates").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from barcodemae.data.schema import RANKS
from barcodemae.errors import ConfigurationError
from barcodemae.library.search.evidence import Vote

OWN, QUERIES = "the library's own records", "named queries"

NOVELTY = "novelty"
"""Beside the ranks, what can be predicted of a query: that the library does not hold its species."""

PREDICTED = (*RANKS, NOVELTY)

LENGTHS = (130, 200, 300, 600)
"""Bases that a barcode has on the frame, for which probabilities are learnt apart: mini-barcodes, and whole ones."""

# The smallest difference that counts: a vector's rounding, and half a base of a short barcode.
_MIN_COSINE_GAP, _MIN_IDENTITY_GAP = 0.01, 0.005
_MIN_SPREAD = 1e-9

# Isotonic regression gives large groups the same probability; a little of the logistic one keeps the order within. On
# halves of the species of `val_unseen` this costs nothing in calibration, and 3 points more of them can be named.
_LOGISTIC_SHARE = 0.05
_SURE = 30.0
_NUM_FEATURES = 5


@dataclass(frozen=True)
class Probability:
    """How likely it is that an event observed, given the evidence.

    Attributes:
        weights: `[5]`, of the four numbers of a vote, and a constant.
        knots: `[k, 2]`, rising weighted sums and their probabilities; between them it is linear.
    """

    weights: np.ndarray
    knots: np.ndarray

    def __call__(self, vote: Vote) -> np.ndarray:
        """float32 `[n]`, 0 to 1."""
        sums = _features(vote) @ self.weights
        isotonic = np.interp(sums, *self.knots.T)
        logistic = 1 / (1 + np.exp(-np.clip(sums, -_SURE, _SURE)))
        return ((1 - _LOGISTIC_SHARE) * isotonic + _LOGISTIC_SHARE * logistic).astype(np.float32)

    def as_json(self) -> dict[str, Any]:
        return {"weights": self.weights.tolist(), "knots": self.knots.tolist()}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Probability":
        weights, knots = np.array(told["weights"], np.float64), np.array(told["knots"], np.float64)
        if weights.shape != (_NUM_FEATURES,) or not knots.size or knots.shape != (len(knots), 2):
            raise ValueError(f"expected {_NUM_FEATURES} weights, and pairs, got {weights.shape} and {knots.shape}")
        sums, probabilities = knots.T
        are_probabilities = ((probabilities >= 0) & (probabilities <= 1)).all()
        if not np.isfinite([*weights, *sums]).all() or (np.diff(sums) < 0).any() or not are_probabilities:
            raise ValueError("expected finite weights, and rising sums with probabilities from 0 to 1")
        return cls(weights, knots)


@dataclass(frozen=True)
class Calibration:
    """All probabilities of an answer, each for barcodes of several lengths: the same identity says less of a short one.

    Attributes:
        probabilities: rank, or `NOVELTY` -> of each of `LENGTHS`, that the name is right, or the species new. Evidence
            of novelty is the vote on species.
        by: what it was learnt from, `OWN` or `QUERIES`.
    """

    probabilities: Mapping[str, tuple[Probability, ...]]
    by: str

    def __call__(self, what: str, vote: Vote, num_bases: np.ndarray) -> np.ndarray:
        """Probabilities, float32 `[n]`.

        Args:
            what: a rank, or `NOVELTY`.
            vote: on that rank, or on species; of `n` queries.
            num_bases: `[n]`, of the queries on the frame.
        """
        found = np.empty(len(num_bases), np.float32)
        nearest = nearest_length(num_bases)
        for place, probability in enumerate(self.probabilities[what]):
            rows = np.flatnonzero(nearest == place)
            found[rows] = probability(vote.take(rows))
        return found

    def as_json(self) -> dict[str, Any]:
        told = {what: [one.as_json() for one in found] for what, found in self.probabilities.items()}
        return {"by": self.by, "lengths": list(LENGTHS), "probabilities": told}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Calibration":
        if told["by"] not in (OWN, QUERIES):
            raise ValueError(f"expected that it was learnt from {OWN} or {QUERIES}, got {told['by']!r}")
        if told["lengths"] != list(LENGTHS):
            raise ValueError(f"expected the lengths {list(LENGTHS)}, got {told['lengths']!r}")
        found = {}
        for what in PREDICTED:
            found[what] = tuple(Probability.from_json(one) for one in told["probabilities"][what])
            if len(found[what]) != len(LENGTHS):
                raise ValueError(f"expected {len(LENGTHS)} probabilities of {what}, got {len(found[what])}")
        return cls(found, told["by"])


def nearest_length(num_bases: np.ndarray) -> np.ndarray:
    """Place in `LENGTHS` of the one nearest by ratio, `[n]`."""
    return np.abs(np.log(np.maximum(num_bases, 1))[:, None] - np.log(LENGTHS)).argmin(axis=1)


NEVER = Probability(np.array([0, 0, 0, 0, -_SURE]), np.array([[0.0, 0.0]]))
"""Of what no query has shown to happen."""


def fit_probability(vote: Vote, observed: np.ndarray, weights: np.ndarray) -> Probability:
    """Learn a probability.

    Args:
        vote: of `n` queries.
        observed: bool `[n]`, such as: the name was right.
        weights: `[n]`, how much each query counts.

    Raises:
        ConfigurationError: scikit-learn is missing.
    """
    try:
        from sklearn.isotonic import IsotonicRegression
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise ConfigurationError("to calibrate, install scikit-learn: pip install 'barcodemae[identify]'") from error
    if not observed.any():
        return NEVER
    if observed.all():
        return Probability(np.array([0, 0, 0, 0, _SURE]), np.array([[0.0, 1.0]]))
    features = _features(vote)
    evidence = features[:, :-1]
    mean, scale = evidence.mean(axis=0), evidence.std(axis=0)
    scale = np.where(scale > _MIN_SPREAD, scale, np.inf)  # what does not vary says nothing
    model = LogisticRegression(max_iter=2000).fit((evidence - mean) / scale, observed, weights)
    slopes = model.coef_[0] / scale
    linear = np.append(slopes, model.intercept_[0] - slopes @ mean)
    isotonic = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(features @ linear, observed, weights)
    knots = np.stack([isotonic.X_thresholds_, isotonic.y_thresholds_], axis=1)
    return Probability(linear, knots)


def _features(vote: Vote) -> np.ndarray:
    """Differences count by their logarithm: one base more says much where there is none, and little after thirty."""
    return np.stack(
        [
            -np.log(1 + _MIN_COSINE_GAP - np.minimum(vote.similarities, 1)),
            -np.log(1 + _MIN_IDENTITY_GAP - vote.identities),
            vote.shares,
            vote.margins,
            np.ones(len(vote.shares)),
        ],
        axis=1,
    ).astype(np.float64)
