import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from matplotlib.image import imread
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

import evaluate_embeddings
from barcodemae.checkpoints.files import WEIGHTS_FILE
from barcodemae.checkpoints.loading import save_checkpoint
from barcodemae.cli.command import run_command
from barcodemae.data import sample_path
from barcodemae.errors import BarcodeMAEError, ConfigurationError
from barcodemae.evaluation import protocol, registry, run
from barcodemae.evaluation.baselines.linear_maps import KmerCounts
from barcodemae.evaluation.benchmark import build_benchmark
from barcodemae.evaluation.options import EvaluationArguments
from barcodemae.evaluation.report.schema import validate_results
from barcodemae.evaluation.run import run_evaluation
from barcodemae.evaluation.tasks.probes import linear_probe_scores
from barcodemae.training.summary import draw_training
from helpers.evaluation_records import make_records
from helpers.fresh_process import run_barcodemae
from helpers.report_records import accuracies
from helpers.small_encoders import base_tokenizer, small_model
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEModel
from tokenization_barcodemae import ReferenceFrame, build_kmer_tokenizer

BASELINES = {"untrained", "without_frame", "kmer_4", "kmer_6", "frame_svd", "frame_lda"}
FILES = {"results.json", "assignments.parquet", "report.md", "report.html", "accuracy.png", "ranks.png"}


class CountingEmbedder:
    """Replaces `BarcodeEmbedder`: k-mer counts, shorter ones where the model is untrained or has no frame."""

    frame = "a frame"

    def __init__(self, k):
        self.k = k

    @classmethod
    def from_pretrained(cls, model, use_frame=True, dtype=None):
        return cls(4 if use_frame else 3)

    @classmethod
    def untrained_like(cls, embedder, seed):
        return cls(2)

    def encode(self, sequences, batch_size, show_progress_bar, normalize_embeddings, on_error):
        return KmerCounts(self.k).embed(sequences)


def genus_records(initials):
    """The records of the sample whose genera begin with one of these letters."""
    records = pq.read_table(sample_path())
    genera = np.array(records["genus"].to_pylist(), dtype=str)
    splits = np.array(records["split"].to_pylist(), dtype=str)
    return records.filter(np.isin(genera.astype("U1"), list(initials)) & (splits != "pretrain"))


def with_known_genus(records, split):
    """The records of a split that have a genus, one of the references'."""
    known = set(records.filter(pc.equal(records["split"], "train"))["genus"].to_pylist()) - {""}
    return records.filter(
        pc.and_(pc.equal(records["split"], split), pc.is_in(records["genus"], pa.array(sorted(known))))
    )


def nearest_neighbour_accuracy(references, queries):
    vectors = [KmerCounts(4).embed(records["nucleotides"].to_pylist()) for records in (references, queries)]
    first, second = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in vectors)
    nearest = (second @ first.T).argmax(axis=1)
    return np.mean(np.array(references["genus"].to_pylist())[nearest] == np.array(queries["genus"].to_pylist()))


@pytest.fixture
def small_file(tmp_path):
    path = tmp_path / "small.parquet"
    pq.write_table(genus_records("ABC"), path)
    return path


@pytest.fixture
def tiny_records():
    """49 rows of train, 3 of val, 21 of val_unseen."""
    return genus_records("B")


def replace_models(monkeypatch):
    monkeypatch.setattr(registry, "BarcodeEmbedder", CountingEmbedder)
    monkeypatch.setattr(registry, "weights_sha256", lambda name: "0123abcd")
    monkeypatch.setattr(registry, "is_barcodemae", lambda name: True)


def arguments(model, out, **others):
    """Nothing is cached: the replacement for a model has no weights to identify it by."""
    return EvaluationArguments(model, str(out), cache_dir="none", **others)


@pytest.fixture
def counting(monkeypatch):
    """No model, a short frame and a short probe."""
    frame = ReferenceFrame.coi()
    monkeypatch.setattr(ReferenceFrame, "coi", lambda: ReferenceFrame(frame.profile[:150], frame.min_score))
    replace_models(monkeypatch)

    def short_probe(output, benchmark, seed):
        vectors = output.vectors
        return linear_probe_scores(vectors.train, benchmark.train, vectors.seen, benchmark.seen, epochs=5, seed=seed)

    monkeypatch.setitem(protocol._RUN, "linear_probe", short_probe)


