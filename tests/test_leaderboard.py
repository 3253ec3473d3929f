"""The leaderboard: what shares a table, what is one row, and the order of rows."""

import copy
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from barcodemae.cli.leaderboard import leaderboard
from barcodemae.errors import ConfigurationError, UnreadableFileError
from barcodemae.evaluation.assignments import compare_assignments
from barcodemae.evaluation.report.leaderboard import find_results, merge_results
from barcodemae.evaluation.report.pages import render_leaderboard
from helpers.report_records import full_results

LATER = "2025-06-01T00:00:00+00:00"


@pytest.fixture
def write(tmp_path):
    """Writes results, with changes to them and to their provenance, to a folder of a name."""

    def write_results(folder, provenance=None, answers=None, **changes):
        results = copy.deepcopy(full_results()) | changes
        results["provenance"] |= provenance or {}
        file = tmp_path / folder / "results.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(results))
        if answers:
            pq.write_table(pa.table(answers), file.parent / "assignments.parquet")
        return file

    return write_results


def remove(file, task):
    """Results as if a task had not been run."""
    results = json.loads(file.read_text())
    del results[task]
    file.write_text(json.dumps(results))


def names(board):
    return [row["name"] for row in board["rows"]]


def test_rows_stand_in_the_order_of_genus_accuracy(write):
    (board,) = merge_results([write("a")])
    assert names(board) == ["VSEARCH", "frame SVD + LDA", "tiny", "4-mer counts", "untrained (as tiny)"]
    row = board["rows"][2]
    assert row["scores"]["genus, unseen"] == {"value": 0.7, "interval": pytest.approx([0.62, 0.76])}
    assert row["scores"]["BIN AMI"] == {"value": 0.8, "interval": None}
    assert (row["weights_sha256"], row["date"][:10], row["files"]) == ("0123abcd", "2025-01-01", ["a/results.json"])


def test_rows_without_a_genus_accuracy_come_last(write):
    results = full_results()
    (board,) = merge_results(
        [write("a", baselines={}), write("b", {"model": "x", "weights_sha256": "f"}, baselines={})]
    )
    assert len(board["rows"]) == 2
    file = write("c", {"model": "y", "weights_sha256": "e"}, baselines={"vsearch": {"novelty": results["novelty"]}})
    remove(file, "knn")
    (board,) = merge_results([file, write("a")])
    assert names(board)[-1] == "y"


def test_one_model_in_several_files_is_one_row_with_the_newest_numbers(write):
    old = write("old", {"model": "earlier name"}, baselines={})
    knn = full_results()["knn"] | {"genus_accuracy": 0.75}
    newer = write("new", {"date": LATER, "model": "name", "machine": "another"}, baselines={}, knn=knn)
    remove(newer, "novelty")
    for files in ([old, newer], [newer, old]):
        (board,) = merge_results(files)
        (row,) = board["rows"]
        assert (row["name"], row["date"], row["machine"]) == ("name", LATER, "another")
        assert row["scores"]["genus, unseen"]["value"] == 0.75
        assert "novelty AUROC" in row["scores"]
        assert row["disagreements"] == ["genus, unseen"]
        assert row["files"] == ["old/results.json", "new/results.json"]
        assert "name: 2 files have different numbers for genus, unseen" in render_leaderboard([board])


def test_two_models_of_one_name_are_told_apart(write):
    (board,) = merge_results([write("a", baselines={}), write("b", {"weights_sha256": "fedcba9876"}, baselines={})])
    assert sorted(names(board)) == ["tiny (0123abcd)", "tiny (fedcba98)"]


def test_one_model_read_in_two_ways_is_two_rows(write):
    (board,) = merge_results([write("a", baselines={}), write("b", {"identity": {"pooling": "first"}}, baselines={})])
    assert len(board["rows"]) == 2


def test_models_without_weights_are_known_by_name(write):
    unknown = {"weights_sha256": None}
    files = [write("a", unknown, baselines={}), write("b", unknown, baselines={}), write("c", unknown | {"model": "x"})]
    assert sum(name in ("tiny", "x") for name in names(merge_results(files)[0])) == 2


def test_baselines_of_several_models_are_one_row_but_what_is_made_of_the_model(write):
    baselines = full_results()["baselines"]
    baselines["without_frame"] = baselines["kmer_4"]
    files = [write("a", baselines=baselines), write("b", {"model": "x", "weights_sha256": "f"}, baselines=baselines)]
    found = names(merge_results(files)[0])
    assert found.count("4-mer counts") == 1
    assert {"tiny, without frame", "x, without frame"} <= set(found)
    assert sum(name.startswith("untrained") for name in found) == 1  # equal numbers: the same architecture


