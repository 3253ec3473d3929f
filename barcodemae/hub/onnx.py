"""Export of a checkpoint's encoder to ONNX, in the layout of transformers.js: for browsers, and for use without torch.

The inputs of the graph are `input_ids` and `attention_mask`. It has no `position_ids`, which the programs that run such
files would not pass: the position of a token is its column. A barcode that is placed on the reference frame is passed
by slots, with `[PAD]` and attention 0 at the slots that it lacks, which is the output of `KmerEncoder` with `starts`.
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

from barcodemae.checkpoints.files import WEIGHTS_FILE, WEIGHTS_INDEX_FILE, weights_sha256
from barcodemae.checkpoints.loading import Checkpoint, load_checkpoint
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

# The default of the exporter of torch 2.9; every runtime of the last years reads it.
_OPSET = 18

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


class _Encoder(nn.Module):
    """The model with plain tensors as inputs and outputs, as the exporter needs them."""

    def __init__(self, model: BarcodeMAEModel):
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        # A slot that a barcode lacks at its beginning is not padding on the left, which would shift the positions: it
        # is an unknown token that is not attended.
        is_padding = input_ids == self.model.config.pad_token_id
        outputs = self.model(
            input_ids=input_ids.masked_fill(is_padding, UNKNOWN_ID),
            attention_mask=attention_mask.masked_fill(is_padding, 0),
        )
        return outputs.last_hidden_state, outputs.pooler_output


def export_onnx(checkpoint: str | Path, folder: Path) -> Parity:
    """Write the encoder as ONNX, in float32 and with 8-bit weights, and the other files that transformers.js needs.

    The files are first compared with the model on real barcodes. `onnx/export.json` records the result, and the SHA-256
    of the weights.

    Args:
        checkpoint: a folder, or an id on the Hub.
        folder: receives `onnx/`, `config.json`, `tokenizer.json` and `tokenizer_config.json`; only `onnx/` if it is the
            folder of the checkpoint itself.

    Returns:
        The result of the comparison.

    Raises:
        CheckpointError: the checkpoint is missing or broken, or the exported model differs from it by more than 1e-4.
        ConfigurationError: a package is missing, or `folder` can't be written to or is that of another checkpoint.
    """
    if missing := [package for package in _PACKAGES if find_spec(package) is None]:
        raise ConfigurationError(f"the package {missing[0]} is not installed: pip install 'barcodemae[onnx]'")
    is_own = folder.resolve() == Path(checkpoint).resolve()
    check_output_folder(folder, without=[] if is_own else [WEIGHTS_FILE, WEIGHTS_INDEX_FILE])
    loaded = load_checkpoint(checkpoint)
    with written_atomically(folder) as scratch:
        target = scratch / ONNX_FOLDER
        target.mkdir()
        with _quietly():
            _write_float32(loaded.model, target / MODEL_FILE)
            _write_quantized(target / MODEL_FILE, target / QUANTIZED_FILE)
        parity = measure_parity(loaded, target / MODEL_FILE, target / QUANTIZED_FILE)
        if not parity.float32_max_difference <= MAX_DIFFERENCE:
            raise CheckpointError(
                f"{checkpoint}: expected the ONNX model to differ by at most {MAX_DIFFERENCE} from the checkpoint, "
                f"got {parity.float32_max_difference:.1e}"
            )
        description = {
            "weights_sha256": weights_sha256(checkpoint),
            "opset": _OPSET,
            "versions": describe_versions(("torch", "transformers", *_PACKAGES)),
            "parity": dataclasses.asdict(parity),
        }
        (target / EXPORT_FILE).write_text(json.dumps(description, indent=2) + "\n")
        if not is_own:
            _write_config_and_tokenizer(loaded, scratch)
    return parity


def _write_float32(model: BarcodeMAEModel, file: Path) -> None:
    import onnx
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    # The values do not matter, but the exporter takes a length of 1 for a constant, also after the encoder's stride,
    # and one tensor that is passed twice for a single input.
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
    # The exporter records file and line of the source in every node, with paths of this machine.
    ClearMetadataAndDocStringPass()(program.model)
    onnx.save(program.model_proto, file)


def _write_quantized(source: Path, file: Path) -> None:
    """Quantise the weights of matrix products to 8 bits, in blocks with one scale each; computation stays in float32.

    Measured with 500 to 1,000 queries among three times as many barcodes of the same species, on two trained models
    and an untrained one: at least 99.6 % of the queries keep their nearest neighbour, whether the references are
    embedded with 8-bit or with float32 weights.
    With activations quantised too (`quantize_dynamic`) 98 to 99 % keep it, and an embedding depends on the rest of its
    batch, which shares a scale. With word embeddings in 8 bits too, 5 to 7 % of the queries find another neighbour
    among float32 embeddings. Computation in float32 gives the same result on processors with other integer
    instructions.
    """
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

    settings = DefaultWeightOnlyQuantConfig(bits=8, block_size=128, is_symmetric=True, accuracy_level=1)  # 1: float32
    quantizer = MatMulNBitsQuantizer(onnx.load(source), algo_config=settings)
    quantizer.process()
    onnx.save(quantizer.model.model, file)


def _write_config_and_tokenizer(checkpoint: Checkpoint, folder: Path) -> None:
    config = json.loads(checkpoint.model.config.to_json_string())
    del config["auto_map"]  # the model code is not exported
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    # The programs that read ONNX files do not place barcodes on the reference frame.
    checkpoint.tokenizer.frame = None  # type: ignore[attr-defined]
    checkpoint.tokenizer.save_pretrained(folder)


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence the exporter, which prints, logs and warns about its own internals."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