def test_model_without_frame_is_evaluated_once(tmp_path, small_file, counting, monkeypatch):
    monkeypatch.setattr(CountingEmbedder, "frame", None)
    results = run_evaluation(arguments("model", tmp_path / "out", data=str(small_file), tasks=["knn"]))
    assert set(results["baselines"]) == BASELINES - {"without_frame"}


def test_model_is_evaluated_beside_its_baselines(tmp_path, small_file, counting):
    out = tmp_path / "out"
    data = {"data": str(small_file), "queries": str(small_file)}
    results = run_evaluation(arguments("model", out, **data, tasks=["knn", "linear_probe"]))
    assert json.loads((out / "results.json").read_text()) == results
    assert set(results["baselines"]) == BASELINES
    for scores in (results, *results["baselines"].values()):
        low, high = scores["knn"]["genus_accuracy_interval"]
        assert 0 <= low <= scores["knn"]["genus_accuracy"] <= high <= 1
        assert scores["harmonic_mean"] is None
    assert "linear_probe" not in results["baselines"]["kmer_4"]
    assert results["knn"] == results["baselines"]["kmer_4"]["knn"]
    # The numbers anew: the nearest of the references by the cosine of the counts.
    records = genus_records("ABC")
    references, queries = (with_known_genus(records, split) for split in ("train", "test_unseen"))
    assert results["knn"]["n_answerable"] == len(queries) > 0
    assert results["knn"]["genus_accuracy"] == pytest.approx(nearest_neighbour_accuracy(references, queries))
    # Of the extra queries all are in the file already, references included.
    assert results["extra_queries"]["knn"]["genus_accuracy"] > results["knn"]["genus_accuracy"]
    untrained = results["baselines"]["untrained"]["knn"]
    assert untrained["genus_accuracy"] < results["knn"]["genus_accuracy"]
    # Five epochs of a probe are few; far more than one of some hundred species are found all the same.
    assert results["linear_probe"]["species_accuracy"] > 0.1


def test_all_tasks_of_a_model_without_baselines(tmp_path, small_file, counting):
    out = tmp_path / "out"
    results = run_evaluation(arguments("model", out, data=str(small_file), baselines=[]))
    plots = {"map.png", "few_shot.png", "compression.png"}
    assert {file.name for file in out.iterdir()} >= FILES | plots
    assert all(imread(out / name).std() > 0 for name in plots)
    assert list(results["splits"]) == ["train", "test", "test_unseen"]
    accuracy, ami = results["knn"]["genus_accuracy"], results["clustering"]["bin_ami"]
    assert 0 < ami <= 1
    assert 0 < results["clustering"]["bin_ami_unseen"] <= 1
    assert results["harmonic_mean"] == pytest.approx(2 / (1 / accuracy + 1 / ami))


def test_one_task_of_a_model_without_baselines(tmp_path, small_file, counting):
    out = tmp_path / "out"
    options = arguments("model", out, data=str(small_file), query_split="val_unseen", tasks=["knn"], baselines=[])
    results = run_evaluation(options)
    assert {file.name for file in out.iterdir()} >= FILES
    assert not (out / "map.png").exists()
    assert results["baselines"] == {}
    assert results["harmonic_mean"] is None
    assert "linear_probe" not in results
    assert list(results["splits"]) == ["train", "val", "val_unseen"]


