"""The model to train, its initial weights, its tokenizer and its objective."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor
from transformers import Mamba2Config, PreTrainedModel, PreTrainedTokenizerFast

from barcodemae.checkpoints.files import find_checkpoint, weights_files
from barcodemae.checkpoints.loading import load_checkpoint, load_saved_tokenizer
from barcodemae.errors import ConfigurationError, option_name
from barcodemae.training.arguments import DataArguments, ModelArguments
from barcodemae.training.dataset import TrainingData, load_frame
from barcodemae.training.mamba import CausalMamba2, mamba2_config
from barcodemae.training.objectives import Classification, MaskedReconstruction, NextTokenPrediction, Objective
from barcodemae.training.relative_sampling import (
    NearClusterSampler,
    RelativeSampler,
    SameClusterSampler,
    SameGenusSampler,
)
from barcodemae.training.targets import OwnBases, OwnKmers, OwnTargets, RelativeTargets, find_clusters
from barcodemae.training.taxa import AuxiliaryTaxa, read_taxa
from modeling_barcodemae import (
    SIZES,
    BarcodeMAEConfig,
    BarcodeMAEForCausalPreTraining,
    BarcodeMAEForMaskedTokenPreTraining,
    BarcodeMAEForPreTraining,
    BarcodeMAEForSequenceClassification,
)
from tokenization_barcodemae import (
    BarcodeEncoder,
    BpeEncoder,
    KmerEncoder,
    ReferenceFrame,
    build_kmer_tokenizer,
    encoder_for,
)

logger = logging.getLogger(__name__)

_DECODERS = ("decoder", "pooled_decoder")

_WITHOUT_HEAD = {"embedding_size": 0, "frame_slots": 0, "completion_weight": 0.0, "encoder_stride": 1}

_MIN_CUT_NUCLEOTIDES = 130  # a mini-barcode
_MIN_POSITIONS = 512  # as published

_MODELS: dict[str, type[PreTrainedModel]] = {
    "mae": BarcodeMAEForPreTraining,
    "mlm": BarcodeMAEForMaskedTokenPreTraining,
    "causal": BarcodeMAEForCausalPreTraining,
    "classification": BarcodeMAEForSequenceClassification,
}


@dataclass(frozen=True)
class Start:
    """The starting point of a training run.

    Attributes:
        tokenizer: saved in the checkpoint.
        encoder: gives the same ids as the tokenizer, for many barcodes at a time.
        frame: the marker's reference frame, or None.
        config: configuration of the model.
        weights: weights of encoder and decoders of the initial checkpoint, by name; None for random weights.
    """

    tokenizer: PreTrainedTokenizerFast
    encoder: BarcodeEncoder
    frame: ReferenceFrame | None
    config: BarcodeMAEConfig | Mamba2Config
    weights: dict[str, Tensor] | None


def choose_start(args: ModelArguments, data_args: DataArguments) -> Start:
    """A new model, or the encoder of the checkpoint `--init-from` with its tokenizer and frame.

    Raises:
        CheckpointError: the checkpoint is missing or damaged.
        ConfigurationError: options contradict each other.
    """
    if args.init_from is not None:
        _refuse_checkpoint_options(args)
        checkpoint = load_checkpoint(args.init_from, use_frame=data_args.frame != "none")
        tokenizer, weights = checkpoint.tokenizer, _load_weights(args.init_from, checkpoint.model)
        saved = checkpoint.model.config.to_dict()
        settings = {name: value for name, value in saved.items() if name not in ("model_type", "auto_map")}
        if args.objective != "classification":
            settings |= _WITHOUT_HEAD  # the decoder that completed barcodes becomes that of the pretraining
        config = _make_config(settings | _training_settings(args))
        return Start(tokenizer, checkpoint.encoder, checkpoint.frame, config, weights)  # type: ignore[arg-type]
    tokenizer = load_tokenizer(args)
    encoder = encoder_for(tokenizer)
    if data_args.frame != "none" and not isinstance(encoder, KmerEncoder):
        raise ConfigurationError(
            f"--tokenizer {args.tokenizer}: expected --frame none with byte-pair tokens, got --frame {data_args.frame}"
        )
    if args.backbone == "mamba2":
        if (args.objective, data_args.frame) != ("causal", "none"):
            raise ConfigurationError("--backbone mamba2: expected --objective causal and --frame none")
        return Start(tokenizer, encoder, None, mamba2_config(_size(args), encoder), None)
    frame = load_frame(data_args.frame)
    config = build_config(args, encoder, data_args.max_nucleotides, 0 if frame is None else frame.length)
    return Start(tokenizer, encoder, frame, config, None)


def load_tokenizer(args: ModelArguments) -> PreTrainedTokenizerFast:
    """The tokenizer given by `--tokenizer`.

    Raises:
        ConfigurationError: it is neither `kmer` nor the folder of a byte-pair encoding of this package.
    """
    if args.tokenizer == "kmer":
        if not 1 <= args.k <= 8:
            raise ConfigurationError(f"--k {args.k}: expected 1 to 8")
        return build_kmer_tokenizer(args.k)
    try:
        tokenizer = load_saved_tokenizer(args.tokenizer)
        BpeEncoder(tokenizer)
    except Exception as error:  # transformers raises many classes for a broken folder
        raise ConfigurationError(
            f"--tokenizer {args.tokenizer}: expected kmer, or the folder of a byte-pair encoding: {error}"
        ) from error
    return tokenizer


def build_config(
    args: ModelArguments, encoder: BarcodeEncoder, max_nucleotides: int, frame_length: int = 0
) -> BarcodeMAEConfig:
    """The configuration of a new model.

    Args:
        args: options of the model.
        encoder: gives the input ids of the model.
        max_nucleotides: maximum number of nucleotides read of an unaligned barcode.
        frame_length: nucleotides of the reference frame; 0 without a frame.

    Raises:
        ConfigurationError: options contradict each other.
    """
    return _make_config(
        {
            **_size(args),
            "k": encoder.k,
            "vocab_size": encoder.vocab_size,
            "pooling": args.pooling,
            "max_position_embeddings": max(_MIN_POSITIONS, max_nucleotides // encoder.k),
            "pooled_decoder_coordinates": max(max_nucleotides, frame_length),
            **_training_settings(args),
        }
    )


def build_model(
    start: Start, args: ModelArguments, training: TrainingData, validation: TrainingData, seed: int
) -> tuple[PreTrainedModel, Objective]:
    """The model and its training objective.

    Args:
        start: the starting point; in a classification, its configuration gets the labels.
        args: options of the model.
        training: records to train on; they determine the classes.
        validation: records to validate on.
        seed: seed of the run.

    Raises:
        ConfigurationError: the records have too few names for a classification or an auxiliary objective, or no
            relatives of a requested kind.
    """
    objective: Objective
    if args.objective == "classification":
        objective = Classification.from_barcodes(
            args.ranks,
            training.barcodes,
            validation.barcodes,
            args.label_smoothing,
            args.rank_smoothing,
            args.class_weighting,
        )
        start.config.label_ranks = {rank: len(names) for rank, names in objective.names.items()}
        start.config.id2label = dict(enumerate(objective.labels()))
        start.config.label2id = {label: i for i, label in start.config.id2label.items()}
    elif args.objective == "causal":
        objective = NextTokenPrediction()
    else:
        pooled_labels = auxiliary = None
        if args.auxiliary != "none":
            names, taxa = read_taxa("--auxiliary-rank", args.auxiliary_rank, training.barcodes)
            if args.auxiliary != "cross-entropy" and np.bincount(taxa[taxa >= 0]).max() < 2:
                raise ConfigurationError(
                    f"--auxiliary {args.auxiliary}: expected a {args.auxiliary_rank} with two training records or "
                    "more, got none"
                )
            start.config.num_auxiliary_taxa = len(names)  # type: ignore[union-attr]
            start.config.auxiliary_objective = args.auxiliary  # type: ignore[union-attr]
            auxiliary = AuxiliaryTaxa(taxa, args.auxiliary_weight, args.auxiliary_warmup_epochs)
        if args.pooled_decoder_weight:
            own = own_targets(start.config, training, validation)  # type: ignore[arg-type]
            pooled_labels = RelativeTargets(own, seed, find_relatives(args, own))
        min_cut_tokens = max(1, _MIN_CUT_NUCLEOTIDES // start.encoder.k)
        objective = MaskedReconstruction(
            seed, args.mask_ratio, pooled_labels, args.cut_share, min_cut_tokens, auxiliary
        )
    model = (CausalMamba2 if args.backbone == "mamba2" else _MODELS[args.objective])(start.config)
    if args.pooled_decoder_weight:
        decoder: Any = model.pooled_decoder
        decoder.set_counts(torch.from_numpy(own.count()))
    if start.weights is not None:
        _load_into(start.weights, model)
    return model, objective


def own_targets(config: BarcodeMAEConfig, training: TrainingData, validation: TrainingData) -> OwnTargets:
    """The targets of the pooled decoder for barcodes that reconstruct themselves."""
    if config.pooled_target == "kmers":
        return OwnKmers(training.barcodes, validation.barcodes, config.k)
    return OwnBases(training.barcodes, validation.barcodes, config.pooled_decoder_coordinates)


def find_relatives(args: ModelArguments, own: OwnTargets) -> list[tuple[float, RelativeSampler]]:
    """For each kind of relatives, the share of the barcodes that are to reconstruct one, and what draws it.

    Raises:
        ConfigurationError: the records have no relatives of a requested kind.
    """
    kinds: list[tuple[str, float, RelativeSampler]] = []
    if args.same_cluster_share or args.near_cluster_share:
        clusters, pairs = find_clusters(own)
        kinds += [
            ("same_cluster_share", args.same_cluster_share, SameClusterSampler(clusters)),
            ("near_cluster_share", args.near_cluster_share, NearClusterSampler(clusters, pairs)),
        ]
    if args.genus_share:
        genera, species = (own.training.taxa(rank)[1] for rank in ("genus", "species"))
        kinds.append(("genus_share", args.genus_share, SameGenusSampler(genera, species)))
    for name, share, sampler in kinds:
        has_any = sampler.has_any
        if share and not has_any.any():
            raise ConfigurationError(
                f"{option_name(name)} {share}: expected relatives of that kind among the records, got none"
            )
        if share:
            logger.info("%s: %d of %d barcodes have such relatives", option_name(name), has_any.sum(), len(has_any))
    return [(share, sampler) for _, share, sampler in kinds if share]


def _load_into(weights: dict[str, Tensor], model: PreTrainedModel) -> None:
    """Load the encoder, and each decoder that the checkpoint has in the same shape; others stay random."""
    prefix = f"{model.base_model_prefix}."
    state = model.state_dict()
    own = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    if model.config.embedding_size == 0:
        own = {name: value for name, value in own.items() if not name.startswith("projection_head.")}
    model.base_model.load_state_dict(own)
    for part, module in model.named_children():
        names = [name for name in state if name.startswith(f"{part}.")]
        is_same = all(name in weights and weights[name].shape == state[name].shape for name in names)
        if part in _DECODERS and is_same:
            module.load_state_dict({name.removeprefix(f"{part}."): weights[name] for name in names})


def _load_weights(name: str, encoder: PreTrainedModel) -> dict[str, Tensor]:
    """The weights of the encoder, already loaded, and of the decoders, from the checkpoint's files."""
    state, head = encoder.state_dict(), "projection_head.network."
    weights = {f"{encoder.base_model_prefix}.{key}": value for key, value in state.items()}
    if encoder.config.completion_weight:
        decoder = {key.removeprefix(head): value for key, value in state.items() if key.startswith(head)}
        weights |= {f"pooled_decoder.{key}": value for key, value in decoder.items()}
    for file in weights_files(find_checkpoint(name)):
        with safe_open(file, framework="pt") as tensors:
            keys = [key for key in tensors.keys() if key.partition(".")[0] in _DECODERS]  # noqa: SIM118
            weights |= {key: tensors.get_tensor(key).float() for key in keys}
    return weights


