"""Learn from named queries how far a name can be trusted, and show how well that holds for others."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from barcodemae.data.schema import RANKS
from barcodemae.errors import ConfigurationError
from barcodemae.reference.build import Embedder
from barcodemae.reference.calibration import Calibration, fit_probability
from barcodemae.reference.evidence import Vote, vote
from barcodemae.reference.identify import NamesOfRank, find_neighbours
from barcodemae.reference.library import Library
from barcodemae.reference.marker import read_on_marker


@dataclass(frozen=True)
class NamedQueries:
    """Queries whose names are known, and what a library says of them.

    Attributes:
        votes: rank -> vote.
        right: rank -> bool `[n]`, whether the vote's name is the known one.
        named: rank -> bool `[n]`, whether it is known at all.
        is_new: bool `[n]`, the library does not hold the species.
    """

    votes: Mapping[str, Vote]
    right: Mapping[str, np.ndarray]
    named: Mapping[str, np.ndarray]
    is_new: np.ndarray


def ask_named(library: Library, embedder: Embedder, records: pa.Table) -> NamedQueries:
    """Ask a library for names that are known. Queries without a species, or off the marker, do not count.

    Args:
        library: does not hold the queries themselves.
        embedder: the one that it was made with.
        records: columns `nucleotides` and the ranks.

    Raises:
        ConfigurationError: no query counts.
    """
    assert embedder.frame is not None
    sequences = records["nucleotides"].to_pylist()
    read = read_on_marker(sequences, embedder.frame)
    counts = read.fits & (np.array(records["species"].to_pylist(), object) != "")
    rows = np.flatnonzero(counts)
    if not len(rows):
        raise ConfigurationError("expected barcodes of the marker with a species to calibrate with, got none")
    found = find_neighbours(library, embedder, [sequences[row] for row in rows], read.letters[rows])
    names = library.names()
    votes, right, named = {}, {}, {}
    for rank in RANKS:
        of_rank = NamesOfRank(names[rank])
        votes[rank] = vote(found, of_rank.numbers)
        known = np.array(records[rank].to_pylist(), object)[rows]
        right[rank] = (of_rank.of(votes[rank].names) == known) & (known != "")
        named[rank] = known != ""
    species = np.array(records["species"].to_pylist(), object)[rows]
    held = set(names["species"].to_pylist())
    return NamedQueries(votes, right, named, np.array([one not in held for one in species]))


def calibrate(queries: NamedQueries) -> Calibration:
    """Fit all probabilities.

    Raises:
        ConfigurationError: there are too few queries.
    """
    ranks = {}
    for rank in RANKS:
        rows = np.flatnonzero(queries.named[rank])
        ranks[rank] = fit_probability(queries.votes[rank].take(rows), queries.right[rank][rows], queries.is_new[rows])
    return Calibration(ranks, fit_probability(queries.votes["species"], queries.is_new, queries.is_new))


def expected_calibration_error(probabilities: np.ndarray, happened: np.ndarray, num_bins: int = 15) -> float:
    """Mean distance of what was foretold and what came, over bins of equal width, each by its queries (Guo 2017).

    Args:
        probabilities: `[n]`, 0 to 1.
        happened: bool `[n]`.
        num_bins: of equal width.
    """
    bins = np.minimum((probabilities * num_bins).astype(int), num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    foretold, came = (np.bincount(bins, values, minlength=num_bins) for values in (probabilities, happened))
    return float(np.abs(foretold - came).sum() / counts.sum())