@pytest.mark.parametrize(
    "other",
    [
        {"provenance": {"data": [{"name": "barcodes.parquet", "sha256": "other"}]}},
        {"splits": {"train": 1000, "test": 300, "test_unseen": 121}},
        {"splits": {"train": 1000, "val": 300, "val_unseen": 120}},
    ],
)
def test_other_data_and_other_splits_have_tables_of_their_own(write, other):
    boards = merge_results([write("a"), write("b", **other, baselines={})])
    assert [len(board["rows"]) for board in boards] == [5, 1]
    assert render_leaderboard(boards).count("\n## ") == 2


def test_other_extra_queries_may_share_a_table(write):
    data = [*full_results()["provenance"]["data"], {"name": "extra.parquet", "sha256": "e"}]
    extra = {"knn": full_results()["baselines"]["kmer_4"]["knn"]}
    (board,) = merge_results([write("a"), write("b", {"data": data}, extra_queries=extra)])
    assert all("genus, extra" not in row["scores"] for row in board["rows"])


def test_data_known_by_name_alone_are_said_to_be(write):
    (board,) = merge_results([write("a", {"data": [{"name": "hub:org/data", "sha256": None}]})])
    assert "unknown: data are identified by name alone" in render_leaderboard([board])


def answers(**columns):
    genera = ["A", "A", "B", "B"]
    species = ["A a", "A b", "B a", "B b"]
    return {"id": list("1234"), "species": species, "genus": genera} | {
        name: list(given) for name, given in columns.items()
    }


def test_rows_are_compared_with_the_best_one_across_files(write):
    given = {"vsearch": "AABB", "kmer_4": "ABBB"}
    ours = {"x": "AAAA"}
    files = [
        write("a", answers=answers(**given)),
        write("b", {"model": "x", "weights_sha256": "f"}, answers(**ours), baselines={}),
    ]
    (board,) = merge_results(files, seed=3)
    compared = {row["name"]: row["less_best"] for row in board["rows"]}
    first, second = (pa.table(answers(**columns)) for columns in (given, ours))
    assert compared["x"] == compare_assignments(second, "x", first, "vsearch", seed=3)
    assert compared["x"]["difference"] == -0.5
    assert compared["4-mer counts"]["difference"] == -0.25
    assert compared["VSEARCH"] is None
    assert compared["tiny"] is None  # it has no column among the answers
    assert "| less best " in render_leaderboard([board])


def test_answers_to_other_barcodes_are_refused(write):
    files = [
        write("a", answers=answers(vsearch="AABB")),
        write("b", {"model": "x", "weights_sha256": "f"}, answers(x="AAAA") | {"id": list("1235")}, baselines={}),
    ]
    with pytest.raises(
        ConfigurationError, match=r"b/assignments\.parquet and .*a/assignments\.parquet: .*same barcodes"
    ):
        merge_results(files)


def test_broken_answers_are_named(write):
    file = write("a")
    (file.parent / "assignments.parquet").write_bytes(b"PAR1")
    with pytest.raises(UnreadableFileError, match=r"assignments\.parquet: expected assignments in Parquet"):
        merge_results([file])


def test_results_are_found_once(write, tmp_path):
    file = write("a")
    write("b")
    assert find_results([file, tmp_path, tmp_path / "a"]) == [file, tmp_path / "b" / "results.json"]


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_source_without_results_is_refused(name, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match=f"{name}: expected a file of results"):
        find_results([tmp_path / name])


def test_the_command_writes_markdown_and_json_of_the_same_numbers(write, tmp_path, capsys):
    write("a")
    output = tmp_path / "out" / "board.md"
    leaderboard(["--results", str(tmp_path / "a"), "--output", str(output)])
    assert "5 rows of 1 files are in" in capsys.readouterr().out
    content = json.loads(output.with_suffix(".json").read_text())
    assert output.read_text() == render_leaderboard(content["boards"])
    assert str(tmp_path) not in output.read_text() + output.with_suffix(".json").read_text()


def test_the_command_wants_a_markdown_name(write, tmp_path):
    with pytest.raises(ConfigurationError, match=r"expected a name that ends with \.md"):
        leaderboard(["--results", str(write("a")), "--output", str(tmp_path / "board.json")])
