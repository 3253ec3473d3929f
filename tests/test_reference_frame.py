"""The reference frame: placement and score by hand, against a brute-force search, and on real barcodes."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

import barcodemae
from tokenization_barcodemae import KmerEncoder, Placement, ReferenceFrame, orient, reverse_complement

COI = ReferenceFrame.coi()
SAMPLE = Path(barcodemae.__file__).parent / "data" / "sample" / "barcodes.parquet"
BARCODES = [
    text for text in pq.read_table(SAMPLE, columns=["nucleotides"])["nucleotides"].to_pylist() if len(text) == 658
][:200]

# A region of 24 bases that is not a repeat, its own reverse complement or a shift of itself.
REGION = "ACGTTGCAAGGCTATTCGAACTGC"
ONE_HOT = np.array([[base == expected for base in "ACGT"] for expected in REGION], np.float32)
FRAME = ReferenceFrame(ONE_HOT, min_score=4, marker="toy")


def brute_force(frame: ReferenceFrame, sequence: str) -> float:
    """The best sum of centred profile entries over both strands and all shifts."""
    centred = frame.profile.astype(np.float64) - frame.profile.sum(1, keepdims=True) / 4
    best = 0.0
    for text in (sequence, reverse_complement(sequence)):
        for start in range(1 - len(text), frame.length):
            best = max(best, agreement(centred, text, start))
    return best


def agreement(centred: np.ndarray, text: str, start: int) -> float:
    columns = [(start + i, "ACGT".find(base)) for i, base in enumerate(text)]
    return sum(centred[j, base] for j, base in columns if base >= 0 and 0 <= j < len(centred))


@pytest.mark.parametrize(
    ("sequence", "start", "strand"),
    [
        (REGION, 0, 1),
        (REGION[5:], 5, 1),
        (REGION[:15], 0, 1),
        ("GGTTAA" + REGION + "CCC", -6, 1),
        ("TTTT" + REGION[:14], -4, 1),
        (REGION[10:] + "AAAAAA", 10, 1),
        (reverse_complement(REGION), 0, -1),
        # On the other strand: 3 bases, then the region from coordinate 6 on.
        (reverse_complement("CAT" + REGION[6:]), 3, -1),
        (REGION.lower().replace("t", "u"), 0, 1),
        ("-" + REGION[4:10] + "-.- \n" + REGION[10:], 4, 1),
        (REGION[:8] + "NNRN" + REGION[12:], 0, 1),
    ],
)
def test_placement_by_hand(sequence, start, strand):
    placement = FRAME.place([sequence])
    assert (placement.start[0], placement.strand[0]) == (start, strand)
    assert FRAME.accepts(placement).all()


def test_score_by_hand():
    # Centred one-hot: 3/4 for the base of the profile, -1/4 for another. "AC" on A, C: sum 3/2. Random bases, half
    # A and half C: mean 1/4 and variance 1/4 in each column, so (3/2 - 1/2) / sqrt(1/2).
    frame = ReferenceFrame(np.eye(4)[:2], min_score=0)
    placement = frame.place(["AC", "ACNNNN"])
    assert placement.start.tolist() == [0, 0]
    assert placement.strand.tolist() == [1, 1]
    assert placement.score[0] == pytest.approx(2**0.5, rel=1e-6)
    # A third of the bases known, 1/6 of them A and 1/6 C: mean 1/12, mean square (9 + 1) / 16 / 6.
    assert placement.score[1] == pytest.approx((3 / 2 - 1 / 6) / (2 * (10 / 96 - 1 / 144)) ** 0.5, rel=1e-6)


def test_shapes_and_types():
    placement = FRAME.place([REGION, "ACG", ""])
    assert isinstance(placement, Placement)
    assert [(array.dtype, array.shape) for array in placement] == [
        (np.int64, (3,)),
        (np.int8, (3,)),
        (np.float32, (3,)),
        (object, (3,)),
    ]


@pytest.mark.parametrize("sequence", ["", "N" * 30, "-- .\n", "*RY", "é"])
def test_sequence_without_known_bases_is_not_placed(sequence):
    placement = FRAME.place([sequence, REGION])
    assert [array[0] for array in placement] == [0, 1, 0, ()]
    assert FRAME.accepts(placement).tolist() == [False, True]


@pytest.mark.parametrize("sequence", ["A", "AAAAAAAAAAAA", "A" * 500, "AC" * 300])
def test_poor_sequences_score_low(sequence):
    placement = COI.place([sequence])
    assert np.isfinite(placement.score).all()
    assert not COI.accepts(placement).any()


def test_no_sequences():
    assert [len(array) for array in FRAME.place([])] == [0, 0, 0, 0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ACGTN", max_size=60), min_size=1, max_size=5))
def test_no_other_placement_agrees_better(texts):
    placement = FRAME.place(texts)
    centred = FRAME.profile.astype(np.float64) - 0.25
    for text, start, strand in zip(texts, placement.start, placement.strand, strict=True):
        found = agreement(centred, text if strand > 0 else reverse_complement(text), start)
        assert found == pytest.approx(brute_force(FRAME, text))


@pytest.mark.parametrize("row", [0, 50])
def test_no_other_placement_on_coi_agrees_better(row):
    text = BARCODES[row][300:380]
    placement = COI.place([text])
    centred = COI.profile.astype(np.float64) - 0.25
    # The frame rounds its weights, by less than 0.002 per base.
    assert agreement(centred, text, placement.start[0]) == pytest.approx(brute_force(COI, text), abs=0.2)


def test_placement_is_the_same_in_any_batch_and_from_arrow():
    texts = [
        *BARCODES[:70],
        *(text[i : 4 * i + 90] for i, text in enumerate(BARCODES[70:140])),
        "",
        "ACG" * 900,
    ]
    texts[3] = reverse_complement(texts[3])
    together, arrow = COI.place(texts), COI.place(pa.chunked_array([texts[:9], texts[9:]]))
    alone = [COI.place([text]) for text in texts]
    for name in Placement._fields:
        assert np.array_equal(getattr(together, name), getattr(arrow, name))
        assert np.array_equal(getattr(together, name), np.concatenate([getattr(one, name) for one in alone]))


def test_canonical_barcodes_begin_at_0_on_either_strand():
    for texts, strand in ((BARCODES, 1), ([reverse_complement(text) for text in BARCODES], -1)):
        placement = COI.place(texts)
        assert np.mean(placement.start == 0) > 0.98
        assert (placement.strand == strand).all()
        assert COI.accepts(placement).all()


@pytest.mark.parametrize(("length", "minimum"), [(100, 0.97), (150, 0.99), (200, 0.99), (300, 0.99)])
def test_segments_of_real_barcodes_are_placed_and_shuffled_ones_are_not(length, minimum):
    rng = np.random.default_rng(0)
    complete = COI.place(BARCODES)
    offsets = rng.integers(0, 658 - length + 1, len(BARCODES))
    cuts = [text[offset : offset + length] for text, offset in zip(BARCODES, offsets, strict=True)]
    cuts[::2] = map(reverse_complement, cuts[::2])
    placement = COI.place(cuts)
    expected_strand = np.where(np.arange(len(cuts)) % 2 == 0, -1, 1)
    is_correct = (placement.start == complete.start + offsets) & (placement.strand == expected_strand)
    assert is_correct.mean() >= minimum
    assert COI.accepts(placement).mean() >= minimum
    shuffled = ["".join(rng.permutation(list(text))) for text in cuts]
    assert not COI.accepts(COI.place(shuffled)).any()


def test_primers_are_placed_before_the_frame():
    forward, reverse = "GGTCAACAAATCATAAAGATATTGG", "TGATTTTTTGGTCACCCTGAAGTTTA"
    placement = COI.place([forward + text + reverse for text in BARCODES])
    assert np.array_equal(placement.start, COI.place(BARCODES).start - len(forward))


def test_placed_segment_has_the_ids_of_the_complete_barcode():
    complete, encoder = BARCODES[0], KmerEncoder(6)
    cut = reverse_complement("GATTACA" + complete[200:500])
    placement = COI.place([complete, cut])
    encoded = encoder(orient([complete, cut], placement.strand), starts=placement.start, max_length=COI.slots(6))
    covered = np.arange(34, 83)  # slots of coordinates 204 to 497
    assert np.flatnonzero(encoded["attention_mask"][1])[-len(covered) :].tolist() == covered.tolist()
    assert np.array_equal(encoded["input_ids"][0, covered], encoded["input_ids"][1, covered])


def test_profile_has_the_frequencies_of_the_most_frequent_length():
    frame = ReferenceFrame.from_sequences(["ACGT", "ac-gu", "TCNT", "TC", "ACGTACGT"], marker="toy")
    expected = [[2 / 3, 0, 0, 1 / 3], [0, 1, 0, 0], [0, 0, 2 / 3, 0], [0, 0, 0, 1]]
    assert frame.profile.dtype == np.float32
    assert frame.profile == pytest.approx(np.array(expected))
    assert (frame.length, frame.marker, frame.slots(3)) == (4, "toy", 1)
    assert ReferenceFrame.from_sequences(["ACGT", "ACGT", "TC"], length=2).length == 2


def test_frame_of_real_barcodes_is_calibrated_and_reproducible():
    frame, again = (ReferenceFrame.from_sequences(texts) for texts in (BARCODES, pa.array(BARCODES)))
    assert frame.length == 658
    assert np.array_equal(frame.profile, again.profile)
    assert frame.min_score == again.min_score
    cuts = [text[i : i + 120] for i, text in enumerate(BARCODES)]
    assert frame.accepts(frame.place(cuts)).all()
    assert not frame.accepts(frame.place([text[::-1] for text in BARCODES])).any()


@pytest.mark.parametrize(("texts", "length"), [([], None), (["", ""], None), (["ACGT"], 5), (["ACGT"], 0)])
def test_missing_length_is_refused(texts, length):
    with pytest.raises(ValueError, match="expected barcodes"):
        ReferenceFrame.from_sequences(texts, length)


def test_save_and_load(tmp_path):
    FRAME.save(tmp_path / "frame.safetensors")
    loaded = ReferenceFrame.load(tmp_path / "frame.safetensors")
    assert np.array_equal(loaded.profile, FRAME.profile)
    assert (loaded.min_score, loaded.marker) == (FRAME.min_score, FRAME.marker)
    loaded.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "frame.safetensors").read_bytes()


def test_other_files_cannot_be_loaded(tmp_path):
    path = tmp_path / "frame.safetensors"
    with pytest.raises(FileNotFoundError):
        ReferenceFrame.load(path)
    nameless = save({"profile": FRAME.profile, "min_score": np.array(4.0)})
    for content in (b"", b"no safetensors", nameless, save({"profile": FRAME.profile}, {"marker": "toy"})):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"frame\.safetensors: expected a reference frame"):
            ReferenceFrame.load(path)


@pytest.mark.parametrize("profile", [np.zeros((0, 4)), np.zeros((5, 3)), np.full((2, 4), -0.1), np.ones((2, 4))])
def test_bad_profile_is_refused(profile):
    with pytest.raises(ValueError, match="expected a profile"):
        ReferenceFrame(profile, 1)


def test_bundled_frame():
    assert (COI.length, COI.marker, COI.slots(6)) == (658, "COI-5P", 109)
    assert 5.5 < COI.min_score < 8
    assert COI.profile.sum(1) == pytest.approx(np.ones(658), abs=0.01)


def test_reverse_complement():
    assert reverse_complement("AACGTRYKMBVDHSWN") == "NWSDHBVKMRYACGTT"
    assert reverse_complement("acGu-é") == "é-aCgt"
    assert reverse_complement("") == ""


@given(st.text("ACGTRYKMBVDHSWNacgtn-", max_size=40))
def test_reverse_complement_is_its_own_inverse(text):
    assert reverse_complement(reverse_complement(text)) == text


def test_orient():
    assert orient(["AAC", "AAC"], np.array([1, -1])) == ["AAC", "GTT"]
    assert orient(pa.array(["AAC", None]), np.array([-1, 1])) == ["GTT", ""]
    with pytest.raises(ValueError, match="one strand for each of 1 sequences, not 2"):
        orient(["AAC"], np.array([1, 1]))


def test_placement_in_windows_equals_placement_at_once(full_length_barcodes, monkeypatch):
    """Complete and cut barcodes, on both strands, before, between and after thousands of random bases."""
    rng = np.random.default_rng(0)

    def noise(count):
        return "".join(rng.choice(list("ACGT"), count))

    frame = ReferenceFrame.coi()
    sequences = []
    for i, length in enumerate([*range(0, 6000, 300), 1316, 1317, 659, 658, 657, 1, 0]):
        barcode = full_length_barcodes[i][rng.integers(300) :][: rng.integers(150, 700)]
        text = noise(length) + barcode + noise(rng.integers(4000))
        sequences.append(reverse_complement(text) if i % 2 else text)
    sequences += [noise(5000), "N" * 5000, "", full_length_barcodes[0][200:], full_length_barcodes[0][:200]]
    expected = frame.place(sequences)
    for width in (1400, 2000, 1 << 16):
        monkeypatch.setattr("tokenization_barcodemae.reference_frame._WINDOW_BASES", width)
        for row, sequence in enumerate(sequences):
            placed = frame.place([sequence])
            assert (placed.start[0], placed.strand[0]) == (expected.start[row], expected.strand[row])
            assert placed.score[0] == expected.score[row]
