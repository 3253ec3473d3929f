import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from barcodemae.evaluation.splits import labels, select_splits

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    """The scripts see each other as they do when one of them is started."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in [name for name in sys.modules if name == "goals" or name.startswith("goal_")]:
        del sys.modules[name]


needs_vsearch = pytest.mark.skipif(shutil.which("vsearch") is None, reason="vsearch is not on the PATH")


def on_circle(degrees):
    """Unit vectors at these angles, each of another length: the length must not count."""
    angles = np.radians(degrees)
    return (np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.arange(1, len(angles) + 1)[:, None]).astype("f4")


def test_barcodes_join_at_one_less_their_cosine():
    from goal_bins import cut, link

    tree = link(on_circle([0, 90, 2, 91]))  # joins at 1, 2 and 88 degrees
    np.testing.assert_allclose(tree.distances, 1 - np.cos(np.radians([1, 2, 88])), rtol=1e-3)
    assert cut(tree, 0).tolist() == [0, 1, 2, 3]
    assert cut(tree, tree.distances[0]).tolist() == [0, 1, 2, 1]
    assert cut(tree, tree.distances[1]).tolist() == [0, 1, 0, 1]
    assert cut(tree, tree.distances[2]).tolist() == [0, 0, 0, 0]


def test_a_chain_of_neighbours_is_one_cluster():
    from goal_bins import cut, link

    tree = link(on_circle([0, 10, 20, 30, 60]))
    assert cut(tree, 1 - np.cos(np.radians(11))).tolist() == [0, 0, 0, 0, 1]


def test_the_threshold_of_a_score_is_chosen_without_its_labels():
    from goal_bins import bin_scores

    # Three tight bundles: two are one BIN by their labels.
    vectors = on_circle([0, 1, 2, 40, 41, 42, 80, 81, 82])
    right = bin_scores(vectors, np.repeat(["a", "b", "c"], 3))
    wrong = bin_scores(vectors, np.repeat(["a", "b", "b"], 3))
    assert (right["n_clusters"], right["bin_ami"]) == (3, pytest.approx(1))
    assert wrong["threshold"] == right["threshold"]
    assert wrong["bin_ami"] < 1


def test_letters_of_neighbours_are_scored():
    from goal_bins import letter_bin_scores

    letters = np.tile(np.arange(400, dtype=np.int8) % 4, (3, 1))
    letters[1, :8] = 3 - letters[1, :8]  # 2 %
    letters[2, :17] = 3 - letters[2, :17]  # more, from both
    scores = letter_bin_scores(on_circle([0, 1, 2]), letters, np.array(["a", "a", "b"]))
    assert scores == {"n_clusters": 2, "bin_ami": pytest.approx(1), "share_of_letters": 0.02}


def test_what_is_kept_is_not_made_again(tmp_path):
    from goal_rivals import kept

    assert kept(tmp_path, {"query": "a"}, lambda: [1, 2]) == [1, 2]
    assert kept(tmp_path, {"query": "a"}, lambda: pytest.fail("made again")) == [1, 2]
    assert kept(tmp_path, {"query": "b"}, lambda: [3]) == [3]
    assert len(list(tmp_path.iterdir())) == 2


@needs_vsearch
def test_kept_answers_are_those_of_the_program_and_need_it_no_more(tmp_path, monkeypatch, full_length_barcodes):
    from goal_rivals import nearest_by_alignment

    keys = full_length_barcodes[:6]
    assert nearest_by_alignment("vsearch", keys, keys[::-1], tmp_path).tolist() == [5, 4, 3, 2, 1, 0]
    monkeypatch.setattr("goal_rivals.AlignmentSearcher.search", lambda *_: pytest.fail("searched again"))
    assert nearest_by_alignment("vsearch", keys, keys[::-1], tmp_path).tolist() == [5, 4, 3, 2, 1, 0]


@needs_vsearch
def test_vsearch_clusters_barcodes_of_the_sample_into_their_bins(tmp_path, sample):
    from goal_rivals import IDENTITIES, vsearch_bin_scores

    (unseen,) = select_splits(sample, ["test_unseen"])
    unseen = unseen.filter(pa.array(labels(unseen, "bin") != "")).slice(0, 60)
    scores = vsearch_bin_scores(unseen["nucleotides"].to_pylist(), labels(unseen, "bin"), tmp_path)
    assert list(scores["bin_ami_by_identity"]) == [str(identity) for identity in IDENTITIES]
    assert scores["bin_ami"] == max(scores["bin_ami_by_identity"].values()) > 0.9
    assert IDENTITIES[0] == 0.95
    assert IDENTITIES[-1] == 0.99


def test_confusions_are_counted_by_hand():
    from goals import confusions

    genera = np.array(["Aus", "Aus", "Aus", "Aus", "Bus", "Bus"])
    named = np.array(["Bus", "Bus", "Cus", "Aus", "Bus", ""])
    by_blast = np.array(["Bus", "Aus", "Dus", "Bus", "Bus", "Aus"])
    species = np.array(["Aus x", "Aus y", "Aus x", "Aus x", "Bus z", "Bus z"])
    first, *others = confusions(genera, named, by_blast, species)
    assert first == {
        "genus": "Aus",
        "named": "Bus",
        "n_wrong": 2,
        "n_rows": 4,
        "n_species": 2,
        "share_blast_wrong": 0.5,
        "share_blast_same": 0.5,
    }
    assert [(one["genus"], one["named"], one["share_blast_wrong"], one["share_blast_same"]) for one in others] == [
        ("Aus", "Cus", 1.0, 0.0),
        ("Bus", "", 1.0, 0.0),
    ]


def records(**columns):
    n = len(columns["genus"])
    unknown = {name: [""] * n for name in ("species", "bin")}
    return pa.table({"nucleotides": ["ACGT"] * n, **unknown, **columns})


def test_only_what_stands_among_the_keys_is_asked():
    from goals import UNSEEN, make_questions

    tables = {
        "train": records(genus=["Aus", "Bus"], species=["Aus x", "Bus y"]),
        "test": records(genus=["Aus"] * 3, species=["Aus x", "Aus x", "Aus z"]),
        "test_unseen": records(genus=["Cus", "Bus", ""]),
        "other": records(genus=["Dus"]),
    }
    questions = make_questions(tables, 0, seed=0)
    assert {title: question.rows.tolist() for title, question in questions.items()} == {
        UNSEEN: [1],
        "species of `test`": [0, 1],
    }
    sampled = make_questions(tables, 1, seed=0)
    assert len(sampled["species of `test`, sample"].rows) == 1
    assert not sampled["species of `test`"].aligned


def test_a_judged_question_shows_each_model_beside_each_rival():
    from goals import Question, judge

    table = records(genus=["Aus", "Bus", "Aus"], species=["Aus x", "Bus y", "Aus x"])
    answers = {"BLAST": np.array(["Aus", "Aus", ""]), "ours": np.array(["Aus", "Bus", "Bus"])}
    judged = judge(Question("genus", "test_unseen", np.arange(3), "goal"), table, answers, ["ours"], seed=0)
    assert judged["scores"]["ours"]["genus_accuracy"] == pytest.approx(2 / 3)
    assert judged["comparisons"]["ours"]["BLAST"]["difference"] == pytest.approx(1 / 3)


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("vsearch") and shutil.which("blastn")), reason="vsearch and blastn are needed")
def test_the_whole_command_fills_in_the_table(tmp_path, checkpoint, sample, monkeypatch, capsys):
    import goals
    import pyarrow.parquet as pq

    parts = [split.slice(0, 60) for split in select_splits(sample, ["train", "test", "test_unseen"])]
    pq.write_table(pa.concat_tables(parts), tmp_path / "few.parquet")
    pq.write_table(parts[0].slice(0, 20), tmp_path / "other.parquet")
    options = ["--data", tmp_path / "few.parquet", "--other", tmp_path / "other.parquet", "--models", checkpoint]
    options += ["--closed_world_queries", 5, "--speed_queries", 20, "--output_dir", tmp_path / "out"]
    monkeypatch.setattr(sys, "argv", ["goals.py", *map(str, options)])
    goals.main()
    results = json.loads((tmp_path / "out" / "goals.json").read_text())
    assert results["contenders"] == ["BLAST", "VSEARCH", "SVD", "SVD + LDA", checkpoint.name]
    # The other file's rows stand among the keys.
    assert results["accuracy"]["genus of the other file"]["scores"]["BLAST"]["genus_accuracy"] == 1
    assert set(results["speed"]["barcodes/s, times VSEARCH"]["times_vsearch"]) == set(results["contenders"]) - {"BLAST"}
    assert (tmp_path / "out" / "goals.md").read_text() in capsys.readouterr().out
    assert (tmp_path / "out" / "goals.png").stat().st_size > 0
