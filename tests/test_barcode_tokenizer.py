"""The tokenizer that places barcodes: by hand, equal to the encoder, and with collators."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, DataCollatorForLanguageModeling, DataCollatorWithPadding

from helpers.barred_imports import BARRED
from helpers.hub_server import HubServer
from tokenization_barcodemae import (
    BarcodeTokenizer,
    KmerEncoder,
    ReferenceFrame,
    build_kmer_tokenizer,
    encode_barcodes,
    place_barcodes,
    reverse_complement,
    train_bpe_tokenizer,
)

K = 3


def random_dna(length, seed):
    return "".join("ACGT"[i] for i in np.random.default_rng(seed).integers(0, 4, length))


MARKER = random_dna(60, 0)


@pytest.fixture(scope="module")
def frame():
    """20 slots of three, from 40 copies of one sequence with random substitutions."""
    rng = np.random.default_rng(1)
    copies = np.tile(np.array(list(MARKER)), (40, 1))
    changed = rng.random(copies.shape) < 0.05
    copies[changed] = rng.choice(list("ACGT"), changed.sum())
    return ReferenceFrame.from_sequences(["".join(row) for row in copies], marker="random")


@pytest.fixture(scope="module")
def tokenizer(frame):
    tokenizer = build_kmer_tokenizer(K)
    tokenizer.frame = frame
    return tokenizer


@pytest.fixture(scope="module")
def saved(tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("text", "positions"),
    [
        (MARKER, range(20)),
        (MARKER[6:36], range(2, 12)),
        (MARKER[7:37], range(3, 12)),  # begins within a slot, which is left out
        ("TTAGC" + MARKER[:40], range(13)),  # with a primer
        (MARKER + "GATTACA", range(20)),
        ("-" + MARKER[:33].lower() + " " + MARKER[33:45].replace("T", "U"), range(15)),
    ],
)
def test_by_hand(tokenizer, text, positions):
    expected = [MARKER[K * slot : K * (slot + 1)] for slot in positions]
    for given_text in (text, reverse_complement(text)):
        found = tokenizer(given_text)
        assert found["position_ids"] == list(positions)
        assert tokenizer.convert_ids_to_tokens(found["input_ids"]) == expected
        assert found["attention_mask"] == [1] * len(positions)
        assert tokenizer.decode(found["input_ids"]) == "".join(expected)


@pytest.mark.parametrize("text", ["", "AC", "GGGGGGGGGGGGG", "[MASK]", "N" * 30, random_dna(60, 9)])
def test_sequence_of_another_marker_is_read_as_given(tokenizer, text):
    plain = build_kmer_tokenizer(K)(text)
    found = tokenizer(text)
    assert found["input_ids"] == plain["input_ids"]
    assert found["position_ids"] == list(range(len(plain["input_ids"])))


def test_masked_nucleotides_mask_the_slots_that_they_overlap(tokenizer):
    text = MARKER[:13] + "[MASK]" + MARKER[16:]
    for given_text in (text, reverse_complement(MARKER[16:]) + "[MASK]" + reverse_complement(MARKER[:13])):
        found = tokenizer(given_text)
        tokens = tokenizer.convert_ids_to_tokens(found["input_ids"])
        assert [slot for slot, token in zip(found["position_ids"], tokens, strict=True) if token == "[MASK]"] == [4, 5]
        assert len(tokens) == 20


def test_offsets_refer_to_the_given_text(tokenizer):
    text = "TT-" + MARKER[:10] + " " + MARKER[10:13] + "[MASK]" + MARKER[16:40].lower()
    other = reverse_complement(MARKER)
    for row, reads in ((text, str), (other, reverse_complement)):
        found = tokenizer([row, ""], return_offsets_mapping=True)
        for token, (begin, end) in zip(found["input_ids"][0], found["offset_mapping"][0], strict=True):
            if token != tokenizer.mask_token_id:
                read = reads(row[begin:end].replace(" ", "").upper())
                assert tokenizer.convert_tokens_to_ids(read) == token
        assert found["offset_mapping"][1] == []


@given(
    first=st.integers(0, 50),
    length=st.integers(0, 60),
    primer=st.text("ACGTN", max_size=9),
    unknown=st.sets(st.integers(0, 60), max_size=6),
    is_reverse=st.booleans(),
)
def test_equal_to_the_encoder(first, length, primer, unknown, is_reverse, frame, tokenizer):
    text = primer + "".join("N" if i in unknown else base for i, base in enumerate(MARKER))[first : first + length]
    text = reverse_complement(text) if is_reverse else text
    expected = encode_barcodes(KmerEncoder(K), place_barcodes([text], frame, K), None)
    found = tokenizer([text], return_tensors="np")
    known = found["input_ids"][0] >= 2
    for name in ("input_ids", "position_ids"):
        np.testing.assert_array_equal(found[name][0][known], expected[name][0])


@pytest.mark.parametrize("side", ["left", "right"])
def test_collators_pad_positions(saved, side):
    tokenizer = BarcodeTokenizer.from_pretrained(saved, padding_side=side)
    texts = [MARKER, MARKER[30:]]
    at_once = tokenizer(texts, padding=True, return_tensors="pt")
    for collate in (
        DataCollatorWithPadding(tokenizer),
        DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.01),
    ):
        padded = collate([tokenizer(text) for text in texts])
        for name in ("attention_mask", "position_ids"):
            assert padded[name].tolist() == at_once[name].tolist()
    shorter = [*range(10, 20)]
    assert at_once["position_ids"][1].tolist() == ([0] * 10 + shorter if side == "left" else shorter + [0] * 10)


@pytest.mark.parametrize("side", ["left", "right"])
def test_windows_and_truncation_preserve_positions(saved, side):
    tokenizer = BarcodeTokenizer.from_pretrained(saved, truncation_side=side)
    texts = [MARKER[15:45], MARKER[:27] + "[MASK]" + MARKER[30:]]
    for text in texts:
        complete = tokenizer(text)
        at = dict(zip(complete["position_ids"], complete["input_ids"], strict=True))
        cut = tokenizer(text, truncation=True, max_length=4)
        expected = sorted(at)[-4:] if side == "left" else sorted(at)[:4]
        assert cut["position_ids"] == expected
        windows = tokenizer(text, truncation=True, max_length=4, stride=1, return_overflowing_tokens=True)
        for ids, positions in zip(windows["input_ids"], windows["position_ids"], strict=True):
            assert [at[position] for position in positions] == ids
        assert {position for row in windows["position_ids"] for position in row} == set(at)


def test_pairs_and_split_words_are_refused(tokenizer):
    for wrong in ({"text_pair": MARKER}, {"is_split_into_words": True}):
        with pytest.raises(ValueError, match="expected single sequences"):
            tokenizer([MARKER] if "is_split_into_words" in wrong else MARKER, **wrong)


def test_tokenizer_without_frame_is_saved_without_code(tokenizer, saved, tmp_path):
    loaded = BarcodeTokenizer.from_pretrained(saved)
    loaded.frame = None
    assert dict(loaded(MARKER[6:])) == dict(build_kmer_tokenizer(K)(MARKER[6:]))
    loaded.save_pretrained(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"tokenizer.json", "tokenizer_config.json"}
    assert "auto_map" not in json.loads((tmp_path / "tokenizer_config.json").read_text())


def test_byte_pairs_have_no_slots(frame):
    tokenizer = train_bpe_tokenizer([random_dna(300, seed) for seed in range(30)], 128)
    with pytest.raises(ValueError, match="expected a k-mer tokenizer"):
        tokenizer.frame = frame


def test_round_trip(tokenizer, saved, tmp_path):
    loaded = BarcodeTokenizer.from_pretrained(saved)
    loaded.save_pretrained(tmp_path)
    for file in saved.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()
    assert dict(loaded(MARKER[9:])) == dict(tokenizer(MARKER[9:]))


def test_missing_or_exchanged_frame_is_refused(saved, frame, tmp_path):
    copy = shutil.copytree(saved, tmp_path / "copy")
    another = ReferenceFrame(frame.profile, frame.min_score + 1)
    another.save(copy / "reference_frame.safetensors")
    with pytest.raises(
        ValueError, match=r"expected the reference frame \w+\.\.\. in reference_frame\.safetensors, found"
    ):
        BarcodeTokenizer.from_pretrained(copy)
    (copy / "reference_frame.safetensors").unlink()
    with pytest.raises(ValueError, match="found no such file"):
        BarcodeTokenizer.from_pretrained(copy)


def test_tokenizer_saved_without_remote_code_ignores_the_frame(saved, tmp_path):
    plain = AutoTokenizer.from_pretrained(saved, trust_remote_code=False)
    assert type(plain) is not BarcodeTokenizer
    copy = shutil.copytree(saved, tmp_path / "copy")
    plain.save_pretrained(copy)
    assert dict(BarcodeTokenizer.from_pretrained(copy)(MARKER[7:])) == dict(plain(MARKER[7:]))


@pytest.mark.slow
def test_neither_scipy_nor_pyarrow_is_needed(tokenizer, saved, tmp_path):
    texts = [MARKER, reverse_complement(MARKER[5:50]), "GATTACA" + MARKER[:30], random_dna(70, 4)]
    script = (
        BARRED.replace('"barcodemae")', '"barcodemae", "scipy", "pyarrow")')
        + """
import json
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1], trust_remote_code=True)
assert "scipy" not in sys.modules and "pyarrow" not in sys.modules
print(json.dumps(dict(tokenizer(sys.argv[2:]))))
"""
    )
    (tmp_path / "script.py").write_text(script)
    with HubServer() as nothing:
        done = nothing.run(tmp_path / "home", tmp_path / "script.py", saved, *texts)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == dict(tokenizer(texts))
