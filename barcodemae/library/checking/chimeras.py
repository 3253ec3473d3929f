"""Chimeras: barcodes whose two parts are those of references of different genera."""

from dataclasses import dataclass

import numpy as np

from barcodemae.library.models import Embedder, find_neighbours
from barcodemae.library.search.evidence import Neighbours
from barcodemae.library.search.marker import OnMarker, read_on_marker
from barcodemae.library.store.stored import StoredLibrary

MIN_GAIN = 0.04
"""How much nearer a chimera is to its two parents together than to any one reference, in identity: four points."""

MIN_IDENTITY = 0.97
"""Minimum identity of a chimera with its two parents together."""

# All that a second parent gains is in one half, twice as many points there; less two, as halves are not quite equal.
MIN_DIFFERENCE = 2 * MIN_GAIN - 0.02
"""Minimum difference of the identities of the two halves of a chimera with its nearest parent."""

MIN_PART = 100
"""Minimum number of known bases of either part."""


@dataclass(frozen=True)
class Chimera:
    """A probable chimera.

    Attributes:
        query: its row.
        first, second: numbers of the references that are nearest to its first and its second part.
        coordinate: of the first base of the second part on the reference frame, from 0.
        identity: with the two parts of these references together, 0 to 1.
        best_identity: with the nearest one reference.
    """

    query: int
    first: int
    second: int
    coordinate: int
    identity: float
    best_identity: float


def find_chimeras(library: StoredLibrary, genus: np.ndarray, embedder: Embedder, queries: OnMarker) -> list[Chimera]:
    """Find probable chimeras of two genera.

    The halves of a query are searched separately. Of the nearest references of either, those two and that coordinate
    are chosen that together resemble the query most.

    Args:
        library: has the parents.
        genus: int64 `[records]`, number of each reference's genus, -1 where unknown.
        embedder: the model that made its vectors.
        queries: `[n]`, all of which fit.

    Returns:
        Chimeras, by query; two parts of at least 100 known bases each. None on a marker without a reference frame, on
        which two parts have no common coordinates.
    """
    rows = np.flatnonzero(queries.num_bases >= 2 * MIN_PART)
    if not len(rows) or embedder.frame is None:
        return []
    middles = _middles(queries.bases[rows])
    texts = ["".join("ACGTN"[base] for base in bases) for bases in queries.bases[rows].tolist()]
    cut = [(text[:middle], text[middle:]) for text, middle in zip(texts, middles, strict=True)]
    halves = [read_on_marker([text.strip("N") for text in half], embedder.frame) for half in zip(*cut, strict=True)]
    are_halves = np.flatnonzero(halves[0].fits & halves[1].fits)
    if not len(are_halves):
        return []
    complete = find_neighbours(library, embedder, queries.take(rows[are_halves]))
    nearest = [find_neighbours(library, embedder, half.take(are_halves)).records for half in halves]
    chimeras = []
    for index, row in enumerate(rows[are_halves]):
        best_identity = float(complete.identities[index].max())
        if best_identity > 1 - MIN_GAIN:
            continue
        first, second = (found[index] for found in nearest)
        chimera = _chimera(library, genus, queries, row, first, second, best_identity)
        if chimera is not None:
            chimeras.append(chimera)
    return chimeras


