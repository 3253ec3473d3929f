"""Plots: which ones are drawn, from what, and that a model keeps its colour."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

import barcodemae
from barcodemae.evaluation.report.curves import draw_map
from barcodemae.evaluation.report.plots import colours, draw_all, draw_confusions
from barcodemae.plotting import BLUE, GREY, draw_series, percent_with_errors
from barcodemae.training.summary import draw_training
from helpers.report_records import full_results

PNG = b"\x89PNG\r\n\x1a\n"
KNN = {"accuracy.png", "ranks.png", "genus_size.png", "orders.png", "similarity.png", "confusions.png"}


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are made but not drawn, which takes most of the time."""
    monkeypatch.setattr(Figure, "savefig", lambda figure, file, **options: file.write(PNG))


def test_all_that_was_run_is_drawn():
    pictures = draw_all(full_results())
    assert set(pictures) == KNN | {"few_shot.png", "robustness.png", "compression.png"}
    for picture in pictures.values():
        assert imread(io.BytesIO(picture)).std() > 0


@pytest.mark.parametrize("name", ["Diptera $x^$", "$\\frac{$", "a$b$c", "$", "\\$", "_Hidden"])
def test_names_are_drawn_as_they_are(name):
    confusion = {"genus": name, "predicted": f"{name}2", "family": name, "n": 3}
    for picture in (draw_confusions([confusion]), draw_map(np.zeros((4, 2)), np.array([name, name, "B", "B"], object))):
        assert imread(io.BytesIO(picture)).std() > 0


def test_all_plots_are_plain_figures():
    """By any other way to make one, a `$` in a name would end the command."""
    package = Path(barcodemae.__file__).parent
    others = re.compile(r"(?<!Plain)Figure\(|pyplot|\bplt\.")
    assert [str(file) for file in package.rglob("*.py") if others.search(file.read_text(encoding="utf-8"))] == []


def test_what_nobody_ran_is_not_drawn():
    results = full_results()
    assert draw_all({key: results[key] for key in ("provenance", "harmonic_mean")} | {"baselines": {}}) == {}


def test_a_model_alone_is_drawn(undrawn):
    assert set(draw_all(full_results() | {"baselines": {}})) == set(draw_all(full_results()))


def test_baselines_are_drawn_where_the_model_did_not_run(undrawn):
    results = full_results()
    del results["robustness"], results["few_shot"]
    assert {"robustness.png", "few_shot.png"} <= set(draw_all(results))


def test_results_without_the_breakdowns_are_drawn(undrawn):
    results = full_results() | {"baselines": {}}
    for key in ("by_genus_size", "by_order", "by_similarity", "confusions", "seen_species"):
        del results["knn"][key]
    assert set(draw_all(results)) & KNN == {"accuracy.png", "ranks.png"}


def test_colours_go_by_genus_accuracy_and_no_two_of_the_first_seven_are_equal():
    results = full_results()
    for number in range(4):
        results["baselines"][f"worse {number}"] = {"knn": results["knn"] | {"genus_accuracy": 0.1 - 0.01 * number}}
    found = colours(results)
    assert found["tiny"] == BLUE
    assert list(found)[:4] == ["tiny", "VSEARCH", "frame SVD + LDA", "4-mer counts"]
    assert len(set(list(found.values())[:7])) == 7
    assert list(found.values())[7:] == [GREY, GREY]


def test_errors_reach_from_the_share_to_its_interval():
    scores = [{"a": 0.5, "a_interval": [0.25, 1.0]}, {"a": 0.125, "a_interval": [0.13, 0.5]}]
    shares, errors = percent_with_errors(scores, "a")
    np.testing.assert_allclose(shares, [50, 12.5])
    np.testing.assert_allclose(errors, [[25, 0], [50, 37.5]])


def test_points_of_several_models_stand_side_by_side_around_their_place():
    axes = Figure().add_subplot()
    scores = [{"a": 0.5, "a_interval": [0.25, 1.0]}]
    draw_series(axes, [3], dict.fromkeys("xyz", scores), "a", dict.fromkeys("xyz", BLUE), line="")
    positions = [container[0].get_xdata()[0] for container in axes.containers]
    assert positions == pytest.approx([3 - 0.13, 3, 3 + 0.13])


@pytest.mark.parametrize("n", [1, 12])
def test_a_map_has_orders_known_and_unknown(n):
    orders = np.array(["Diptera", "", *(f"order {number}" for number in range(10))])[:n]
    assert draw_map(np.random.default_rng(0).normal(size=(n, 2)), orders).startswith(PNG)


def test_training_curves_are_pictures():
    lines = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.5}, {"step": 2, "val_loss": 1.6, "val_accuracy": 0.1}]
    for picture in (draw_training(lines), draw_training([])):
        assert picture.startswith(PNG)
