"""Alignment of a query with its nearest references, with the identity as BLAST defines it.

It is the best local alignment (Smith and Waterman 1981) with affine gaps (Gotoh 1982) and the scores of BLAST's
`-task blastn`. Edit distance is not a substitute: between barcodes of different species it opens gaps that are not in
the gene.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from barcodemae.errors import ConfigurationError
from tokenization_barcodemae import Placement, orient

MATCH, MISMATCH = 2, -3
GAP_OPENING, GAP_EXTENSION = 5, 2
"""A gap of n bases costs the opening, and n times the extension."""

# Of Karlin and Altschul 1990, for these scores with gaps, as `blastn -task blastn` reports them.
_LAMBDA, _K = 0.625, 0.410

# Two characters for unknown bases, so that they are always mismatches. In BLAST an N is a mismatch too, except to N.
_UNKNOWN_IN_QUERY, _UNKNOWN_IN_REFERENCE = "N", "X"
_NOT_A_BASE = re.compile("[^ACGT]")

# The numbers of CIGAR operations in BAM; an insertion is of bases in the query, a deletion of bases in the reference.
_INSERTION, _DELETION, _EQUAL, _DIFFERENT = 1, 2, 7, 8


@dataclass(frozen=True)
class MarkerPart:
    """The part of a sequence that is the marker.

    Attributes:
        text: its bases on the marker's strand.
        first: position of the first of them in the sequence as given, from 1.
        strand: +1 if the sequence was given on the marker's strand, -1 for its reverse complement.
        circle: number of bases of a circular sequence, after whose last base its first one follows; None if it is not.
    """

    text: str
    first: int
    strand: int
    circle: int | None = None

    def position(self, index: int) -> int:
        """Position in the sequence as given, from 1, of a base of the text, counted from 0."""
        position = self.first + self.strand * index
        return position if self.circle is None else (position - 1) % self.circle + 1


@dataclass(frozen=True)
class Alignment:
    """An alignment of a query with a reference, in the terms of BLAST's `-outfmt 6`.

    Positions are counted from 1 in the sequences as given, without gaps and terminal Ns.

    Attributes:
        identity: share of columns with two equal bases.
        columns: number of columns, of two bases or of a base and a gap.
        mismatches: number of columns with two bases that differ, or of which one is unknown.
        gap_openings: number of gaps of any length.
        query_start, query_end: first and last aligned position of the query.
        reference_start, reference_end: the positions of the reference aligned with these; if the two sequences were
            given on different strands, start is greater than end.
    """

    identity: float
    columns: int
    mismatches: int
    gap_openings: int
    query_start: int
    query_end: int
    reference_start: int
    reference_end: int


def cut_to_frame(sequences: Sequence[str], placement: Placement, frame_length: int) -> list[MarkerPart]:
    """Cut sequences to the reference frame, which removes primers and other flanking bases.

    Args:
        sequences: normalised DNA, `[n]`.
        placement: of the sequences.
        frame_length: of the frame, in nucleotides.
    """
    oriented = orient(sequences, placement.strand)
    begins, ends = extent_on_frame(placement, frame_length)
    return [
        MarkerPart(text[begin:end], begin + 1 if strand > 0 else len(text) - begin, strand)
        for text, strand, begin, end in zip(
            oriented, placement.strand.tolist(), begins.tolist(), ends.tolist(), strict=True
        )
    ]


def extent_on_frame(placement: Placement, frame_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Which bases of sequences lie on the reference frame, counted from 0 on its strand.

    Args:
        placement: of the sequences, `[n]`.
        frame_length: of the frame, in nucleotides.

    Returns:
        The first one, and the one after the last, int64 `[n]` each; the latter may be behind the end of a sequence.
    """
    num_inserted = np.zeros(len(placement.start), np.int64)
    for row in np.flatnonzero(placement.unplaced.astype(bool)):
        num_inserted[row] = sum(part.end - part.begin - part.length for part in placement.unplaced[row])
    return np.maximum(-placement.start, 0), np.maximum(frame_length - placement.start + num_inserted, 0)


