"""TensorBoard by default, Weights & Biases on request."""

import pytest
from accelerate import Accelerator

from barcodemae.errors import ConfigurationError
from barcodemae.training import metrics
from barcodemae.training.metrics import choose_tracker, start_tracker


def test_none_chooses_no_tracker():
    assert choose_tracker("none") is None


def test_missing_tensorboard_is_a_warning(monkeypatch, caplog):
    monkeypatch.setattr(metrics, "is_tensorboard_available", lambda: False)
    assert choose_tracker("tensorboard") is None
    assert "no TensorBoard curves" in caplog.text


def test_missing_wandb_is_an_error(monkeypatch):
    monkeypatch.setattr(metrics, "is_wandb_available", lambda: False)
    with pytest.raises(ConfigurationError, match=r"--report-to wandb: .*pip install 'barcodemae\[wandb\]'"):
        choose_tracker("wandb")


def test_tensorboard_writes_to_the_folder_of_the_run(tmp_path):
    tracker = choose_tracker("tensorboard")
    accelerator = Accelerator(cpu=True, log_with=tracker, project_dir=tmp_path)
    start_tracker(accelerator, tracker, tmp_path, {"size": "tiny"})
    accelerator.log({"loss": 1.0}, step=1)
    accelerator.end_training()
    assert [file.name for file in tmp_path.iterdir()] == ["tensorboard"]
    assert list((tmp_path / "tensorboard").glob("events.out.tfevents.*"))
