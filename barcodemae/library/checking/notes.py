"""Notes on queries: faults of their sequences, and barcodes that do not distinguish species."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from barcodemae.library.checking.chimeras import find_chimeras_among
from barcodemae.library.checking.reading_frame import (
    count_frame_shifts,
    count_stops,
    describe_reading,
    reading_frame,
)
from barcodemae.library.search.evidence import Neighbours, RankNames
from barcodemae.library.search.marker import OnMarker
from barcodemae.library.store.stored import StoredLibrary
from tokenization_barcodemae import ReferenceFrame


def describe_sequences(barcodes: OnMarker, frame: ReferenceFrame | None, lineages: pa.Table) -> list[str]:
    """What is wrong with the reading frames of barcodes, in words; "" where nothing is, or the marker is not coding.

    Args:
        barcodes: `[n]`, all of which fit.
        frame: of the marker; None for one without.
        lineages: `[n]`, with the columns `phylum` and `class`, which decide the genetic code.
    """
    begin = None if frame is None else reading_frame(frame)
    if begin is None:
        return [""] * len(barcodes.sequences)
    pairs = list(zip(lineages["phylum"].to_pylist(), lineages["class"].to_pylist(), strict=True))
    stops, shifts = count_stops(barcodes.bases, begin, pairs), count_frame_shifts(barcodes.placement)
    notes = [""] * len(barcodes.sequences)
    for row in np.flatnonzero((stops > 0) | (shifts > 0)):
        notes[row] = describe_reading(int(stops[row]), int(shifts[row]))
    return notes


def describe_queries(
    library: StoredLibrary,
    ranks: Mapping[str, RankNames],
    frame: ReferenceFrame | None,
    barcodes: OnMarker,
    found: Neighbours,
    lineages: pa.Table,
) -> list[str]:
    """Notes on queries, in words, separated by semicolons; "" where there is nothing to note.

    Args:
        library: that was searched.
        ranks: `genus` and `species` -> the names of its records.
        frame: of the marker; None for one without.
        barcodes: `[n]`, all of which fit.
        found: the references near each query.
        lineages: `[n]`, the names that were called, with the columns `phylum` and `class`.
    """
    notes = [[note] if note else [] for note in describe_sequences(barcodes, frame, lineages)]
    # Two parts of barcodes without a frame have no common coordinates.
    chimeras = [] if frame is None else find_chimeras_among(library, ranks["genus"].numbers, barcodes, found)
    for chimera in chimeras:
        parents = ranks["genus"].decode(ranks["genus"].numbers[[chimera.first, chimera.second]])
        notes[chimera.query].append(f"possible chimera of {parents[0]} and {parents[1]}")
    for query, species in _shared_barcodes(ranks["species"], found):
        notes[query].append(f"nearest barcode shared by {', '.join(species)}")
    return ["; ".join(texts) for texts in notes]


def _shared_barcodes(species: RankNames, found: Neighbours) -> Iterator[tuple[int, list[str]]]:
    """Queries whose best reference has the bases of references of other species; and the names of all of these."""
    voters = found.voters()
    numbers = np.where(voters.records >= 0, species.numbers[voters.records], -1)
    is_same = (voters.among_identities == 1) & (numbers >= 0)
    is_same[:, 0] = True
    is_other = is_same & (numbers != numbers[:, :1]) & (numbers[:, :1] >= 0)
    for row in np.flatnonzero(is_other.any(axis=1)):
        names = list(dict.fromkeys(numbers[row, is_same[row]].tolist()))
        yield int(row), species.decode(np.array(names)).tolist()
