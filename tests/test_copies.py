"""Queries that are copies of references, or parts of them, or contain them."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barcodemae.cli.split import split
from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.copies import find_copies


def naive(queries, references):
    return [any(query in reference or reference in query for reference in references) for query in queries]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_found_are_those_of_all_pairs(seed):
    rng = np.random.default_rng(seed)
    conserved = "".join(rng.choice(list("ACGT"), 60))
    whole = ["".join(rng.choice(list("ACGTN"), 80, p=[0.249] * 4 + [0.004])) + conserved for _ in range(12)]

    def cut(text):
        begin, end = sorted(rng.integers(0, len(text) + 1, 2))
        return text[begin:end] if end - begin >= 60 else text

    references = [cut(text) for text in whole[:8]]
    queries = [cut(whole[number]) for number in rng.integers(0, 12, 20)]
    known = [text for text in [*queries, *references] if "N" not in text]
    queries, references = ([text for text in texts if text in known] for texts in (queries, references))
    blocks = [references[:3], references[3:], []]
    assert find_copies(queries, blocks).tolist() == naive(queries, references)


def test_short_and_empty_sequences_are_no_copies():
    assert find_copies(["", "ACGT", "N" * 50], [["ACGT", "N" * 50, ""]]).tolist() == [False] * 3
    assert find_copies([], [["ACGT" * 10]]).tolist() == []


def dna(seed, length=200):
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), length))


@pytest.fixture
def files(tmp_path):
    def write(name, rows):
        lines = [f">{id};tax=g:{genus},s:{species}\n{text}\n" for id, genus, species, text in rows]
        (tmp_path / name).write_text("".join(lines))
        return str(tmp_path / name)

    references = write("train.fasta", [("r1", "Aa", "Aa_bb", dna(1)), ("r2", "Cc", "Cc_dd", dna(2))])
    queries = write(
        "queries.fasta",
        [
            ("known", "Aa", "Aa_bb", dna(3)),
            ("new", "Aa", "Aa_ee", dna(4)),
            ("part", "Aa", "Aa_ff", dna(1)[20:150]),
            ("longer", "Cc", "Cc_gg", "ACGT" + dna(2)),
            ("other", "Xx", "Xx_yy", dna(5)),
        ],
    )
    return queries, references


def test_queries_are_split_by_what_the_references_have(files, tmp_path, capsys):
    queries, references = files
    split([queries, "-o", str(tmp_path / "split.parquet"), "--against", references])
    records = pq.read_table(tmp_path / "split.parquet")
    found = dict(zip(records["id"].to_pylist(), records["split"].to_pylist(), strict=True))
    assert found == {
        "known": "test",
        "new": "test_unseen",
        "part": "copy",
        "longer": "copy",
        "other": "no_genus",
    }
    assert "5 records are in" in capsys.readouterr().out


def test_options_of_another_split_are_refused(files, tmp_path):
    queries, references = files
    with pytest.raises(ConfigurationError, match="--against: expected --of all"):
        split([queries, "-o", str(tmp_path / "split.parquet"), "--against", references, "--of", "train"])
    assert not (tmp_path / "split.parquet").exists()
