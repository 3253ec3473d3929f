"""Tuning: from a pretrained checkpoint, or the reference frame of a marker alone, to a model with a projection head."""

import dataclasses
import json
import logging
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from barcodemae.checkpoints.files import (
    FRAME_FILE,
    PROFILE_FILE,
    find_checkpoint,
    is_marker_folder,
    weights_sha256,
)
from barcodemae.checkpoints.loading import Checkpoint, load_checkpoint, load_model, save_checkpoint
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.files import clear_abandoned, written_atomically
from barcodemae.library.search.marker import FrameFreeMarker
from barcodemae.provenance import describe_data, describe_machine, describe_versions
from barcodemae.training.arguments import DataArguments
from barcodemae.training.dataset import TrainingData, load_training_data
from barcodemae.training.metrics import METRICS_FILE
from barcodemae.training.randomness import Stream, uniform
from barcodemae.training.stored import StoredBarcodes
from barcodemae.training.summary import TRAINING_FILE
from barcodemae.training.tuning.encoded import run_encoder
from barcodemae.training.tuning.head import FittedHead, find_base_features, fit_head, join_features
from barcodemae.training.tuning.kmers import fit_kmer_map
from barcodemae.training.tuning.settings import HeadSettings, TuneArguments
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEForPreTraining, BarcodeMAEModel
from tokenization_barcodemae import KmerEncoder, KmerProfile, ReferenceFrame, build_kmer_tokenizer, orient

TUNING_FILE = "tuning.json"

_PACKAGES = ("barcodemae", "torch", "transformers", "numpy", "scipy")
_COPIED_FILES = (TRAINING_FILE, METRICS_FILE)
# Of the encoder of a model that was made from a marker alone, whose output has no weight.
_HIDDEN_SIZE, _MIN_POSITIONS = 8, 512

_NOT_SETTINGS = {"model_type", "auto_map"}  # keys of config.json that are not arguments of the configuration

logger = logging.getLogger(__name__)


def tune(args: TuneArguments) -> FittedHead:
    """Fit a projection head on barcodes, and save the checkpoint with the head.

    The head is a linear map of the bases. A network with a pooled decoder adds to it the bases that it reconstructs
    where a barcode lacks them, and another one a linear map of its output. The encoder is not changed. Barcodes that do
    not lie on the reference frame are ignored. From the folder of a marker (`checkpoints.marker`), which has no
    network, the head reads the bases alone; of a marker without a frame, the k-mers.

    Args:
        args: checkpoint or folder of a marker, data, output folder and options.

    Returns:
        The fitted head.

    Raises:
        BarcodeMAEError: bad input; nothing is written then.
    """
    folder = Path(args.output)
    clear_abandoned(folder.parent)
    if folder.exists():
        found = "a tuned checkpoint" if (folder / TUNING_FILE).is_file() else "a file or folder with this name"
        raise ConfigurationError(f"--output {folder}: expected a folder that does not exist yet, found {found}")
    if is_marker_folder(args.checkpoint, PROFILE_FILE):
        return _tune_kmer_map(args, folder.resolve())
    is_marker = is_marker_folder(args.checkpoint, FRAME_FILE)
    checkpoint = _without_network(Path(args.checkpoint)) if is_marker else load_checkpoint(args.checkpoint)
    _check_model(args.checkpoint, checkpoint)
    data_args = DataArguments(data=args.data, preset=args.preset, train_splits=args.splits, unaligned_share=0.0)
    training, _ = load_training_data(data_args, checkpoint.frame, checkpoint.encoder, seed=0)
    pretrained = Pretrained(checkpoint.model) if is_marker else load_pretrained(args.checkpoint)
    completes = pretrained.pooled_decoder is not None and args.completion_weight > 0
    if completes:
        logger.info("the network completes barcodes, with the decoder of the pooled vector in the checkpoint")
    elif not is_marker and args.network_share:
        logger.info("a linear map of the network's output is added: completion needs the decoder of the pooled vector")
    settings = HeadSettings(
        args.embedding_size,
        args.label_share,
        network_share=0.0 if is_marker or completes else args.network_share,
        completion_weight=args.completion_weight if completes else 0.0,
    )
    genera, species = _taxa(training.barcodes)
    rows = draw_per_species(np.flatnonzero(training.barcodes.is_placed), species, args.max_per_species)
    if len(rows) <= settings.embedding_size:
        raise ConfigurationError(
            f"expected more than {settings.embedding_size} barcodes on the reference frame, got {len(rows)}"
        )
    encoded = run_encoder(
        checkpoint.model,
        checkpoint.encoder,
        training.barcodes,
        rows,
        args.encoder_stride,
        bases_only=settings.network_share == 0,
    )
    logger.info("fitting the head on %d barcodes: some minutes", len(rows))
    base_features = find_base_features(encoded.bases, encoded.num_tokens, settings)
    features = join_features(base_features, encoded.encoded, settings)
    fitted = fit_head(features, genera[rows], species[rows], settings)

    head_settings = {
        "embedding_size": settings.embedding_size,
        "frame_slots": training.barcodes.num_slots,
        "completion_weight": settings.completion_weight,
        "encoder_stride": args.encoder_stride,
    }
    model = add_head(pretrained, head_settings)
    fitted.copy_to(model.base_model.projection_head)
    origin = _describe(args, settings, training, fitted, None if is_marker else weights_sha256(args.checkpoint))
    folder = folder.resolve()
    with written_atomically(folder.parent) as scratch:  # the folder appears only when it is complete
        written = scratch / folder.name
        save_checkpoint(written, model, checkpoint.frame, checkpoint.tokenizer)
        (written / TUNING_FILE).write_text(json.dumps(origin, indent=2) + "\n")
        for name in _COPIED_FILES:
            if (source := Path(find_checkpoint(args.checkpoint)) / name).is_file():
                (written / name).write_bytes(source.read_bytes())
    return fitted


