"""Barcodes to arrays: on the frame, and read freely."""

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


def test_full_length_barcode_is_read_alike_on_the_frame_freely_and_by_the_tokenizer(kmers, frame, barcode):
    framed, free = encode(kmers, frame, barcode), encode(kmers, None, barcode)
    for name in ("input_ids", "attention_mask", "position_ids"):
        assert np.array_equal(framed[name], free[name])
    assert framed["input_ids"][0].tolist() == build_kmer_tokenizer(6)(barcode)["input_ids"]
    assert framed["position_ids"][0].tolist() == list(range(109))


def test_cut_keeps_its_slots(kmers, frame, barcode):
    whole, cut = encode(kmers, frame, barcode), encode(kmers, frame, barcode[100:400])
    # Coordinates 102 to 395 hold the 49 slots from 17 on.
    assert cut["position_ids"][0].tolist() == list(range(17, 66))
    assert np.array_equal(cut["input_ids"][0], whole["input_ids"][0, 17:66])


def test_other_strand_and_primers_change_nothing(kmers, frame, barcode):
    whole = encode(kmers, frame, barcode)
    with_primers = "GGTCAACAAATCATAAAGATATTGG" + barcode + "TGATTTTTTGGTCACCCTGAAGTTTA"
    both = encode(kmers, frame, reverse_complement(barcode), with_primers)
    assert np.array_equal(both["input_ids"], np.repeat(whole["input_ids"], 2, axis=0))


def test_unknown_letters_leave_no_token(kmers, frame, barcode):
    encoding = encode(kmers, frame, barcode[:6] + "N" + barcode[7:])
    assert encoding["position_ids"][0].tolist() == [0, *range(2, 109)]
    assert encoding["attention_mask"].all()


def test_rows_of_both_kinds_are_padded_together(kmers, frame, barcode):
    encoding = encode(kmers, frame, barcode[:200], "ACGTAC" * 20, barcode)
    assert encoding["attention_mask"].sum(1).tolist() == [33, 20, 109]
    padding = encoding["attention_mask"] == 0
    assert (encoding["input_ids"][padding] == kmers.pad_token_id).all()


def test_free_rows_are_cut_at_their_offsets(kmers, frame, barcode):
    free, offsets = np.array([True, False]), np.array([2, 2])
    encoding = encode(kmers, frame, barcode, barcode, free=free, offsets=offsets)
    expected = kmers([barcode[2:], barcode])["input_ids"]
    assert np.array_equal(encoding["input_ids"][:, :109], expected)


def test_free_rows_end_at_their_limit(kmers):
    encoding = encode_barcodes(kmers, place_barcodes(["ACGTAC" * 50], None, 6), max_tokens=20)
    assert encoding["input_ids"].shape == (1, 20)


def test_nothing_known_at_all(kmers, frame):
    encoding = encode(kmers, frame, "", "NNNNNN")
    assert encoding["input_ids"].shape == (2, 0)


def test_letters_stand_at_their_coordinates(frame, barcode):
    whole = ["ACGT".index(base) for base in barcode]
    cut = barcode[100:250] + "N" + barcode[251:400].lower()
    found = bases_on_frame([barcode, cut, reverse_complement(cut), "GGTTCATGGTT" + barcode + "TTA"], frame)
    assert found.dtype == np.int8
    assert found[0].tolist() == found[3].tolist() == whole
    expected = np.full(658, -1)
    expected[100:400] = whole[100:400]
    expected[250] = -1
    assert found[1].tolist() == found[2].tolist() == expected.tolist()


def test_letters_of_no_barcodes(frame):
    assert bases_on_frame([], frame).shape == (0, 658)
