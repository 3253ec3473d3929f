"""Barcodes to arrays: on the frame, and unaligned."""

import numpy as np
import pytest

from tokenization_barcodemae import (
    KmerEncoder,
    ReferenceFrame,
    bases_on_frame,
    build_kmer_tokenizer,
    encode_barcodes,
    place_barcodes,
    reverse_complement,
)


@pytest.fixture(scope="module")
def kmers():
    return KmerEncoder(6)


@pytest.fixture(scope="module")
def frame():
    return ReferenceFrame.coi()


@pytest.fixture(scope="module")
def barcode(full_length_barcodes):
    return full_length_barcodes[0]


def encode(kmers, frame, *sequences, **options):
    return encode_barcodes(kmers, place_barcodes(list(sequences), frame, kmers.k), 110, **options)


def test_full_length_barcode_gives_equal_ids_on_the_frame_unaligned_and_by_the_tokenizer(kmers, frame, barcode):
    framed, unaligned = encode(kmers, frame, barcode), encode(kmers, None, barcode)
    for name in ("input_ids", "attention_mask", "position_ids"):
        assert np.array_equal(framed[name], unaligned[name])
    assert framed["input_ids"][0].tolist() == build_kmer_tokenizer(6)(barcode)["input_ids"]
    assert framed["position_ids"][0].tolist() == list(range(109))


def test_segment_has_the_slots_of_the_complete_barcode(kmers, frame, barcode):
    complete, segment = encode(kmers, frame, barcode), encode(kmers, frame, barcode[100:400])
    # Coordinates 102 to 395 hold the 49 slots from 17 on.
    assert segment["position_ids"][0].tolist() == list(range(17, 66))
    assert np.array_equal(segment["input_ids"][0], complete["input_ids"][0, 17:66])


def test_strand_and_primers_do_not_change_ids(kmers, frame, barcode):
    complete = encode(kmers, frame, barcode)
    with_primers = "GGTCAACAAATCATAAAGATATTGG" + barcode + "TGATTTTTTGGTCACCCTGAAGTTTA"
    both = encode(kmers, frame, reverse_complement(barcode), with_primers)
    assert np.array_equal(both["input_ids"], np.repeat(complete["input_ids"], 2, axis=0))


def test_kmer_with_an_unknown_base_is_left_out(kmers, frame, barcode):
    encoding = encode(kmers, frame, barcode[:6] + "N" + barcode[7:])
    assert encoding["position_ids"][0].tolist() == [0, *range(2, 109)]
    assert encoding["attention_mask"].all()


def test_placed_and_unaligned_barcodes_are_padded_together(kmers, frame, barcode):
    encoding = encode(kmers, frame, barcode[:200], "ACGTAC" * 20, barcode)
    assert encoding["attention_mask"].sum(1).tolist() == [33, 20, 109]
    padding = encoding["attention_mask"] == 0
    assert (encoding["input_ids"][padding] == kmers.pad_token_id).all()


def test_unaligned_barcode_is_read_from_its_offset(kmers, frame, barcode):
    unaligned, offsets = np.array([True, False]), np.array([2, 2])
    encoding = encode(kmers, frame, barcode, barcode, unaligned=unaligned, offsets=offsets)
    expected = kmers([barcode[2:], barcode])["input_ids"]
    assert np.array_equal(encoding["input_ids"][:, :109], expected)


def test_unaligned_barcode_has_at_most_max_tokens(kmers):
    encoding = encode_barcodes(kmers, place_barcodes(["ACGTAC" * 50], None, 6), max_tokens=20)
    assert encoding["input_ids"].shape == (1, 20)


def test_barcodes_without_known_kmers(kmers, frame):
    encoding = encode(kmers, frame, "", "NNNNNN")
    assert encoding["input_ids"].shape == (2, 0)


def test_bases_by_coordinate(frame, barcode):
    whole = ["ACGT".index(base) for base in barcode]
    cut = barcode[100:250] + "N" + barcode[251:400].lower()
    found = bases_on_frame([barcode, cut, reverse_complement(cut), "GGTTCATGGTT" + barcode + "TTA"], frame)
    assert found.dtype == np.int8
    assert found[0].tolist() == found[3].tolist() == whole
    expected = np.full(658, -1)
    expected[100:400] = whole[100:400]
    expected[250] = -1
    assert found[1].tolist() == found[2].tolist() == expected.tolist()


def test_bases_of_an_empty_list(frame):
    assert bases_on_frame([], frame).shape == (0, 658)
