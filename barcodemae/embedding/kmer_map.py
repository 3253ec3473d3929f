"""Embeddings of barcodes of a marker without a reference frame, by a linear map of their k-mers, without torch."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from tqdm import tqdm

from barcodemae.checkpoints.files import CONFIG_FILE, PROFILE_FILE, WEIGHTS_FILE, find_checkpoint, optional_file
from barcodemae.data.inputs import check_sequences
from barcodemae.embedding.attribution import Attribution, difference_of_directions
from barcodemae.embedding.nearest import CosineEmbedder, unit_length
from barcodemae.errors import BadRecordError, CheckpointError
from tokenization_barcodemae import KmerProfile, Placement, ReferenceFrame, orient, read_kmers

MODEL_TYPE = "barcodemae_kmer_map"
"""`model_type` in the `config.json` of such a checkpoint."""

_FILES = (CONFIG_FILE, PROFILE_FILE, WEIGHTS_FILE)
_BLOCK_ROWS = 128


class KmerMapEmbedder(CosineEmbedder):
    """Embeddings by a linear map of overlapping k-mers, for markers whose length is uneven.

    A barcode is turned to the marker's strand. The square roots of the numbers of its k-mers, weighted and scaled to
    length 1, are mapped to an embedding.

    Args:
        table: float32 `[4**k, dimension]`, a row for each k-mer, which includes its weight.
        weights: float32 `[4**k]`, weights of k-mers, with which a spectrum has length 1.
        origin: float32 `[dimension]`, subtracted from the sum of the rows.
        profile: of the marker, which gives the strand.

    Attributes:
        profile: as above.
        frame: None: the marker has no reference frame.
        base_map: None: a part of the marker has no coordinates.
        k: number of bases in a k-mer.
        dimension: dimension of an embedding.
        unreadable: error message for a sequence without an embedding.

    Raises:
        ValueError: table, weights and origin do not belong together.
    """

    frame: ReferenceFrame | None = None
    base_map: None = None

    def __init__(self, table: np.ndarray, weights: np.ndarray, origin: np.ndarray, profile: KmerProfile):
        self.k = (len(weights).bit_length() - 1) // 2
        if weights.shape != (4**self.k,) or table.shape != (len(weights), len(origin)):
            shapes = ", ".join(str(list(array.shape)) for array in (table, weights, origin))
            raise ValueError(
                f"expected a table [4**k, dimension], weights [4**k] and an origin [dimension], got {shapes}"
            )
        if not all(np.isfinite(array).all() for array in (table, weights, origin)):
            raise ValueError("expected finite numbers, got NaN or infinity")
        self.profile = profile
        self.dimension = len(origin)
        self.unreadable = f"expected a barcode with {self.k} known bases in a row, got none"
        self._table, self._weights, self._origin = (
            np.ascontiguousarray(array, np.float32) for array in (table, weights, origin)
        )

    @classmethod
    def from_pretrained(cls, model: str | Path, revision: str | None = None) -> "KmerMapEmbedder":
        """Load a checkpoint.

        Args:
            model: a folder, a checkpoint that comes with the package, or an id on the Hub.
            revision: branch, tag or commit of a Hub repository.

        Raises:
            CheckpointError: the checkpoint is missing or broken, or of another kind.
        """
        source = find_checkpoint(model)
        try:
            config, profile, weights = (optional_file(source, file, revision) for file in _FILES)
            if config is None or profile is None or weights is None:
                raise CheckpointError(f"{model}: expected a map of k-mers, with the files {', '.join(_FILES)}")
            tensors = {name: array.astype(np.float32) for name, array in load_file(weights).items()}
            table = tensors["table"] * tensors["scale"]
            return cls(table, tensors["weights"], tensors["origin"], KmerProfile.load(profile))
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise CheckpointError(f"{model}: expected a map of k-mers: {shorten(str(error), 300)}") from error

    def save(self, folder: Path) -> None:
        """Write configuration, weights and profile to a folder; the table in steps of 1/127 of a column's maximum."""
        config = {
            "model_type": MODEL_TYPE,
            "k": self.k,
            "embedding_size": self.dimension,
            "marker": self.profile.marker,
            "kmer_profile": self.profile.checksum(),
        }
        scale = np.maximum(np.abs(self._table).max(axis=0), np.finfo(np.float32).tiny) / 127
        tensors = {
            "table": np.rint(self._table / scale).astype(np.int8),
            "scale": scale,
            "weights": self._weights,
            "origin": self._origin,
        }
        (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (folder / WEIGHTS_FILE).write_bytes(save(tensors))
        self.profile.save(folder / PROFILE_FILE)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.profile.marker}, {self.k}-mers to {self.dimension} numbers>"

    def encode(
        self,
        sequences: str | Sequence[str],
        show_progress_bar: bool = False,
        normalize_embeddings: bool = False,
        on_error: str = "raise",
        placement: Placement | None = None,
        **_: Any,
    ) -> np.ndarray:
        """Embed sequences.

        Args:
            sequences: DNA in upper or lower case, with or without gaps, on either strand; one string gives one
                embedding.
            show_progress_bar: whether to show a progress bar.
            normalize_embeddings: whether to scale each embedding to length 1.
            on_error: for a sequence without a known k-mer: "raise", or "skip", which fills its row with NaN.
            placement: strands of the sequences, if already known.
            **_: options of a network, such as the size of batches, which are ignored.

        Returns:
            float32 `[n, dimension]`, in the order of the sequences; `[dimension]` for one string.

        Raises:
            BadRecordError: a sequence has no embedding, and `on_error` is "raise".
            TypeError: they are not strings.
        """
        check_sequences(sequences)
        if isinstance(sequences, str):
            return self.encode([sequences], False, normalize_embeddings, on_error, placement)[0]
        texts = list(sequences)
        strands = self.profile.score(texts).strand if placement is None else placement.strand
        texts = orient(texts, strands)
        embeddings = np.empty((len(texts), self.dimension), np.float32)
        with tqdm(total=len(texts), unit="barcode", desc="embed", disable=not show_progress_bar) as progress:
            for rows, spectra in kmer_spectra(texts, self.k, self._weights):
                np.matmul(spectra, self._table, out=embeddings[rows])
                embeddings[rows] -= self._origin
                embeddings[rows][~spectra.any(axis=1)] = np.nan
                progress.update(len(spectra))
        unusable = np.flatnonzero(np.isnan(embeddings).any(axis=1))
        if on_error == "raise" and len(unusable):
            raise BadRecordError("input", str(unusable[0]), self.unreadable)
        if normalize_embeddings:
            embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
        return embeddings

    def attribute(self, sequence: str, first: str | np.ndarray, second: str | np.ndarray) -> Attribution:
        """The contribution of each base of a barcode to its similarity with one reference rather than another.

        It is exact: the contributions and the baseline, the part of the map's origin, add up to the difference of the
        two cosines. The contribution of a k-mer is shared equally by its occurrences, and by the bases of each.

        Args:
            sequence: DNA of the barcode, as for `encode`.
            first, second: the references, as sequences or as embeddings `[dimension]`.

        Raises:
            BadRecordError: a sequence has no known k-mer.
        """
        return self.attribute_along(sequence, difference_of_directions(self.encode, first, second))

    def attribute_along(self, sequence: str, direction: np.ndarray, placement: Placement | None = None) -> Attribution:
        """The contribution of each base of a barcode to the product of its embedding, of length 1, with a vector.

        Args:
            sequence: DNA of the barcode.
            direction: `[dimension]`.
            placement: with the strand of this one sequence, if already known.

        Raises:
            BadRecordError: the sequence has no known k-mer.
        """
        strand = self.profile.score([sequence]).strand if placement is None else placement.strand
        texts = orient([sequence], strand)
        ((_, spectra),) = kmer_spectra(texts, self.k, self._weights)
        spectrum = spectra[0].astype(np.float64)
        embedding = spectrum @ self._table - self._origin
        if not spectrum.any() or not embedding.any():
            raise BadRecordError("input", "0", self.unreadable)
        scaled = direction / np.linalg.norm(embedding)
        (ids,) = (block.ids for block in read_kmers(texts, self.k))
        (bases,) = (block.ids for block in read_kmers(texts, 1))
        counts = np.bincount(ids[ids >= 0], minlength=len(spectrum))
        by_kmer = spectrum * (self._table @ scaled) / np.maximum(counts, 1)
        contributions = share_among_bases(np.where(ids >= 0, by_kmer[ids], 0), self.k)
        known = np.flatnonzero(share_among_bases(ids >= 0, self.k) > 0)
        vector = unit_length(self.encode(sequence, placement=placement)[None])[0]
        return Attribution(
            known,
            bases[known].astype(np.int8),
            contributions[known],
            float(vector @ direction),
            baseline=-float(self._origin @ scaled),
        )


