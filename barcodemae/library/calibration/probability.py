"""From evidence to probability: how often a name with such evidence is right, learnt from queries with known names.

At each rank, logistic regression orders the evidence, and isotonic regression gives the probability (Zadrozny and
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
"""That the species of a query is not in the library: predicted like the correctness of a rank's name."""

TARGETS = (*RANKS, NOVELTY)
"""What is predicted of a query: for a rank, that its name is right; or `NOVELTY`."""

LENGTHS = (130, 200, 300, 600)
"""Numbers of known bases for which separate probabilities are learnt: mini-barcodes, and full-length ones."""

# Added to differences before the logarithm: the rounding of a vector, and half a base of a short barcode.
_MIN_COSINE_GAP, _MIN_IDENTITY_GAP = 0.01, 0.005
_MIN_SPREAD = 1e-9

# Isotonic regression gives the same probability to large groups; a small share of the logistic one orders them. On
# halves of the species of `val_unseen`, calibration is as good, and 3 points more of the queries can be named.
_LOGISTIC_SHARE = 0.05
_MAX_LOGIT = 30.0
_NUM_FEATURES = 5


@dataclass(frozen=True)
class Probability:
    """The probability of an event, given the evidence of a vote.

    Attributes:
        weights: `[5]`, of the four features of a vote, and of a constant.
        knots: `[k, 2]`, ascending weighted sums and their probabilities, which are interpolated linearly.
    """

    weights: np.ndarray
    knots: np.ndarray

    def __call__(self, vote: Vote) -> np.ndarray:
        """Probabilities, float32 `[n]`, from 0 to 1."""
        sums = _features(vote) @ self.weights
        isotonic = np.interp(sums, *self.knots.T)
        logistic = 1 / (1 + np.exp(-np.clip(sums, -_MAX_LOGIT, _MAX_LOGIT)))
        return ((1 - _LOGISTIC_SHARE) * isotonic + _LOGISTIC_SHARE * logistic).astype(np.float32)

    def as_json(self) -> dict[str, Any]:
        """Content for a JSON file."""
        return {"weights": self.weights.tolist(), "knots": self.knots.tolist()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Probability":
        """The inverse of `as_json`.

        Raises:
            ValueError, KeyError, TypeError: other content.
        """
        weights, knots = np.array(data["weights"], np.float64), np.array(data["knots"], np.float64)
        if weights.shape != (_NUM_FEATURES,) or not knots.size or knots.shape != (len(knots), 2):
            raise ValueError(f"expected {_NUM_FEATURES} weights, and pairs, got {weights.shape} and {knots.shape}")
        sums, probabilities = knots.T
        are_probabilities = ((probabilities >= 0) & (probabilities <= 1)).all()
        if not np.isfinite([*weights, *sums]).all() or (np.diff(sums) < 0).any() or not are_probabilities:
            raise ValueError("expected finite weights, and ascending sums with probabilities from 0 to 1")
        return cls(weights, knots)


@dataclass(frozen=True)
class Calibration:
    """All probabilities of a result, for barcodes of several lengths: identity is weaker evidence for a short one.

    Attributes:
        probabilities: rank, or `NOVELTY` -> for each of `LENGTHS`, the probability that the name is right, or the
            species new. Evidence of novelty is the vote on species.
        by: the queries that it was learnt from, `OWN` or `QUERIES`.
    """

    probabilities: Mapping[str, tuple[Probability, ...]]
    by: str

    def __call__(self, target: str, vote: Vote, num_bases: np.ndarray) -> np.ndarray:
        """Probabilities, float32 `[n]`.

        Args:
            target: a rank, or `NOVELTY`.
            vote: on that rank, or on species for `NOVELTY`, of `n` queries.
            num_bases: `[n]`, known bases of the queries on the frame.
        """
        found = np.empty(len(num_bases), np.float32)
        nearest = nearest_length(num_bases)
        for number, probability in enumerate(self.probabilities[target]):
            rows = np.flatnonzero(nearest == number)
            found[rows] = probability(vote.take(rows))
        return found

    def as_json(self) -> dict[str, Any]:
        """Content for a JSON file."""
        probabilities = {
            target: [probability.as_json() for probability in by_length]
            for target, by_length in self.probabilities.items()
        }
        return {"by": self.by, "lengths": list(LENGTHS), "probabilities": probabilities}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Calibration":
        """The inverse of `as_json`.

        Raises:
            ValueError, KeyError, TypeError: other content.
        """
        if data["by"] not in (OWN, QUERIES):
            raise ValueError(f"expected a calibration by {OWN} or {QUERIES}, got {data['by']!r}")
        if data["lengths"] != list(LENGTHS):
            raise ValueError(f"expected the lengths {list(LENGTHS)}, got {data['lengths']!r}")
        probabilities = {}
        for target in TARGETS:
            by_length = tuple(Probability.from_json(entry) for entry in data["probabilities"][target])
            if len(by_length) != len(LENGTHS):
                raise ValueError(f"expected {len(LENGTHS)} probabilities of {target}, got {len(by_length)}")
            probabilities[target] = by_length
        return cls(probabilities, data["by"])


def nearest_length(num_bases: np.ndarray) -> np.ndarray:
    """Index in `LENGTHS` of the one nearest by ratio, `[n]`."""
    return np.abs(np.log(np.maximum(num_bases, 1))[:, None] - np.log(LENGTHS)).argmin(axis=1)


NEVER = Probability(np.array([0, 0, 0, 0, -_MAX_LOGIT]), np.array([[0.0, 0.0]]))
"""The probability of an event that was observed in no query."""


def fit_probability(vote: Vote, observed: np.ndarray, weights: np.ndarray) -> Probability:
    """Fit the probability of an event.

    Args:
        vote: of `n` queries.
        observed: bool `[n]`, whether the event occurred, such as that the name was right.
        weights: `[n]`, of the queries.

    Raises:
        ConfigurationError: scikit-learn is not installed.
    """
    try:
        from sklearn.isotonic import IsotonicRegression
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise ConfigurationError("to calibrate, install scikit-learn: pip install 'barcodemae[identify]'") from error
    if not observed.any():
        return NEVER
    if observed.all():
        return Probability(np.array([0, 0, 0, 0, _MAX_LOGIT]), np.array([[0.0, 1.0]]))
    features = _features(vote)
    evidence = features[:, :-1]
    mean, scale = evidence.mean(axis=0), evidence.std(axis=0)
    scale = np.where(scale > _MIN_SPREAD, scale, np.inf)  # a constant feature is no evidence
    model = LogisticRegression(max_iter=2000).fit((evidence - mean) / scale, observed, weights)
    slopes = model.coef_[0] / scale
    linear = np.append(slopes, model.intercept_[0] - slopes @ mean)
    isotonic = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(features @ linear, observed, weights)
    knots = np.stack([isotonic.X_thresholds_, isotonic.y_thresholds_], axis=1)
    return Probability(linear, knots)


def _features(vote: Vote) -> np.ndarray:
    """Features of votes `[n, 5]`; logarithms of differences, as the first differing base matters more than the 30th."""
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