def test_weighted_vote_is_reported_beside_one_neighbour(tmp_path, small_file, counting):
    out = tmp_path / "out"
    options = {"data": str(small_file), "tasks": ["knn"], "baselines": ["kmer_6"], "weighted_neighbours": 5}
    results = run_evaluation(arguments("model", out, **options))
    for scores in (results, results["baselines"]["kmer_6"]):
        vote = scores["weighted_knn"]
        assert (scores["knn"]["n_neighbours"], vote["n_neighbours"], vote["temperature"]) == (1, 5, 0.02)
        assert scores["knn"]["n_answerable"] == vote["n_answerable"]
        assert vote["genus_accuracy"] > 0.5 * scores["knn"]["genus_accuracy"]
    page = (out / "report.md").read_text()
    assert "genus, weighted vote" in page
    assert "Closed world, vote of 5 neighbours, weighted with temperature 0.02" in page
    assert "--weighted-neighbours 5" in results["provenance"]["command"]


def test_training_curve_of_an_unfinished_run_is_drawn(tmp_path, small_file, counting, monkeypatch):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 3.0}\n{"step": 2, "lo')
    out = tmp_path / "out"
    drawn = []
    monkeypatch.setattr(run, "draw_training", lambda lines: drawn.append(lines) or draw_training(lines))
    run_evaluation(arguments(str(tmp_path), out, data=str(small_file), tasks=["knn"], baselines=[]))
    assert drawn == [[{"step": 1, "loss": 3.0}]]
    assert imread(out / "training.png").std() > 0


def test_references_without_a_genus_are_left_out():
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
        (
            {"split": ["train", "test", "test_unseen"], "genus": ["A", "A", "A"], "species": ["A a", "A a", "A a"]},
            "expected species in test_unseen that are not in train, got 1 that are, such as A a",
        ),
    ],
)
def test_unusable_splits_are_rejected(columns, message):
    with pytest.raises(ConfigurationError, match=message):
        build_benchmark(make_records(**columns))


