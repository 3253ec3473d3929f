"""Barcodes of the marker: which sequences are, by one rule for references and queries, and how they are read.

A marker has a reference frame, on which a barcode is placed, or, if its length is uneven, a profile of its k-mers,
which gives the strand. All that differs between the two is here, and in `search.comparison`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barcodemae.data.known_markers import find_markers, is_same_marker
from barcodemae.data.schema import TOO_LONG
from barcodemae.embedding.kmer_map import KmerMapEmbedder
from barcodemae.errors import ConfigurationError
from barcodemae.library.alignment import MarkerPart, cut_to_frame, extent_on_frame, oriented_parts
from barcodemae.library.search.comparison import BasesOnFrame, Comparison, KmerSets
from barcodemae.library.search.primers import Region, find_region
from tokenization_barcodemae import (
    KmerProfile,
    MarkerScores,
    Placement,
    ReferenceFrame,
    UnplacedPart,
    lay_out,
    orient,
    original_positions,
)

NOT_THE_MARKER = "not the marker"
"""Why a sequence that is not accepted as the marker is not identified."""

ANOTHER_MARKER = "another marker: "
"""The same, of one that is accepted as another known marker, whose name follows."""

# A marker of uneven length is also recognised by less typical k-mers, with which another marker may agree. Up to this
# multiple of the minimum score, a sequence must not be of another known marker. Of 6,478 barcodes of COI of all
# animals, none is then accepted as ITS; with 2.5 instead, 24 are.
_DOUBTFUL = 4.0

# A sequence of more than so many times the length of the marker may be a circular genome.
_LONG = 4

MIN_BASES = 100
"""Minimum number of known bases on the marker for a reference or a query."""


@dataclass(frozen=True)
class OnMarker:
    """Sequences on the marker.

    Attributes:
        sequences: `[n]`, as given.
        placement: the best one of each; of a marker without a frame only the strand is known, and the start is 0.
        bases: int8 `[n, width]`, what is compared with other barcodes, see `search.comparison`: bases on the reference
            frame, -1 where unknown, or the set of k-mers.
        num_bases: int64 `[n]`, number of known bases on the marker.
        is_placed: bool `[n]`, whether each is accepted as the marker.
        num_given: int64 `[n]`, number of known bases, on the frame or not; that on the frame if these are enough.
        moved: int64 `[n]`, number of bases at the begin of a circular sequence that were moved to its end, because the
            marker continues there; 0 for most.
    """

    sequences: list[str]
    placement: Placement
    bases: np.ndarray
    num_bases: np.ndarray
    is_placed: np.ndarray
    num_given: np.ndarray
    moved: np.ndarray

    def take(self, rows: np.ndarray) -> "OnMarker":
        sequences = [self.sequences[row] for row in rows]
        others = (values[rows] for values in (self.bases, self.num_bases, self.is_placed, self.num_given, self.moved))
        return OnMarker(sequences, self.placement.take(rows), *others)

    @property
    def fits(self) -> np.ndarray:
        """Whether each is a barcode of the marker, bool `[n]`."""
        return self.is_placed & (self.num_bases >= MIN_BASES)

    @property
    def lengths(self) -> np.ndarray:
        """Nucleotides of each sequence, int64 `[n]`."""
        return np.array(list(map(len, self.sequences)), np.int64)

    def positions(self, indices: np.ndarray) -> np.ndarray:
        """Positions in the sequences as given, from 1, of bases `[n]` counted from 0 on the marker's strand."""
        lengths = self.lengths
        positions = np.where(self.placement.strand > 0, indices + 1, lengths - indices)
        return np.where(self.moved > 0, (positions + self.moved - 1) % np.maximum(lengths, 1) + 1, positions)


class Marker(Protocol):
    """A marker: how its barcodes are read and compared.

    Attributes:
        name: of the marker.
        comparison: how two of its barcodes are compared.
    """

    @property
    def name(self) -> str: ...

    @property
    def comparison(self) -> Comparison: ...

    def region(self, primers: str) -> Region:
        """The region between two primers, see `find_region`.

        Raises:
            ConfigurationError: the primers are not on the marker, or it has no reference frame to find them by.
        """

    def read(self, sequences: list[str], region: Region | None = None) -> OnMarker:
        """Find out which sequences are the marker, on which strand and where.

        Args:
            sequences: `[n]`, as `normalise_nucleotides` returns them.
            region: bases outside of it, such as those of primers, become unknown, also in the sequences.
        """

    def parts(self, read: OnMarker) -> list[MarkerPart]:
        """The parts of sequences `[n]` that are aligned: what lies on the marker, as read on its strand."""

    def ends(self, read: OnMarker) -> tuple[np.ndarray, np.ndarray]:
        """Positions in the sequences as given, from 1, of the first and the last base on the marker, `[n]` each."""

    def num_searched(self, library: Any) -> int:
        """Number of bases of the marker in a `StoredLibrary`."""