def _tune_kmer_map(args: TuneArguments, folder: Path) -> FittedHead:
    """Fit the map of k-mers of a marker without a reference frame, and save it as a checkpoint.

    Raises:
        CheckpointError: the profile is damaged.
        BarcodeMAEError: bad input; nothing is written then.
    """
    try:
        profile = KmerProfile.load(Path(args.checkpoint) / PROFILE_FILE)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    data_args = DataArguments(data=args.data, preset=args.preset, train_splits=args.splits, unaligned_share=0.0)
    training, _ = load_training_data(data_args, None, KmerEncoder(), seed=0)
    settings = HeadSettings(args.embedding_size, args.label_share, network_share=0.0, completion_weight=0.0)
    texts = training.barcodes.take(np.arange(len(training))).nucleotides.to_pylist()
    scores, is_accepted = FrameFreeMarker(profile).recognise(texts)
    genera, species = _taxa(training.barcodes)
    rows = draw_per_species(np.flatnonzero(is_accepted), species, args.max_per_species)
    if len(rows) <= settings.embedding_size:
        raise ConfigurationError(
            f"expected more than {settings.embedding_size} barcodes of the marker ({profile.marker}), got {len(rows)}; "
            "of few barcodes, make shorter embeddings: --embedding-size"
        )
    oriented = orient([texts[row] for row in rows], scores.strand[rows])
    logger.info("fitting the map of k-mers on %d barcodes: some minutes", len(rows))
    embedder, fitted = fit_kmer_map(oriented, genera[rows], species[rows], profile, settings)
    with written_atomically(folder.parent) as scratch:
        written = scratch / folder.name
        written.mkdir()
        embedder.save(written)
        origin = _describe(args, settings, training, fitted, None)
        (written / TUNING_FILE).write_text(json.dumps(origin, indent=2) + "\n")
    return fitted


