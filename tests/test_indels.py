"""Insertions and deletions: bases lie at the coordinates that they have in the complete barcode, or are unknown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.library.alignment import cut_to_frame
from tokenization_barcodemae import (
    KmerEncoder,
    ReferenceFrame,
    UnplacedPart,
    bases_on_frame,
    build_kmer_tokenizer,
    encode_barcodes,
    original_positions,
    place_barcodes,
    read_along_frame,
    reverse_complement,
)
from tokenization_barcodemae.indels import leave_out_unplaced

COI = ReferenceFrame.coi()


@pytest.fixture(scope="module")
def barcodes(full_length_barcodes):
    texts = full_length_barcodes[:80]
    return [text for text, parts in zip(texts, COI.place(texts).unplaced, strict=True) if not parts][:60]


@pytest.mark.parametrize(
    ("change", "num_indels"),
    [
        (lambda text: text[:200] + text[201:], 1),
        (lambda text: text[:300] + text[299:], 1),
        (lambda text: text[:100] + text[103:], 1),
        (lambda text: text[:500] + "GATTACA" + text[500:], 1),
        (lambda text: text[:60] + text[61:250] + "C" + text[250:400] + text[402:], 3),
        (lambda text: text[:300] + "N" * 20 + text[320:480] + text[481:], 1),
        (lambda text: text[:30] + text[31:], 1),
        (lambda text: text[250:400] + text[401:550], 1),
    ],
    ids=[
        "deleted",
        "doubled",
        "codon deleted",
        "seven inserted",
        "three",
        "beside unknown bases",
        "early",
        "short read",
    ],
)
@pytest.mark.parametrize("turn", [str, reverse_complement], ids=["forward", "reverse"])
def test_bases_have_the_coordinates_of_the_complete_barcode(barcodes, change, num_indels, turn):
    changed = [turn(change(text)) for text in barcodes]
    placement = COI.place(changed)
    assert COI.accepts(placement).all()
    assert np.mean(placement.num_indels == num_indels) >= 0.95
    found, expected = bases_on_frame(changed, COI), bases_on_frame(barcodes, COI)
    is_known = (found >= 0) & (expected >= 0)
    num_wrong = ((found != expected) & is_known).sum(axis=1)
    assert np.mean(num_wrong == 0) >= 0.9
    assert num_wrong.max() <= 20
    # Around each indel, few bases are unknown.
    num_given = np.array([len(text) - text.count("N") for text in changed])
    assert np.median(num_given - is_known.sum(axis=1)) <= 14 * num_indels


def test_primers_and_gap_characters_do_not_matter(barcodes):
    changed = [text[:200] + text[201:] for text in barcodes]
    spelt = ["GGTCAACAAATCATAAAGATATTGG" + text[:90].lower() + "-- \n" + text[90:] + "TGATTTTTTGGT" for text in changed]
    assert np.array_equal(bases_on_frame(changed, COI), bases_on_frame(spelt, COI))


def test_complete_barcodes_have_no_indels(full_length_barcodes):
    assert np.mean(COI.place(full_length_barcodes).num_indels == 0) > 0.95


def test_chimeras_and_flanking_bases_are_not_forced_onto_the_frame(barcodes):
    others = barcodes[1:] + barcodes[:1]
    rng = np.random.default_rng(0)
    random_ends = ["".join("ACGT"[i] for i in rng.integers(0, 4, 40)) for _ in barcodes]
    pairs = list(zip(barcodes, others, random_ends, strict=True))
    kinds = {
        "two halves": [first[:329] + second[329:] for first, second, _ in pairs],
        "the first half twice": [first[:300] + second[:300] for first, second, _ in pairs],
        "one half reversed": [first[:400] + reverse_complement(second[400:]) for first, second, _ in pairs],
        "random end": [first[:618] + end for first, _, end in pairs],
    }
    for kind, texts in kinds.items():
        assert COI.place(texts).num_indels.mean() <= 0.05, kind


def test_sequences_of_other_markers_have_no_indels(barcodes):
    rng = np.random.default_rng(0)
    shuffled = ["".join(rng.permutation(list(text))) for text in barcodes]
    placement = COI.place(shuffled)
    assert not COI.accepts(placement).any()
    assert not any(placement.unplaced)


def test_kmers_beside_an_indel_keep_their_slots(barcodes):
    kmers = KmerEncoder(6)
    changed = [text[:200] + text[201:] for text in barcodes]
    whole, found = (encode_barcodes(kmers, place_barcodes(texts, COI, 6), 110) for texts in (barcodes, changed))
    num_kept = []
    for row in range(len(barcodes)):
        ids = [dict(zip(one["position_ids"][row], one["input_ids"][row], strict=True)) for one in (whole, found)]
        common = set(ids[0]) & set(ids[1])
        num_kept.append(sum(ids[0][slot] == ids[1][slot] for slot in common if slot))
    assert np.median(num_kept) >= 105


def test_tokenizer_gives_the_same_tokens_and_offsets_into_the_given_text(barcodes):
    kmers, tokenizer = KmerEncoder(6), build_kmer_tokenizer(6)
    tokenizer.frame = COI
    for text in (
        barcodes[0][:200] + barcodes[0][201:],
        reverse_complement(barcodes[1][:300] + "G" + barcodes[1][300:]),
    ):
        expected = encode_barcodes(kmers, place_barcodes([text], COI, 6), None)
        found = tokenizer([text], return_tensors="np", return_offsets_mapping=True)
        known = found["input_ids"][0] != kmers.unk_token_id
        for name in ("input_ids", "position_ids"):
            assert np.array_equal(found[name][0][known], expected[name][0])
        strand = COI.place([text]).strand[0]
        for token, (begin, end) in zip(found["input_ids"][0][known], found["offset_mapping"][0][known], strict=True):
            kmer = text[begin:end] if strand > 0 else reverse_complement(text[begin:end])
            assert tokenizer.convert_tokens_to_ids(kmer) == token


def test_unplaced_parts_by_hand():
    # A deletion of two bases before base 4, and an insertion of which both neighbours are unknown.
    parts = (UnplacedPart(4, 4, 2), UnplacedPart(6, 9, 2))
    assert leave_out_unplaced("ACGTACGTACGT", parts) == "ACGTNNACNNCGT"
    assert original_positions(12, parts).tolist() == [0, 1, 2, 3, 4, 4, 4, 5, 6, 7, 9, 10, 11]
    assert original_positions(4, (UnplacedPart(4, 4, 1),)).tolist() == [0, 1, 2, 3, 3]
    assert [part.is_indel for part in (*parts, UnplacedPart(3, 8, 5))] == [True, True, False]


@given(st.text("ACGT", max_size=40), st.lists(st.tuples(*[st.integers(0, 8)] * 3), max_size=4))
def test_characters_outside_of_unplaced_parts_are_those_of_the_text(text, sizes):
    parts, end = [], 0
    for before, num_bases, length in sizes:
        begin = min(end + before, len(text))
        end = min(begin + num_bases, len(text))
        parts.append(UnplacedPart(begin, end, length))
    read = leave_out_unplaced(text, parts)
    if text:
        positions = original_positions(len(text), parts)
        assert len(positions) == len(read)
        assert all(base in ("N", text[position]) for base, position in zip(read, positions, strict=True))


def test_segment_to_align_includes_the_bases_of_unplaced_parts(barcodes):
    changed = ["TTTT" + barcodes[0][:200] + "CC" + barcodes[0][200:] + "GGG", barcodes[1][:100] + barcodes[1][101:]]
    segments = cut_to_frame(changed, COI.place(changed), COI.length)
    assert [segment.text for segment in segments] == [changed[0][4:-3], changed[1]]


def test_text_along_the_frame_has_a_base_for_each_coordinate(barcodes):
    changed = [text[:200] + text[202:] for text in barcodes]
    placement = COI.place(changed)
    lengths = np.array([len(text) for text in read_along_frame(changed, placement)])
    assert np.array_equal(lengths[placement.num_indels == 1], np.full((placement.num_indels == 1).sum(), 658))
