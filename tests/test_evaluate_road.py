import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from evaluation_records import make_records

import evaluate_embeddings
from barcodemae.commands import run_command
from barcodemae.data import sample_path
from barcodemae.errors import BarcodeMAEError, ConfigurationError
from barcodemae.evaluation import contenders, protocol
from barcodemae.evaluation.arguments import EvaluationArguments
from barcodemae.evaluation.benchmark import build_benchmark
from barcodemae.evaluation.rivals.kmers import KmerCounts
from barcodemae.evaluation.run import run_evaluation
from barcodemae.evaluation.tasks.linear_probe import linear_probe_scores
from barcodemae.hub.checkpoint import save_checkpoint
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEModel
from tokenization_barcodemae import ReferenceFrame

RIVALS = {"untrained", "without_frame", "kmer_4", "kmer_6", "frame_svd", "frame_lda"}
FILES = {"results.json", "answers.parquet", "report.md", "report.html", "accuracy.png", "ranks.png"}


class CountingEmbedder:
    """Stands in for `BarcodeEmbedder`: k-mer counts, shorter ones where the model is untrained or has no frame."""

    frame = "a frame"

    def __init__(self, k):
        self.k = k

    @classmethod
    def from_pretrained(cls, model, use_frame=True):
        return cls(4 if use_frame else 3)

    @classmethod
    def untrained_like(cls, embedder, seed):
        return cls(2)

    def encode(self, sequences, batch_size, show_progress_bar, normalize_embeddings):
        return KmerCounts(self.k).embed(sequences)


@pytest.fixture
def small_file(tmp_path):
    """The sample, cut to the genera that begin with A, B or C."""
    records = pq.read_table(sample_path())
    genera = np.array(records["genus"].to_pylist(), dtype=str)
    splits = np.array(records["split"].to_pylist(), dtype=str)
    initials = np.isin(genera.astype("U1"), list("ABC"))
    path = tmp_path / "small.parquet"
    pq.write_table(records.filter(initials & (splits != "pretrain")), path)
    return path


def stand_in(monkeypatch):
    monkeypatch.setattr(contenders, "BarcodeEmbedder", CountingEmbedder)
    monkeypatch.setattr(contenders, "weights_sha256", lambda name: "0123abcd")
    monkeypatch.setattr(contenders, "is_ours", lambda name: True)


def arguments(model, out, **others):
    """What counts here is not kept: the stand-in can't tell what it is."""
    return EvaluationArguments(model, str(out), cache_dir="none", **others)


@pytest.fixture
def counting(monkeypatch):
    """No model, a short frame and a short probe."""
    frame = ReferenceFrame.coi()
    monkeypatch.setattr(ReferenceFrame, "coi", lambda: ReferenceFrame(frame.profile[:150], frame.min_score))
    stand_in(monkeypatch)

    def short_probe(subject, benchmark, seed):
        vectors = subject.vectors
        return linear_probe_scores(vectors.train, benchmark.train, vectors.seen, benchmark.seen, epochs=5, seed=seed)

    monkeypatch.setitem(protocol.TASKS, "linear_probe", short_probe)


def test_a_model_without_frame_is_judged_once(tmp_path, small_file, counting, monkeypatch):
    monkeypatch.setattr(CountingEmbedder, "frame", None)
    results = run_evaluation(arguments("model", tmp_path / "out", data=str(small_file), tasks=["knn"]))
    assert set(results["rivals"]) == RIVALS - {"without_frame"}


def test_a_model_and_its_rivals(tmp_path, small_file, counting):
    out = tmp_path / "out"
    data = {"data": str(small_file), "queries": str(small_file)}
    results = run_evaluation(arguments("model", out, **data, tasks=["knn", "linear_probe"]))
    assert json.loads((out / "results.json").read_text()) == results
    assert set(results["rivals"]) == RIVALS
    for scores in (results, *results["rivals"].values()):
        low, high = scores["knn"]["genus_accuracy_interval"]
        assert 0 <= low <= scores["knn"]["genus_accuracy"] <= high <= 1
        assert 0 < scores["knn"]["n_answerable"] <= scores["knn"]["n_queries"]
        assert 0 < scores["extra_queries"]["knn"]["genus_accuracy"] <= 1
        assert scores["harmonic_mean"] is None
    assert 0 <= results["linear_probe"]["species_accuracy"] <= 1
    assert "linear_probe" not in results["rivals"]["kmer_4"]
    assert results["knn"] == results["rivals"]["kmer_4"]["knn"]


def test_all_tasks_on_a_model_alone(tmp_path, small_file, counting):
    out = tmp_path / "out"
    results = run_evaluation(arguments("model", out, data=str(small_file), rivals=[]))
    assert {file.name for file in out.iterdir()} >= FILES | {"map.png", "few_shot.png", "compression.png"}
    assert list(results["splits"]) == ["train", "test", "test_unseen"]
    accuracy, ami = results["knn"]["genus_accuracy"], results["clustering"]["bin_ami"]
    assert 0 < ami <= 1
    assert 0 < results["clustering"]["bin_ami_unseen"] <= 1
    assert results["harmonic_mean"] == pytest.approx(2 / (1 / accuracy + 1 / ami))


