"""Which model is trained, from which weights, and how it reads barcodes."""

import logging
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import Mamba2Config, PreTrainedModel, PreTrainedTokenizerFast

from barcodemae.checkpoints.files import weights_files
from barcodemae.checkpoints.loading import find_checkpoint, load_checkpoint, load_saved_tokenizer
from barcodemae.errors import ConfigurationError
from barcodemae.training.arguments import DataArguments, ModelArguments
from barcodemae.training.dataset import TrainingData, load_frame
from barcodemae.training.kinship import Kind, OfNearCluster, OfSameCluster, OfSameGenus
from barcodemae.training.mamba import CausalMamba2, mamba2_config
from barcodemae.training.objectives import Classification, MaskedReconstruction, NextTokenPrediction, Objective
from barcodemae.training.targets import OwnBases, RelativeBases, clusters_by_bases, count_bases
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
    encoder_of,
)

logger = logging.getLogger(__name__)

_DECODERS = ("decoder", "pooled_decoder")

_SHORTEST_CUT = 130  # nucleotides: a mini-barcode
_MIN_POSITIONS = 512  # as published

_MODELS: dict[str, type[PreTrainedModel]] = {
    "mae": BarcodeMAEForPreTraining,
    "mlm": BarcodeMAEForMaskedTokenPreTraining,
    "causal": BarcodeMAEForCausalPreTraining,
    "classification": BarcodeMAEForSequenceClassification,
}


@dataclass(frozen=True)
class Start:
    """What training begins with.

    Attributes:
        tokenizer: goes into the checkpoint.
        encoder: the same for whole blocks of barcodes.
        frame: the marker's, or None.
        config: the model's.
        weights: of the checkpoint that training goes on from: its encoder's, by their names there, and its decoders';
            None for random ones.
    """

    tokenizer: PreTrainedTokenizerFast
    encoder: BarcodeEncoder
    frame: ReferenceFrame | None
    config: BarcodeMAEConfig | Mamba2Config
    weights: dict[str, Tensor] | None


def choose_start(args: ModelArguments, data_args: DataArguments) -> Start:
    """A new model, or the encoder of the checkpoint that `--init_from` names, with its tokenizer and frame.

    Raises:
        CheckpointError: there is no checkpoint of that name.
        ConfigurationError: values that don't go together.
    """
    if args.init_from is not None:
        _refuse_its_own(args)
        checkpoint = load_checkpoint(args.init_from, use_frame=data_args.frame != "none")
        tokenizer, weights = checkpoint.tokenizer, _weights(args.init_from, checkpoint.model)
        kept = checkpoint.model.config.to_dict()
        settings = {name: value for name, value in kept.items() if name not in ("model_type", "auto_map")}
        config = _config(settings | _of_every_run(args))
        return Start(tokenizer, checkpoint.encoder, checkpoint.frame, config, weights)  # type: ignore[arg-type]
    tokenizer = load_tokenizer(args)
    encoder = encoder_of(tokenizer)
    if data_args.frame != "none" and not isinstance(encoder, KmerEncoder):
        raise ConfigurationError(f"--tokenizer {args.tokenizer}: its words fit no slots; expected --frame none")
    if args.backbone == "mamba2":
        if (args.objective, data_args.frame) != ("causal", "none"):
            raise ConfigurationError("--backbone mamba2: expected --objective causal and --frame none")
        return Start(tokenizer, encoder, None, mamba2_config(_size(args), encoder), None)
    frame = load_frame(data_args.frame)
    config = build_config(args, encoder, data_args.max_nucleotides, 0 if frame is None else frame.length)
    return Start(tokenizer, encoder, frame, config, None)


def load_tokenizer(args: ModelArguments) -> PreTrainedTokenizerFast:
    """The tokenizer that `--tokenizer` names.

    Raises:
        ConfigurationError: there is none of that name, or it is no byte-pair encoding of ours.
    """
    if args.tokenizer == "kmer":
        if not 1 <= args.k <= 8:
            raise ConfigurationError(f"--k {args.k}: expected 1 to 8")
        return build_kmer_tokenizer(args.k)
    try:
        tokenizer = load_saved_tokenizer(args.tokenizer)
        BpeEncoder(tokenizer)
    except Exception as error:  # what the library raises over a broken folder has no common class
        raise ConfigurationError(
            f"--tokenizer {args.tokenizer}: expected kmer, or the folder of a byte-pair encoding: {error}"
        ) from error
    return tokenizer


