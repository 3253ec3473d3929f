"""Barcodes to vectors, in bulk."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from barcodemae.checkpoints import DEFAULT, shipped_folder
from barcodemae.embedding.batches import batches_by_length
from barcodemae.embedding.precision import fastest_dtype
from barcodemae.errors import BadRecordError
from barcodemae.hub.checkpoint import load_checkpoint
from modeling_barcodemae import BarcodeMAEModel
from tokenization_barcodemae import (
    BarcodeEncoder,
    PlacedBarcodes,
    Placement,
    ReferenceFrame,
    encode_barcodes,
    place_barcodes,
)

# So many sequences are placed, encoded and sorted by length at a time: it bounds the memory, and within it batches
# are of nearly equal length.
_CHUNK = 8192


class BarcodeEmbedder:
    """Mean-pooled embeddings of DNA barcodes.

    Args:
        model: the encoder.
        encoder: cuts barcodes into the words of its vocabulary.
        frame: the marker's reference frame. Sequences that it accepts are turned to the marker's strand and read at
            its slots; the others, or all where there is none, from their first nucleotide.
        device: by default a GPU where there is one.
        dtype: of the encoder; by default what the device is fastest in. A tuned head and all results are float32.

    Attributes:
        model, encoder, frame, device, dtype: as above.
        k: letters in a word of the encoder.
        dimension: width of an embedding.
        unreadable: what is wrong with a sequence that has no embedding.
    """

    def __init__(
        self,
        model: BarcodeMAEModel,
        encoder: BarcodeEncoder,
        frame: ReferenceFrame | None = None,
        device: str | None = None,
        dtype: torch.dtype | None = None,
    ):
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = dtype or fastest_dtype(self.device)
        self.model = model.to(self.device, self.dtype).eval()  # type: ignore[arg-type]
        if self.device == "cpu":
            self.model.set_attn_implementation("eager")  # some 7 % faster than the fused kernel on so few tokens
        if self.model.relatives is not None:
            self.model.relatives.float()  # sums hundreds of letters, whose fine differences tell relatives
        self.encoder = encoder
        self.k = encoder.k
        self.frame = frame
        self.dimension = model.config.pooled_size
        self.unreadable = f"expected a known {self.k}-mer, got none"

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path | None = None,
        revision: str | None = None,
        use_frame: bool = True,
        device: str | None = None,
        dtype: torch.dtype | None = None,
    ) -> "BarcodeEmbedder":
        """Load a checkpoint.

        Args:
            model: a folder, a checkpoint that comes with the package, or an id on the Hub; by default `nano_coi`, which
                comes with the package.
            revision: branch, tag or commit of a Hub repository.
            use_frame: false reads all sequences from their first nucleotide.
            device: by default a GPU where there is one.
            dtype: by default what the device is fastest in.

        Raises:
            CheckpointError: it is missing or broken.
        """
        checkpoint = load_checkpoint(shipped_folder(DEFAULT) if model is None else model, revision, use_frame)
        return cls(checkpoint.model, checkpoint.encoder, checkpoint.frame, device, dtype)

    @classmethod
    def untrained_like(cls, other: "BarcodeEmbedder", seed: int = 0) -> "BarcodeEmbedder":
        """The same architecture, frame and precision with random weights: the floor of any comparison."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = BarcodeMAEModel(other.model.config)
        return cls(model, other.encoder, other.frame, other.device, other.dtype)

    def encode(
        self,
        sequences: Sequence[str],
        batch_size: int = 64,
        show_progress_bar: bool = False,
        normalize_embeddings: bool = False,
        average_offsets: bool = False,
        on_error: str = "raise",
        placement: Placement | None = None,
    ) -> np.ndarray:
        """Embed sequences.

        Args:
            sequences: DNA, in any case, with or without gaps, on any strand if there is a reference frame.
            batch_size: sequences in a batch.
            show_progress_bar: whether to show one.
            normalize_embeddings: scale each to length 1.
            average_offsets: mean over all k reading offsets, each read from its first nucleotide, not on the frame: k
                times the work.
            on_error: what to do with a sequence without a single known k-mer: "raise", or "skip", which leaves its row
                NaN.
            placement: where the sequences lie on the reference frame, if that is known already.

        Returns:
            float32 `[n, hidden]`, in the order of the sequences.

        Raises:
            BadRecordError: a sequence has no known k-mer, and `on_error` is "raise".
        """
        if isinstance(sequences, str):
            raise TypeError("expected a list of sequences, got one string")
        embeddings = np.full((len(sequences), self.dimension), np.nan, np.float32)
        with tqdm(total=len(sequences), unit="barcode", desc="embed", disable=not show_progress_bar) as progress:
            for begin in range(0, len(sequences), _CHUNK):
                chunk = list(sequences[begin : begin + _CHUNK])
                placed = None if placement is None else placement.take(slice(begin, begin + len(chunk)))
                barcodes = place_barcodes(chunk, self.frame, self.encoder.k, placed)
                readings = self._readings(barcodes, average_offsets)
                total = np.zeros((len(chunk), self.dimension), np.float32)
                counts = np.zeros((len(chunk), 1), np.float32)
                for i, encoding in enumerate(readings):
                    for rows, pooled in self._pool(encoding, batch_size):
                        total[rows] += pooled
                        counts[rows] += 1
                        progress.update(len(rows) if i == 0 else 0)
                bad = np.flatnonzero(counts == 0)
                if len(bad) and on_error == "raise":
                    row = begin + int(bad[0])
                    raise BadRecordError("input", str(row), self.unreadable)
                progress.update(len(bad))
                with np.errstate(invalid="ignore"):
                    embeddings[begin : begin + len(chunk)] = total / counts
        if normalize_embeddings:
            embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
        return embeddings

    def _readings(self, barcodes: PlacedBarcodes, average_offsets: bool) -> Iterator[dict[str, np.ndarray]]:
        max_tokens = self.model.config.max_position_embeddings
        if not average_offsets:
            yield encode_barcodes(self.encoder, barcodes, max_tokens)
            return
        free = np.ones(len(barcodes), bool)
        for offset in range(self.encoder.k):
            yield encode_barcodes(self.encoder, barcodes, max_tokens, free, np.full(len(barcodes), offset))

    @torch.inference_mode()
    def _pool(self, encoding: dict[str, np.ndarray], batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows and their embeddings, batch by batch, of all sequences with a known k-mer."""
        for rows, batch in batches_by_length(encoding, batch_size, self.device):
            yield rows, self.model(**batch).pooler_output.float().cpu().numpy()
