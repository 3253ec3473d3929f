"""A minimum confidence with which at most a given share of queries gets a wrong name.

It is chosen on held-out queries by the exact bound of Clopper and Pearson (1934). As a higher minimum never makes a
name wrong that was right, the bound holds for the chosen one (Bates et al. 2021, "Distribution-free, risk-controlling
prediction sets").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import beta

from barcodemae.errors import ConfigurationError

CERTAINTY = 0.95
"""Probability with which the guarantee holds, over the choice of the held-out queries."""

KNOWN_SPECIES, NEW_SPECIES, STRANGERS = "species in the library", "other species", "other phyla"

GROUPS = (KNOWN_SPECIES, NEW_SPECIES, STRANGERS)
"""The groups of queries for each of which it is guaranteed, so that it does not depend on their shares."""


@dataclass(frozen=True)
class HeldOut:
    """How confident wrong names of held-out queries were, one query for each species.

    Attributes:
        num_queries: number of queries, those without a wrong name included.
        wrong: `[k]`, the largest confidence of a wrong name, for each query that has one, descending.
    """

    num_queries: int
    wrong: np.ndarray

    def min_confidence(self, max_error: float) -> float:
        """The lowest minimum confidence that is guaranteed; infinite where there are too few queries for any."""
        num_wrong = np.arange(len(self.wrong) + 1)
        is_allowed = _upper_bound(num_wrong, self.num_queries) <= max_error
        if not is_allowed[0]:
            return np.inf
        most = int(np.flatnonzero(is_allowed).max())
        return float(np.nextafter(self.wrong[most], np.float32(1))) if most < len(self.wrong) else 0.0


@dataclass(frozen=True)
class Guarantee:
    """Held-out queries by group and by length.

    Attributes:
        groups: one of `GROUPS` -> for each of the lengths of a calibration.
    """

    groups: Mapping[str, Sequence[HeldOut]]

    def min_confidences(self, max_error: float) -> np.ndarray:
        """Minimum confidences, float64 `[lengths]`, infinite at a length with too few held-out queries.

        Args:
            max_error: maximum share of queries of each group that get a wrong name.

        Raises:
            ConfigurationError: there are too few held-out queries at every length.
        """
        found = np.max([[one.min_confidence(max_error) for one in group] for group in self.groups.values()], axis=0)
        if not np.isfinite(found).any():
            needed = int(np.ceil(np.log(1 - CERTAINTY) / np.log(1 - max_error)))
            counts = ", ".join(f"{name}: {max(one.num_queries for one in self.groups[name])}" for name in GROUPS)
            raise ConfigurationError(
                f"--max-error {max_error}: expected at least {needed} held-out species in each group, got {counts}; "
                "use --min-confidence, or a larger --max-error"
            )
        return found

    def as_json(self) -> dict[str, Any]:
        """Content for a JSON file."""
        return {
            name: [{"num_queries": one.num_queries, "wrong": np.round(one.wrong, 6).tolist()} for one in group]
            for name, group in self.groups.items()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], num_lengths: int) -> "Guarantee":
        """The inverse of `as_json`.

        Raises:
            ValueError, KeyError, TypeError: other content.
        """
        groups = {name: tuple(_held_out(one) for one in data[name]) for name in GROUPS}
        if any(len(group) != num_lengths for group in groups.values()):
            raise ValueError(f"expected held-out queries of {num_lengths} lengths, got others")
        return cls(groups)


def _upper_bound(num_wrong: np.ndarray, num_queries: int) -> np.ndarray:
    """With probability `CERTAINTY`, no larger share of all queries is wrong."""
    num_right = np.maximum(num_queries - num_wrong, 0)
    return np.where(num_right > 0, beta.ppf(CERTAINTY, num_wrong + 1, np.maximum(num_right, 1)), 1.0)


def _held_out(data: Mapping[str, Any]) -> HeldOut:
    num_queries, wrong = data["num_queries"], np.array(data["wrong"], np.float32)
    if type(num_queries) is not int or wrong.ndim != 1 or num_queries < len(wrong):
        raise ValueError(f"expected a number of queries, and confidences of some, got {num_queries!r}, {wrong.shape}")
    if not ((wrong >= 0) & (wrong <= 1)).all() or (np.diff(wrong) > 0).any():
        raise ValueError("expected descending confidences from 0 to 1, got others")
    return HeldOut(num_queries, wrong)