def build_config(
    args: ModelArguments, encoder: BarcodeEncoder, max_nucleotides: int, frame_length: int = 0
) -> BarcodeMAEConfig:
    """The configuration of a new model.

    Args:
        args: which model.
        encoder: whose ids the model is to read.
        max_nucleotides: most that it reads of a barcode.
        frame_length: nucleotides of the reference frame; 0 where there is none.

    Raises:
        ConfigurationError: values that don't go together.
    """
    return _config(
        {
            **_size(args),
            "k": encoder.k,
            "vocab_size": encoder.vocab_size,
            "max_position_embeddings": max(_MIN_POSITIONS, max_nucleotides // encoder.k),
            "pooled_decoder_coordinates": max(max_nucleotides, frame_length),
            **_of_every_run(args),
        }
    )


def build_model(
    start: Start, args: ModelArguments, training: TrainingData, validation: TrainingData, seed: int
) -> tuple[PreTrainedModel, Objective]:
    """The model, and what it is to learn.

    Args:
        start: what training begins with.
        args: which model.
        training: records to learn from; they tell what classes there are.
        validation: records to validate on.
        seed: of the run.

    Raises:
        ConfigurationError: there is nothing to classify.
    """
    objective: Objective
    if args.objective == "classification":
        objective = Classification.of(args.ranks, training.barcodes, validation.barcodes)
        start.config.label_ranks = {rank: len(names) for rank, names in objective.names.items()}
        start.config.id2label = dict(enumerate(objective.labels()))
        start.config.label2id = {label: i for i, label in start.config.id2label.items()}
    elif args.objective == "causal":
        objective = NextTokenPrediction()
    else:
        bases = None
        if args.pooled_decoder_weight:
            coordinates = start.config.pooled_decoder_coordinates  # type: ignore[union-attr]
            own = OwnBases(training.barcodes, validation.barcodes, coordinates)
            bases = RelativeBases(own, seed, find_relatives(args, own))
        objective = MaskedReconstruction(
            seed, args.mask_ratio, bases, args.cut_share, max(1, _SHORTEST_CUT // start.encoder.k)
        )
    model = (CausalMamba2 if args.backbone == "mamba2" else _MODELS[args.objective])(start.config)
    if args.pooled_decoder_weight:
        decoder: Any = model.pooled_decoder
        counts = count_bases(training.barcodes, model.config.pooled_decoder_coordinates)
        decoder.set_base_counts(torch.from_numpy(counts))
    if start.weights is not None:
        _continue_from(start.weights, model)
    return model, objective


def find_relatives(args: ModelArguments, own: OwnBases) -> list[tuple[float, Kind]]:
    """Shares of the barcodes that are to reconstruct a relative, and which.

    Raises:
        ConfigurationError: there are no such relatives.
    """
    kinds: list[tuple[str, float, Kind]] = []
    if args.same_cluster_share or args.near_cluster_share:
        clusters, pairs = clusters_by_bases(own.training, own.coordinates)
        kinds += [
            ("same_cluster_share", args.same_cluster_share, OfSameCluster(clusters)),
            ("near_cluster_share", args.near_cluster_share, OfNearCluster(clusters, pairs)),
        ]
    if args.genus_share:
        genera, species = (own.training.taxa(rank)[1] for rank in ("genus", "species"))
        kinds.append(("genus_share", args.genus_share, OfSameGenus(genera, species)))
    for option, share, kind in kinds:
        if share and not kind.has_any.any():
            raise ConfigurationError(f"--{option} {share}: expected relatives of that kind among the records, got none")
        if share:
            logger.info("%s: %d of %d barcodes have such relatives", option, kind.has_any.sum(), len(kind.has_any))
    return [(share, kind) for _, share, kind in kinds if share]


def _continue_from(weights: dict[str, Tensor], model: PreTrainedModel) -> None:
    """Encoder, and each decoder that is in both and of the same shape; one of another shape starts anew."""
    prefix = f"{model.base_model_prefix}."
    state = model.state_dict()
    model.base_model.load_state_dict(
        {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    )
    for part, module in model.named_children():
        names = [name for name in state if name.startswith(f"{part}.")]
        is_same = all(name in weights and weights[name].shape == state[name].shape for name in names)
        if part in _DECODERS and is_same:
            module.load_state_dict({name.removeprefix(f"{part}."): weights[name] for name in names})


def _weights(name: str, encoder: PreTrainedModel) -> dict[str, Tensor]:
    """The encoder's, which are those that were loaded, and of the file those of decoders."""
    weights = {f"{encoder.base_model_prefix}.{key}": value for key, value in encoder.state_dict().items()}
    for file in weights_files(find_checkpoint(name)):
        with safe_open(file, framework="pt") as tensors:
            of_decoders = [key for key in tensors.keys() if key.partition(".")[0] in _DECODERS]  # noqa: SIM118
            weights |= {key: tensors.get_tensor(key).float() for key in of_decoders}
    return weights


def _size(args: ModelArguments) -> dict[str, int]:
    if args.size not in SIZES:
        raise ConfigurationError(f"--size {args.size}: expected one of {', '.join(SIZES)}")
    return SIZES[args.size]


def _refuse_its_own(args: ModelArguments) -> None:
    """What a checkpoint brings along can't be asked for beside it."""
    default = ModelArguments()
    for name in ("backbone", "size", "k", "tokenizer"):
        if getattr(args, name) != getattr(default, name):
            raise ConfigurationError(
                f"--{name} {getattr(args, name)}: expected none beside --init_from, which has its own"
            )


def _of_every_run(args: ModelArguments) -> dict[str, Any]:
    return {
        # A classifier reads as its encoder was taught to, and a new one as BarcodeMAE's does.
        **({} if args.objective == "classification" else {"objective": args.objective}),
        "mask_ratio": args.mask_ratio,
        "mask_by_chance": args.mask_by_chance,
        "token_decoder_weight": args.token_decoder_weight,
        "pooled_decoder_weight": args.pooled_decoder_weight,
        "pooled_decoder_prefixes": args.matryoshka or None,
        "hidden_dropout_prob": args.dropout,
        "attention_probs_dropout_prob": args.dropout,
        "decoder_num_hidden_layers": args.decoder_layers,
        "decoder_hidden_size": args.decoder_width,
        "decoder_num_attention_heads": args.decoder_heads,
    }


def _config(settings: dict[str, Any]) -> BarcodeMAEConfig:
    try:
        return BarcodeMAEConfig(**settings)
    except Exception as error:  # the library wraps what its validators raise in a class of its own
        raise ConfigurationError(" ".join(str(error).split())) from error
