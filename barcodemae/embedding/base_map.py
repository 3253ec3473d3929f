"""Embeddings by the base map of a tuned checkpoint, without its network and without torch."""

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
from barcodemae.data.inputs import check_sequences
from barcodemae.embedding.attribution import Attribution, difference_of_directions
from barcodemae.embedding.nearest import CosineEmbedder, unit_length
from barcodemae.errors import BadRecordError, CheckpointError
from tokenization_barcodemae import Placement, ReferenceFrame, lay_out

_FILES = (CONFIG_FILE, FRAME_FILE, WEIGHTS_FILE)

_CHUNK = 4096
# The one-hot bases of this number of barcodes stay in the processor's cache.
_BLOCK_ROWS = 128

# In a checkpoint with a decoder or a classifier, and in one of an encoder only.
_TABLE_KEYS = ("bert.projection_head.bases.weight", "projection_head.bases.weight")


class BaseMapEmbedder(CosineEmbedder):
    """Embeddings of barcodes by the base map of a tuned model, without the part of its network.

    An embedding is the sum of one row per base, which depends on its coordinate on the reference frame, divided by the
    number of k-mers. Unlike the whole model, which reads complete k-mers only, the base map also reads the bases of a
    k-mer that is truncated or contains an `N`.

    Args:
        table: float32 `[4 * coordinates, dimension]`, the rows of A, C, G and T at the first coordinate, and so on.
        frame: the marker's reference frame.
        k: number of bases in a k-mer of the model.

    Attributes:
        frame, k: as above.
        dimension: dimension of an embedding.
        unreadable: error message for a sequence without an embedding.

    Examples:
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
        self.unreadable = f"expected a barcode that can be placed on the reference frame ({frame.marker}), got none"
        self._num_coordinates = len(table) // 4
        if frame.length < self._num_coordinates:
            expected = f"{self._num_coordinates} coordinates or more on the reference frame"
            raise ValueError(f"expected {expected}, got {frame.length}")
        # Rows are grouped by base, so that one comparison fills the part of a base in a one-hot block.
        by_base = table.reshape(self._num_coordinates, 4, self.dimension).swapaxes(0, 1)
        self._table = np.ascontiguousarray(by_base, np.float32).reshape(table.shape)

    @classmethod
    def from_pretrained(cls, model: str | Path | None = None, revision: str | None = None) -> "BaseMapEmbedder":
        """Load the base map of a tuned checkpoint.

        Args:
            model: a folder, a checkpoint that comes with the package, or an id on the Hub; by default `nano_coi`, which
                comes with the package.
            revision: branch, tag or commit of a Hub repository.

        Raises:
            CheckpointError: the checkpoint is missing or broken, was not tuned, or has no reference frame.
        """
        source = shipped_folder(DEFAULT) if model is None else find_checkpoint(model)
        name = source if model is None else model
        try:
            config, frame = (optional_file(source, file, revision) for file in (CONFIG_FILE, FRAME_FILE))
            weights = weights_files(source, revision)
            if config is None or frame is None or not weights:
                raise CheckpointError(f"{name}: expected a tuned checkpoint, with the files {', '.join(_FILES)}")
            return cls(_read_table(weights), ReferenceFrame.load(frame), read_config(config)["k"])
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise CheckpointError(f"{name}: expected a tuned checkpoint: {shorten(str(error), 300)}") from error

    @property
    def base_map(self) -> "BaseMapEmbedder":
        """The map itself; `BarcodeEmbedder` has the map of its model under the same name."""
        return self

    @property
    def table(self) -> np.ndarray:
        """The rows of A at each coordinate, then of C, G and T: float32 `[4, coordinates, dimension]`."""
        return self._table.reshape(4, -1, self.dimension)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.frame.marker}, bases to {self.dimension} numbers>"

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
            sequences: DNA in upper or lower case, with or without gaps, on either strand; one string gives one
                embedding.
            show_progress_bar: whether to show a progress bar.
            normalize_embeddings: whether to scale each embedding to length 1.
            on_error: for a sequence that can't be placed on the reference frame, or has no known base there: "raise",
                or "skip", which fills its row with NaN.
            placement: placement of the sequences on the reference frame, if already known.

        Returns:
            float32 `[n, dimension]`, in the order of the sequences; `[dimension]` for one string.

        Raises:
            BadRecordError: a sequence has no embedding, and `on_error` is "raise".
            TypeError: they are not strings.
        """
        check_sequences(sequences)
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

    def attribute(self, sequence: str, first: str | np.ndarray, second: str | np.ndarray) -> Attribution:
        """The contribution of each base of a barcode to its similarity with one reference rather than another.

        It is exact: the contributions add up to the difference of the two cosines.

        Args:
            sequence: DNA of the barcode, as for `encode`.
            first, second: the references, as sequences or as embeddings `[dimension]`.

        Raises:
            BadRecordError: a sequence can't be placed on the reference frame.

        Examples:
            >>> from barcodemae import BaseMapEmbedder
            >>> from barcodemae.data import read_records
            >>> query, first, second = read_records("sample")["nucleotides"][:3].to_pylist()
            >>> found = BaseMapEmbedder.from_pretrained().attribute(query, first, second)
            >>> found.contributions.shape == found.coordinates.shape
            True
            >>> found.completeness_error < 1e-6
            True
        """
        return self.attribute_along(sequence, difference_of_directions(self.encode, first, second))

    def attribute_along(self, sequence: str, direction: np.ndarray, placement: Placement | None = None) -> Attribution:
        """The contribution of each base of a barcode to the product of its embedding, of length 1, with a vector.

        Args:
            sequence: DNA of the barcode.
            direction: `[dimension]`.
            placement: of this one sequence, if already known.

        Raises:
            BadRecordError: the sequence can't be placed on the reference frame.
        """
        placed = self.frame.place([sequence]) if placement is None else placement
        bases = lay_out([sequence], placed, self._num_coordinates)[0]
        if not (self.frame.accepts(placed)[0] and (bases >= 0).any()):
            raise BadRecordError("input", "0", self.unreadable)
        return self.attribute_bases(bases, direction)

    def attribute_bases(self, bases: np.ndarray, direction: np.ndarray, first: int = 0) -> Attribution:
        """As `attribute_along`, for bases that are already laid out on the frame.

        Args:
            bases: int8 `[coordinates]`, at least one known.
            direction: `[dimension]`.
            first: coordinate of the first base.
        """
        bases = bases[: self._num_coordinates - first]
        known = np.flatnonzero(bases >= 0)
        rows = self.table[bases[known], first + known].astype(np.float64)
        contributions = rows @ direction / np.linalg.norm(rows.sum(axis=0))
        vector = unit_length(self.embed_bases(bases[None], first))[0]
        return Attribution(first + known, bases[known], contributions, float(vector @ direction))

    def embed_bases(self, bases: np.ndarray, first: int = 0) -> np.ndarray:
        """Embed barcodes, or the same part of several, whose bases are already laid out on the frame.

        Args:
            bases: int8 `[n, coordinates]`, as returned by `lay_out`.
            first: coordinate of the first column.

        Returns:
            float32 `[n, dimension]`, zeros for a row without known bases.
        """
        bases = bases[:, : self._num_coordinates - first]
        num_coordinates = bases.shape[1]
        table = self.table[:, first : first + num_coordinates]
        table = table.reshape(-1, self.dimension)  # a copy, except of the complete table
        sums = np.empty((len(bases), self.dimension), np.float32)
        one_hot = np.empty((_BLOCK_ROWS, 4, num_coordinates), np.float32)
        for begin in range(0, len(bases), _BLOCK_ROWS):
            block = bases[begin : begin + _BLOCK_ROWS]
            for base in range(4):
                one_hot[: len(block), base] = block == base
            rows = one_hot[: len(block)].reshape(len(block), -1)
            np.matmul(rows, table, out=sums[begin : begin + len(block)])
        num_known = np.count_nonzero(bases >= 0, axis=1)
        sums /= (np.maximum(num_known, 1) / self.k)[:, None]
        return sums


def _read_table(weights: list[Path]) -> np.ndarray:
    """The rows of the bases, without the last row, which is for missing bases."""
    for part in weights:
        with safe_open(part, framework="numpy") as file:
            for key in _TABLE_KEYS:
                if key in file.keys():  # noqa: SIM118, it is not a dictionary
                    table = file.get_tensor(key)[:-1].astype(np.float32)
                    if not np.isfinite(table).all():
                        raise ValueError(f"expected finite numbers in {key}, got NaN or infinity")
                    return table
    raise ValueError(f"expected {_TABLE_KEYS[0]} among the weights")
