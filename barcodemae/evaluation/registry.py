"""The model that is evaluated, and the baselines beside it, made from their names."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from textwrap import shorten
from typing import Any

import numpy as np
from transformers import PretrainedConfig

from barcodemae.checkpoints.files import find_checkpoint, refuse_kmer_map, weights_sha256
from barcodemae.embedding import BarcodeEmbedder
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.evaluation.baselines.aligner_programs import SETTINGS
from barcodemae.evaluation.baselines.aligners import AlignmentSearcher
from barcodemae.evaluation.baselines.compressor import CompressionDistance
from barcodemae.evaluation.baselines.encoder_files import model_sha256
from barcodemae.evaluation.baselines.encoders import AnyEncoder, load_known_encoder
from barcodemae.evaluation.baselines.known_encoders import KNOWN_ENCODERS
from barcodemae.evaluation.baselines.linear_maps import FrameLDA, FrameSVD, KmerCounts, KmerLDA
from barcodemae.evaluation.catalogue import BASELINES, UNTRAINED, WITHOUT_FRAME
from barcodemae.evaluation.methods import Representation, Searcher
from barcodemae.evaluation.vector_cache import texts_sha256
from modeling_barcodemae.configuration_barcodemae import AUTO_MAP
from tokenization_barcodemae import ReferenceFrame

_LINEAR: dict[str, Callable[[], Representation]] = {
    "kmer_4": partial(KmerCounts, 4),
    "kmer_6": partial(KmerCounts, 6),
    "kmer_6_lda": partial(KmerLDA, 6),
    "frame_svd": lambda: FrameSVD(ReferenceFrame.coi()),
    "frame_lda": lambda: FrameLDA(ReferenceFrame.coi()),
}
_SEARCHERS: dict[str, Callable[[], Searcher]] = {
    "compressor": CompressionDistance,
    **{setting: partial(AlignmentSearcher, setting) for setting in SETTINGS},
}
_ENCODERS = {encoder.name: encoder for encoder in KNOWN_ENCODERS}


class ModelRepresentation:
    """A pretrained model of our family; it is not fitted to the data.

    Args:
        embedder: the model.
        batch_size: barcodes in a batch.
    """

    def __init__(self, embedder: BarcodeEmbedder, batch_size: int):
        self._embedder = embedder
        self._batch_size = batch_size

    def fit(self, sequences: list[str], genera: np.ndarray) -> None:
        pass

    def embed(self, sequences: list[str]) -> np.ndarray:
        """Vectors of the model, float32 `[n, dimensions]`; NaN for a barcode without a known k-mer."""
        return self._embedder.encode(
            sequences,
            batch_size=self._batch_size,
            show_progress_bar=True,
            normalize_embeddings=False,
            on_error="skip",
        )

    def identity(self) -> dict[str, Any]:
        embedder, frame = self._embedder, self._embedder.frame
        return {
            "weights_sha256": model_sha256(embedder.model),
            "config_sha256": texts_sha256([embedder.model.config.to_json_string()]),
            "tokens": embedder.encoder.name,
            "frame": None if frame is None else frame.checksum(),
            "dtype": str(embedder.dtype),
        }


@dataclass(frozen=True)
class Model:
    """The model that is evaluated.

    Attributes:
        representation: its vectors of barcodes.
        weights_sha256: of its file, or of the weights in memory where there are several files.
        embedder: of a checkpoint of our family; None for any other.
        identity: how any other encoder is read; empty for ours.
    """

    representation: ModelRepresentation | AnyEncoder
    weights_sha256: str
    embedder: BarcodeEmbedder | None
    identity: dict[str, Any]

    @classmethod
    def load(cls, name: str, batch_size: int, trust_remote_code: bool = False, **reading: Any) -> "Model":
        """A checkpoint of our family, or any encoder, in float32: results must not depend on how busy a machine is.

        Args:
            name: folder or id on the Hub.
            batch_size: barcodes in a batch.
            trust_remote_code: whether code that another model brings may run.
            reading: `pooling`, `layer`, `tokenizer`, `prepare` for any encoder. Where one of them is given, a
                checkpoint of our family is read as any encoder: by its own tokenizer, not on the frame.

        Raises:
            BarcodeMAEError: it cannot be loaded.
        """
        refuse_kmer_map(name)
        if not reading and is_barcodemae(name):
            embedder = BarcodeEmbedder.from_pretrained(name)
            return cls(ModelRepresentation(embedder, batch_size), weights_sha256(name), embedder, {})
        encoder = AnyEncoder.from_pretrained(
            name, trust_remote_code=trust_remote_code, batch_size=batch_size, **reading
        )
        identity = encoder.identity()
        return cls(encoder, identity.pop("weights_sha256"), None, identity)

    def untrained(self, batch_size: int, seed: int) -> ModelRepresentation | AnyEncoder:
        """The same architecture, read in the same way, with random weights."""
        if self.embedder is not None:
            return ModelRepresentation(BarcodeEmbedder.untrained_like(self.embedder, seed), batch_size)
        assert isinstance(self.representation, AnyEncoder)
        return self.representation.untrained_like(seed)


def is_barcodemae(name: str) -> bool:
    """Whether a checkpoint is of our family, by its configuration.

    Raises:
        CheckpointError: it has no configuration.
    """
    try:
        config, _ = PretrainedConfig.get_config_dict(find_checkpoint(name))
    except OSError as error:
        raise CheckpointError(f"{name}: expected a checkpoint, found none: {shorten(str(error), 300)}") from error
    if not config:  # what some versions give for a folder that has none
        raise CheckpointError(f"{name}: expected a checkpoint, found none")
    declared = config.get("auto_map", {}).get("AutoModel", "")
    return declared.rpartition("--")[2] == AUTO_MAP["AutoModel"]


def check_baseline(name: str, trust_remote_code: bool) -> None:
    """Raise before the first task what `make_baseline` would raise when the turn of the baseline comes, hours later.

    Args:
        name: one of `BASELINES`.
        trust_remote_code: whether code that another encoder brings may run.

    Raises:
        ConfigurationError: a program is not installed, or an encoder needs code that was not allowed.
    """
    if name in _SEARCHERS:
        _SEARCHERS[name]()
    elif name in _ENCODERS:
        _ENCODERS[name].check_remote_code(trust_remote_code)


def make_baseline(
    name: str, model: Model, model_name: str, batch_size: int, seed: int, trust_remote_code: bool
) -> Representation | Searcher | None:
    """The baseline of a name.

    Args:
        name: one of `BASELINES`.
        model: the model that is evaluated.
        model_name: its folder or id.
        batch_size: barcodes in a batch.
        seed: random seed of untrained weights.
        trust_remote_code: whether code that another encoder brings may run.

    Returns:
        The baseline; None where the model itself already is what the name says.

    Raises:
        ConfigurationError: the baseline does not exist, or a program that it needs is not installed.
        CheckpointError: an encoder cannot be loaded.
    """
    if name == UNTRAINED:
        return model.untrained(batch_size, seed)
    if name == WITHOUT_FRAME:
        if model.embedder is None or model.embedder.frame is None:
            return None
        return ModelRepresentation(BarcodeEmbedder.from_pretrained(model_name, use_frame=False), batch_size)
    if name in _LINEAR:
        return _LINEAR[name]()
    if name in _SEARCHERS:
        return _SEARCHERS[name]()
    if name in _ENCODERS:
        return load_known_encoder(_ENCODERS[name], trust_remote_code, batch_size)
    raise ConfigurationError(f"expected a baseline (any of {', '.join(BASELINES)}), got {name}")