def test_extra_queries_of_unknown_genera_are_rejected():
    records = make_records(split=["train", "test", "test_unseen"], genus=["A", "A", "A"], species=["A a", "A a", "A b"])
    with pytest.raises(ConfigurationError, match="expected a genus of the split train in the extra queries"):
        build_benchmark(records, extra=make_records(genus=["B"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tasks", "knn", "blast"], "robustness, fine_tuning, got blast"),
        (["--batch-size", "0"], "--batch-size 0: expected 1 or more"),
        (["--data", "missing.parquet"], "missing.parquet"),
        (["--query-split", "nothing"], "expected rows of the split 'nothing'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(options, message, tmp_path, counting, monkeypatch, capsys):
    out = tmp_path / "out"
    words = [
        "evaluate_embeddings.py",
        "--model",
        "organisation/model",
        "--output-dir",
        str(out),
        "--cache-dir",
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


def test_file_in_place_of_the_output_folder_is_rejected(small_file, counting):
    with pytest.raises(ConfigurationError, match="expected a folder, got a file"):
        run_evaluation(arguments("model", small_file, data=str(small_file)))


def test_error_of_several_lines_is_printed_as_one(capsys):
    def fail():
        raise BarcodeMAEError("first\n  second")

    with pytest.raises(SystemExit):
        run_command(fail)
    assert capsys.readouterr().err == "error: first second\n"


def test_the_command_prints_the_table(tmp_path, small_file, counting, monkeypatch, capsys):
    out = tmp_path / "out"
    words = ["evaluate_embeddings.py", "--model", "model", "--output-dir", str(out)]
    words += ["--data", str(small_file), "--cache-dir", "none"]
    monkeypatch.setattr(sys, "argv", [*words, "--tasks", "knn", "--baselines", "none"])
    run_command(evaluate_embeddings.main)
    printed = capsys.readouterr().out
    (row,) = [line for line in printed.splitlines() if line.startswith("| model ")]
    accuracy = json.loads((out / "results.json").read_text())["knn"]["genus_accuracy"]
    assert f"{100 * accuracy:.1f}" in row
    assert str(out) in printed


@pytest.mark.slow
def test_equal_runs_have_equal_results(tmp_path, small_file):
    from tokenization_barcodemae import ReferenceFrame

    config = BarcodeMAEConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    save_checkpoint(tmp_path / "model", BarcodeMAEModel(config), ReferenceFrame.coi())
    script = Path(evaluate_embeddings.__file__)

    def evaluate(name):
        words = [sys.executable, script, "--model", tmp_path / "model", "--output-dir", tmp_path / name]
        done = subprocess.run([*words, "--data", small_file], capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        assert "| frame SVD + LDA |" in done.stdout
        assert {file.name for file in (tmp_path / name).iterdir()} >= FILES | {"map.png"}
        results = json.loads((tmp_path / name / "results.json").read_text())
        del results["provenance"]
        return results

    assert evaluate("first") == evaluate("second")


@pytest.mark.slow
def test_order_of_the_baselines_on_the_sample(tmp_path, monkeypatch):
    """Linear maps of the frame are more accurate than 6-mers, and these than 4-mers, as on the larger data."""
    replace_models(monkeypatch)
    options = arguments("model", tmp_path / "out", query_split="val_unseen", tasks=["knn"])
    baselines = run_evaluation(options)["baselines"]
    accuracy = {name: scores["knn"]["genus_accuracy"] for name, scores in baselines.items()}
    # On 460 queries, the two linear maps differ by some two.
    assert min(accuracy["frame_lda"], accuracy["frame_svd"]) > accuracy["kmer_6"] > accuracy["kmer_4"]


def test_ranks_missing_in_the_file_are_not_evaluated(tmp_path, tiny_records, counting):
    data = tmp_path / "records.parquet"
    pq.write_table(tiny_records.drop_columns(["phylum", "class", "order", "family", "bin"]), data)
    knn = run_evaluation(arguments("model", tmp_path / "out", data=str(data), tasks=["knn", "novelty"]))["knn"]
    assert knn["n_answerable_by_rank"] | {"genus": 0} == dict.fromkeys(knn["n_answerable_by_rank"], 0)
    assert {key for key in knn if key.endswith("_accuracy")} == {"genus_accuracy"}
    assert [entry["taxon"] for entry in knn["by_order"]] == [""]


def test_damaged_barcodes_without_known_kmers_count_as_errors(tmp_path, tiny_records, checkpoint):
    """A mini-barcode cut from a long run of N has no known k-mer."""
    holes = [barcode[:150] + "N" * 250 + barcode[400:] for barcode in tiny_records["nucleotides"].to_pylist()]
    column = tiny_records.column_names.index("nucleotides")
    data = tmp_path / "records.parquet"
    pq.write_table(tiny_records.set_column(column, "nucleotides", pa.array(holes)), data)
    results = run_evaluation(
        arguments(str(checkpoint), tmp_path / "out", data=str(data), tasks=["robustness"], baselines=[])
    )
    num_queried = {entry["change"]: entry["n_answerable"] for entry in results["robustness"]}
    assert num_queried["mini_barcode"] == num_queried["unchanged"] > 0


def test_fine_tuned_model_is_reused_only_with_equal_weights_and_options(tmp_path, small_file, counting, monkeypatch):
    folders = []
    monkeypatch.setattr(run, "fine_tune", lambda checkpoint, source, folder, *others: folders.append(folder))
    scores = {**accuracies("species", share=0.9), "unseen": accuracies("genus", share=0.8)}
    monkeypatch.setattr(run, "fine_tuning_scores", lambda *given: scores)
    out = tmp_path / "out"
    for weights, seed, epochs in (("a", 0, 5), ("a", 0, 5), ("b", 0, 5), ("a", 1, 5), ("a", 0, 6)):
        monkeypatch.setattr(registry, "weights_sha256", lambda name, weights=weights: weights)
        options = {"data": str(small_file), "tasks": ["fine_tuning"], "baselines": []}
        results = run_evaluation(arguments("model", out, **options, seed=seed, fine_tuning_epochs=epochs))
        assert results["fine_tuning"] == scores
    assert folders[0] == folders[1]
    assert len(set(folders)) == 4
    assert {folder.parent for folder in folders} == {out / "fine_tuning"}


@pytest.fixture
def rejected(tmp_path, tiny_records, checkpoint, monkeypatch, capsys):
    """Run the command on a small file and the checkpoint; it must reject them: returns its line."""

    def reject(*options, records=tiny_records, model=checkpoint):
        data, out = tmp_path / "records.parquet", tmp_path / "out"
        pq.write_table(records, data)
        given = {"--model": model, "--data": data, "--query-split": "val_unseen", "--output-dir": out}
        given |= {"--cache-dir": "none", "--baselines": "none"}
        words = [word for pair in given.items() if pair[0] not in options for word in map(str, pair)]
        monkeypatch.setattr(sys, "argv", ["evaluate_embeddings.py", *words, *map(str, options)])
        with pytest.raises(SystemExit) as stopped:
            run_command(evaluate_embeddings.main)
        assert stopped.value.code == 2
        assert not out.exists()
        # It follows what was read, and progress.
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        return line

    return reject


@pytest.fixture
def stranger(tmp_path):
    """Folder of a small BERT with a tokenizer of single bases."""
    folder = tmp_path / "stranger"
    small_model("bert").save_pretrained(folder)
    base_tokenizer().save_pretrained(folder)
    return folder


def with_column(records, name, values):
    return records.set_column(records.column_names.index(name), name, pa.array(values))


def test_file_without_usable_queries_is_rejected(rejected, tiny_records):
    expected = "expected a species of the split train in val, got none"
    assert expected in rejected("--tasks", "knn", records=tiny_records.drop_columns("species"))
    splits = tiny_records["split"].to_pylist()
    strange = ["Xus" if split == "val_unseen" else "Bus" for split in splits]
    line = rejected("--tasks", "knn", records=with_column(tiny_records, "genus", strange))
    assert "expected a genus of the split train in val_unseen, got none" in line


def test_single_taxon_is_rejected(rejected, tiny_records):
    n = len(tiny_records)
    line = rejected("--tasks", "knn", records=with_column(tiny_records, "genus", ["Bus"] * n))
    assert "expected references of at least two taxa at the rank genus, got one" in line
    splits = tiny_records["split"].to_pylist()
    species = ["Bus x" if split == "val_unseen" else "Bus b" for split in splits]
    line = rejected("--tasks", "linear_probe", records=with_column(tiny_records, "species", species))
    assert "expected at least two species in the train split, got one" in line


def test_more_neighbours_than_references_are_rejected(rejected):
    line = rejected("--tasks", "knn", "--neighbours", "50")
    assert "expected at most 49 neighbours, the rows of train, got 50" in line
    line = rejected("--tasks", "knn", "--weighted-neighbours", "51")
    assert "expected at most 49 neighbours, the rows of train, got 51" in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weighted_neighbours": -1}, "--weighted-neighbours -1: expected 0 or more"),
        ({"weighted_neighbours": 5, "temperature": 0.0}, "--temperature 0.0: expected a number above 0"),
        ({"weighted_neighbours": 5, "temperature": float("nan")}, "--temperature nan: expected a number above 0"),
        ({"temperature": 0.1}, "--temperature 0.1: expected --weighted-neighbours with it"),
        ({"weighted_neighbours": 5, "tasks": ["novelty"]}, "expected knn among the --tasks, got novelty"),
    ],
)
def test_options_of_the_weighted_vote_are_checked(options, message):
    with pytest.raises(ConfigurationError, match=message):
        EvaluationArguments("model", "out", **options)


def test_vectors_that_are_not_finite_are_rejected(rejected, checkpoint, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(checkpoint, broken)
    weights = {name: weight * float("nan") for name, weight in load_file(broken / WEIGHTS_FILE).items()}
    save_file(weights, broken / WEIGHTS_FILE, {"format": "pt"})
    assert "NaN or infinity in 49 of 49" in rejected("--tasks", "knn", model=broken)


def test_tokenizer_without_dna_is_rejected(rejected, stranger):
    base_tokenizer("GHIKL").save_pretrained(stranger)
    line = rejected("--tasks", "knn", "--prepare", "lower", model=stranger)
    assert "maps all of 49 barcodes to unknown tokens" in line


def test_remote_code_is_rejected(rejected, stranger):
    config = json.loads((stranger / "config.json").read_text())
    config |= {"model_type": "unheard_of", "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}}
    (stranger / "config.json").write_text(json.dumps(config))
    (stranger / "own.py").write_text("raise SystemExit('this ran')\n")
    assert "needs code of its own to run" in rejected("--tasks", "knn", model=stranger)


def test_bad_options_are_rejected_before_any_work(rejected, stranger, checkpoint, tmp_path, monkeypatch):
    line = rejected("--tasks", "knn", "fine_tuning", model=stranger)
    assert "--tasks fine_tuning: expected a checkpoint of BarcodeMAE, got another encoder" in line
    assert "--seed -1: expected 0 or more" in rejected("--seed", "-1")
    assert "--fine-tuning-epochs 0.0: expected more than 0" in rejected("--fine-tuning-epochs", "0")
    assert "needs code of its own to run" in rejected("--baselines", "kmer_4", "caduceus")
    for name in ("kmer_4", "genus"):
        shutil.copytree(checkpoint, tmp_path / name)
        assert f"as {name} is that of a baseline or column" in rejected(model=tmp_path / name)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "vsearch is not on the PATH: install" in rejected("--baselines", "vsearch")


@pytest.mark.slow
def test_every_task_every_kind_of_baseline_and_a_leaderboard(tmp_path, tiny_records, checkpoint):
    data, stranger = tmp_path / "records.parquet", tmp_path / "stranger"
    pq.write_table(tiny_records, data)
    tokenizer = build_kmer_tokenizer(3, model_max_length=256)
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=256, **size)).save_pretrained(stranger)
    tokenizer.save_pretrained(stranger)

    def evaluate(model, *options):
        out = tmp_path / "results" / model.name
        words = [sys.executable, Path(evaluate_embeddings.__file__), "--model", model, "--output-dir", out]
        words += ["--data", data, "--query-split", "val_unseen", "--cache-dir", tmp_path / "cache", *options]
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr
        assert {file.name for file in out.iterdir()} >= FILES
        results = json.loads((out / "results.json").read_text())
        validate_results(results)
        return results, pq.read_table(out / "assignments.parquet")

    programs = [name for name in ("vsearch", "blastn") if shutil.which(name)]
    named = ["untrained", "kmer_4", "frame_lda", *programs]
    results, assignments = evaluate(checkpoint, "--tasks", "all", "--baselines", *named, "--fine-tuning-epochs", "0.5")
    baselines = results["baselines"]
    assert list(baselines) == named
    assert set(results) >= {*protocol._RUN, "fine_tuning"}
    assert set(baselines["frame_lda"]) == {*protocol._RUN, "harmonic_mean"}
    for name in programs:
        assert set(baselines[name]) == {"knn", "novelty", "robustness", "harmonic_mean", "program"}
    assert set(results["comparisons"]) == set(baselines)
    assert assignments.column_names == ["id", "species", "genus", checkpoint.name, *baselines]
    assert len(assignments) == results["knn"]["n_answerable"]
    right = np.mean(np.array(assignments["kmer_4"].to_pylist()) == np.array(assignments["genus"].to_pylist()))
    assert right == pytest.approx(baselines["kmer_4"]["knn"]["genus_accuracy"])

    other, _ = evaluate(stranger, "--tasks", "knn", "--baselines", "untrained", "kmer_4", "--pooling", "mean")
    assert other["provenance"]["identity"]["pooling"] == "mean"
    assert other["tokenization"]["truncated"] == 0
    assert other["baselines"]["kmer_4"]["knn"] == baselines["kmer_4"]["knn"]

    board = tmp_path / "leaderboard.md"
    words = ["leaderboard", "--results", tmp_path / "results", "--output", board]
    done = run_barcodemae(*words)
    assert done.returncode == 0, done.stderr
    (merged,) = json.loads(board.with_suffix(".json").read_text())["boards"]
    names = [row["name"] for row in merged["rows"]]
    assert {checkpoint.name, "stranger", "untrained (as stranger)", "4-mer counts"} <= set(names)
    assert len(names) == len(set(names)) == 3 + len(named)
    assert all(row["less_best"] is not None for row in merged["rows"][1:])
