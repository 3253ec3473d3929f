"""The vectorised encoder: equal to the tokenizer on any text, and slot by slot on a reference frame."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from tokenization_barcodemae import KmerEncoder, build_kmer_tokenizer

SETTINGS = [(1, False), (3, False), (6, False), (8, False), (2, True), (6, True)]
TOKENIZERS = {setting: build_kmer_tokenizer(*setting) for setting in SETTINGS}
ENCODERS = {setting: KmerEncoder(*setting) for setting in SETTINGS}
THREE = ENCODERS[3, False]
PAD, UNK = THREE.pad_token_id, THREE.unk_token_id

dna_like = st.text("ACGT" * 6 + "acgtuUnN-. \n\tRYéß😀", max_size=70)
# Only the tokenizer recognises special tokens in a text.
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).filter(
    lambda text: not any(token in text for token in ("[MASK]", "[UNK]", "[PAD]"))
)


def assert_equals_tokenizer(setting, texts, max_length=None, sequences=None):
    encoded = ENCODERS[setting](texts if sequences is None else sequences, max_length=max_length)
    expected = TOKENIZERS[setting](
        texts, padding=True, truncation=max_length is not None, max_length=max_length, return_tensors="np"
    )
    for name in ("input_ids", "attention_mask"):
        assert encoded[name].dtype == np.int64
        assert np.array_equal(encoded[name], expected[name])
    columns = np.arange(expected["input_ids"].shape[1])
    assert np.array_equal(encoded["position_ids"], np.tile(columns, (len(texts), 1)))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(SETTINGS),
    st.lists(dna_like | any_text, min_size=1, max_size=8),
    st.none() | st.integers(1, 12),
)
def test_equals_the_tokenizer_on_any_text(setting, texts, max_length):
    assert_equals_tokenizer(setting, texts, max_length)


@settings(max_examples=100, deadline=None)
@given(st.lists(dna_like | any_text | st.none(), min_size=2, max_size=8), st.integers(0, 2))
def test_reads_every_kind_of_arrow_column(texts, skipped):
    expected = ["" if text is None else text for text in texts]
    for array in (
        pa.array(texts, pa.string()),
        pa.array(texts, pa.large_string()),
        pa.array(texts, pa.string()).dictionary_encode(),
        pa.array([*["ACGé"] * skipped, *texts, "T"], pa.string())[skipped : skipped + len(texts)],
        pa.chunked_array([texts[:1], [], texts[1:]], pa.string()),
    ):
        assert_equals_tokenizer((3, False), expected, sequences=array)


@pytest.mark.parametrize("setting", SETTINGS)
def test_equals_the_tokenizer_over_several_blocks(setting):
    rng = np.random.default_rng(0)
    equal = ["".join(row) for row in rng.choice(list("ACGTN"), (600, 50), p=[0.3, 0.2, 0.2, 0.29, 0.01])]
    ragged = [text[: i % 50] + "-" * (i % 3) for i, text in enumerate(equal)]
    assert_equals_tokenizer(setting, equal)
    assert_equals_tokenizer(setting, ragged)
    assert_equals_tokenizer(setting, ragged, 4, sequences=pa.array(ragged))


@pytest.mark.parametrize("sequences", [[], pa.array([], pa.string()), pa.chunked_array([], pa.string())])
def test_empty_list_gives_no_rows(sequences):
    assert {array.shape for array in ENCODERS[6, False](sequences).values()} == {(0, 0)}


@pytest.mark.parametrize("text", ["", "AC", " -.\n"])
def test_sequences_without_a_kmer_give_no_columns(text):
    assert {array.shape for array in THREE([text, text]).values()} == {(2, 0)}


def test_ids_by_hand():
    encoded = THREE(["ACGTTTA", "acn"])
    assert encoded["input_ids"].tolist() == [[8, 65], [UNK, PAD]]
    assert encoded["attention_mask"].tolist() == [[1, 1], [1, 0]]
    assert encoded["position_ids"].tolist() == [[0, 1], [0, 1]]


def test_special_token_in_a_text_is_unknown_bases():
    assert THREE(["[MASK]"])["input_ids"].tolist() == [[UNK, UNK]]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(dna_like, st.integers(0, 9)), min_size=1, max_size=8))
def test_offsets_skip_bases_of_the_normalised_sequence(rows):
    texts, offsets = zip(*rows, strict=True)
    normalise = str.maketrans("acgtnuU", "ACGTNTT", "-. \n\t")
    cut = [text.translate(normalise)[offset:] for text, offset in zip(texts, offsets, strict=True)]
    expected, encoded = THREE(cut), THREE(list(texts), offsets=np.array(offsets))
    assert all(np.array_equal(encoded[name], expected[name]) for name in expected)


def test_slots_by_hand():
    # Coordinates   0  1  2 |  3  4  5 |  6  7  8
    # row 0         A  C  G |  T  T  T |  A             complete from coordinate 0, its last slot incomplete
    # row 1   A  A  A  C  G |  T  T  N                  two bases before the frame, one unknown base
    # row 2            G    |  T  T  T |  A  C  G       begins inside slot 0
    # row 3                                             after the frame's three slots
    encoded = THREE(["ACGTTTA", "aaacgt-tn", "GTTTACG", "ACG"], starts=[0, -2, 2, 9], max_length=3)
    assert encoded["input_ids"].tolist() == [[8, 65, PAD], [8, UNK, PAD], [PAD, 65, 8], [PAD, PAD, PAD]]
    assert encoded["attention_mask"].tolist() == [[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert encoded["position_ids"].tolist() == [[0, 1, 2]] * 4


def test_offsets_increase_the_coordinate():
    encoded = THREE(["ACGTTTACG", "ACGTTTACG"], offsets=[1, 3], starts=[0, -3])
    assert encoded["input_ids"].tolist() == [[PAD, 65, 8], [65, 8, PAD]]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.text("ACGTNacgt-", max_size=40), st.integers(-15, 25), st.integers(0, 8)),
        min_size=1,
        max_size=6,
    ),
    st.integers(0, 12),
)
def test_slots_equal_an_independent_count(rows, max_length):
    texts, starts, offsets = zip(*rows, strict=True)
    encoded = THREE(list(texts), offsets=list(offsets), starts=list(starts), max_length=max_length)
    for row, (text, start, offset) in enumerate(rows):
        bases = text.upper().replace("-", "")
        at = {start + i: base for i, base in enumerate(bases) if i >= offset}
        for slot in range(max_length):
            kmer = [at.get(slot * 3 + i) for i in range(3)]
            expected = PAD if None in kmer else THREE(["".join(kmer)])["input_ids"][0, 0]
            if slot < encoded["input_ids"].shape[1]:
                assert encoded["input_ids"][row, slot] == expected
                assert encoded["attention_mask"][row, slot] == (expected not in (PAD, UNK))
            else:
                assert expected == PAD


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("ACGTacgu-", max_size=40), min_size=1, max_size=6), st.none() | st.integers(1, 9))
def test_start_0_gives_the_same_if_all_bases_are_known(texts, max_length):
    plain = THREE(texts, max_length=max_length)
    placed = THREE(texts, starts=[0] * len(texts), max_length=max_length)
    assert all(np.array_equal(placed[name], plain[name]) for name in plain)


@pytest.mark.parametrize("setting", SETTINGS)
def test_attributes_and_from_tokenizer(setting):
    tokenizer = TOKENIZERS[setting]
    encoder = KmerEncoder.from_tokenizer(tokenizer)
    assert encoder.k == setting[0]
    assert encoder.vocab_size == len(tokenizer)
    assert encoder.pad_token_id == tokenizer.pad_token_id
    assert encoder.unk_token_id == tokenizer.unk_token_id
    assert encoder.mask_token_id == tokenizer.mask_token_id
    assert np.array_equal(encoder(["ACGTNNNNACGT"])["input_ids"], ENCODERS[setting](["ACGTNNNNACGT"])["input_ids"])


def test_from_another_tokenizer_is_refused():
    other = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"AAA": 0, "[UNK]": 1}, "[UNK]")))
    with pytest.raises(ValueError, match="expected a tokenizer of build_kmer_tokenizer"):
        KmerEncoder.from_tokenizer(other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sequences": "ACGT"}, "not a single string"),
        ({"sequences": pa.array([[1]])}, "column of strings, not of list"),
        ({"sequences": ["ACG"], "offsets": [1, 2]}, "offsets must be 1 integers"),
        ({"sequences": ["ACG"], "starts": [0.5]}, "starts must be 1 integers"),
        ({"sequences": ["ACG"], "offsets": [-1]}, "offsets must be 0 or more, not -1"),
        ({"sequences": ["ACG"], "max_length": -1}, "max_length must be 0 or more, not -1"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        THREE(**arguments)


def test_sizes_out_of_range_are_refused():
    with pytest.raises(ValueError, match="k must be 1 to 8, not 9"):
        KmerEncoder(9)
