"""Configuration of BarcodeMAE: a BERT encoder, and a decoder used only in pretraining."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import BertConfig
from transformers.utils.versions import require_version

# Older versions lack functions that these files use; results are equal from this version to 5.24.
require_version("transformers>=5.5")

MASK_ID = 0
UNKNOWN_ID = 1
FIRST_KMER_ID = 2  # `[MASK]` is 0 and `[UNK]` is 1, as published; `[PAD]` is the last id
NUM_SPECIAL_TOKENS = 3

SIZES: dict[str, dict[str, int]] = {
    "nano": {"num_hidden_layers": 4, "hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 512},
    "tiny": {"num_hidden_layers": 4, "hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024},
    "small": {
        "num_hidden_layers": 6,
        "hidden_size": 384,
        "num_attention_heads": 6,
        "intermediate_size": 1536,
    },
    "base": {"num_hidden_layers": 6, "hidden_size": 768, "num_attention_heads": 6, "intermediate_size": 3072},
}
"""Encoder sizes by name; `base` is that of the paper. By default, the decoder has the same size ("balanced")."""

AUTO_MAP = {
    "AutoConfig": "configuration_barcodemae.BarcodeMAEConfig",
    "AutoModel": "modeling_barcodemae.BarcodeMAEModel",
    "AutoModelForMaskedLM": "modeling_barcodemae.BarcodeMAEForMaskedLM",
    "AutoModelForSequenceClassification": "modeling_barcodemae.BarcodeMAEForSequenceClassification",
    "AutoModelForTokenClassification": "modeling_barcodemae.BarcodeMAEForTokenClassification",
}

PRETRAINING_CLASSES = {
    "mae": "modeling_barcodemae.BarcodeMAEForPreTraining",
    "mlm": "baselines_barcodemae.BarcodeMAEForMaskedTokenPreTraining",
    "causal": "baselines_barcodemae.BarcodeMAEForCausalPreTraining",
}
"""The class that `AutoModelForPreTraining` gives for each objective."""

AUXILIARY_OBJECTIVES = ("none", "cross-entropy", "same-taxon", "triplet")

MAX_SOFT_TARGET_K = 6
"""The table of distances has 16 million entries for this k, and 16 times as many for the next."""

_ENCODERS = {"BarcodeMAEModel", "BarcodeMAEForMaskedLM"} | {
    reference.partition(".")[2] for reference in PRETRAINING_CLASSES.values()
}
"""Classes that consist of the encoder and of parts used only in pretraining."""

_DIMENSIONS = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")
_SHARED_WITH_DECODER = (
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "max_position_embeddings",
    "type_vocab_size",
    "initializer_range",
    "layer_norm_eps",
    "dtype",
)


@strict
class BarcodeMAEConfig(BertConfig):
    """A `BertConfig` for the encoder, with the dimensions of the decoder, masking and embedding.

    In memory the model type is `barcodemae`, under which the Auto classes know it. The saved `config.json` contains the
    complete `auto_map`, and the model type `bert` if plain `BertModel` gives the same `last_hidden_state`: such a
    folder loads as BarcodeMAE with `trust_remote_code=True` and as `BertModel` without. Tuned models, classifiers and
    models with `[CLS]`, for which `transformers` has no class, have the model type `barcodemae` and load only with
    `trust_remote_code=True`.

    Args:
        k: nucleotides in a token.
        vocab_size: number of tokens; by default `[MASK]`, `[UNK]`, the 4^k k-mers and `[PAD]`.
        pad_token_id: a negative value counts from the end of the vocabulary; by default the last id.
        objective: pretraining objective of the encoder: `mae`, or for comparison `mlm` (BERT-style) or `causal`
            (GPT-style; sets `is_decoder`, which makes BERT's attention causal).
        mask_ratio: share of the known tokens of a barcode that are masked, between 0 and 1, exclusive.
        mask_by_chance: mask each token by chance, as published, instead of the same number in every row of a batch.
        token_decoder_weight: weight of the loss of the published decoder, which reconstructs masked tokens from all
            tokens of the encoder; 0 for a model without it.
        pooled_decoder_weight: weight of the loss of a decoder that reconstructs the barcode from the pooled vector
            alone; 0, as published, for a model without it.
        pooled_target: what that decoder reconstructs: `bases`, the base at each coordinate, or `kmers`, how often the
            barcode has each k-mer, for markers whose length is uneven.
        pooled_decoder_coordinates: number of coordinates of the target `bases`, on the reference frame, or counted from
            the first base without one.
        pooled_decoder_prefixes: numbers of leading dimensions of the pooled vector that reconstruct too, each
            with the same weight as the complete vector (Matryoshka, arXiv 2402.14776), so that it can be truncated.
        label_ranks: for a classifier of taxa, rank -> number of its labels, in the order of the logits. In the file it
            is a list of pairs, because keys of an object are sorted.
        pooling: what the embedding is: `mean`, as published, the mean of the encoder's output over the known tokens,
            or `cls`, its output at a learned `[CLS]` token that precedes them, as in BarcodeMAE+.
        soft_target_temperature: temperature of a soft-max over the negative edit distances of all k-mers from the
            masked one, which is the target of the token decoder; with 0, as published, the target is the masked k-mer.
        auxiliary_objective: objective on the taxa of barcodes beside the reconstruction, used only in pretraining:
            `cross-entropy`, `same-taxon`, `triplet`, or `none`.
        num_auxiliary_taxa: number of taxa of the auxiliary objective `cross-entropy`.
        attends_unknown: whether `[UNK]` is attended to, as in published checkpoints; other models leave unknown k-mers
            out.
        reference_frame: SHA-256 of the reference frame, saved beside the weights, on which barcodes are placed; None
            for a model that reads barcodes from their first nucleotide.
        embedding_size: width of the embeddings of a tuned model; with 0, embeddings are the mean of the encoder's
            output, as published.
        completion_weight: weight, in the embedding of a tuned model, of the bases that the network reconstructs where a
            barcode lacks them, relative to its own bases; 0 for a linear map of the encoder's output instead.
        frame_slots: number of slots of the reference frame whose bases a tuned model reads.
        encoder_stride: the encoder of a tuned model reads every n-th slot; bases are read at all slots.
        decoder_num_hidden_layers: decoder depth; by default the encoder's ("balanced", arXiv 2502.18405).
        decoder_hidden_size: decoder width; by default the encoder's.
        decoder_num_attention_heads: attention heads of the decoder; by default the encoder's.
        decoder_intermediate_size: feed-forward width of the decoder; by default the encoder's.

    Raises:
        ValueError: a width is not a multiple of its number of heads, or a value is out of range.
    """

    model_type = "barcodemae"

    k: int = 6
    vocab_size: int = 0
    pad_token_id: int = -1
    hidden_size: int = 768
    num_hidden_layers: int = 6
    num_attention_heads: int = 6
    intermediate_size: int = 3072
    tie_word_embeddings: bool = False

    objective: str = "mae"
    mask_ratio: float = 0.5
    mask_by_chance: bool = False
    token_decoder_weight: float = 1.0
    pooled_decoder_weight: float = 0.0
    pooled_target: str = "bases"
    pooled_decoder_coordinates: int = 660
    pooled_decoder_prefixes: list[int] | None = None
    label_ranks: dict[str, int] | list[list[Any]] | None = None
    pooling: str = "mean"
    soft_target_temperature: float = 0.0
    auxiliary_objective: str = "none"
    num_auxiliary_taxa: int = 0
    attends_unknown: bool = False
    reference_frame: str | None = None
    embedding_size: int = 0
    completion_weight: float = 0.0
    frame_slots: int = 0
    encoder_stride: int = 1
    decoder_num_hidden_layers: int | None = None
    decoder_hidden_size: int | None = None
    decoder_num_attention_heads: int | None = None
    decoder_intermediate_size: int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        self.vocab_size = self.vocab_size or 4**self.k + NUM_SPECIAL_TOKENS
        self.label_ranks = None if self.label_ranks is None else dict(self.label_ranks)
        if self.objective == "causal":
            self.is_decoder, self.use_cache = True, False
        if self.pad_token_id < 0:
            self.pad_token_id += self.vocab_size
        for name in _DIMENSIONS:
            if getattr(self, f"decoder_{name}") is None:
                setattr(self, f"decoder_{name}", getattr(self, name))
        super().__post_init__(**kwargs)

    def validate_architecture(self) -> None:
        """Called by `strict` after the fields are set."""
        super().validate_architecture()
        if self.objective not in PRETRAINING_CLASSES:
            raise ValueError(f"objective must be one of {', '.join(PRETRAINING_CLASSES)}; got {self.objective}")
        if not 0 < self.mask_ratio < 1:
            raise ValueError(f"mask_ratio must lie between 0 and 1, exclusive; got {self.mask_ratio}")
        self._validate_decoders()
        self._validate_soft_targets()
        if self.pooling not in ("mean", "cls"):
            raise ValueError(f"pooling must be mean or cls; got {self.pooling}")
        if self.pooling == "cls" and (self.objective != "mae" or self.type_vocab_size < 2):
            raise ValueError(
                "pooling cls expects objective mae and type_vocab_size of 2 or more; "
                f"got {self.objective} and {self.type_vocab_size}"
            )
        if self.auxiliary_objective not in AUXILIARY_OBJECTIVES:
            raise ValueError(
                f"auxiliary_objective must be one of {', '.join(AUXILIARY_OBJECTIVES)}; got {self.auxiliary_objective}"
            )
        if self.auxiliary_objective != "none" and self.objective != "mae":
            raise ValueError(f"auxiliary_objective expects objective mae; got {self.objective}")
        if self.auxiliary_objective == "cross-entropy" and self.num_auxiliary_taxa < 2:
            raise ValueError(
                "auxiliary_objective cross-entropy expects num_auxiliary_taxa of 2 or more; "
                f"got {self.num_auxiliary_taxa}"
            )
        if self.embedding_size and not (self.objective == "mae" and self.frame_slots > 0):
            raise ValueError(
                f"embedding_size expects objective mae and frame_slots; got {self.objective} and {self.frame_slots}"
            )
        if self.completion_weight and (
            not self.embedding_size
            or self.pooled_target != "bases"
            or self.pooled_decoder_coordinates < self.frame_slots * self.k
        ):
            raise ValueError(
                "completion_weight expects embedding_size, pooled_target bases and a coordinate for each base of the "
                f"{self.frame_slots} slots; got {self.embedding_size}, {self.pooled_target} and "
                f"{self.pooled_decoder_coordinates} coordinates"
            )
        if self.completion_weight < 0:
            raise ValueError(f"completion_weight must be 0 or more; got {self.completion_weight}")
        if self.encoder_stride < 1 or (self.encoder_stride > 1 and not self.embedding_size):
            raise ValueError(f"encoder_stride must be 1, or more with embedding_size; got {self.encoder_stride}")
        for prefix in ("", "decoder_"):
            width, heads = (getattr(self, f"{prefix}{name}") for name in ("hidden_size", "num_attention_heads"))
            if heads < 1 or width % heads:
                raise ValueError(
                    f"{prefix}hidden_size must be a multiple of {prefix}num_attention_heads; got {width} and {heads}"
                )

    def _validate_decoders(self) -> None:
        weights = self.token_decoder_weight, self.pooled_decoder_weight
        if min(weights) < 0 or max(weights) == 0:
            raise ValueError(
                "token_decoder_weight and pooled_decoder_weight must be 0 or more, and one of them more than 0; "
                f"got {weights[0]} and {weights[1]}"
            )
        if self.pooled_decoder_weight and self.objective != "mae":
            raise ValueError(f"pooled_decoder_weight expects objective mae; got {self.objective}")
        if self.pooled_decoder_prefixes and not self.pooled_decoder_weight:
            raise ValueError("pooled_decoder_prefixes expects pooled_decoder_weight above 0; got 0")
        if not all(0 < prefix < self.hidden_size for prefix in self.pooled_decoder_prefixes or ()):
            raise ValueError(
                f"pooled_decoder_prefixes must lie between 0 and hidden_size {self.hidden_size}, exclusive; "
                f"got {self.pooled_decoder_prefixes}"
            )
        if self.pooled_decoder_coordinates < 1:
            raise ValueError(f"pooled_decoder_coordinates must be 1 or more; got {self.pooled_decoder_coordinates}")
        if self.pooled_target not in ("bases", "kmers"):
            raise ValueError(f"pooled_target must be bases or kmers; got {self.pooled_target}")
        if self.pooled_target == "kmers" and self.num_targets != 4**self.k:
            raise ValueError(
                f"pooled_target kmers expects tokens that are k-mers; got {self.num_targets} tokens with k = {self.k}"
            )

    def _validate_soft_targets(self) -> None:
        if self.soft_target_temperature < 0:
            raise ValueError(f"soft_target_temperature must be 0 or more; got {self.soft_target_temperature}")
        if not self.soft_target_temperature:
            return
        if self.objective != "mae" or not self.token_decoder_weight:
            raise ValueError(
                "soft_target_temperature expects objective mae and token_decoder_weight above 0; "
                f"got {self.objective} and {self.token_decoder_weight}"
            )
        if self.num_targets != 4**self.k or self.k > MAX_SOFT_TARGET_K:
            raise ValueError(
                f"soft_target_temperature expects tokens that are k-mers, with k of at most {MAX_SOFT_TARGET_K}; "
                f"got {self.num_targets} tokens with k = {self.k}"
            )

    @property
    def num_targets(self) -> int:
        """Number of tokens that can be reconstructed: all but the special ones."""
        return self.vocab_size - NUM_SPECIAL_TOKENS

    @property
    def pooled_size(self) -> int:
        """Width of an embedding."""
        return self.embedding_size or self.hidden_size

    def decoder_config(self) -> BertConfig:
        """Configuration of the decoder, a BERT with a vocabulary of one token: the mask token, which starts at zero."""
        settings = {name: getattr(self, f"decoder_{name}") for name in _DIMENSIONS}
        settings |= {name: getattr(self, name) for name in _SHARED_WITH_DECODER}
        settings["attn_implementation"] = self._attn_implementation
        return BertConfig(vocab_size=1, pad_token_id=0, **settings)

    def to_dict(self) -> dict[str, Any]:
        auto_map = AUTO_MAP | {"AutoModelForPreTraining": PRETRAINING_CLASSES[self.objective]}
        if self.objective != "mae":
            del auto_map["AutoModelForMaskedLM"]  # only the objective mae has a decoder that predicts missing k-mers
        model_type = BertConfig.model_type if self._is_plain_bert() else self.model_type
        ranks = None if self.label_ranks is None else [list(pair) for pair in dict(self.label_ranks).items()]
        return super().to_dict() | {"model_type": model_type, "auto_map": auto_map, "label_ranks": ranks}

    def _is_plain_bert(self) -> bool:
        has_more = bool(self.embedding_size or self.label_ranks or self.pooling != "mean")
        return not has_more and _ENCODERS.issuperset(self.architectures or ())

    @classmethod
    def get_config_dict(cls, *args: Any, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        config_dict, kwargs = super().get_config_dict(*args, **kwargs)
        if config_dict.get("model_type") == BertConfig.model_type:
            config_dict["model_type"] = cls.model_type
        return config_dict, kwargs


__all__ = ["SIZES", "BarcodeMAEConfig"]
