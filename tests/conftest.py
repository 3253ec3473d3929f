"""What several tests need: real barcodes of the bundled sample, and a small checkpoint."""

import logging
import os
import sys
import tempfile

# Before any library of Hugging Face reads it: tests leave nothing in the caches of whoever runs them.
_HOME = tempfile.TemporaryDirectory(prefix="barcodemae-tests-")
os.environ["HF_HOME"] = _HOME.name

# One thread a process, set before the libraries read it. Idle threads wait by spinning: beside other test processes,
# small operations take up to a thousand times as long. Numba (in UMAP) raises PyTorch's threads to its own number.
for _library in ("OMP", "OPENBLAS", "MKL", "RAYON", "NUMBA"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from accelerate.state import AcceleratorState, GradientState
from hypothesis import settings

from barcodemae.checkpoints.loading import save_checkpoint
from barcodemae.data import sample_path
from barcodemae.hub.onnx import export_onnx
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEForPreTraining
from tokenization_barcodemae import ReferenceFrame

# How long an example takes is a matter for benchmarks: a busy machine must not fail a test.
settings.register_profile("without deadline", deadline=None)
settings.load_profile("without deadline")


@pytest.fixture(autouse=True)
def fresh_accelerator():
    """Accelerate keeps its settings for a process: the next test may want another precision."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


@pytest.fixture(autouse=True)
def options_of_a_process():
    """A command that runs with `--quiet` in this process leaves it as it was: the next test may look for progress."""
    logger = logging.getLogger("barcodemae")
    quiet, level, stdout = os.environ.get("TQDM_DISABLE"), logger.level, sys.stdout
    yield
    logger.setLevel(level)
    sys.stdout = stdout
    if quiet is None:
        os.environ.pop("TQDM_DISABLE", None)
    else:
        os.environ["TQDM_DISABLE"] = quiet


@pytest.fixture(scope="session")
def sample():
    return pq.read_table(sample_path())


@pytest.fixture(scope="session")
def full_length_barcodes(sample):
    """Barcodes of just the canonical region, all bases known, as a list."""
    nucleotides = sample["nucleotides"]
    whole = pc.and_(
        pc.equal(pc.utf8_length(nucleotides), 658), pc.invert(pc.match_substring_regex(nucleotides, "[^ACGT]"))
    )
    return nucleotides.filter(whole).to_pylist()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """Folder of a small untrained pretraining checkpoint with the COI frame."""
    torch.manual_seed(7)
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    folder = tmp_path_factory.mktemp("checkpoint")
    save_checkpoint(folder, BarcodeMAEForPreTraining(BarcodeMAEConfig(k=4, **size)), ReferenceFrame.coi())
    return folder


@pytest.fixture(scope="session")
def tuned_checkpoint(tmp_path_factory):
    """Folder of a small checkpoint with a random head, whose encoder reads every third slot."""
    torch.manual_seed(8)
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    head = {"embedding_size": 24, "frame_slots": 164, "encoder_stride": 3}
    folder = tmp_path_factory.mktemp("tuned_checkpoint")
    save_checkpoint(folder, BarcodeMAEForPreTraining(BarcodeMAEConfig(k=4, **size, **head)), ReferenceFrame.coi())
    return folder


@pytest.fixture(scope="session")
def exported(checkpoint, tmp_path_factory):
    """Folder of the checkpoint's ONNX files, and of what other runtimes need beside them."""
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("exported")
    export_onnx(checkpoint, folder)
    return folder


@pytest.fixture(scope="session")
def exported_tuned(tuned_checkpoint, tmp_path_factory):
    """Folder of the ONNX files of the checkpoint with a head."""
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("exported_tuned")
    export_onnx(tuned_checkpoint, folder)
    return folder