def find_chimeras_among(
    library: StoredLibrary, genus: np.ndarray, queries: OnMarker, found: Neighbours
) -> list[Chimera]:
    """Find probable chimeras of two genera among the references that were found with complete queries.

    This takes no further search, but misses chimeras of which one parent is not among these references.

    Args:
        library, genus, queries: as for `find_chimeras`.
        found: the references near each query.
    """
    rows = np.flatnonzero((queries.num_bases >= 2 * MIN_PART) & (found.identities.max(axis=1) <= 1 - MIN_GAIN))
    if not len(rows):
        return []
    # One half of a chimera is that of its nearest parent.
    bases = queries.bases[rows]
    equal, shared = _counts(bases, library.bases(found.records[rows, 0]))
    middles = _middles(bases)[:, None]
    first_equal, first_shared = (np.take_along_axis(values, middles, axis=1)[:, 0] for values in (equal, shared))
    first = first_equal / np.maximum(first_shared, 1)
    second = (equal[:, -1] - first_equal) / np.maximum(shared[:, -1] - first_shared, 1)
    chimeras = []
    is_near, differs = np.maximum(first, second) >= MIN_IDENTITY, np.abs(first - second) >= MIN_DIFFERENCE
    for row in rows[is_near & differs]:
        records = found.records[row]
        chimera = _chimera(library, genus, queries, row, records, records, float(found.identities[row].max()))
        if chimera is not None:
            chimeras.append(chimera)
    return chimeras


def _chimera(
    library: StoredLibrary,
    genus: np.ndarray,
    queries: OnMarker,
    row: int,
    firsts: np.ndarray,
    seconds: np.ndarray,
    best_identity: float,
) -> Chimera | None:
    """The query in a row as a chimera of two of these references; None if it is not one."""
    minimum = max(MIN_IDENTITY, best_identity + MIN_GAIN)
    parents = _best_parents(library, genus, queries.bases[row], firsts, seconds, minimum)
    return None if parents is None else Chimera(int(row), *parents, best_identity)


def _middles(bases: np.ndarray) -> np.ndarray:
    """Coordinates `[n]` up to which half of the known bases are."""
    known = bases >= 0
    return (known.cumsum(axis=1) * 2 >= known.sum(axis=1, keepdims=True)).argmax(axis=1)


def _best_parents(
    library: StoredLibrary,
    genus: np.ndarray,
    bases: np.ndarray,
    firsts: np.ndarray,
    seconds: np.ndarray,
    minimum: float,
) -> tuple[int, int, int, float] | None:
    """The two references of different genera and the coordinate with the highest identity; None if it is too low."""
    firsts, seconds = (found[(found >= 0) & (genus[found] >= 0)] for found in (firsts, seconds))
    if not len(firsts) or not len(seconds):
        return None
    (equal, shared), (equal_after, shared_after) = (_counts(bases, library.bases(found)) for found in (firsts, seconds))
    equal_after, shared_after = equal_after[:, -1:] - equal_after, shared_after[:, -1:] - shared_after
    # Most references differ too much, whatever the other parent.
    different, different_after = shared - equal, shared_after - equal_after
    most = (1 - minimum) * (bases >= 0).sum() + 1e-6
    can_be_first = (different + different_after.min(axis=0)).min(axis=1) <= most
    can_be_second = (different_after + different.min(axis=0)).min(axis=1) <= most
    firsts, equal, shared = firsts[can_be_first], equal[can_be_first], shared[can_be_first]
    seconds, equal_after, shared_after = (values[can_be_second] for values in (seconds, equal_after, shared_after))
    is_pair = genus[firsts][:, None] != genus[seconds]
    if not is_pair.any():
        return None
    # `[firsts, seconds, coordinates]`: up to each coordinate from the first parent, after it from the second one.
    is_part = (shared >= MIN_PART)[:, None] & (shared_after >= MIN_PART) & is_pair[:, :, None]
    num_shared = np.maximum(shared[:, None] + shared_after, 1, dtype=np.float64)
    identity = np.where(is_part, (equal[:, None] + equal_after) / num_shared, 0)
    one, other, coordinate = np.unravel_index(identity.argmax(), identity.shape)
    highest = float(identity[one, other, coordinate])
    return (int(firsts[one]), int(seconds[other]), int(coordinate) + 1, highest) if highest >= minimum else None


def _counts(bases: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of equal and of shared bases up to each coordinate, `[references, coordinates]`."""
    is_shared = (bases >= 0) & (references >= 0)
    is_equal = (bases == references) & is_shared
    return is_equal.cumsum(axis=1), is_shared.cumsum(axis=1)