def oriented_parts(sequences: Sequence[str], strands: np.ndarray) -> list[MarkerPart]:
    """Complete sequences `[n]`, normalised DNA, as read on their strands `[n]`."""
    oriented = orient(sequences, strands)
    return [
        MarkerPart(text, 1 if strand > 0 else len(text), strand)
        for text, strand in zip(oriented, strands.tolist(), strict=True)
    ]


def align(query: MarkerPart, reference: MarkerPart) -> Alignment | None:
    """The best local alignment; among equally good ones always the same.

    Returns:
        None if no base is equal.

    Raises:
        ConfigurationError: parasail is not installed.
    """
    parasail, scores = _parasail()
    if not query.text or not reference.text:
        return None
    found = parasail.sw_trace_scan_16(
        _NOT_A_BASE.sub(_UNKNOWN_IN_QUERY, query.text),
        _NOT_A_BASE.sub(_UNKNOWN_IN_REFERENCE, reference.text),
        GAP_OPENING + GAP_EXTENSION,  # parasail's opening includes the first base
        GAP_EXTENSION,
        scores,
    )
    if found.score == 0:
        return None
    cigar = found.cigar  # owns the memory of the runs
    runs = [(run & 0xF, run >> 4) for run in cigar.seq.tolist()]
    # If an alignment begins with the first base of one sequence, parasail 1.3.4 adds a gap for the preceding bases of
    # the other (https://github.com/jeffdaily/parasail-python/issues/61), and its start positions cannot be used.
    if runs[0][0] in (_INSERTION, _DELETION):
        del runs[0]
    equal, different, inserted, deleted = (
        sum(length for operation, length in runs if operation == kind)
        for kind in (_EQUAL, _DIFFERENT, _INSERTION, _DELETION)
    )
    columns = equal + different + inserted + deleted
    query_ends = [query.position(index) for index in (found.end_query + 1 - columns + deleted, found.end_query)]
    reference_ends = [reference.position(index) for index in (found.end_ref + 1 - columns + inserted, found.end_ref)]
    if query.strand < 0:
        query_ends.reverse()
        reference_ends.reverse()
    gap_openings = sum(operation in (_INSERTION, _DELETION) for operation, _ in runs)
    return Alignment(equal / columns, columns, different, gap_openings, *query_ends, *reference_ends)


def bit_score(identities: np.ndarray, num_bases: np.ndarray) -> np.ndarray:
    """The bit score of ungapped alignments of complete queries with these identities, by BLAST's scores and statistics.

    Unlike the bit score of an alignment, it does not depend on how much of a query a reference covers: of two hits of
    a query, the one with the higher identity always has the higher score.

    Args:
        identities: `[n]`, share of equal columns.
        num_bases: `[n]`, known bases of the queries on the marker.

    Returns:
        Bits, float64 `[n]`.
    """
    scores = num_bases * (MATCH * identities + MISMATCH * (1 - identities))
    return (_LAMBDA * np.maximum(scores, 0) - math.log(_K)) / math.log(2)


def expected_value(bit_scores: np.ndarray, num_bases: np.ndarray, library_bases: int) -> np.ndarray:
    """The number of hits with such a bit score that are expected by chance (Karlin and Altschul 1990).

    Args:
        bit_scores: `[n]`.
        num_bases: `[n]`, known bases of the queries on the marker.
        library_bases: number of bases that were searched.

    Returns:
        float64 `[n]`.
    """
    return num_bases * np.float64(library_bases) * np.exp2(-bit_scores)


@cache
def _parasail() -> tuple[Any, Any]:
    """The parasail module, and the table of scores."""
    try:
        import parasail
    except ImportError as error:
        raise ConfigurationError("to align, install parasail: pip install parasail") from error
    bases = f"ACGT{_UNKNOWN_IN_QUERY}{_UNKNOWN_IN_REFERENCE}"
    return parasail, parasail.matrix_create(bases, MATCH, MISMATCH)
