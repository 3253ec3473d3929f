"""Distillation: the chosen records become a library with its own calibration, and both libraries are measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from barcodemae.library.building import copy_records
from barcodemae.library.calibration.fitting import (
    Predictions,
    calibrate,
    calibrate_by_own,
    own_queries,
    predict,
    with_named,
)
from barcodemae.library.calibration.named_queries import CUT_LENGTHS, NamedQueries, joined, search_as_new, search_named
from barcodemae.library.calibration.probability import Calibration
from barcodemae.library.distillation.choosing import choose_records
from barcodemae.library.models import Embedder
from barcodemae.library.search.evidence import RankNames
from barcodemae.library.store.stored import StoredLibrary

# At most so many records are held out: one in five of a species, and at most ten of it. With fewer than twenty, nothing
# is measured.
_MAX_HELD_OUT, _HELD_OUT_STEP, _MAX_OF_SPECIES, _MIN_HELD_OUT = 4000, 5, 10, 20

_BLOCK_RECORDS = 4096


@dataclass(frozen=True)
class Distilled:
    """Summary of a distillation.

    Attributes:
        library: the small library.
        num_records: number of records of the large one.
        num_measured: number of barcodes by which both were measured.
        before, after: rank -> predictions of their names by the large library, which does not contain them, and by the
            small one. Empty if there are too few barcodes to measure.
    """

    library: StoredLibrary
    num_records: int
    num_measured: int
    before: Mapping[str, Predictions]
    after: Mapping[str, Predictions]


def distil_library(
    library: StoredLibrary,
    embedder: Embedder,
    folder: Path,
    max_share: float | None = None,
    queries: pa.Table | None = None,
    seed: int = 0,
) -> Distilled:
    """Make a small library that gives the same names as a large one, with a calibration of its own.

    A sample of records is held out, so that they are not chosen: half of them fit the calibration, beside the small
    library's own records, and the other half show how well both libraries name barcodes that had no part in the choice,
    also when their species is left out of both.

    Args:
        library: the large one.
        embedder: the model that made its vectors.
        folder: of the small library, a new or empty one, or one of the same distillation, interrupted.
        max_share: maximum share of the records; by default, as many as the names need.
        queries: named barcodes to measure both libraries with, columns `nucleotides` and the ranks, instead of records.
        seed: of the sample.

    Raises:
        LibraryError: the folder is another library or has other contents, or another process is writing to it.
        ConfigurationError: the share is too small for one record of each species, or none of the queries is a barcode
            of the marker with a species.
    """
    held_out = _hold_out(library, np.random.default_rng(seed))
    if len(held_out) < _MIN_HELD_OUT:
        held_out = held_out[:0]
    rest = library.without(held_out)
    measured, fitted = (held_out[::2], held_out[1::2]) if queries is None else (held_out[:0], held_out)

    def search(one: StoredLibrary) -> NamedQueries | None:
        if queries is not None:
            return search_named(one, embedder, queries)
        if not len(measured):
            return None
        return joined([search_named(one, embedder, library.records(measured)), search_as_new(one, embedder, measured)])

    def fit(small: StoredLibrary) -> Calibration:
        own = own_queries(small, embedder)
        if not len(fitted):
            return calibrate(own)
        named, by, _ = with_named(search_named(small, embedder, library.records(fitted), CUT_LENGTHS), own)
        return calibrate(named, by)

    before = search(rest)  # first, so that unusable queries are an error before anything is written
    max_records = None if max_share is None else int(max_share * len(library.live))
    options = {"max_share": max_share, "seed": seed}
    small, chosen = copy_records(folder, library, options, lambda: choose_records(rest, max_records), fit)
    calibration, after = small.calibration(), search(library.without(np.setdiff1d(library.live, chosen)))
    if before is None or after is None or calibration is None:
        return Distilled(small, len(library.live), 0, {}, {})
    calibration_before = library.calibration() or calibrate_by_own(library, embedder)
    return Distilled(
        small,
        len(library.live),
        len(before.species),
        predict(before, calibration_before),
        predict(after, calibration),
    )


def _hold_out(library: StoredLibrary, rng: np.random.Generator) -> np.ndarray:
    """A sample of records of species with many, without those that have a copy in the library, in random order."""
    records = rng.permutation(library.live)
    species = RankNames(library.names()["species"]).numbers[records]
    digests = np.zeros(len(records), np.int64)
    for begin in range(0, len(records), _BLOCK_RECORDS):
        block = slice(begin, begin + _BLOCK_RECORDS)
        digests[block] = [hash(row.tobytes()) for row in library.bases(records[block])]
    _, copy_of, num_copies = np.unique(digests, return_inverse=True, return_counts=True)
    order = np.argsort(species, kind="stable")
    order = order[species[order] >= 0]
    begins = np.flatnonzero(np.diff(species[order], prepend=-1))
    counts = np.diff(np.append(begins, len(order)))
    index = np.arange(len(order)) - np.repeat(begins, counts)
    is_held_out = index < np.repeat(np.minimum(counts // _HELD_OUT_STEP, _MAX_OF_SPECIES), counts)
    is_held_out &= num_copies[copy_of[order]] == 1
    return rng.permutation(records[order[is_held_out]])[:_MAX_HELD_OUT]
