"""Who stands in the table: the model that is judged, and the rivals that it has to beat."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from textwrap import shorten
from typing import Any

from transformers import PretrainedConfig

from barcodemae.embedding import BarcodeEmbedder
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.evaluation.representations import ModelRepresentation, Representation
from barcodemae.evaluation.rivals.alignment import AlignmentSearcher
from barcodemae.evaluation.rivals.alignment_programs import SETTINGS
from barcodemae.evaluation.rivals.compressor import CompressionDistance
from barcodemae.evaluation.rivals.encoders import AnyEncoder
from barcodemae.evaluation.rivals.frame_maps import FrameLDA, FrameSVD
from barcodemae.evaluation.rivals.kmers import KmerCounts, KmerLDA
from barcodemae.evaluation.rivals.known_encoders import KNOWN_ENCODERS, known_encoder, load_known_encoder
from barcodemae.evaluation.search import Searcher
from barcodemae.hub.checkpoint import find_checkpoint, weights_sha256
from modeling_barcodemae.configuration_barcodemae import AUTO_MAP
from tokenization_barcodemae import ReferenceFrame

UNTRAINED, WITHOUT_FRAME = "untrained", "without_frame"

_COUNTS: dict[str, Callable[[], Representation]] = {
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

_KNOWN = {row.name for row in KNOWN_ENCODERS}

RIVALS = (UNTRAINED, WITHOUT_FRAME, *_COUNTS, *_SEARCHERS, *(row.name for row in KNOWN_ENCODERS))
"""All that can be named."""

DEFAULT_RIVALS = (UNTRAINED, WITHOUT_FRAME, "kmer_4", "kmer_6", "frame_svd", "frame_lda")
"""Those that need no other program, no network and no long wait."""

# What takes longer on thousands of raw counts, or on all pairs of barcodes, than all the rest.
LEFT_OUT: Mapping[str, set[str]] = {
    name: {"linear_probe", "logistic_probe", "compression", "clustering_grid"} for name in ("kmer_4", "kmer_6")
} | {"compressor": {"robustness"}}
"""Tasks that a rival is not asked."""


@dataclass(frozen=True)
class Model:
    """The model that is judged.

    Attributes:
        representation: what it makes of barcodes.
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
        """A checkpoint of our family, or any encoder, in float32: numbers must not depend on how busy a machine is.

        Args:
            name: folder or id on the Hub.
            batch_size: barcodes in a batch.
            trust_remote_code: whether code that another model brings may run.
            reading: `pooling`, `layer`, `tokenizer`, `prepare` for any encoder. Where one of them is given, a
                checkpoint of our family is read as any encoder: by its own tokenizer, not on the frame.

        Raises:
            BarcodeMAEError: it can't be loaded.
        """
        if not reading and is_ours(name):
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


def is_ours(name: str) -> bool:
    """Whether a checkpoint is of our family, by what its configuration says.

    Raises:
        CheckpointError: it has none.
    """
    try:
        config, _ = PretrainedConfig.get_config_dict(find_checkpoint(name))
    except OSError as error:
        raise CheckpointError(f"{name}: expected a checkpoint, found none: {shorten(str(error), 300)}") from error
    if not config:  # what some versions give for a folder that has none
        raise CheckpointError(f"{name}: expected a checkpoint, found none")
    declared = config.get("auto_map", {}).get("AutoModel", "")
    return declared.rpartition("--")[2] == AUTO_MAP["AutoModel"]


def check_rival(name: str, trust_remote_code: bool) -> None:
    """Refuse before the first task what `make_rival` would refuse when the rival's turn comes, maybe hours later.

    Args:
        name: one of `RIVALS`.
        trust_remote_code: whether code that another encoder brings may run.

    Raises:
        ConfigurationError: a program is not installed, or an encoder needs code that was not allowed.
    """
    if name in _SEARCHERS:
        _SEARCHERS[name]()
    elif name in _KNOWN and known_encoder(name).remote_code and not trust_remote_code:
        load_known_encoder(name)  # refuses before it loads anything


def make_rival(
    name: str, model: Model, model_name: str, batch_size: int, seed: int, trust_remote_code: bool
) -> Representation | Searcher | None:
    """A rival.

    Args:
        name: one of `RIVALS`.
        model: that is judged.
        model_name: its folder or id.
        batch_size: barcodes in a batch.
        seed: of random weights.
        trust_remote_code: whether code that another encoder brings may run.

    Returns:
        The rival; None where the model itself already is what the name says.

    Raises:
        ConfigurationError: there is no such rival, or a program that it needs.
        CheckpointError: an encoder can't be loaded.
    """
    if name == UNTRAINED:
        return model.untrained(batch_size, seed)
    if name == WITHOUT_FRAME:
        if model.embedder is None or model.embedder.frame is None:
            return None
        return ModelRepresentation(BarcodeEmbedder.from_pretrained(model_name, use_frame=False), batch_size)
    if name in _COUNTS:
        return _COUNTS[name]()
    if name in _SEARCHERS:
        return _SEARCHERS[name]()
    if name in _KNOWN:
        return load_known_encoder(name, trust_remote_code, batch_size)
    raise ConfigurationError(f"expected a rival (any of {', '.join(RIVALS)}), got {name}")