def marker_of(embedder: Any) -> Marker:
    """The marker that a model was made for.

    Args:
        embedder: an `Embedder`.

    Raises:
        ConfigurationError: the model has neither a reference frame nor a profile of k-mers.
    """
    if isinstance(embedder, KmerMapEmbedder):
        return FrameFreeMarker(embedder.profile)
    if embedder.frame is None:
        raise ConfigurationError("expected a model with a reference frame, or of a marker without one, got neither")
    return FramedMarker(embedder.frame)


@dataclass(frozen=True)
class FramedMarker:
    """A marker with a reference frame: barcodes are placed on it, and compared base by base."""

    frame: ReferenceFrame

    @property
    def name(self) -> str:
        return self.frame.marker

    @property
    def comparison(self) -> Comparison:
        return BasesOnFrame(self.frame.length)

    def region(self, primers: str) -> Region:
        return find_region(primers, self.frame)

    def read(self, sequences: list[str], region: Region | None = None) -> OnMarker:
        return read_on_marker(sequences, self.frame, region)

    def parts(self, read: OnMarker) -> list[MarkerPart]:
        parts = cut_to_frame(read.sequences, read.placement, self.frame.length)
        for row in np.flatnonzero(read.moved):
            parts[row] = replace(parts[row], first=parts[row].first + read.moved[row], circle=len(read.sequences[row]))
        return parts

    def ends(self, read: OnMarker) -> tuple[np.ndarray, np.ndarray]:
        begins, ends = extent_on_frame(read.placement, self.frame.length)
        return read.positions(begins), read.positions(np.minimum(ends, read.lengths) - 1)

    def num_searched(self, library: Any) -> int:
        return len(library.live) * self.frame.length


@dataclass(frozen=True)
class FrameFreeMarker:
    """A marker of uneven length: its strand is found by the profile, and barcodes are compared by their k-mers."""

    profile: KmerProfile

    @property
    def name(self) -> str:
        return self.profile.marker

    @property
    def comparison(self) -> Comparison:
        return KmerSets()

    def region(self, primers: str) -> Region:
        raise ConfigurationError(
            f"--primers {primers}: expected a marker with a reference frame, on which primers are found; trim those of "
            f"{self.name} from the reads before"
        )

    def recognise(self, sequences: list[str]) -> tuple[MarkerScores, np.ndarray]:
        """The scores of sequences `[n]`, and which are accepted as the marker, bool `[n]`."""
        scores = self.profile.score(sequences)
        is_accepted = self.profile.accepts(scores)
        doubtful = np.flatnonzero(is_accepted & (scores.score < _DOUBTFUL * self.profile.min_score))
        is_accepted[doubtful] = find_others([sequences[row] for row in doubtful], self.name) == ""
        return scores, is_accepted

    def read(self, sequences: list[str], region: Region | None = None) -> OnMarker:
        scores, is_accepted = self.recognise(sequences)
        starts = np.zeros(len(sequences), np.int64)
        placement = Placement.in_one_piece(starts)._replace(strand=scores.strand, score=scores.score)
        num_bases = np.array(list(map(_count_bases, sequences)), np.int64)
        bases = KmerSets().rows(orient(sequences, scores.strand))
        return OnMarker(sequences, placement, bases, num_bases, is_accepted, num_bases, starts)

    def parts(self, read: OnMarker) -> list[MarkerPart]:
        return oriented_parts(read.sequences, read.placement.strand)

    def ends(self, read: OnMarker) -> tuple[np.ndarray, np.ndarray]:
        return read.positions(np.zeros_like(read.lengths)), read.positions(read.lengths - 1)

    def num_searched(self, library: Any) -> int:
        return library.num_nucleotides


def read_on_marker(sequences: list[str], frame: ReferenceFrame, region: Region | None = None) -> OnMarker:
    """Place sequences on the frame, and read their bases there.

    Args:
        sequences: `[n]`, as `normalise_nucleotides` returns them.
        frame: the marker's reference frame.
        region: bases outside of it, such as those of primers, become unknown, also in the sequences.
    """
    placement = frame.place(sequences)
    sequences, moved = _close_circles(sequences, placement, frame)
    given = sequences
    if region is not None:
        sequences = [
            _only_region(text, start, strand, parts, region)
            for text, start, strand, parts in zip(
                sequences, placement.start.tolist(), placement.strand.tolist(), placement.unplaced, strict=True
            )
        ]
    bases = lay_out(sequences, placement, frame.length)
    num_bases = (bases >= 0).sum(axis=1)
    num_given = num_bases.copy()
    for row in np.flatnonzero(num_bases < MIN_BASES):
        num_given[row] = _count_bases(given[row])
    return OnMarker(sequences, placement, bases, num_bases, frame.accepts(placement), num_given, moved)


