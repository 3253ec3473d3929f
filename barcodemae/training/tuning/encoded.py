"""The inputs of a tuned model's head: the bases of barcodes on the reference frame, and the encoder's mean output.

The head averages over the k-mers of a barcode: bases over all k-mers, the encoder's output over those that it reads.
"""

from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from barcodemae.embedding.batches import batches_by_length
from barcodemae.training.stored import StoredBarcodes
from modeling_barcodemae import BarcodeMAEModel
from modeling_barcodemae.tokens_barcodemae import base_columns, every_nth_slot
from tokenization_barcodemae import BarcodeEncoder, PlacedBarcodes, encode_barcodes

_BLOCK_ROWS = 4096
_BATCH_SIZE = 64


@dataclass(frozen=True)
class EncodedBarcodes:
    """Barcodes as the head of a tuned model reads them.

    Attributes:
        bases: int8 `[n, coordinates]`, 0 to 3 for A, C, G, T, -1 where a barcode has no known k-mer.
        num_tokens: int64 `[n]`, number of known k-mers.
        encoded: float32 `[n, hidden]`, mean output of the encoder.
    """

    bases: np.ndarray
    num_tokens: np.ndarray
    encoded: np.ndarray

    def take(self, rows: np.ndarray) -> "EncodedBarcodes":
        return EncodedBarcodes(self.bases[rows], self.num_tokens[rows], self.encoded[rows])


@torch.inference_mode()
def run_encoder(
    model: BarcodeMAEModel,
    encoder: BarcodeEncoder,
    barcodes: StoredBarcodes | PlacedBarcodes,
    rows: np.ndarray,
    encoder_stride: int,
    bases_only: bool = False,
) -> EncodedBarcodes:
    """Run the encoder on barcodes that lie on the reference frame.

    Args:
        model: an untuned model, on the CPU.
        encoder: gives its input ids.
        barcodes: a set of barcodes.
        rows: those to read, all of them placed on the reference frame.
        encoder_stride: the encoder reads every n-th slot, as in a tuned model with this setting.
        bases_only: leave out the encoder, which takes most of the time; its output is then 0.
    """
    k, num_slots = encoder.k, barcodes.num_slots
    bases = np.full((len(rows), num_slots * k), -1, np.int8)
    num_tokens = np.zeros(len(rows), np.int64)
    encoded = np.zeros((len(rows), model.config.hidden_size), np.float32)
    with tqdm(
        total=len(rows),
        desc="reading barcodes" if bases_only else "running the encoder",
        unit=" barcodes",
        unit_scale=True,
    ) as progress:
        for begin in range(0, len(rows), _BLOCK_ROWS):
            chosen = rows[begin : begin + _BLOCK_ROWS]
            encoding = encode_barcodes(encoder, barcodes.take(chosen), num_slots)
            num_tokens[begin : begin + len(chosen)] = encoding["attention_mask"].sum(1)
            _put_bases(bases[begin : begin + len(chosen)], encoding, k)
            if bases_only:
                progress.update(len(chosen))
                continue
            for batch_rows, batch in batches_by_length(encoding, _BATCH_SIZE):
                read = every_nth_slot({**batch}, encoder_stride)
                encoded[begin + batch_rows] = model(**read, for_decoder=True).pooler_output.numpy()
                progress.update(len(batch_rows))
    return EncodedBarcodes(bases, num_tokens, encoded)


def _put_bases(bases: np.ndarray, encoding: dict[str, np.ndarray], k: int) -> None:
    ids, positions = (torch.from_numpy(encoding[name]) for name in ("input_ids", "position_ids"))
    columns = base_columns(ids, positions, k).numpy()
    known = (columns >= 0) & (encoding["attention_mask"][..., None] == 1)
    rows = np.broadcast_to(np.arange(len(columns))[:, None, None], columns.shape)
    bases[rows[known], columns[known] // 4] = columns[known] % 4
