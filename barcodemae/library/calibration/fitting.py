"""Fit calibrations to queries with known names, and predict queries of other species for their evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from barcodemae.data.schema import RANKS
from barcodemae.library.calibration.guarantee import GROUPS, KNOWN_SPECIES, NEW_SPECIES, STRANGERS, Guarantee, HeldOut
from barcodemae.library.calibration.named_queries import (
    CUT_LENGTHS,
    KNOWN,
    MAX_PER_SPECIES,
    STRANGER,
    NamedQueries,
    joined,
    search_outgroup,
    search_own,
)
from barcodemae.library.calibration.probability import (
    FLAT,
    LENGTHS,
    NOVELTY,
    OWN,
    QUERIES,
    TARGETS,
    Calibration,
    Prior,
    bundled_priors,
    features,
    fit_weights,
    information,
)
from barcodemae.library.models import Embedder
from barcodemae.library.store.stored import StoredLibrary

NEW_SHARE = 0.1
"""Assumed share of queries of species that the library does not have."""

# Assumed depths of these: a fifth are strangers, of no phylum of the library. Of the others one in ten is of a genus
# that the library does not have either (3 to 5 % of the barcodes of `val_unseen`).
_DEPTH_SHARES = {STRANGER: 0.2, 0: 0.01, 1: 0.01, 2: 0.02, 3: 0.03, 4: 0.73}

MIN_QUERIES, MAX_COUNTED = 50, 10
"""So many named queries of a group, of a species at most ten counted, replace the library's own records there."""

_NUM_FOLDS = 5


@dataclass(frozen=True)
class Predictions:
    """Predicted probabilities of queries, and what was observed.

    Attributes:
        probabilities: `[n]`.
        observed: bool `[n]`.
        depth: `[n]`, as in `NamedQueries`.
        weights: `[n]`; a species has at most the weight of fifty queries.
        length: `[n]`, index in `LENGTHS` of the one nearest to the query's number of bases.
    """

    probabilities: np.ndarray
    observed: np.ndarray
    depth: np.ndarray
    weights: np.ndarray
    length: np.ndarray

    def take(self, rows: np.ndarray) -> "Predictions":
        """Those of some of the queries."""
        return Predictions(*(values[rows] for values in vars(self).values()))

    @property
    def is_new(self) -> np.ndarray:
        """Whether the species is not in the library, bool `[n]`."""
        return self.depth < KNOWN

    @property
    def groups(self) -> dict[str, np.ndarray]:
        """One of `GROUPS` -> bool `[n]`."""
        return group_rows(self.depth)


def group_rows(depth: np.ndarray) -> dict[str, np.ndarray]:
    """The group of queries by their depth: one of `GROUPS` -> bool `[n]`."""
    return {
        KNOWN_SPECIES: depth == KNOWN,
        NEW_SPECIES: (depth < KNOWN) & (depth > STRANGER),
        STRANGERS: depth == STRANGER,
    }


def own_queries(library: StoredLibrary, embedder: Embedder) -> NamedQueries:
    """The library's own records, held out, and the outgroup, complete and cut."""
    return joined([search_own(library, embedder, CUT_LENGTHS), search_outgroup(library, embedder, CUT_LENGTHS)])


def calibrate(queries: NamedQueries, by: str = OWN, notes: Sequence[str] = (), seed: int = 0) -> Calibration:
    """Fit all probabilities.

    Args:
        queries: of any number; the fewer, the more the bundled prior decides.
        by: `OWN` or `QUERIES`, the kind of queries.
        notes: on the queries, in words for the user.
        seed: of the folds on whose held-out queries the guarantee rests.
    """
    predicted = _cross_validated(queries, seed)
    guarantee = _guarantee(queries, predicted, seed)
    return Calibration(_fit(queries), _num_species(queries), by, guarantee, (*notes, *_notes(queries)))


def calibrate_by_own(library: StoredLibrary, embedder: Embedder) -> Calibration:
    """Calibrate a library by its own records, held out, and by the outgroup.

    Args:
        library: to calibrate.
        embedder: the model that made its vectors.
    """
    return calibrate(own_queries(library, embedder))


def with_named(named: NamedQueries, own: NamedQueries) -> tuple[NamedQueries, str, list[str]]:
    """Replace the library's own records by named queries, at each depth where these are enough.

    Args:
        named: without copies of references.
        own: as from `own_queries`.

    Returns:
        The queries to calibrate with; `QUERIES`, or `OWN` where nothing was replaced; and what was not, in words.
    """
    parts, notes, by = [], [], OWN
    for group, rows in group_rows(named.depth).items():
        own_rows = group_rows(own.depth)[group]
        num_queries = _num_counted(named.take(rows))
        parts.append(named.take(rows))
        if num_queries >= MIN_QUERIES:
            by = QUERIES
            # Depths and lengths that the named queries do not have stay.
            has_named = set(zip(named.depth[rows].tolist(), named.length[rows].tolist(), strict=True))
            pairs = zip(own.depth.tolist(), own.length.tolist(), strict=True)
            parts.append(own.take(own_rows & np.array([pair not in has_named for pair in pairs], bool)))
        else:
            parts.append(own.take(own_rows))
            if group != STRANGERS or num_queries:
                notes.append(
                    f"named queries of {group}: {num_queries} of at least {MIN_QUERIES} (at most {MAX_COUNTED} of a "
                    "species count); the library's own records, held out, are used too."
                )
    return joined(parts), by, notes


