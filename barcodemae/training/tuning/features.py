"""What a tuned model's head is a linear map of: the bases of a barcode on the frame, and the encoder's mean output.

Both are means over the barcode's k-mers: the bases over all, the encoder's output over those that it reads.
"""

from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from barcodemae.data.stored import StoredBarcodes
from barcodemae.embedding.batches import batches_by_length
from barcodemae.embedding.singular import LinearMap, fit_one_hot_map, map_one_hot
from modeling_barcodemae import BarcodeMAEModel
from modeling_barcodemae.tokens_barcodemae import base_columns, every_nth_slot
from tokenization_barcodemae import BarcodeEncoder, PlacedBarcodes, encode_barcodes

_BLOCK_ROWS = 4096
_BATCH_SIZE = 64


@dataclass(frozen=True)
class Reading:
    """What was read of `n` barcodes.

    Attributes:
        bases: int8 `[n, coordinates]`, 0 to 3 for A, C, G, T, -1 where a barcode has no known k-mer.
        num_tokens: int64 `[n]`, known k-mers.
        encoded: float32 `[n, hidden]`, mean output of the encoder.
    """

    bases: np.ndarray
    num_tokens: np.ndarray
    encoded: np.ndarray

    def take(self, rows: np.ndarray) -> "Reading":
        return Reading(self.bases[rows], self.num_tokens[rows], self.encoded[rows])


@torch.inference_mode()
def read_barcodes(
    model: BarcodeMAEModel, encoder: BarcodeEncoder, barcodes: StoredBarcodes | PlacedBarcodes, encoder_stride: int
) -> Reading:
    """Bases of all barcodes that lie on the frame, in their order, and the encoder's mean output.

    The encoder reads every `encoder_stride`-th slot, as in a tuned model that is so configured.
    """
    k, num_slots = encoder.k, barcodes.num_slots
    rows = np.flatnonzero(barcodes.is_placed)
    bases = np.full((len(rows), num_slots * k), -1, np.int8)
    num_tokens = np.zeros(len(rows), np.int64)
    encoded = np.empty((len(rows), model.config.hidden_size), np.float32)
    with tqdm(total=len(rows), desc="reading with the encoder", unit=" barcodes", unit_scale=True) as progress:
        for begin in range(0, len(rows), _BLOCK_ROWS):
            chosen = rows[begin : begin + _BLOCK_ROWS]
            encoding = encode_barcodes(encoder, barcodes.take(chosen), num_slots)
            num_tokens[begin : begin + len(chosen)] = encoding["attention_mask"].sum(1)
            _put_bases(bases[begin : begin + len(chosen)], encoding, k)
            for batch_rows, batch in batches_by_length(encoding, _BATCH_SIZE):
                read = every_nth_slot({**batch}, encoder_stride)
                encoded[begin + batch_rows] = model(**read, for_decoder=True).pooler_output.numpy()
                progress.update(len(batch_rows))
    return Reading(bases, num_tokens, encoded)


def fit_base_map(reading: Reading, num_features: int) -> LinearMap:
    """The first singular vectors of the bases, centred by coordinate and divided by the barcode's k-mers.

    Returns:
        Inputs are columns: four for each coordinate. At most `num_features` outputs.
    """
    return fit_one_hot_map(reading.bases, num_features, reading.num_tokens)


def map_bases(reading: Reading, base_map: LinearMap) -> np.ndarray:
    """Float32 `[n, outputs]`."""
    return map_one_hot(reading.bases, base_map, reading.num_tokens)


def fit_whitening(vectors: np.ndarray, floor: float = 1e-4) -> LinearMap:
    """Principal axes, each scaled to variance 1; those with less than `floor` of the first one's variance, to less."""
    mean = vectors.mean(axis=0)
    centred = (vectors - mean).astype(np.float64)
    variances, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    matrix = axes / np.sqrt(np.maximum(variances, 0) + floor * variances[-1])
    return LinearMap(mean, matrix.astype(np.float32))


def _put_bases(bases: np.ndarray, encoding: dict[str, np.ndarray], k: int) -> None:
    ids, positions = (torch.from_numpy(encoding[name]) for name in ("input_ids", "position_ids"))
    columns = base_columns(ids, positions, k).numpy()
    known = (columns >= 0) & (encoding["attention_mask"][..., None] == 1)
    rows = np.broadcast_to(np.arange(len(columns))[:, None, None], columns.shape)
    bases[rows[known], columns[known] // 4] = columns[known] % 4
