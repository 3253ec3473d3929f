"""Byte-pair encoding: size, layout of the ids, determinism, unknown bases, reload."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from tokenization_barcodemae import train_bpe_tokenizer


def barcodes(n: int = 60) -> list[str]:
    rng = random.Random(0)
    return ["".join(rng.choices("AACGTTT", k=300)) for _ in range(n)]


TOKENIZER = train_bpe_tokenizer(barcodes(), 256)


@pytest.mark.parametrize("vocab_size", [128, 512])
def test_vocab_size_includes_all_ids_and_pad_is_last(vocab_size):
    tokenizer = train_bpe_tokenizer(barcodes(), vocab_size)
    vocabulary = tokenizer.get_vocab()
    assert sorted(vocabulary.values()) == list(range(vocab_size))
    assert len(tokenizer) == vocab_size
    assert (tokenizer.mask_token_id, tokenizer.unk_token_id, tokenizer.pad_token_id) == (0, 1, vocab_size - 1)
    words = set(vocabulary) - {"[MASK]", "[UNK]", "[PAD]"}
    assert set("".join(words)) == set("ACGT")


def test_most_frequent_pair_is_the_first_token():
    by_id = {i: word for word, i in TOKENIZER.get_vocab().items()}
    assert [by_id[i] for i in range(2, 6)] == ["A", "C", "G", "T"]
    assert by_id[6] == "TT"


def test_equal_sequences_give_equal_tokenizers():
    again = train_bpe_tokenizer(iter(barcodes()), 256)
    assert again.backend_tokenizer.to_str() == TOKENIZER.backend_tokenizer.to_str()


def test_training_text_is_normalised():
    spelt_otherwise = [text.lower().replace("t", "u").replace("g", "-g") for text in barcodes()]
    assert train_bpe_tokenizer(spelt_otherwise, 256).get_vocab() == TOKENIZER.get_vocab()


def test_unknown_characters_are_one_token_each_and_separate_others():
    around = [TOKENIZER(part)["input_ids"] for part in ("ACGT", "TTTT")]
    assert TOKENIZER("acg-uNré.TTTT")["input_ids"] == [*around[0], 1, 1, 1, *around[1]]
    assert TOKENIZER("")["input_ids"] == []
    with_unknown = [text[:150] + "NNNRY" + text[150:] for text in barcodes()]
    assert "N" not in "".join(set(train_bpe_tokenizer(with_unknown, 256).get_vocab()) - {"[UNK]"})


@given(st.text("ACGT", max_size=80))
def test_decoding_restores_the_dna(dna):
    assert TOKENIZER.decode(TOKENIZER(dna)["input_ids"], skip_special_tokens=True) == dna


def test_offsets_refer_to_the_given_text():
    text = "ac-guuACG nACGTT"
    for token, (begin, end) in zip(
        TOKENIZER(text)["input_ids"],
        TOKENIZER(text, return_offsets_mapping=True)["offset_mapping"],
        strict=True,
    ):
        spelt = text[begin:end].upper().replace("U", "T").replace("-", "").strip()
        assert spelt == ("N" if token == 1 else TOKENIZER.decode([token]))


def test_saved_folder_loads_without_remote_code(tmp_path):
    TOKENIZER.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path, trust_remote_code=False)
    texts = [*barcodes(5), "", "NNacgu"]
    assert loaded(texts, padding=True) == TOKENIZER(texts, padding=True)
    assert loaded.get_vocab() == TOKENIZER.get_vocab()


@pytest.mark.parametrize("vocab_size", [127, 4097])
def test_sizes_out_of_range_are_refused(vocab_size):
    with pytest.raises(ValueError, match=f"128 to 4096, not {vocab_size}"):
        train_bpe_tokenizer(barcodes(), vocab_size)


def test_vocab_size_too_large_for_the_dna_is_refused():
    with pytest.raises(ValueError, match="expected DNA for 128 tokens; these sequences give 10"):
        train_bpe_tokenizer(["ACGT"], 128)
