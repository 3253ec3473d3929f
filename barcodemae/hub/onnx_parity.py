"""Differences between the ONNX files of a checkpoint and the checkpoint itself, on real barcodes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from barcodemae.checkpoints.loading import Checkpoint
from barcodemae.data import sample_path
from modeling_barcodemae import BarcodeMAEModel
from tokenization_barcodemae import place_barcodes

_BARCODES = 128
_BATCH = 32

# Difference of cosines up to which two neighbours are equally near, such as barcodes with the same k-mers.
_EQUALLY_NEAR = 1e-6


class Encoded(NamedTuple):
    """Output of a model for barcodes.

    Attributes:
        hidden: float32 `[n, tokens, hidden]`, the last hidden state.
        pooled: float32 `[n, hidden]`, the pooled vectors.
    """

    hidden: np.ndarray
    pooled: np.ndarray


@dataclass(frozen=True)
class Parity:
    """Result of a comparison.

    Attributes:
        barcodes: number of barcodes.
        float32_max_difference: maximum difference of the hidden states of attended tokens and of pooled vectors.
        quantized_equal_neighbours: share of barcodes that keep their nearest neighbour; see `equal_neighbours`.
    """

    barcodes: int
    float32_max_difference: float
    quantized_equal_neighbours: float


Encoding = dict[str, np.ndarray]
"""`input_ids` and `attention_mask`, each int64 `[n, tokens]`."""

Encoder = Callable[[Encoding], Encoded]


def measure_parity(checkpoint: Checkpoint, float32_file: Path, quantized_file: Path) -> Parity:
    """Compare ONNX files with their model, on barcodes of the bundled sample.

    Barcodes are read from their first nucleotide and, if there is a reference frame, also on the frame; the worse
    result of both is returned.

    Args:
        checkpoint: the model.
        float32_file, quantized_file: the ONNX files.
    """
    sample = pq.read_table(sample_path(), columns=["nucleotides", "split"])
    barcodes = sample.filter(pc.equal(sample["split"], "test"))["nucleotides"].to_pylist()[:_BARCODES]
    encoders = torch_encoder(checkpoint.model), onnx_encoder(float32_file), onnx_encoder(quantized_file)
    differences, shares = [], []
    for encoding in _readings(checkpoint, barcodes):
        exact, float32, quantized = (encode_in_batches(encode, encoding) for encode in encoders)
        attended = encoding["attention_mask"] == 1
        differences.append(np.abs(exact.hidden - float32.hidden)[attended].max())
        differences.append(np.abs(exact.pooled - float32.pooled).max())
        shares.append(equal_neighbours(exact.pooled, quantized.pooled))
    return Parity(len(barcodes), float(np.max(differences)), min(shares))


def torch_encoder(model: BarcodeMAEModel) -> Encoder:
    """The model as a function of arrays; the position of a token is its column, as in the ONNX files."""

    @torch.inference_mode()
    def encode(encoding: Encoding) -> Encoded:
        tensors = {name: torch.from_numpy(values) for name, values in encoding.items()}
        outputs = model(**tensors, position_ids=torch.arange(tensors["input_ids"].shape[1])[None])
        return Encoded(outputs.last_hidden_state.numpy(), outputs.pooler_output.numpy())

    return encode


def onnx_encoder(file: Path) -> Encoder:
    """An exported model, run by onnxruntime, as a function of arrays."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda encoding: Encoded(*session.run(["last_hidden_state", "pooler_output"], encoding))


def encode_in_batches(encode: Encoder, encoding: Encoding) -> Encoded:
    """Encode barcodes in small batches, which need little memory."""
    n = len(encoding["input_ids"])
    batches = [
        encode({name: values[begin : begin + _BATCH] for name, values in encoding.items()})
        for begin in range(0, n, _BATCH)
    ]
    return Encoded(*map(np.concatenate, zip(*batches, strict=True)))


def equal_neighbours(exact: np.ndarray, approximate: np.ndarray) -> float:
    """Share of rows whose nearest other row, by cosine, is the same in both sets of embeddings.

    A neighbour counts as the same if its cosine in `exact` is that of the nearest up to 1e-6.

    Args:
        exact, approximate: `[n, dimension]`, two embeddings of the same two or more barcodes.
    """
    similarity, approximate_similarity = _cosines(exact), _cosines(approximate)
    chosen = np.take_along_axis(similarity, approximate_similarity.argmax(1)[:, None], axis=1)[:, 0]
    return float((chosen >= similarity.max(1) - _EQUALLY_NEAR).mean())


def _readings(checkpoint: Checkpoint, barcodes: list[str]) -> list[Encoding]:
    kmers, frame = checkpoint.encoder, checkpoint.frame
    readings = [kmers(barcodes, max_length=checkpoint.model.config.max_position_embeddings)]
    if frame is not None:
        placed = place_barcodes(barcodes, frame, kmers.k)
        readings.append(kmers(placed.nucleotides, starts=placed.starts, max_length=placed.num_slots))
    return [{name: reading[name] for name in ("input_ids", "attention_mask")} for reading in readings]


def _cosines(vectors: np.ndarray) -> np.ndarray:
    """Cosines `[n, n]` between rows, with -1 on the diagonal: no row is its own neighbour."""
    unit = vectors.astype(np.float64) / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -1)
    return cosines
