"""Alignments of queries with their hits: by hand, against a small dynamic program, and against BLAST."""

import shutil
import subprocess
import sys
from dataclasses import astuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.errors import ConfigurationError
from barcodemae.library import alignment
from barcodemae.library.alignment import (
    GAP_EXTENSION,
    GAP_OPENING,
    MATCH,
    MISMATCH,
    Alignment,
    MarkerPart,
    align,
    bit_score,
    cut_to_frame,
    expected_value,
)
from tokenization_barcodemae import Placement, ReferenceFrame, reverse_complement

pytest.importorskip("parasail")

DNA = "ACCTGATTGCACGTTACCGATAGGCTTAACGGATCCATGTCAAGCTTGACG"  # without repeats


def forward(text):
    return MarkerPart(text, 1, 1)


def aligned(query, reference):
    return align(forward(query), forward(reference))


def changed(text, *positions):
    bases = list(text)
    for position in positions:
        bases[position] = {"A": "C", "C": "A", "G": "T", "T": "G"}[bases[position]]
    return "".join(bases)


def test_equal_sequences_are_identical():
    assert aligned(DNA, DNA) == Alignment(1, 51, 0, 0, 1, 51, 1, 51)


def test_mismatches_are_counted():
    assert aligned(changed(DNA, 12, 30), DNA) == Alignment(49 / 51, 51, 2, 0, 1, 51, 1, 51)


def test_gap_of_any_length_is_one_gap_opening():
    assert aligned(DNA[:20] + DNA[23:], DNA) == Alignment(48 / 51, 51, 0, 1, 1, 48, 1, 51)
    assert aligned(DNA, DNA[:20] + DNA[23:]) == Alignment(48 / 51, 51, 0, 1, 1, 51, 1, 48)


def test_overhangs_are_not_aligned():
    assert aligned(DNA[:40], DNA[10:]) == Alignment(1, 30, 0, 0, 11, 40, 1, 30)
    assert aligned(DNA[10:], DNA[:40]) == Alignment(1, 30, 0, 0, 1, 30, 11, 40)
    assert aligned(DNA[10:], DNA) == Alignment(1, 41, 0, 0, 1, 41, 11, 51)
    assert aligned(DNA, DNA[10:]) == Alignment(1, 41, 0, 0, 11, 51, 1, 41)


def test_ends_that_differ_are_left_out():
    assert aligned(changed(DNA, 1, 50), DNA) == Alignment(1, 48, 0, 0, 3, 50, 3, 50)


@pytest.mark.parametrize("base", ["N", "R", "-"])
def test_unknown_base_is_a_mismatch(base):
    unknown = DNA[:25] + base + DNA[26:]
    expected = Alignment(50 / 51, 51, 1, 0, 1, 51, 1, 51)
    assert aligned(unknown, DNA) == aligned(DNA, unknown) == aligned(unknown, unknown) == expected


@pytest.mark.parametrize(("query", "reference"), [("", "ACGT"), ("ACGT", ""), ("AAAA", "CCCC"), ("NNNN", "NNNN")])
def test_no_alignment_without_equal_bases(query, reference):
    assert aligned(query, reference) is None


@pytest.mark.parametrize("query_strand", [1, -1])
@pytest.mark.parametrize("reference_strand", [1, -1])
def test_positions_are_those_of_the_sequences_as_given(query_strand, reference_strand):
    """Both have two bases after the frame; the reference has four before it, the query lacks its first three."""
    given = [DNA[3:] + "CC", "TTTT" + DNA + "AA"]
    strands = [query_strand, reference_strand]
    turned = [text if strand > 0 else reverse_complement(text) for text, strand in zip(given, strands, strict=True)]
    placement = Placement.in_one_piece(np.array([3, -4]))._replace(strand=np.array(strands, np.int8))
    query, reference = cut_to_frame(turned, placement, len(DNA))
    assert (query.text, reference.text) == (DNA[3:], DNA)
    # Positions in the given texts of the 48 bases that both have, counted by hand.
    query_ends = (1, 48) if query_strand > 0 else (3, 50)
    reference_ends = (8, 55) if reference_strand > 0 else (3, 50)
    if query_strand != reference_strand:
        reference_ends = reference_ends[::-1]
    assert align(query, reference) == Alignment(1, 48, 0, 0, *query_ends, *reference_ends)


def test_sequence_outside_the_frame_has_an_empty_segment():
    placement = Placement.in_one_piece(np.array([700, -60]))._replace(strand=np.array([1, -1], np.int8))
    assert [segment.text for segment in cut_to_frame([DNA, DNA], placement, 658)] == ["", ""]


