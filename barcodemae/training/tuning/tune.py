"""From a pretrained checkpoint to a tuned one."""

import dataclasses
import json
import logging
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from barcodemae.checkpoints.loading import (
    Checkpoint,
    find_checkpoint,
    load_checkpoint,
    load_model,
    save_checkpoint,
    weights_sha256,
)
from barcodemae.errors import CheckpointError, ConfigurationError
from barcodemae.files import clear_abandoned, written_atomically
from barcodemae.provenance import describe_data, describe_machine, describe_versions
from barcodemae.training.arguments import DataArguments
from barcodemae.training.dataset import TrainingData, load_training_data
from barcodemae.training.metrics import METRICS_FILE
from barcodemae.training.summary import TRAINING_FILE
from barcodemae.training.tuning.features import read_barcodes
from barcodemae.training.tuning.head import FittedHead, find_base_features, fit_head, join_features
from barcodemae.training.tuning.settings import HeadSettings, TuneArguments
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEForPreTraining
from tokenization_barcodemae import KmerEncoder

TUNING_FILE = "tuning.json"

_PACKAGES = ("barcodemae", "torch", "transformers", "numpy", "scipy")
_FROM_PRETRAINING = (TRAINING_FILE, METRICS_FILE)
_OF_THE_FILE = {"model_type", "auto_map"}

logger = logging.getLogger(__name__)


def tune(args: TuneArguments) -> FittedHead:
    """Fit the head of a tuned model on barcodes, and save the checkpoint that has it.

    The encoder stays as it is. Barcodes that do not lie on the reference frame do not count.

    Args:
        args: see there.

    Returns:
        The head, which says what it was fitted on.

    Raises:
        BarcodeMAEError: bad input; nothing is written then.
    """
    folder = Path(args.output)
    clear_abandoned(folder.parent)
    if folder.exists():
        held = "it holds a tuned checkpoint" if (folder / TUNING_FILE).is_file() else "something is there"
        raise ConfigurationError(f"--output {folder}: expected a folder that does not exist yet, but {held}")
    checkpoint = load_checkpoint(args.checkpoint)
    _refuse_unfit(args.checkpoint, checkpoint)
    data_args = DataArguments(data=args.data, preset=args.preset, train_splits=args.splits, unaligned_share=0.0)
    training, _ = load_training_data(data_args, checkpoint.frame, checkpoint.encoder, seed=0)
    settings = HeadSettings(args.embedding_size, args.label_share, args.network_share)
    reading = read_barcodes(checkpoint.model, checkpoint.encoder, training.barcodes, args.encoder_stride)
    logger.info("fitting the head on %d barcodes: some minutes", len(reading.bases))
    genera, species = _names(training)
    features = join_features(reading, find_base_features(reading, settings), settings)
    fitted = fit_head(features, genera, species, settings)

    of_head = {
        "embedding_size": settings.embedding_size,
        "frame_slots": training.barcodes.num_slots,
        "encoder_stride": args.encoder_stride,
    }
    model = _with_head(args.checkpoint, of_head)
    fitted.put_into(model.base_model.projection_head)
    origin = {
        "settings": dataclasses.asdict(settings)
        | {"encoder_stride": args.encoder_stride, "splits": args.splits, "preset": args.preset},
        "fitted_on": {
            "records": len(training),
            "fingerprint": training.fingerprint(),
            "on_frame": fitted.num_barcodes,
            "clusters": fitted.num_clusters,
            "pairs_of_relatives": fitted.num_pairs,
            "with_genus": fitted.num_named,
        },
        "data": describe_data(args.data),
        "pretrained_weights_sha256": weights_sha256(args.checkpoint),
        "machine": describe_machine(),
        "versions": describe_versions(_PACKAGES),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    place = folder.resolve()
    with written_atomically(place.parent) as scratch:  # the folder appears at once, with all that it holds
        written = scratch / place.name
        save_checkpoint(written, model, checkpoint.frame, checkpoint.tokenizer)
        (written / TUNING_FILE).write_text(json.dumps(origin, indent=2) + "\n")
        for name in _FROM_PRETRAINING:
            if (source := Path(find_checkpoint(args.checkpoint)) / name).is_file():
                (written / name).write_bytes(source.read_bytes())
    return fitted


def _refuse_unfit(name: str, checkpoint: Checkpoint) -> None:
    config = checkpoint.model.config
    if config.objective != "mae" or checkpoint.frame is None or not isinstance(checkpoint.encoder, KmerEncoder):
        raise CheckpointError(
            f"{name}: expected a masked autoencoder of k-mers with a reference frame, got objective {config.objective} "
            f"on {checkpoint.encoder.name}, {'no' if checkpoint.frame is None else 'with a'} reference frame"
        )


def _names(training: TrainingData) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of genera and species; a BIN stands for a species without a name, and a barcode for one without both."""
    barcodes = training.barcodes
    (_, genera), (species_names, species), (bin_names, bins) = (
        barcodes.taxa(column) for column in ("genus", "species", "bin")
    )
    own = len(species_names) + len(bin_names) + np.arange(len(barcodes))
    units = np.where(species >= 0, species, np.where(bins >= 0, len(species_names) + bins, own))
    return genera[barcodes.is_placed], units[barcodes.is_placed]


def _with_head(name: str, of_head: dict[str, Any]) -> Any:
    """The pretrained model with a head that is still to be set, and with the decoder that imputes where it has one.

    A decoder of the pooled vector stays behind: nothing but pretraining needs it.
    """
    pretrained, loading = load_model(BarcodeMAEForPreTraining, find_checkpoint(name))
    if pretrained.decoder is None or any(str(key).startswith("decoder.") for key in loading["missing_keys"]):
        pretrained = pretrained.bert
    else:
        of_head = of_head | {"pooled_decoder_weight": 0.0}
    settings = pretrained.config.to_dict() | of_head
    model = type(pretrained)(BarcodeMAEConfig(**{key: settings[key] for key in settings.keys() - _OF_THE_FILE}))
    # Of a checkpoint that is tuned already, the head is replaced.
    weights = {key: value for key, value in pretrained.state_dict().items() if "projection_head." not in key}
    model.load_state_dict(weights, strict=False)
    return model
