"""Embeddings by the whole model."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import torch
from tqdm import tqdm

from barcodemae.checkpoints import DEFAULT, shipped_folder
from barcodemae.checkpoints.loading import load_checkpoint
from barcodemae.data.inputs import check_sequences
from barcodemae.embedding.attribution import Attribution, difference_of_directions
from barcodemae.embedding.base_map import BaseMapEmbedder
from barcodemae.embedding.batches import batches_by_length, cut_windows, group_by_length
from barcodemae.embedding.integrated_gradients import NUM_STEPS, attribute_tokens
from barcodemae.embedding.nearest import CosineEmbedder
from barcodemae.errors import BadRecordError, ConfigurationError
from modeling_barcodemae import BarcodeMAEModel
from modeling_barcodemae.configuration_barcodemae import FIRST_KMER_ID
from tokenization_barcodemae import (
    BarcodeEncoder,
    KmerEncoder,
    PlacedBarcodes,
    Placement,
    ReferenceFrame,
    encode_barcodes,
    place_barcodes,
)

# Number of sequences that are placed, encoded and sorted by length at a time: limits the memory, and makes batches of
# similar length.
_CHUNK = 8192

# Maximum number of bases of long sequences that are encoded together.
_LONG_BASES = 2**24


class BarcodeEmbedder(CosineEmbedder):
    """Mean-pooled embeddings of DNA barcodes.

    Args:
        model: the model.
        encoder: cuts barcodes into the tokens of its vocabulary.
        frame: the marker's reference frame. Sequences that can be placed on it are turned to the marker's strand and
            read by its slots; other sequences, or all without a frame, are read from their first nucleotide.
        device: by default a GPU if there is one.
        dtype: of the encoder; by default float32, so that embeddings are the same on every machine and in any batch. A
            projection head and all embeddings are float32 in any case.

    Attributes:
        model, encoder, frame, device, dtype: as above.
        k: number of bases in a token.
        dimension: dimension of an embedding.
        unreadable: error message for a sequence without an embedding.

    Examples:
        >>> from barcodemae import BarcodeEmbedder
        >>> embedder = BarcodeEmbedder.from_pretrained()
        >>> from barcodemae.data import read_records
        >>> barcodes = read_records("sample")["nucleotides"][:2].to_pylist()
        >>> embedder.encode(barcodes).shape
        (2, 200)
        >>> embedder.encode(barcodes[0]).shape
        (200,)
    """

    def __init__(
        self,
        model: BarcodeMAEModel,
        encoder: BarcodeEncoder,
        frame: ReferenceFrame | None = None,
        device: str | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = dtype
        self.model = model.to(self.device, self.dtype).eval()  # type: ignore[arg-type]
        if self.device == "cpu":
            self.model.set_attn_implementation("eager")  # some 7 % faster than the fused kernel for so few tokens
        if self.model.projection_head is not None:
            self.model.projection_head.float()  # small differences of sums distinguish relatives
        self.encoder = encoder
        self.k = encoder.k
        self.frame = frame
        self.dimension = model.config.pooled_size
        self._max_tokens: int = model.config.max_position_embeddings
        self.unreadable = f"expected a known {self.k}-mer, got none"

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path | None = None,
        revision: str | None = None,
        use_frame: bool = True,
        device: str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> "BarcodeEmbedder":
        """Load a checkpoint.

        Args:
            model: a folder, a checkpoint that comes with the package, or an id on the Hub; by default `nano_coi`, which
                comes with the package.
            revision: branch, tag or commit of a Hub repository.
            use_frame: false reads all sequences from their first nucleotide.
            device: by default a GPU if there is one.
            dtype: of the encoder. bfloat16 is faster on some processors, and changes some nearest neighbours.

        Raises:
            CheckpointError: the checkpoint is missing or broken.
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

    def __repr__(self) -> str:
        marker = "no reference frame" if self.frame is None else self.frame.marker
        return f"<{type(self).__name__}: {marker}, {self.k}-mers to {self.dimension} numbers, {self.device}>"

    @cached_property
    def base_map(self) -> BaseMapEmbedder | None:
        """The part of a tuned model that embeds bases without the network; None without tuning or frame."""
        head = getattr(self.model, "projection_head", None)
        if head is None or self.frame is None:
            return None
        return BaseMapEmbedder(head.bases.weight[:-1].detach().float().cpu().numpy(), self.frame, self.k)

    def encode(
        self,
        sequences: str | Sequence[str],
        batch_size: int = 64,
        show_progress_bar: bool = False,
        normalize_embeddings: bool = False,
        average_offsets: bool = False,
        on_error: str = "raise",
        placement: Placement | None = None,
    ) -> np.ndarray:
        """Embed sequences.

        In a long sequence, such as a mitogenome, the barcode is found by the reference frame, and only the barcode is
        read. A sequence that can't be placed and is longer than the model reads is read in windows; its embedding is
        the mean over all its tokens.

        Args:
            sequences: DNA in upper or lower case, with or without gaps, on either strand if there is a reference frame;
                one string gives one embedding.
            batch_size: number of sequences in a batch.
            show_progress_bar: whether to show a progress bar.
            normalize_embeddings: whether to scale each embedding to length 1.
            average_offsets: whether to average over all k reading offsets from the first nucleotide, without the frame,
                which takes k times as long.
            on_error: for a sequence without a known k-mer: "raise", or "skip", which fills its row with NaN.
            placement: placement of the sequences on the reference frame, if already known.

        Returns:
            float32 `[n, dimension]`, in the order of the sequences; `[dimension]` for one string.

        Raises:
            BadRecordError: a sequence has no known k-mer, and `on_error` is "raise".
            TypeError: they are not strings.
        """
        check_sequences(sequences)
        if isinstance(sequences, str):
            return self.encode(
                [sequences], batch_size, False, normalize_embeddings, average_offsets, on_error, placement
            )[0]
        embeddings = np.full((len(sequences), self.dimension), np.nan, np.float32)
        with tqdm(total=len(sequences), unit="barcode", desc="embed", disable=not show_progress_bar) as progress:
            for begin in range(0, len(sequences), _CHUNK):
                chunk = list(sequences[begin : begin + _CHUNK])
                placed = None if placement is None else placement.take(slice(begin, begin + len(chunk)))
                barcodes = place_barcodes(chunk, self.frame, self.encoder.k, placed)
                total = np.zeros((len(chunk), self.dimension))
                counts = np.zeros((len(chunk), 1))
                for rows in self._groups(barcodes, average_offsets):
                    for i, encoding in enumerate(self._readings(barcodes.take(rows), average_offsets)):
                        num_tokens = encoding["attention_mask"].sum(axis=1)
                        total[rows] += self._pool(encoding, batch_size, progress.update if i == 0 else None)
                        counts[rows] += num_tokens[:, None] > 0
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

    def attribute(
        self, sequence: str, first: str | np.ndarray, second: str | np.ndarray, num_steps: int = NUM_STEPS
    ) -> Attribution:
        """The contribution of each base of a barcode to its similarity with one reference rather than another.

        By integrated gradients, see `integrated_gradients`: `Attribution.completeness_error` is their error.

        Args:
            sequence: DNA of the barcode, as for `encode`.
            first, second: the references, as sequences or as embeddings `[dimension]`.
            num_steps: number of points at which the gradient is computed.

        Raises:
            BadRecordError: a sequence has no known k-mer, or the barcode is longer than the model reads at once.
            ConfigurationError: the tokens of the model are not k-mers.

        Examples:
            >>> from barcodemae import BarcodeEmbedder
            >>> from barcodemae.data import read_records
            >>> query, first, second = read_records("sample")["nucleotides"][:3].to_pylist()
            >>> found = BarcodeEmbedder.from_pretrained().attribute(query, first, second)
            >>> found.completeness_error < 1e-4
            True
        """
        return self.attribute_along(sequence, difference_of_directions(self.encode, first, second), num_steps=num_steps)

    def attribute_along(
        self, sequence: str, direction: np.ndarray, placement: Placement | None = None, num_steps: int = NUM_STEPS
    ) -> Attribution:
        """The contribution of each base of a barcode to the product of its embedding, of length 1, with a vector.

        Args:
            sequence: DNA of the barcode.
            direction: `[dimension]`.
            placement: of this one sequence, if already known.
            num_steps: as for `attribute`.

        Raises:
            BadRecordError, ConfigurationError: as from `attribute`.
        """
        if not isinstance(self.encoder, KmerEncoder):
            raise ConfigurationError("expected a model of k-mers to attribute to bases, got one of other tokens")
        encoding = encode_barcodes(self.encoder, place_barcodes([sequence], self.frame, self.k, placement), None)
        num_tokens = int(encoding["attention_mask"].sum())
        if not 0 < num_tokens <= encoding["position_ids"].max(initial=0) + 1 <= self._max_tokens:
            expected = f"expected 1 to {self._max_tokens} known k-mers to attribute to, got {num_tokens}"
            raise BadRecordError("input", "0", expected)
        encoding = {name: values[:, :num_tokens] for name, values in encoding.items()}
        found, difference, baseline = attribute_tokens(
            self.model, encoding, np.asarray(direction, np.float64), num_steps
        )
        offsets = np.arange(self.k)
        coordinates = (encoding["position_ids"][0][:, None] * self.k + offsets).ravel()
        kmers = encoding["input_ids"][0][:, None] - FIRST_KMER_ID
        bases = (kmers // 4 ** (self.k - 1 - offsets) % 4).astype(np.int8).ravel()
        return Attribution(coordinates, bases, found.ravel(), difference, baseline)

    def _groups(self, barcodes: PlacedBarcodes, average_offsets: bool) -> list[np.ndarray]:
        """Groups of rows to encode together. Of a placed sequence only the part on the frame is encoded."""
        lengths = pc.binary_length(barcodes.nucleotides).to_numpy(zero_copy_only=False)
        if not average_offsets:
            lengths = np.where(barcodes.is_placed, 0, lengths)
        return group_by_length(lengths, self._max_tokens * self.k, _LONG_BASES)

    def _readings(self, barcodes: PlacedBarcodes, average_offsets: bool) -> Iterator[dict[str, np.ndarray]]:
        attends_unknown = self.model.config.attends_unknown
        if not average_offsets:
            yield encode_barcodes(self.encoder, barcodes, None, keep_unknown=attends_unknown)
            return
        unaligned = np.ones(len(barcodes), bool)
        for offset in range(self.k):
            offsets = np.full(len(barcodes), offset)
            yield encode_barcodes(self.encoder, barcodes, None, unaligned, offsets, attends_unknown)

    @torch.inference_mode()
    def _pool(
        self, encoding: dict[str, np.ndarray], batch_size: int, progress: Callable[[int], object] | None
    ) -> np.ndarray:
        """Embeddings `[n, dimension]`: the mean over the windows of a row, weighted by tokens; 0 for a row without
        tokens.

        Sums are in double precision, so that the mean of a single window equals the output of the model exactly.
        """
        window_rows, windows = cut_windows(encoding, self._max_tokens)
        num_tokens = windows["attention_mask"].sum(1)[:, None]
        is_first = np.diff(window_rows, prepend=-1) > 0
        total = np.zeros((len(encoding["input_ids"]), self.dimension))
        weights = np.zeros((len(total), 1))
        for chosen, batch in batches_by_length(windows, batch_size, self.device):
            pooled = self.model(**batch).pooler_output.float().cpu().numpy()
            np.add.at(total, window_rows[chosen], pooled.astype(np.float64) * num_tokens[chosen])
            np.add.at(weights, window_rows[chosen], num_tokens[chosen])
            if progress is not None:
                progress(int(is_first[chosen].sum()))
        return total / np.maximum(weights, 1)