def share_among_bases(values: np.ndarray, k: int) -> np.ndarray:
    """Values of the k-mers that begin with each base `[n]`, each shared equally by its k bases: float64 `[n]`."""
    return np.convolve(values.astype(np.float64) / k, np.ones(k))[: len(values)]


def kmer_spectra(
    sequences: Sequence[str], k: int, weights: np.ndarray | None = None
) -> Iterator[tuple[slice, np.ndarray]]:
    """The spectra of sequences: square roots of the numbers of their k-mers, weighted, of length 1.

    Args:
        sequences: `[n]`, DNA.
        k: bases in a k-mer.
        weights: float32 `[4**k]`, by default 1.

    Yields:
        Some rows, a slice, and their spectra, float32 `[rows, 4**k]`; zeros for a sequence without a known k-mer.
    """
    for rows, spectra in count_kmers(sequences, k):
        np.sqrt(spectra, out=spectra)
        if weights is not None:
            spectra *= weights
        lengths = np.sqrt(np.einsum("nk,nk->n", spectra, spectra))
        spectra /= np.maximum(lengths, np.finfo(np.float32).tiny)[:, None]
        yield rows, spectra


def count_kmers(sequences: Sequence[str], k: int) -> Iterator[tuple[slice, np.ndarray]]:
    """The numbers of the overlapping k-mers of sequences.

    Args:
        sequences: `[n]`, DNA.
        k: bases in a k-mer.

    Yields:
        Some rows, a slice, and their numbers, float32 `[rows, 4**k]`.
    """
    for block in read_kmers(sequences, k, _BLOCK_ROWS):
        known = block.ids >= 0
        num_rows = block.rows.stop - block.rows.start
        cells = block.row_of[known] * 4**k + block.ids[known]
        yield block.rows, np.bincount(cells, minlength=num_rows * 4**k).astype(np.float32).reshape(num_rows, -1)
