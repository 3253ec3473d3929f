import copy
import json

import numpy as np
import pytest

from barcodemae.evaluation.arguments import EvaluationArguments
from barcodemae.evaluation.provenance import describe_run
from barcodemae.evaluation.report import plots
from barcodemae.evaluation.report.page import render_report, results_table
from barcodemae.training.curve import draw_training

PNG = b"\x89PNG\r\n\x1a\n"
SIZES = [
    {"n_keys": [1, 1], "n_answerable": 3, "genus_accuracy": 1 / 3, "genus_accuracy_interval": [0.0, 1.0]},
    {"n_keys": [2, 3], "n_answerable": 5, "genus_accuracy": 1.0, "genus_accuracy_interval": [1.0, 1.0]},
]
SCORES = {
    "knn": {
        "n_queries": 10,
        "n_answerable": 8,
        "genus_accuracy": 0.75,
        "genus_accuracy_interval": [0.6, 0.875],
        "genus_accuracy_by_species": 0.7,
        "by_genus_size": SIZES,
        "seen_species": {"species_accuracy": 0.99},
    },
    "linear_probe": {"species_accuracy": 0.985},
    "clustering": {"bin_ami": 0.8, "bin_ami_unseen": 0.85},
    "harmonic_mean": 0.7742,
}


@pytest.fixture
def results():
    rival = copy.deepcopy(SCORES)
    del rival["linear_probe"]
    return {
        **copy.deepcopy(SCORES),
        "rivals": {"kmer_4": rival},
        "splits": {"train": 1000, "test": 20, "test_unseen": 10},
        "provenance": {
            "model": "tiny",
            "weights_sha256": "0123abcd",
            "data": [{"name": "barcodes.parquet", "sha256": "abc"}],
            "seed": 0,
            "command": "python evaluate_embeddings.py --model tiny",
            "versions": {"python": "3.12.1"},
            "machine": "some processor, 2 cores",
            "date": "2025-01-01T00:00:00+00:00",
        },
    }


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_the_table_by_hand(results):
    header, _, model, rival = cells(results_table(results))
    assert header[1:] == [
        "genus, unseen",
        "by species",
        "species, probe",
        "species, 1-NN",
        "BIN AMI",
        "AMI, unseen",
        "harmonic mean",
    ]
    assert model == ["tiny", "75.0 (60.0-87.5)", "70.0", "98.5", "99.0", "80.0", "85.0", "77.4"]
    assert rival == ["4-mer counts", "75.0 (60.0-87.5)", "70.0", "not run", "99.0", "80.0", "85.0", "77.4"]


def test_columns_of_tasks_that_nobody_ran_are_left_out(results):
    for scores in (results, results["rivals"]["kmer_4"]):
        scores.pop("linear_probe", None)
        scores["clustering"]["bin_ami_unseen"] = None
    header = cells(results_table(results))[0]
    assert "species, probe" not in header
    assert "AMI, unseen" not in header


def test_extra_queries_have_a_column(results):
    results["extra_queries"] = {"knn": {"genus_accuracy": 0.5, "genus_accuracy_interval": [0.4, 0.6]}}
    header, _, model, rival = cells(results_table(results))
    column = header.index("genus, extra")
    assert (model[column], rival[column]) == ("50.0 (40.0-60.0)", "not run")


def test_the_page_holds_table_plots_and_provenance(results):
    page = render_report(results, ["accuracy.png", "genus_size.png"])
    for part in (results_table(results), "(genus_size.png)", "`test_unseen` 10", "Of 10", "SHA-256 abc"):
        assert part in page
    for value in results["provenance"].values():
        if isinstance(value, str):
            assert value in page


def test_provenance_holds_no_path_of_this_machine(tmp_path):
    model = tmp_path / "my-model"
    model.mkdir()
    data = tmp_path / "barcodes.tsv"
    data.write_text("abc")
    arguments = EvaluationArguments(str(model), str(tmp_path / "out"), data=str(data), queries=str(data))
    run = describe_run(arguments, "0123abcd")
    assert run["model"] == "my-model"
    assert [one["name"] for one in run["data"]] == ["barcodes.tsv"] * 2
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc", FIPS 180-2
    assert run["data"][0]["sha256"] == expected
    assert str(tmp_path) not in json.dumps(run)
    assert "--model my-model --output_dir out --data barcodes.tsv" in run["command"]


def test_an_id_on_the_hub_stays_whole():
    arguments = EvaluationArguments("organisation/model", "out", data="hub:organisation/data")
    run = describe_run(arguments, "0123abcd")
    assert run["model"] == "organisation/model"
    assert run["data"] == [{"name": "hub:organisation/data", "sha256": None}]


def test_plots_are_pictures(results):
    knn = {"tiny": results["knn"], "4-mer counts": results["rivals"]["kmer_4"]["knn"]}
    orders = np.array(["Diptera", "", *(f"order {number}" for number in range(10))])
    points = np.random.default_rng(0).normal(size=(12, 2))
    lines = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.5}, {"step": 2, "val_loss": 1.6, "val_accuracy": 0.1}]
    for picture in (
        plots.draw_accuracies(knn),
        plots.draw_genus_sizes(knn),
        plots.draw_map(points, orders),
        draw_training(lines),
        draw_training([]),
    ):
        assert picture.startswith(PNG)
