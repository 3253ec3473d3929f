"""The summary of a finished run: figures computed by hand from a made-up `metrics.jsonl`."""

import json
import math
import sys

import pyarrow as pa
import pytest

from barcodemae.data import Report
from barcodemae.training.summary import write_summary

# 100 steps of 36 records at 1 barcode/s take an hour; the next 100 at 2 barcodes/s half an hour.
LINES = [
    {"step": 100, "epoch": 0.5, "loss": 2.0, "accuracy": 0.1, "skipped_steps": 0, "lr": 1e-4, "barcodes_per_second": 1},
    {"step": 100, "epoch": 0.5, "val_loss": 1.5, "val_accuracy": 0.25},
    {"step": 150, "epoch": 0.75, "val_loss": math.nan, "val_accuracy": 0.0},
    {"step": 200, "epoch": 1.0, "loss": 1.0, "accuracy": 0.2, "skipped_steps": 3, "lr": 0.0, "barcodes_per_second": 2},
    {"step": 200, "epoch": 1.0, "val_loss": 1.75, "val_accuracy": 0.5},
]


@pytest.fixture
def folder(tmp_path):
    def write(lines):
        (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return tmp_path

    return write


def summarise(folder):
    report = Report(num_read=8000, counts={"all N": 3, "too short": 700}, dropped=pa.table({}))
    return write_summary(folder, report, 7200, 97, step_size=36)


def test_figures(folder):
    text = summarise(folder(LINES))
    for line in (
        "- read 8,000 records; dropped 703: 3 all N, 700 too short",
        "- training: 7,200 records; validation: 97",
        "- steps: 200 of 36 records (1 epochs)",
        "- steps skipped because loss or gradient was not finite: 3",
        "- duration of the steps: 1:30:00, 1.3 barcodes/s",
        "- training loss at the end: 1.0000",
        "- validation at the end: loss 1.7500, accuracy 0.5000",
        "- lowest validation loss: at step 100: loss 1.5000, accuracy 0.2500; the model is that of the last step",
    ):
        assert line in text.splitlines()


def test_page_and_curve_are_written_and_listed(folder):
    run = folder(LINES)
    (run / "state").mkdir()
    text = summarise(run)
    assert (run / "summary.md").read_text() == text
    assert (run / "training.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert {file.name for file in run.iterdir()} == {"metrics.jsonl", "state", "summary.md", "training.png"}
    listed = [line.split("`")[1] for line in text.splitlines() if line.startswith("- `")]
    assert listed == ["metrics.jsonl", "training.png", "state"]


def test_without_validation_there_are_no_lines_on_it(folder):
    text = summarise(folder([LINES[0]]))
    assert not any(line.startswith(("- validation", "- lowest")) for line in text.splitlines())
    assert "- steps: 100 of 36 records (0.5 epochs)" in text


def test_loss_is_nan_when_every_step_was_skipped(folder):
    line = {name: value for name, value in LINES[0].items() if name != "loss"}
    assert "- training loss at the end: nan" in summarise(folder([line | {"skipped_steps": 100}]))


def test_without_matplotlib_a_warning_replaces_the_curve(folder, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.delitem(sys.modules, "barcodemae.plotting", raising=False)
    run = folder(LINES)
    text = summarise(run)
    assert not (run / "training.png").exists()
    assert "training.png" not in text
    assert [record.message for record in caplog.records] == [
        "no training.png: matplotlib is not installed (pip install 'barcodemae[train]')"
    ]