def _num_counted(queries: NamedQueries) -> int:
    """Number of queries, of the length that most have, at most `MAX_COUNTED` of a species."""
    if not len(queries.species):
        return 0
    most = np.bincount(queries.length).argmax()
    _, counts = np.unique(queries.species[queries.length == most].astype(str), return_counts=True)
    return int(np.minimum(counts, MAX_COUNTED).sum())


def predict_others(queries: NamedQueries, seed: int = 0) -> dict[str, Predictions]:
    """Predict the queries of each species by a calibration to those of other species, in five folds.

    Args:
        queries: of several species.
        seed: of the folds.

    Returns:
        Predictions for `NOVELTY` and each rank at which a query has a name.
    """
    return _predictions(queries, _cross_validated(queries, seed))


def predict(queries: NamedQueries, calibration: Calibration) -> dict[str, Predictions]:
    """Predict queries by a calibration to others; returns the same as `predict_others`."""
    return _predictions(queries, calibration(queries.votes, queries.num_bases))


def _cross_validated(queries: NamedQueries, seed: int) -> dict[str, np.ndarray]:
    """Target -> probabilities `[n]`, each by a calibration to queries of other species."""
    _, number = np.unique(queries.species.astype(str), return_inverse=True)
    fold = np.random.default_rng(seed).permutation(number.max() + 1)[number] % _NUM_FOLDS if len(number) else number
    found = {target: np.zeros(len(fold), np.float32) for target in TARGETS}
    for held_out in range(_NUM_FOLDS):
        rows = np.flatnonzero(fold == held_out)
        others = queries.take(fold != held_out)
        fitted = Calibration(_fit(others), _num_species(others), OWN, Guarantee({}))
        part = queries.take(rows)
        for target, values in fitted(part.votes, part.num_bases).items():
            found[target][rows] = values
    return found


def _predictions(queries: NamedQueries, probabilities: Mapping[str, np.ndarray]) -> dict[str, Predictions]:
    weights = _species_weights(queries)
    found = {}
    for target in TARGETS:
        observed = queries.is_new if target == NOVELTY else queries.right[target]
        rows = queries.named["species" if target == NOVELTY else target]
        if rows.any():
            everyone = Predictions(probabilities[target], observed, queries.depth, weights, queries.length)
            found[target] = everyone.take(rows)
    return found


def fit_prior(queries: NamedQueries) -> dict[str, tuple[Prior, ...]]:
    """Priors from queries alone: target -> one for each of `LENGTHS`, with the information of one of these queries."""
    return {
        target: tuple(
            Prior(weights := fit_weights(*factor.fitted_to, FLAT), information(*factor.fitted_to, weights))
            for factor in factors
        )
        for target, factors in _factors(queries).items()
    }


def _fit(queries: NamedQueries) -> dict[str, np.ndarray]:
    """Target -> weights `[lengths, 6]`, fitted to queries, and from the bundled prior."""
    priors = bundled_priors()
    return {
        target: np.stack(
            [
                fit_weights(*factor.fitted_to, prior) if factor.has_both_outcomes else prior.weights
                for factor, prior in zip(factors, priors[target], strict=True)
            ]
        )
        for target, factors in _factors(queries).items()
    }


def _num_species(queries: NamedQueries) -> dict[str, np.ndarray]:
    """Target -> `[lengths]`, the number of species of queries that have a name there."""
    found = {}
    for target in TARGETS:
        named = queries.named["species" if target == NOVELTY else target]
        species = (queries.species[named & (queries.length == number)] for number in range(len(LENGTHS)))
        found[target] = np.array([len(np.unique(names.astype(str))) for names in species])
    return found


@dataclass(frozen=True)
class _Factor:
    """The queries to which one factor of a probability is fitted.

    Attributes:
        fitted_to: the arguments of `fit_weights`, without the prior.
        has_both_outcomes: whether the event occurred in some, but not in all of them.
    """

    fitted_to: tuple[np.ndarray, np.ndarray, np.ndarray, bool]
    has_both_outcomes: bool