texts = st.text("ACGT", min_size=1, max_size=24)


def best_score(query, reference):
    """The score of the best local alignment, by Gotoh's recursion, one cell at a time."""
    impossible = -(10**6)
    row, query_gaps = [0] * (len(reference) + 1), [impossible] * (len(reference) + 1)
    best = 0
    for base in query:
        diagonal, reference_gap = row[0], impossible
        for j, other in enumerate(reference, 1):
            query_gaps[j] = max(query_gaps[j], row[j] - GAP_OPENING) - GAP_EXTENSION
            reference_gap = max(reference_gap, row[j - 1] - GAP_OPENING) - GAP_EXTENSION
            score = max(0, diagonal + (MATCH if base == other else MISMATCH), query_gaps[j], reference_gap)
            diagonal, row[j] = row[j], score
            best = max(best, score)
    return best


@given(texts, texts)
def test_no_alignment_scores_higher(query, reference):
    found = aligned(query, reference)
    best = best_score(query, reference)
    assert (found is None) == (best == 0)
    if found is not None:
        equal = round(found.identity * found.columns)
        gaps = found.columns - equal - found.mismatches
        scored = equal * MATCH + found.mismatches * MISMATCH - found.gap_openings * GAP_OPENING - gaps * GAP_EXTENSION
        assert scored == best
        lengths = found.query_end - found.query_start + 1 + found.reference_end - found.reference_start + 1
        assert lengths == 2 * found.columns - gaps
        assert query[found.query_start - 1] == reference[found.reference_start - 1]
        assert query[found.query_end - 1] == reference[found.reference_end - 1]


@given(texts)
def test_sequence_is_identical_to_itself(text):
    n = len(text)
    assert aligned(text, text) == Alignment(1, n, 0, 0, 1, n, 1, n)


def test_bit_score_of_identical_barcodes_is_that_of_blast():
    # `blastn -task blastn -outfmt "6 std score"` gives 1020 bits for a score of 1130, 565 matches.
    assert bit_score(np.array([1.0]), np.array([565])) == pytest.approx(1020, abs=0.5)


def test_bit_score_grows_with_identity_and_expected_value_falls():
    identities = np.linspace(0, 1, 50)
    bits = bit_score(identities, np.full(50, 658))
    expected = expected_value(bits, np.full(50, 658), 10**7)
    assert (np.diff(bits) >= 0).all()
    assert (np.diff(expected) <= 0).all()
    assert np.isfinite([*bits, *expected]).all()
    assert expected_value(np.array([10.0]), np.array([100]), 1024) == pytest.approx([100.0])


def test_missing_parasail_is_an_error_with_the_command_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "parasail", None)
    alignment._parasail.cache_clear()
    with pytest.raises(ConfigurationError, match="install parasail: pip install parasail"):
        aligned(DNA, DNA)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("blastn"), reason="blastn is not on the PATH: tools/install_aligners.sh")
def test_alignments_agree_with_blast(sample, tmp_path):
    """Barcodes within the frame and without N, on either strand, against others of their order."""
    frame = ReferenceFrame.coi()
    known = sample.filter(pc.invert(pc.match_substring_regex(sample["nucleotides"], "[^ACGT]")))
    known = known.filter(pc.equal(known["order"], "Hymenoptera"))  # has more gaps than most
    rows = np.linspace(0, len(known) - 1, 80).astype(int)
    texts = known["nucleotides"].take(pa.array(rows)).to_pylist()
    placement = frame.place(texts)
    inside = (placement.start >= 0) & (placement.start + [len(text) for text in texts] <= frame.length)
    texts = [text for text, fits in zip(texts, inside, strict=True) if fits]
    texts[1::2] = map(reverse_complement, texts[1::2])
    segments = cut_to_frame(texts, frame.place(texts), frame.length)
    for name, some in {"queries": texts[:20], "references": texts[20:40]}.items():
        (tmp_path / name).write_text("".join(f">{i}\n{text}\n" for i, text in enumerate(some)))
    command = "blastn -task blastn -dust no -max_hsps 1 -query queries -subject references -outfmt 6"
    table = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    same, with_gaps = [], 0
    for line in table.splitlines():
        query, reference, percent, *numbers = line.split("\t")[:10]
        ours = align(segments[int(query)], segments[20 + int(reference)])
        same.append((f"{100 * ours.identity:.3f}", *astuple(ours)[1:]) == (percent, *map(int, numbers)))
        with_gaps += int(numbers[2]) > 0
    assert len(same) > 300
    assert with_gaps > 30
    # Among equally good alignments, BLAST may choose another one.
    assert np.mean(same) > 0.95