def _describe(
    args: TuneArguments, settings: HeadSettings, training: TrainingData, fitted: FittedHead, pretrained: str | None
) -> dict[str, Any]:
    """What a tuned checkpoint was made of, for `tuning.json`."""
    return {
        "settings": dataclasses.asdict(settings)
        | {
            "encoder_stride": args.encoder_stride,
            "max_per_species": args.max_per_species,
            "splits": args.splits,
            "preset": args.preset,
        },
        "fitted_on": {
            "records": len(training),
            "fingerprint": training.fingerprint(),
            "on_frame": int(training.barcodes.is_placed.sum()),
            "used": fitted.num_barcodes,
            "clusters": fitted.num_clusters,
            "pairs_of_relatives": fitted.num_pairs,
            "with_genus": fitted.num_named,
        },
        "data": describe_data(args.data),
        "pretrained_weights_sha256": pretrained,
        "machine": describe_machine(),
        "versions": describe_versions(_PACKAGES),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _check_model(name: str, checkpoint: Checkpoint) -> None:
    config = checkpoint.model.config
    if config.objective != "mae" or checkpoint.frame is None or not isinstance(checkpoint.encoder, KmerEncoder):
        raise CheckpointError(
            f"{name}: expected a masked autoencoder of k-mers with a reference frame, got objective {config.objective} "
            f"on {checkpoint.encoder.name}, {'no' if checkpoint.frame is None else 'with a'} reference frame"
        )


def _taxa(barcodes: StoredBarcodes) -> tuple[np.ndarray, np.ndarray]:
    """Indices of genus and species of all barcodes; without a species name, a BIN or the barcode itself is used."""
    (_, genera), (species_names, species), (bin_names, bins) = (
        barcodes.taxa(column) for column in ("genus", "species", "bin")
    )
    own = len(species_names) + len(bin_names) + np.arange(len(barcodes))
    units = np.where(species >= 0, species, np.where(bins >= 0, len(species_names) + bins, own))
    return genera, units


def draw_per_species(rows: np.ndarray, species: np.ndarray, max_per_species: int | None) -> np.ndarray:
    """Draw barcodes at random; the same ones at each call.

    Args:
        rows: `[drawn from]`, rows of barcodes, ascending.
        species: int64 `[n]`, the species of all barcodes.
        max_per_species: maximum number of rows of a species; None to draw all.

    Returns:
        int64 `[drawn]`, ascending.
    """
    if max_per_species is None:
        return rows
    shuffled = rows[np.argsort(uniform(0, Stream.SAMPLE, 0, rows, 1)[:, 0], kind="stable")]
    by_species = shuffled[np.argsort(species[shuffled], kind="stable")]
    _, begins, counts = np.unique(species[by_species], return_index=True, return_counts=True)
    index_in_species = np.arange(len(rows)) - np.repeat(begins, counts)
    return np.sort(by_species[index_in_species < max_per_species])


def _without_network(folder: Path) -> Checkpoint:
    """The folder of a marker as a checkpoint, whose encoder is the smallest there can be, and is not trained.

    Raises:
        CheckpointError: the reference frame is damaged.
    """
    try:
        frame = ReferenceFrame.load(folder / FRAME_FILE)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    encoder = KmerEncoder()
    config = BarcodeMAEConfig(
        k=encoder.k,
        num_hidden_layers=1,
        hidden_size=_HIDDEN_SIZE,
        num_attention_heads=1,
        intermediate_size=_HIDDEN_SIZE,
        max_position_embeddings=max(_MIN_POSITIONS, frame.slots(encoder.k)),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BarcodeMAEModel(config)
    tokenizer = build_kmer_tokenizer(config.k, model_max_length=config.max_position_embeddings)
    return Checkpoint(model.eval(), tokenizer, encoder, frame)


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """What a head is added to.

    Attributes:
        model: the model with its decoder of tokens, which predicts masked k-mers; without one, the encoder.
        pooled_decoder: the decoder that reconstructs bases from the pooled vector, if the checkpoint has it.
    """

    model: Any
    pooled_decoder: nn.Module | None = None


def load_pretrained(name: str) -> Pretrained:
    """The model of a checkpoint, and the decoder of the pooled vector if it has one that reconstructs bases."""
    pretrained, loading = load_model(BarcodeMAEForPreTraining, find_checkpoint(name))
    missing = {str(key).partition(".")[0] for key in loading["missing_keys"]}
    reconstructs_bases = pretrained.config.pooled_target == "bases" and "pooled_decoder" not in missing
    pooled_decoder = pretrained.decoder_of_pooled if reconstructs_bases else None
    has_tokens = pretrained.decoder is not None and "decoder" not in missing
    return Pretrained(pretrained if has_tokens else pretrained.bert, pooled_decoder)


def add_head(pretrained: Pretrained, head_settings: dict[str, Any]) -> Any:
    """A model with a head, which is uninitialised but for the decoder that completes barcodes.

    Args:
        pretrained: what the head is added to; it has a pooled decoder if the head is to complete barcodes.
        head_settings: changes of its configuration.
    """
    before = pretrained.model
    if isinstance(before, BarcodeMAEForPreTraining):
        head_settings = head_settings | {"pooled_decoder_weight": 0.0}
    settings = before.config.to_dict() | head_settings
    model = type(before)(BarcodeMAEConfig(**{key: settings[key] for key in settings.keys() - _NOT_SETTINGS}))
    # If the checkpoint is already tuned, its head is replaced.
    weights = {key: value for key, value in before.state_dict().items() if "projection_head." not in key}
    model.load_state_dict(weights, strict=False)
    if model.config.completion_weight:
        model.base_model.projection_head.network.load_state_dict(pretrained.pooled_decoder.state_dict())  # type: ignore[union-attr]
    return model