def _factors(queries: NamedQueries) -> dict[str, list[_Factor]]:
    """Target -> for each of `LENGTHS`, the queries whose names above are right, at the ranks where they are known."""
    weights, length = _species_weights(queries), queries.length
    found: dict[str, list[_Factor]] = {target: [] for target in TARGETS}
    for number in range(len(LENGTHS)):
        at_length = np.flatnonzero(length == number)
        some = queries.take(at_length)
        is_in_lineage = np.ones(len(at_length), bool)
        for target in TARGETS:
            rank = "species" if target == NOVELTY else target
            rows = some.named[rank] if target == NOVELTY else some.named[rank] & is_in_lineage
            share = NEW_SHARE if rank == "species" else 0.5
            found[target].append(
                _factor(
                    features(some.votes[rank])[rows],
                    (~some.is_new if target == NOVELTY else some.right[rank])[rows],
                    _depth_weights(some.depth, weights[at_length], share)[rows],
                    some.species[rows],
                    target == NOVELTY,
                )
            )
            is_in_lineage &= some.right[rank] | ~some.named[rank]
    return found


def _factor(
    evidence: np.ndarray, observed: np.ndarray, weights: np.ndarray, species: np.ndarray, is_only_nearness: bool
) -> _Factor:
    """The queries count as twice the number of species of the rarer outcome: a hundred species that are all right show
    how often names are wrong no better than one.
    """
    num_species = min(len(np.unique(species[observed == outcome].astype(str))) for outcome in (False, True))
    scaled = weights * (2 * num_species / max(weights.sum(), 1e-12))
    return _Factor((evidence, observed, scaled, is_only_nearness), num_species > 0)


def _species_weights(queries: NamedQueries) -> np.ndarray:
    """Weights `[n]` by which a species has at most that of fifty queries, of those of one depth and length."""
    kinds = np.stack([np.unique(queries.species.astype(str), return_inverse=True)[1], queries.depth, queries.length])
    _, number, counts = np.unique(kinds, axis=1, return_inverse=True, return_counts=True)
    return np.where(queries.species == "", 1, np.minimum(MAX_PER_SPECIES / counts, 1)[number.ravel()])


def _depth_weights(depth: np.ndarray, weights: np.ndarray, new_share: float) -> np.ndarray:
    """Weights `[n]` whose sums over the queries of each depth are the assumed shares of the depths.

    Args:
        depth: `[n]`.
        weights: `[n]`, to be scaled.
        new_share: of species that the library does not have.
    """
    shares = {KNOWN: 1 - new_share} | {one: new_share * share for one, share in _DEPTH_SHARES.items()}
    scaled = np.zeros(len(depth))
    for one, share in shares.items():
        rows = depth == one
        scaled[rows] = weights[rows] * (share / max(weights[rows].sum(), 1e-12))
    return scaled


def _guarantee(queries: NamedQueries, predicted: Mapping[str, np.ndarray], seed: int) -> Guarantee:
    """How confident the wrong names of held-out queries were: one query, at random, of each species."""
    rng = np.random.default_rng(seed)
    confidence = np.zeros(len(queries.species), np.float32)
    for rank in reversed(RANKS):  # the highest wrong rank is the last
        is_wrong = queries.named[rank] & ~queries.right[rank]
        confidence[is_wrong] = predicted[rank][is_wrong]
    groups: dict[str, list[HeldOut]] = {name: [] for name in GROUPS}
    for number in range(len(LENGTHS)):
        at_length = queries.length == number
        for name, in_group in group_rows(queries.depth).items():
            rows = np.flatnonzero(at_length & in_group)
            if name == NEW_SPECIES:
                rows = _as_assumed(rows, queries.depth[rows], rng)
            rows = rng.permutation(rows)
            rows = rows[np.unique(queries.species[rows].astype(str), return_index=True)[1]]
            wrong = -np.sort(-confidence[rows][confidence[rows] > 0])
            groups[name].append(HeldOut(len(rows), wrong))
    return Guarantee({name: tuple(group) for name, group in groups.items()})


def _as_assumed(rows: np.ndarray, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A sample of queries of new species with the assumed shares of depths, of those that there are."""
    counts = {one: int((depth == one).sum()) for one in _DEPTH_SHARES if one != STRANGER}
    present = {one: _DEPTH_SHARES[one] for one, count in counts.items() if count}
    if not present:
        return rows
    size = min(counts[one] / share for one, share in present.items())
    return np.concatenate(
        [rng.permutation(rows[depth == one])[: int(np.ceil(size * share))] for one, share in present.items()]
    )


def _notes(queries: NamedQueries) -> list[str]:
    """What rests on the bundled prior, in words."""
    complete = queries.take(queries.length == queries.length.max()) if len(queries.length) else queries
    notes = []
    for rank in RANKS:
        rows = complete.named[rank]
        outcomes = complete.right[rank][rows]
        few = [word for word, outcome in (("right", True), ("wrong", False)) if outcome not in outcomes]
        if not rows.any():
            notes.append(f"{rank}: no record has a name, so that no query gets one.")
        elif few:
            notes.append(
                f"{rank}: no held-out record gets a {few[0]} name, so that the confidence rests on other libraries "
                "(the prior that comes with barcodemae)."
            )
    return notes