def _size(args: ModelArguments) -> dict[str, int]:
    if args.size not in SIZES:
        raise ConfigurationError(f"--size {args.size}: expected one of {', '.join(SIZES)}")
    return SIZES[args.size]


def _refuse_checkpoint_options(args: ModelArguments) -> None:
    default = ModelArguments()
    for name in ("backbone", "size", "k", "tokenizer", "pooling"):
        if getattr(args, name) != getattr(default, name):
            raise ConfigurationError(
                f"{option_name(name)} {getattr(args, name)}: not allowed with --init-from, "
                "whose checkpoint determines it"
            )


def _training_settings(args: ModelArguments) -> dict[str, Any]:
    """Values of the configuration that each run sets anew, also when it starts from a checkpoint."""
    return {
        # A classifier reads tokens as its encoder was pretrained to; a new one as BarcodeMAE does.
        **({} if args.objective == "classification" else {"objective": args.objective}),
        "mask_ratio": args.mask_ratio,
        "mask_by_chance": args.mask_by_chance,
        "token_decoder_weight": args.token_decoder_weight,
        "pooled_decoder_weight": args.pooled_decoder_weight,
        "pooled_target": args.pooled_target,
        "soft_target_temperature": args.soft_target_temperature,
        "auxiliary_objective": "none",  # set with the number of taxa, once the records are known
        "pooled_decoder_prefixes": args.matryoshka or None,
        "hidden_dropout_prob": args.dropout,
        "attention_probs_dropout_prob": args.dropout,
        "decoder_num_hidden_layers": args.decoder_layers,
        "decoder_hidden_size": args.decoder_width,
        "decoder_num_attention_heads": args.decoder_heads,
    }


def _make_config(settings: dict[str, Any]) -> BarcodeMAEConfig:
    try:
        return BarcodeMAEConfig(**settings)
    except Exception as error:  # transformers wraps the errors of validators in a class of its own
        raise ConfigurationError(" ".join(str(error).split())) from error