def _count_bases(sequence: str) -> int:
    return len(sequence) - len(sequence.encode().translate(None, b"ACGT"))


def _close_circles(sequences: list[str], placement: Placement, frame: ReferenceFrame) -> tuple[list[str], np.ndarray]:
    """Sequences that begin elsewhere if they are circular, as mitogenomes are, and the marker lies over their ends.

    Only a long sequence is tried, of which one end lies on the marker: it is joined with the other end, if the score of
    the placement rises by that.

    Args:
        sequences: `[n]`, DNA.
        placement: `[n]`, which is changed.
        frame: the marker's reference frame.

    Returns:
        The sequences, and the number of bases at the begin of each that were moved to its end, int64 `[n]`.
    """
    moved = np.zeros(len(sequences), np.int64)
    lengths = np.array([len(text) for text in sequences], np.int64)
    has_end = (placement.start > 0) | (placement.start + lengths < frame.length)
    rows = np.flatnonzero((lengths > _LONG * frame.length) & has_end)
    if not len(rows):
        return sequences, moved
    halves = lengths[rows] // 2
    turned = [sequences[row][half:] + sequences[row][:half] for row, half in zip(rows, halves, strict=True)]
    again = frame.place(turned)
    sequences = list(sequences)
    for index in np.flatnonzero(again.score > placement.score[rows]):
        row = rows[index]
        sequences[row], moved[row] = turned[index], halves[index]
        for values, others in zip(placement, again, strict=True):
            values[row] = others[index]
    return sequences, moved


def _only_region(text: str, start: int, strand: int, parts: Sequence[UnplacedPart], region: Region) -> str:
    """A sequence with N in place of all bases outside of a region, given its placement."""
    first, end = (max(coordinate - start, 0) for coordinate in region)
    if parts:
        positions = np.append(original_positions(len(text), parts), len(text))
        first, end = (int(positions[min(index, len(positions) - 1)]) for index in (first, end))
    if strand < 0:
        first, end = len(text) - end, len(text) - first
    first, end = max(first, 0), max(end, 0)
    return "N" * min(first, len(text)) + text[first:end] + "N" * (len(text) - max(end, first))


def find_others(sequences: list[str], marker: str) -> np.ndarray:
    """Which sequences are of another known marker: its name, objects `[n]`, "" for all others."""
    found = np.array(find_markers(sequences), object)
    found[[is_same_marker(name, marker) for name in found]] = ""
    return found


def why_unusable(problems: pa.ChunkedArray, read: OnMarker, marker: str) -> np.ndarray:
    """Why records are not barcodes of the marker, in words for the user.

    Args:
        problems: `[n]`, of records that could not be read; "" for the others.
        read: their sequences, as `normalise_nucleotides` returns them, on the marker.
        marker: name of the marker.

    Returns:
        Text `[n]`: "too long", "damaged", "no DNA", "another marker: " and its name, if it is known, "not the marker",
        "outside the region" for one of which less than `MIN_BASES` are on the frame or between the primers, "too short"
        for one without as many, or "" for a barcode.
    """
    has_few = read.num_bases < MIN_BASES
    reasons = np.select(
        [
            pc.starts_with(problems, TOO_LONG).to_numpy(),
            pc.not_equal(problems, "").to_numpy(),
            read.num_given == 0,
            ~read.is_placed,
            has_few & (read.num_given >= MIN_BASES),
            has_few,
        ],
        [TOO_LONG, "damaged", "no DNA", NOT_THE_MARKER, "outside the region", "too short"],
        default="",
    ).astype(object)
    rows = np.flatnonzero(reasons == NOT_THE_MARKER)
    for row, name in zip(rows, find_others([read.sequences[row] for row in rows], marker), strict=True):
        if name:
            reasons[row] = f"{ANOTHER_MARKER}{name}"
    return reasons


def dereplicate(bases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the unique barcodes: copies of one barcode are compared as one.

    Args:
        bases: of one byte each, `[n, width]`; also packed ones.

    Returns:
        The row of the first copy of each unique barcode `[unique]`, ascending; and for each barcode, the index of its
        unique barcode `[n]`.
    """
    buffers = [None, pa.py_buffer(np.ascontiguousarray(bases))]
    rows = pa.FixedSizeBinaryArray.from_buffers(pa.binary(bases.shape[1]), len(bases), buffers)
    unique = rows.dictionary_encode().indices.to_numpy()
    return np.unique(unique, return_index=True)[1], unique
