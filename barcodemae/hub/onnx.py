"""A checkpoint's encoder as ONNX, in the layout that transformers.js reads: for browsers, and for anyone without torch.

The graph takes `input_ids` and `attention_mask` and counts positions by itself, as nothing that runs such files would
feed it `position_ids`: a position is the number of a column. A barcode that is placed on the reference frame is fed by
slot, with `[PAD]` and attention 0 where it lacks one: `KmerEncoder` with `starts` gives just that.
"""

import dataclasses
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from barcodemae.checkpoints.files import WEIGHTS_FILE, WEIGHTS_INDEX_FILE
from barcodemae.checkpoints.loading import Checkpoint, load_checkpoint, weights_sha256
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.files import written_atomically
from barcodemae.hub.onnx_parity import Parity, measure_parity
from barcodemae.outputs import check_output_folder
from barcodemae.provenance import describe_versions
from modeling_barcodemae import BarcodeMAEModel
from modeling_barcodemae.configuration_barcodemae import UNKNOWN_ID

ONNX_FOLDER = "onnx"
MODEL_FILE = "model.onnx"
QUANTIZED_FILE = "model_quantized.onnx"
EXPORT_FILE = "export.json"

MAX_DIFFERENCE = 1e-4

# What the exporter of torch 2.9 writes by itself; every runtime of the last years reads it.
_OPSET = 18

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


class _Encoder(nn.Module):
    """The model with plain tensors in and out, as an exporter wants it."""

    def __init__(self, model: BarcodeMAEModel):
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        # A slot that a barcode lacks at its beginning is no padding on the left, after which the model would begin to
        # count: it is a token that says nothing.
        is_padding = input_ids == self.model.config.pad_token_id
        outputs = self.model(
            input_ids=input_ids.masked_fill(is_padding, UNKNOWN_ID),
            attention_mask=attention_mask.masked_fill(is_padding, 0),
        )
        return outputs.last_hidden_state, outputs.pooler_output


def export_onnx(checkpoint: str | Path, folder: Path) -> Parity:
    """Write the encoder as ONNX, once in float32 and once with 8-bit weights, and what transformers.js needs beside it.

    Before anything takes its place, the files are compared with our model on real barcodes; `onnx/export.json` keeps
    what that gave, and which weights the files were made of.

    Args:
        checkpoint: a folder, or an id on the Hub.
        folder: receives `onnx/`, `config.json`, `tokenizer.json` and `tokenizer_config.json`; where it is the
            checkpoint itself, `onnx/` alone.

    Returns:
        What the comparison gave.

    Raises:
        CheckpointError: the checkpoint is missing or broken, or the exported model differs from it by more than 1e-4.
        ConfigurationError: a package is missing, or `folder` can't be written to or is that of another checkpoint.
    """
    if missing := [package for package in _PACKAGES if find_spec(package) is None]:
        raise ConfigurationError(f"expected the package {missing[0]}, found none: pip install 'barcodemae[onnx]'")
    is_own = folder.resolve() == Path(checkpoint).resolve()
    check_output_folder(folder, without=[] if is_own else [WEIGHTS_FILE, WEIGHTS_INDEX_FILE])
    loaded = load_checkpoint(checkpoint)
    with written_atomically(folder) as scratch:
        place = scratch / ONNX_FOLDER
        place.mkdir()
        with _quietly():
            _write_float32(loaded.model, place / MODEL_FILE)
            _write_quantized(place / MODEL_FILE, place / QUANTIZED_FILE)
        parity = measure_parity(loaded, place / MODEL_FILE, place / QUANTIZED_FILE)
        if not parity.float32_max_difference <= MAX_DIFFERENCE:
            raise CheckpointError(
                f"{checkpoint}: expected the ONNX model to differ by at most {MAX_DIFFERENCE} from it, "
                f"measured {parity.float32_max_difference:.1e}"
            )
        description = {
            "weights_sha256": weights_sha256(checkpoint),
            "opset": _OPSET,
            "versions": describe_versions(("torch", "transformers", *_PACKAGES)),
            "parity": dataclasses.asdict(parity),
        }
        (place / EXPORT_FILE).write_text(json.dumps(description, indent=2) + "\n")
        if not is_own:
            _write_config_and_tokenizer(loaded, scratch)
    return parity


def _write_float32(model: BarcodeMAEModel, file: Path) -> None:
    import onnx
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    # Any values do; but a length of 1 would be taken for a constant, of what the encoder reads too, and one tensor that
    # is given twice for one input.
    example = torch.ones(2, 2 * model.config.encoder_stride + 1, dtype=torch.int64)
    axes = {0: "batch", 1: "length"}
    program: Any = torch.onnx.export(
        _Encoder(model).eval(),
        (example, example.clone()),
        input_names=["input_ids", "attention_mask"],
        output_names=["last_hidden_state", "pooler_output"],
        dynamic_shapes={"input_ids": axes, "attention_mask": axes},
        opset_version=_OPSET,
        dynamo=True,
        verbose=False,
    )
    # The exporter notes in every node which file and line it came from: paths of this machine.
    ClearMetadataAndDocStringPass()(program.model)
    onnx.save(program.model_proto, file)


def _write_quantized(source: Path, file: Path) -> None:
    """Weights of matrix products in 8 bits, in blocks with a scale each; everything is still computed in float32.

    Measured with 500 to 1,000 queries among three times as many barcodes of the same species, on two trained models
    and an untrained one, at least 99.6 of 100 queries keep the very same neighbour, whether the others' vectors come
    from 8 bits or from float32.
    Quantising what flows between the layers too (`quantize_dynamic`) keeps 98 to 99, and makes an embedding depend on
    the others of its batch, as they share a scale. With the word embeddings in 8 bits as well, 5 to 7 of 100 queries
    find another neighbour among float32 vectors. In float32, it does not matter which integer instructions a
    processor has.
    """
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

    settings = DefaultWeightOnlyQuantConfig(bits=8, block_size=128, is_symmetric=True, accuracy_level=1)  # 1: float32
    quantizer = MatMulNBitsQuantizer(onnx.load(source), algo_config=settings)
    quantizer.process()
    onnx.save(quantizer.model.model, file)


def _write_config_and_tokenizer(checkpoint: Checkpoint, folder: Path) -> None:
    config = json.loads(checkpoint.model.config.to_json_string())
    del config["auto_map"]  # the model code does not travel along
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    # Nothing there reads barcodes on the reference frame, or takes positions.
    checkpoint.tokenizer.frame = None  # type: ignore[attr-defined]
    checkpoint.tokenizer.save_pretrained(folder)


@contextmanager
def _quietly() -> Iterator[None]:
    """The exporter tells its progress, and warns of what is none of the user's business, by every way there is."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