def test_a_model_alone_at_one_task(tmp_path, small_file, counting):
    out = tmp_path / "out"
    asked = arguments("model", out, data=str(small_file), query_split="val_unseen", tasks=["knn"], rivals=[])
    results = run_evaluation(asked)
    assert {file.name for file in out.iterdir()} >= FILES
    assert not (out / "map.png").exists()
    assert results["rivals"] == {}
    assert results["harmonic_mean"] is None
    assert "linear_probe" not in results
    assert list(results["splits"]) == ["train", "val", "val_unseen"]


def test_a_training_curve_is_drawn_even_of_a_run_that_goes_on(tmp_path, small_file, counting):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 3.0}\n{"step": 2, "lo')
    out = tmp_path / "out"
    run_evaluation(arguments(str(tmp_path), out, data=str(small_file), tasks=["knn"], rivals=[]))
    assert (out / "training.png").exists()


def test_keys_without_a_genus_are_left_out():
    records = make_records(
        split=["train", "train", "test", "test_unseen"],
        genus=["Aus", "", "Aus", "Aus"],
        species=["Aus a", "", "Aus a", "Aus b"],
    )
    assert len(build_benchmark(records).train) == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"split": ["train", "val"]}, "expected rows of the split 'test', got splits: train, val"),
        ({"genus": ["Aus", "Aus"]}, "got splits: none"),
        (
            {"split": ["train", "test", "test_unseen"], "genus": ["A", "A", "B"], "species": ["A a", "A a", "B b"]},
            "expected a genus of the split train in test_unseen, got none",
        ),
        (
            {"split": ["train", "test", "test_unseen"], "genus": ["A", "A", "A"], "species": ["A a", "A b", "A b"]},
            "expected a species of the split train in test, got none",
        ),
    ],
)
def test_splits_that_cannot_be_evaluated(columns, message):
    with pytest.raises(ConfigurationError, match=message):
        build_benchmark(make_records(**columns))


def test_extra_queries_that_cannot_be_answered():
    records = make_records(split=["train", "test", "test_unseen"], genus=["A", "A", "A"], species=["A a", "A a", "A b"])
    with pytest.raises(ConfigurationError, match="expected a genus of the split train in the extra queries"):
        build_benchmark(records, extra=make_records(genus=["B"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tasks", "knn", "blast"], "robustness, fine_tuning, got blast"),
        (["--batch_size", "0"], "--batch_size 0: expected 1 or more"),
        (["--data", "missing.parquet"], "missing.parquet"),
        (["--query_split", "nothing"], "expected rows of the split 'nothing'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(options, message, tmp_path, counting, monkeypatch, capsys):
    out = tmp_path / "out"
    words = [
        "evaluate_embeddings.py",
        "--model",
        "organisation/model",
        "--output_dir",
        str(out),
        "--cache_dir",
        "none",
        *options,
    ]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stopped:
        run_command(evaluate_embeddings.main)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not out.exists()


def test_a_file_where_the_results_should_go(small_file, counting):
    with pytest.raises(ConfigurationError, match="expected a folder for the results, got a file"):
        run_evaluation(arguments("model", small_file, data=str(small_file)))


def test_an_error_of_many_lines_becomes_one(capsys):
    def fail():
        raise BarcodeMAEError("first\n  second")

    with pytest.raises(SystemExit):
        run_command(fail)
    assert capsys.readouterr().err == "error: first second\n"


def test_the_command_prints_the_table(tmp_path, small_file, counting, monkeypatch, capsys):
    out = tmp_path / "out"
    words = ["evaluate_embeddings.py", "--model", "model", "--output_dir", str(out)]
    words += ["--data", str(small_file), "--cache_dir", "none"]
    monkeypatch.setattr(sys, "argv", [*words, "--tasks", "knn", "--rivals", "none"])
    run_command(evaluate_embeddings.main)
    printed = capsys.readouterr().out
    assert "| model " in printed
    assert str(out) in printed


@pytest.mark.slow
def test_the_whole_road_in_a_process(tmp_path, small_file):
    from tokenization_barcodemae import ReferenceFrame

    config = BarcodeMAEConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    save_checkpoint(tmp_path / "model", BarcodeMAEModel(config), ReferenceFrame.coi())
    script = Path(evaluate_embeddings.__file__)

    def evaluate(name):
        words = [sys.executable, script, "--model", tmp_path / "model", "--output_dir", tmp_path / name]
        done = subprocess.run([*words, "--data", small_file], capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        assert "| frame SVD + LDA |" in done.stdout
        assert {file.name for file in (tmp_path / name).iterdir()} >= FILES | {"map.png"}
        results = json.loads((tmp_path / name / "results.json").read_text())
        del results["provenance"]
        return results

    assert evaluate("first") == evaluate("second")


@pytest.mark.slow
def test_rivals_stand_in_their_order_on_the_sample(tmp_path, monkeypatch):
    """Linear maps of the frame beat 6-mers, and these 4-mers, as on the larger data."""
    stand_in(monkeypatch)
    asked = arguments("model", tmp_path / "out", query_split="val_unseen", tasks=["knn"])
    rivals = run_evaluation(asked)["rivals"]
    accuracies = [rivals[name]["knn"]["genus_accuracy"] for name in ("frame_lda", "frame_svd", "kmer_6", "kmer_4")]
    assert accuracies == sorted(accuracies, reverse=True)
