"""The k-mer tokenizer: ids as published, normalisation, offsets, reload without remote code."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from tokenization_barcodemae import build_kmer_tokenizer
from tokenization_barcodemae.dna_tokenizers import kmer_vocabulary

SIX, THREE = build_kmer_tokenizer(), build_kmer_tokenizer(3)


@pytest.mark.parametrize("k", range(1, 9))
def test_ids_are_as_published_and_pad_is_last(k):
    vocabulary = build_kmer_tokenizer(k).get_vocab()
    assert vocabulary["[MASK]"] == 0
    assert vocabulary["[UNK]"] == 1
    assert vocabulary["A" * k] == 2
    assert vocabulary["T" * k] == 4**k + 1
    assert vocabulary["[PAD]"] == 4**k + 2 == len(vocabulary) - 1
    assert sorted(vocabulary.values()) == list(range(len(vocabulary)))


def test_ids_by_hand():
    # A 0, C 1, G 2, T 3: ACG = 0*16 + 1*4 + 2 = 6, TTT = 63; ids begin at 2.
    assert THREE("ACGTTT")["input_ids"] == [8, 65]
    assert SIX("AAAAACTTTTTT")["input_ids"] == [3, 4097]


def test_kmers_with_n_follow_the_plain_ones():
    expected = ["[MASK]", "[UNK]", "AA", "AC", "AG", "AT", "CA", "CC", "CG", "CT", "GA", "GC", "GG", "GT"]
    expected += ["TA", "TC", "TG", "TT", "AN", "CN", "GN", "TN", "NA", "NC", "NG", "NT", "NN", "[PAD]"]
    assert list(kmer_vocabulary(2, with_n=True)) == expected
    assert build_kmer_tokenizer(2, with_n=True)("ANnnRA")["input_ids"] == [18, 26, 1]
    assert len(kmer_vocabulary(6, with_n=True)) == 5**6 + 3


@pytest.mark.parametrize(("k", "with_n"), [(0, False), (9, False), (-1, False), (7, True)])
def test_sizes_out_of_range_are_refused(k, with_n):
    with pytest.raises(ValueError, match=f"k must be 1 to .*, not {k}"):
        build_kmer_tokenizer(k, with_n)


@pytest.mark.parametrize(
    "text", ["ACGTTT", "acgttt", "acguuu", "ACGUUU", "AC-G..TTT", " ACG\tT\nT\r\nT\x0b\x0c", "ACGTTTAC"]
)
def test_case_rna_gaps_white_space_and_incomplete_kmers_are_normalised(text):
    assert THREE(text)["input_ids"] == [8, 65]


@pytest.mark.parametrize("text", ["ACN", "ACR", "A\u2028C", "AéC", "😀AC", "A*C", "A\u00a0C", "A\x00C"])
def test_kmer_with_another_character_is_unknown(text):
    assert THREE(text + "ACG")["input_ids"] == [1, 8]


@pytest.mark.parametrize("text", ["", "AC", " - . ", "\n"])
def test_text_shorter_than_a_kmer_gives_no_tokens(text):
    assert THREE(text)["input_ids"] == []


def test_offsets_refer_to_the_given_text():
    encoded = THREE("ac-gUUn .ACGT", return_offsets_mapping=True)
    assert encoded["input_ids"] == [8, 1, 8]
    texts = ["ac-gUUn .ACGT"[begin:end] for begin, end in encoded["offset_mapping"]]
    assert [text.strip(" .") for text in texts] == ["ac-g", "UUn", "ACG"]


def test_padding_truncation_and_special_tokens():
    encoded = THREE(["ACGACG", "ACG", ""], padding=True)
    pad = THREE.pad_token_id
    assert encoded["input_ids"] == [[8, 8], [8, pad], [pad, pad]]
    assert encoded["attention_mask"] == [[1, 1], [1, 0], [0, 0]]
    assert set(encoded) == {"input_ids", "attention_mask"}
    assert len(build_kmer_tokenizer(3, model_max_length=4)("ACG" * 9, truncation=True)["input_ids"]) == 4
    assert len(SIX("ACGACG" * 600, truncation=True)["input_ids"]) == 512
    assert THREE("ACG[MASK]ACG")["input_ids"] == [8, 0, 8]


@given(st.text("ACGT", max_size=60))
def test_decoding_restores_the_dna(dna):
    ids = THREE(dna)["input_ids"]
    assert THREE.decode(ids, skip_special_tokens=True) == dna[: len(dna) // 3 * 3]


@settings(max_examples=50)
@given(st.text("ACGTN", max_size=60))
def test_ids_equal_an_independent_count(dna):
    kmers = ["".join(bases) for bases in itertools.product("ACGT", repeat=3)]
    words = [dna[i : i + 3] for i in range(0, len(dna) - 2, 3)]
    assert THREE(dna)["input_ids"] == [kmers.index(word) + 2 if word in kmers else 1 for word in words]


@pytest.mark.parametrize("with_n", [False, True])
def test_saved_folder_loads_without_remote_code(tmp_path, with_n):
    tokenizer = build_kmer_tokenizer(4, with_n, model_max_length=100)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path, trust_remote_code=False)
    texts = ["ACGTacguNNNNAC-GTTTT", "", "RYAC"]
    assert loaded(texts, padding=True) == tokenizer(texts, padding=True)
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert loaded.model_max_length == 100
    assert (loaded.mask_token, loaded.unk_token, loaded.pad_token) == ("[MASK]", "[UNK]", "[PAD]")
    assert loaded.model_input_names == ["input_ids", "attention_mask"]
    assert loaded.decode(loaded("ACGTACGT")["input_ids"]) == "ACGTACGT"
    assert not list(tmp_path.glob("*.py"))
