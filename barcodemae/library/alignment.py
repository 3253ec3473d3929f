"""A query and its nearest references, base by base: the identity that people know from BLAST.

The alignment is the best local one (Smith and Waterman 1981) with affine gaps (Gotoh 1982), under the scores of BLAST's
`-task blastn`. Edit distance is no substitute: among barcodes of different species it opens gaps that the gene has not.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from barcodemae.errors import ConfigurationError
from tokenization_barcodemae import Placement, orient

MATCH, MISMATCH = 2, -3
GAP_OPENING, GAP_EXTENSION = 5, 2
"""A gap of n bases costs the opening, and n times the base."""

# Two names for what is not known, so that it equals nothing. To BLAST, too, an N is a mismatch, but not to another N.
_UNKNOWN_IN_QUERY, _UNKNOWN_IN_REFERENCE = "N", "X"
_NOT_A_BASE = re.compile("[^ACGT]")

# The operations of an alignment's path, as BAM numbers them: of bases that the query has more, or less.
_INSERTION, _DELETION, _EQUAL, _DIFFERENT = 1, 2, 7, 8


@dataclass(frozen=True)
class Stretch:
    """What of a sequence lies on the reference frame.

    Attributes:
        text: its bases on the marker's strand.
        first: position of the first of them in the sequence as given, from 1.
        strand: +1 where that reads as given, -1 where it is the reverse complement.
    """

    text: str
    first: int
    strand: int

    def position(self, place: int) -> int:
        """Position in the sequence as given, from 1, of the base at a place in the text, from 0."""
        return self.first + self.strand * place


@dataclass(frozen=True)
class Alignment:
    """A query against a reference, in the terms of BLAST's `-outfmt 6`.

    Positions count in the sequences as given, without gaps and the Ns at their ends, from 1.

    Attributes:
        identity: share of the columns with two equal bases.
        columns: of two bases, or of a base and a gap.
        mismatches: columns of two bases that differ, or of which one is not known.
        gap_openings: gaps, however long.
        query_start, query_end: first and last position of the query, in this order.
        reference_start, reference_end: those of the reference that stand there; where the two sequences were given on
            different strands, start is after end.
    """

    identity: float
    columns: int
    mismatches: int
    gap_openings: int
    query_start: int
    query_end: int
    reference_start: int
    reference_end: int


def cut_to_frame(sequences: Sequence[str], placement: Placement, frame_length: int) -> list[Stretch]:
    """The stretches of sequences on the reference frame: without primers and what else stands around.

    Args:
        sequences: normalised DNA, `[n]`.
        placement: of them.
        frame_length: nucleotides of the frame.
    """
    stretches = []
    oriented = orient(sequences, placement.strand)
    for text, start, strand in zip(oriented, placement.start.tolist(), placement.strand.tolist(), strict=True):
        begin, end = max(-start, 0), max(frame_length - start, 0)
        first = begin + 1 if strand > 0 else len(text) - begin
        stretches.append(Stretch(text[begin:end], first, strand))
    return stretches


def align(query: Stretch, reference: Stretch) -> Alignment | None:
    """The best local alignment; of equally good ones always the same.

    Returns:
        None where the two have no base in common.

    Raises:
        ConfigurationError: parasail is not installed.
    """
    parasail, scores = _parasail()
    if not query.text or not reference.text:
        return None
    found = parasail.sw_trace_scan_16(
        _NOT_A_BASE.sub(_UNKNOWN_IN_QUERY, query.text),
        _NOT_A_BASE.sub(_UNKNOWN_IN_REFERENCE, reference.text),
        GAP_OPENING + GAP_EXTENSION,  # parasail's opening takes in the first base
        GAP_EXTENSION,
        scores,
    )
    if found.score == 0:
        return None
    cigar = found.cigar  # it owns the memory of its runs
    runs = [(run & 0xF, run >> 4) for run in cigar.seq.tolist()]
    # Where it begins with the first base of one, parasail 1.3.4 puts a gap for what stands before in the other
    # (https://github.com/jeffdaily/parasail-python/issues/61), and its begins are of no use.
    if runs[0][0] in (_INSERTION, _DELETION):
        del runs[0]
    equal, different, inserted, deleted = (
        sum(length for operation, length in runs if operation == wanted)
        for wanted in (_EQUAL, _DIFFERENT, _INSERTION, _DELETION)
    )
    columns = equal + different + inserted + deleted
    query_ends = [query.position(place) for place in (found.end_query + 1 - columns + deleted, found.end_query)]
    reference_ends = [reference.position(place) for place in (found.end_ref + 1 - columns + inserted, found.end_ref)]
    if query.strand < 0:
        query_ends.reverse()
        reference_ends.reverse()
    gap_openings = sum(operation in (_INSERTION, _DELETION) for operation, _ in runs)
    return Alignment(equal / columns, columns, different, gap_openings, *query_ends, *reference_ends)


@cache
def _parasail() -> tuple[Any, Any]:
    """The library, and its table of scores."""
    try:
        import parasail
    except ImportError as error:
        raise ConfigurationError("to align, install parasail: pip install parasail") from error
    bases = f"ACGT{_UNKNOWN_IN_QUERY}{_UNKNOWN_IN_REFERENCE}"
    return parasail, parasail.matrix_create(bases, MATCH, MISMATCH)
