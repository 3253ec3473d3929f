"""Barcodes to vectors by their bases alone: a tuned checkpoint without its network, and without torch."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten

import numpy as np
from safetensors import SafetensorError, safe_open
from tqdm import tqdm

from barcodemae.checkpoints import DEFAULT, shipped_folder
from barcodemae.checkpoints.files import (
    CONFIG_FILE,
    FRAME_FILE,
    WEIGHTS_FILE,
    find_checkpoint,
    optional_file,
    read_config,
    weights_files,
)
from barcodemae.embedding.nearest import cosine_similarity
from barcodemae.errors import BadRecordError, CheckpointError
from tokenization_barcodemae import Placement, ReferenceFrame, lay_out

_FILES = (CONFIG_FILE, FRAME_FILE, WEIGHTS_FILE)

_CHUNK = 4096
# The one-hot bases of so many barcodes stay in the processor's cache.
_BLOCK_ROWS = 128

# In a checkpoint with a decoder or a classifier, and in one of the encoder alone.
_TABLE_KEYS = ("bert.projection_head.bases.weight", "projection_head.bases.weight")


class BaseMapEmbedder:
    """Embeddings of barcodes by what a tuned model adds up for their bases; its network's part is left out.

    Each base has a row at each coordinate of the reference frame. Unlike the whole model, which reads whole k-mers,
    this also counts the bases of a k-mer that is cut or holds an `N`.

    Args:
        table: float32 `[4 * coordinates, dimension]`, the rows of A, C, G and T at the first coordinate, and so on.
        frame: the marker's reference frame.
        k: bases in a k-mer of the model, whose embeddings are means over k-mers.

    Attributes:
        frame, k: as above.
        dimension: width of an embedding.
        unreadable: what is wrong with a sequence that has no embedding.

    Example:
        >>> from barcodemae import BaseMapEmbedder
        >>> embedder = BaseMapEmbedder.from_pretrained()
        >>> from barcodemae.data import read_records
        >>> barcodes = read_records("sample")["nucleotides"][:2].to_pylist()
        >>> embedder.encode(barcodes).shape
        (2, 200)
        >>> embedder.encode(barcodes[0]).shape
        (200,)

    Raises:
        ValueError: the table has more coordinates than the frame.
    """

    def __init__(self, table: np.ndarray, frame: ReferenceFrame, k: int):
        self.frame = frame
        self.k = k
        self.dimension = table.shape[1]
        self.unreadable = f"expected a barcode that lies on the reference frame ({frame.marker}), got none"
        self._num_coordinates = len(table) // 4
        if frame.length < self._num_coordinates:
            expected = f"{self._num_coordinates} coordinates or more on the reference frame"
            raise ValueError(f"expected {expected}, got {frame.length}")
        # All coordinates of a base together: setting a base's part of a one-hot block is one comparison.
        by_base = table.reshape(self._num_coordinates, 4, self.dimension).swapaxes(0, 1)
        self._table = np.ascontiguousarray(by_base, np.float32).reshape(table.shape)

    @classmethod
    def from_pretrained(cls, model: str | Path | None = None, revision: str | None = None) -> "BaseMapEmbedder":
        """Load the bases' part of a tuned checkpoint.

        Args:
            model: a folder, a checkpoint that comes with the package, or an id on the Hub; by default `nano_coi`, which
                comes with the package.
            revision: branch, tag or commit of a Hub repository.

        Raises:
            CheckpointError: it is missing or broken, was not tuned, or has no reference frame.
        """
        place = shipped_folder(DEFAULT) if model is None else find_checkpoint(model)
        name = place if model is None else model
        try:
            config, frame = (optional_file(place, file, revision) for file in (CONFIG_FILE, FRAME_FILE))
            weights = weights_files(place, revision)
            if config is None or frame is None or not weights:
                raise CheckpointError(f"{name}: expected {', '.join(_FILES)} in it, as a tuned checkpoint has them")
            return cls(_read_table(weights), ReferenceFrame.load(frame), read_config(config)["k"])
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise CheckpointError(f"{name}: no bases of a tuned model: {shorten(str(error), 300)}") from error

    def encode(
        self,
        sequences: str | Sequence[str],
        show_progress_bar: bool = False,
        normalize_embeddings: bool = False,
        on_error: str = "raise",
        placement: Placement | None = None,
    ) -> np.ndarray:
        """Embed sequences.

        Args:
            sequences: DNA, in any case, with or without gaps, on any strand; one string gives one vector.
            show_progress_bar: whether to show one.
            normalize_embeddings: scale each to length 1.
            on_error: what to do with a sequence that does not lie on the reference frame, or has no known base there:
                "raise", or "skip", which leaves its row NaN.
            placement: where the sequences lie on the reference frame, if that is known already.

        Returns:
            float32 `[n, dimension]`, in the order of the sequences; `[dimension]` of one string.

        Raises:
            BadRecordError: there is such a sequence, and `on_error` is "raise".
        """
        if isinstance(sequences, str):
            return self.encode([sequences], False, normalize_embeddings, on_error, placement)[0]
        embeddings = np.full((len(sequences), self.dimension), np.nan, np.float32)
        with tqdm(total=len(sequences), unit="barcode", desc="embed", disable=not show_progress_bar) as progress:
            for begin in range(0, len(sequences), _CHUNK):
                chunk = list(sequences[begin : begin + _CHUNK])
                block = slice(begin, begin + len(chunk))
                placed = self.frame.place(chunk) if placement is None else placement.take(block)
                bases = lay_out(chunk, placed, self._num_coordinates)
                usable = self.frame.accepts(placed) & (bases >= 0).any(axis=1)
                if on_error == "raise" and not usable.all():
                    row = int(np.argmin(usable))
                    raise BadRecordError("input", str(begin + row), self.unreadable)
                embeddings[begin + np.flatnonzero(usable)] = self.embed_bases(bases[usable])
                progress.update(len(chunk))
        if normalize_embeddings:
            embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
        return embeddings

    def similarity(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Cosine of each vector of one set with each of another, as sentence-transformers has it.

        Args:
            first, second: `[n, dimension]` and `[m, dimension]`; a vector alone is a set of one.

        Returns:
            float32 `[n, m]`.
        """
        return cosine_similarity(first, second)

    def embed_bases(self, bases: np.ndarray) -> np.ndarray:
        """Embed barcodes whose bases are laid out on the frame already.

        Args:
            bases: int8 `[n, coordinates]`, as `lay_out` gives them, at least one of each barcode known.

        Returns:
            float32 `[n, dimension]`.
        """
        bases = bases[:, : self._num_coordinates]
        sums = np.empty((len(bases), self.dimension), np.float32)
        one_hot = np.empty((_BLOCK_ROWS, 4, self._num_coordinates), np.float32)
        for begin in range(0, len(bases), _BLOCK_ROWS):
            block = bases[begin : begin + _BLOCK_ROWS]
            for base in range(4):
                one_hot[: len(block), base] = block == base
            rows = one_hot[: len(block)].reshape(len(block), -1)
            np.matmul(rows, self._table, out=sums[begin : begin + len(block)])
        num_known = np.count_nonzero(bases >= 0, axis=1)
        sums /= (num_known / self.k)[:, None]
        return sums


def _read_table(weights: list[Path]) -> np.ndarray:
    """The rows of the bases, without the last one, which is of no base."""
    for part in weights:
        with safe_open(part, framework="numpy") as file:
            for key in _TABLE_KEYS:
                if key in file.keys():  # noqa: SIM118, it is no dictionary
                    table = file.get_tensor(key)[:-1].astype(np.float32)
                    if not np.isfinite(table).all():
                        raise ValueError(f"expected finite numbers in {key}, got others")
                    return table
    raise ValueError(f"expected {_TABLE_KEYS[0]} among the weights")
