"""BarcodeMAE (arXiv 2502.18405): a BERT encoder that sees only the kept k-mers, and a decoder for the masked ones.

The encoder is `BertModel` of `transformers`, with equal parameter names and numbers. This file adds what is specific
to the paper: masking, decoder and objective; and for tuned models the projection to embeddings whose cosine similarity
ranks relatives.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import initialization
from transformers.modeling_outputs import (
    BaseModelOutputWithPooling,
    MaskedLMOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from transformers.models.bert.modeling_bert import BertModel, BertPreTrainedModel
from transformers.utils.generic import ModelOutput, can_return_tuple

from .auxiliary_barcodemae import AUXILIARY_HEADS
from .companions_barcodemae import read_companions
from .configuration_barcodemae import FIRST_KMER_ID, MASK_ID, UNKNOWN_ID, BarcodeMAEConfig
from .losses_barcodemae import log_odds, rank_cross_entropy, summed_cross_entropy
from .masking_barcodemae import (
    Partition,
    choose_partition,
    partition_unknown,
    put_columns,
    take_columns,
)
from .pooled_decoder_barcodemae import BarcodeMAEPooledDecoder, BarcodeMAEZeroLinear
from .soft_targets_barcodemae import soft_cross_entropy
from .tokens_barcodemae import (
    after_cls,
    base_columns,
    counted_positions,
    every_nth_slot,
    kmer_bases,
    kmer_counts,
    kmer_log_probabilities,
    known_positions,
    masked_mean,
    padding_on_the_left,
)

_CLS_WEIGHT = "cls_embedding.weight"


@dataclass
class BarcodeMAEForPreTrainingOutput(ModelOutput):
    """Output of `BarcodeMAEForPreTraining`.

    Attributes:
        loss: mean cross-entropy over the masked tokens of the batch; see `BarcodeMAEForPreTraining` for the loss of a
            model with a pooled decoder or an auxiliary objective.
        logits: `[batch, masked, targets]`, logits of the k-mers (id minus 2) at the masked tokens, each row's first.
        labels: `[batch, masked]`, the masked k-mers (id minus 2); -100 where a row has fewer masked tokens.
        mask: `[batch, tokens]`, true for masked tokens.
        pooled_logits: the pooled decoder's logits, if the model has one: `[batch, coordinates, 4]` of A, C, G and T, or
            `[batch, 1, 4**k]` of all k-mers.
        pooled_labels: its targets: int64 `[batch, coordinates]`, the bases, 0 to 3 for A, C, G and T, -100 where no
            base is known; or float32 `[batch, 1, 4**k]`, the numbers of k-mers.
        auxiliary_loss: mean loss of the auxiliary objective, without its weight, if taxa are given.
        hidden_states: with `output_hidden_states`, the encoder's, each `[batch, kept, hidden]`.
        attentions: with `output_attentions`, the encoder's, each `[batch, heads, kept, kept]`.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    labels: Tensor | None = None
    mask: Tensor | None = None
    pooled_logits: Tensor | None = None
    pooled_labels: Tensor | None = None
    auxiliary_loss: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class BarcodeMAEDecoder(nn.Module):
    """Reconstructs masked tokens from the encoder's output at the kept ones."""

    def __init__(self, config: BarcodeMAEConfig):
        super().__init__()
        self.has_cls = config.pooling == "cls"
        decoder_config = config.decoder_config()
        self.projection = nn.Linear(config.hidden_size, decoder_config.hidden_size)
        self.bert = BertModel(decoder_config, add_pooling_layer=False)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.head = nn.Linear(decoder_config.hidden_size, config.num_targets)

    def forward(self, encoded: Tensor, position_ids: Tensor, partition: Partition) -> Tensor:
        """Logits of the k-mers from column `partition.first_masked` on.

        Args:
            encoded: `[batch, num_kept, hidden]`, the encoder's last hidden state; that of `[CLS]` precedes it, if the
                model has one.
            position_ids: `[batch, tokens]`, in the order of `partition`.
            partition: the kept and the masked tokens.

        Returns:
            `[batch, tokens - first_masked, targets]`.
        """
        # Taken from the weight directly, because `padding_idx` would block its gradient.
        mask_token = self.bert.embeddings.word_embeddings.weight[0]
        num_cls = int(self.has_cls)
        cls, kept = self.projection(encoded).tensor_split([num_cls], dim=1)
        if partition.first_masked < partition.num_kept:
            kept = torch.where(partition.kept()[:, : partition.num_kept, None], kept, mask_token.to(kept.dtype))
        num_masked = partition.order.shape[1] - partition.num_kept
        masked = mask_token.to(kept.dtype).expand(len(kept), num_masked, -1)
        arguments: dict[str, Tensor | None] = {"position_ids": position_ids, "attention_mask": partition.present()}
        if self.has_cls:
            arguments = after_cls(**arguments)  # type: ignore[arg-type]
        decoded = self.bert(inputs_embeds=torch.cat([cls, kept, masked], dim=1), **arguments).last_hidden_state
        return self.head(self.dropout(decoded[:, num_cls + partition.first_masked :]))


class BarcodeMAEProjectionHead(nn.Module):
    """Gives the embedding of a tuned model: a linear map of the bases, plus what the network adds.

    The bases have their own map, because a transformer small enough for a laptop loses the fine differences between
    close relatives. With `config.completion_weight`, the network reconstructs the bases that a barcode lacks, as in
    pretraining, and these go through the same map; otherwise it adds a linear map of the encoder's output.
    """

    def __init__(self, config: BarcodeMAEConfig):
        super().__init__()
        self.k = config.k
        self.completion_weight = config.completion_weight
        self.network = (
            BarcodeMAEPooledDecoder(config)
            if config.completion_weight
            else nn.Linear(config.hidden_size, config.embedding_size)
        )
        # The last row, which stays zero, is for unknown k-mers and positions outside the frame.
        self.silent = config.frame_slots * config.k * 4
        self.bases = nn.Embedding(self.silent + 1, config.embedding_size, padding_idx=self.silent)

    def forward(self, pooled: Tensor, input_ids: Tensor, position_ids: Tensor, known: Tensor) -> Tensor:
        """Embed each token, so that the mean over the known tokens is the embedding of the barcode.

        Args:
            pooled: `[batch, hidden]`, pooled output of the encoder, which contributes equally to all tokens.
            input_ids: `[batch, tokens]`.
            position_ids: `[batch, tokens]`, slots on the reference frame.
            known: `[batch, tokens]`, true for known tokens.

        Returns:
            `[batch, tokens, embedding_size]`.
        """
        columns = base_columns(input_ids, position_ids, self.k)
        columns = columns.masked_fill((columns < 0) | (columns > self.silent), self.silent)
        # A sum of look-ups, because ONNX turns an `embedding_bag` into a loop over all tokens.
        embedded = self.bases(columns[..., 0])
        for i in range(1, self.k):
            embedded = embedded + self.bases(columns[..., i])
        # The head may have a higher precision than the encoder, to preserve fine differences. A quantised linear map
        # has no `weight.dtype`.
        pooled = pooled.to(embedded.dtype)
        added = self._completed(pooled, columns, known) if self.completion_weight else self.network(pooled)
        return embedded + added[:, None]

    def _completed(self, pooled: Tensor, columns: Tensor, known: Tensor) -> Tensor:
        """The bases that the network expects where the barcode has none, mapped: `[batch, embedding_size]`.

        Args:
            pooled: `[batch, hidden]`.
            columns: `[batch, tokens, k]`, rows of the map for the bases of all tokens.
            known: `[batch, tokens]`, true for known tokens.
        """
        num_coordinates = self.silent // 4
        coordinates = columns.masked_fill(~known[..., None], self.silent).flatten(1) // 4
        is_missing = pooled.new_ones(len(pooled), num_coordinates + 1).scatter(1, coordinates, 0.0)[:, :-1]
        expected = self.network(pooled)[:, :num_coordinates].softmax(-1) * is_missing[..., None]
        mapped = expected.flatten(1) @ self.bases.weight[: self.silent]
        # The sum over all bases is divided by the number of known tokens, as that of the known bases is.
        return self.completion_weight * mapped / known.sum(1, keepdim=True).clamp(min=1)


class BarcodeMAEPreTrainedModel(BertPreTrainedModel):
    """Common base class of the model family."""

    config: BarcodeMAEConfig
    # No warning about decoders and heads if only the encoder of a pretraining checkpoint is loaded.
    _keys_to_ignore_on_load_unexpected = [  # noqa: RUF012
        r"^decoder\.",
        r"^pooled_decoder\.",
        r"^auxiliary_head\.",
        r"^head\.",
    ]
    _companions: dict[str, bytes] = {}  # noqa: RUF012
    # Losses are means over a batch, so Trainer must divide them by the number of accumulated batches.
    accepts_loss_kwargs = False

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, BarcodeMAEZeroLinear):
            initialization.zeros_(module.weight)
        else:
            super()._init_weights(module)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As for any model; reference frame and tokenizer code are retained for `save_pretrained`.

        Raises:
            ValueError: configuration and weights do not agree on whether there is a `[CLS]` token.
        """
        returns_info = kwargs.pop("output_loading_info", False)
        loaded: Any = super().from_pretrained(pretrained_model_name_or_path, *args, output_loading_info=True, **kwargs)
        model, info = loaded
        for keys, found in (("unexpected_keys", "weights with"), ("missing_keys", "weights without")):
            if any(str(key).endswith(_CLS_WEIGHT) for key in info[keys]):
                raise ValueError(
                    f"expected weights that agree with the configuration's pooling {model.config.pooling}, "
                    f"got {found} a [CLS] token"
                )
        if pretrained_model_name_or_path is not None:
            model._companions = read_companions(pretrained_model_name_or_path, kwargs)
        return (model, info) if returns_info else model

    def save_pretrained(self, save_directory: Any, *args: Any, push_to_hub: bool = False, **kwargs: Any) -> None:
        """As for any model, with the reference frame and the code of the tokenizer.

        A tokenizer loaded without remote code saves neither, and the saved model would lack its frame.
        """
        super().save_pretrained(save_directory, *args, **kwargs)
        has_frame = self.config.reference_frame is not None or self.config.frame_slots > 0
        if has_frame and kwargs.get("is_main_process", True):
            for name, content in self._companions.items():
                (Path(save_directory) / name).write_bytes(content)
        if push_to_hub:
            names = ("token", "private", "revision", "create_pr", "commit_message", "tags")
            options = {name: kwargs[name] for name in names if name in kwargs}
            self.push_to_hub(kwargs.get("repo_id", Path(save_directory).name), **options)

    def resize_token_embeddings(self, new_num_tokens: int | None = None, *args: Any, **kwargs: Any) -> nn.Embedding:
        """Accepts only the present size, because the tokens are the k-mers.

        Raises:
            ValueError: another size is requested.
        """
        if new_num_tokens not in (None, self.config.vocab_size):
            raise ValueError(
                f"the vocabulary is the {self.config.vocab_size} tokens of the {self.config.k}-mers and can't be "
                f"resized; got {new_num_tokens}"
            )
        return self.get_input_embeddings()  # type: ignore[return-value]


class BarcodeMAEModel(BarcodeMAEPreTrainedModel, BertModel):
    """The encoder: `BertModel` with a mean over the known tokens instead of BERT's pooler.

    With `config.pooling` "cls", the output at a `[CLS]` token is used instead of that mean. The token is not part of
    `input_ids`: its embedding, a parameter, precedes those of the k-mers.

    In a tuned model (`config.embedding_size`), `projection_head` maps the bases, and what the network adds, to an
    embedding. The encoder then reads only every `config.encoder_stride`-th slot.

    Args:
        config: configuration of the model.
        add_pooling_layer: ignored; accepted for compatibility with `BertModel`.

    Examples:
        >>> from modeling_barcodemae import SIZES, BarcodeMAEConfig, BarcodeMAEModel
        >>> from tokenization_barcodemae import build_kmer_tokenizer
        >>> model = BarcodeMAEModel(BarcodeMAEConfig(**SIZES["nano"]))
        >>> batch = build_kmer_tokenizer()(["ACGTAC" * 20, "TTGACA" * 20], return_tensors="pt")
        >>> model(**batch).pooler_output.shape
        torch.Size([2, 128])
    """

    def __init__(self, config: BarcodeMAEConfig, add_pooling_layer: bool = False):
        super().__init__(config, add_pooling_layer=False)
        self.cls_embedding = self.projection_head = None
        if config.pooling == "cls":
            self.cls_embedding = nn.Embedding(1, config.hidden_size)
        if config.embedding_size:
            self.projection_head = BarcodeMAEProjectionHead(config)
        if self.cls_embedding is not None or self.projection_head is not None:
            self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        for_decoder: bool = False,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Embed barcodes.

        Attention and mean leave out tokens that the encoder never saw in pretraining, whatever the attention mask:
        padding, `[UNK]` (except with `config.attends_unknown`) and `[MASK]` (except with the objective `mlm`).

        Args:
            input_ids: `[batch, tokens]`.
            attention_mask: `[batch, tokens]`, 0 for further tokens to leave out; by default none.
            position_ids: `[batch, tokens]`, slots on the marker's reference frame; by default counted from 0 at the
                first token that is not padding.
            token_type_ids: `[batch, tokens]`; 0 by default, and in all BarcodeMAE models.
            inputs_embeds: `[batch, tokens, hidden]`, instead of `input_ids`, for instance for attribution methods. All
                are treated as known k-mers.
            for_decoder: return the encoder's plain output at all tokens, `[CLS]` first, as the decoder needs it, also
                for a tuned model. All attended tokens are treated as known k-mers.
            **kwargs: passed to `BertModel`.

        Returns:
            `last_hidden_state` `[batch, tokens, hidden]`, for a tuned model `[batch, tokens, embedding_size]`, and its
            mean over the known tokens (zero without any) as `pooler_output`. Left-out tokens have that mean in
            `last_hidden_state`, so that a mean over all tokens, or over those of the tokenizer's attention mask, gives
            the same. With `[CLS]`, `pooler_output` is the output at that token (zero without known tokens), and
            `last_hidden_state` is shifted so that its mean is the same; `hidden_states` and `attentions` begin with
            that token. For a tuned model, they are those of the tokens that the encoder read.

        Raises:
            ValueError: a tuned model got no `input_ids`; it needs the bases.
            RuntimeError: there are more tokens than the model has positions.
        """
        read: dict[str, Tensor | None] = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "position_ids": position_ids,
            "token_type_ids": token_type_ids,
            "inputs_embeds": inputs_embeds,
        }
        kwargs |= {"return_dict": True}
        if for_decoder:
            outputs, pooled = self._encode_and_pool(read, **kwargs)
            return BaseModelOutputWithPooling(
                outputs.last_hidden_state, pooled, outputs.hidden_states, outputs.attentions
            )
        inputs: Tensor = inputs_embeds if input_ids is None else input_ids  # type: ignore[assignment]
        num_tokens = inputs.shape[1]
        if num_tokens > self.config.max_position_embeddings:
            raise RuntimeError(
                f"expected at most {self.config.max_position_embeddings} tokens, got {num_tokens}: truncate with "
                "truncation=True in the tokenizer, or use BarcodeEmbedder, which reads longer sequences in windows"
            )
        if num_tokens == 0:  # all sequences of the batch are shorter than a k-mer
            padding = torch.full((len(inputs), 1), self.config.pad_token_id, device=inputs.device)  # type: ignore[arg-type]
            outputs = self(padding, for_decoder=False, **kwargs)
            outputs.last_hidden_state = outputs.last_hidden_state[:, :0]
            return outputs
        if input_ids is None:
            known = torch.ones(inputs.shape[:2], dtype=torch.bool, device=inputs.device)
        else:
            known = self._readable(input_ids)
            read["position_ids"] = counted_positions(input_ids, position_ids, self.config.pad_token_id)
        if attention_mask is not None:
            known = known & attention_mask.bool()
        read["attention_mask"] = known
        if self.projection_head is None:
            outputs, pooled = self._encode_and_pool(read, **kwargs)
            hidden = outputs.last_hidden_state
            if self.cls_embedding is not None:
                hidden = hidden[:, 1:]
                hidden = hidden + (pooled - masked_mean(hidden, known))[:, None]
        else:
            if input_ids is None:
                raise ValueError("expected input_ids, got none: a tuned model needs the bases")
            positions = read["position_ids"]
            num_padding = padding_on_the_left(input_ids, self.config.pad_token_id)
            read = every_nth_slot(read | {"position_ids": position_ids}, self.config.encoder_stride, num_padding)
            outputs, encoded = self._encode_and_pool(read, **kwargs)
            hidden = self.projection_head(encoded, input_ids, positions, known)
            pooled = masked_mean(hidden, known)
        return BaseModelOutputWithPooling(
            last_hidden_state=torch.where(known[..., None], hidden, pooled[:, None]),
            pooler_output=pooled,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _encode_and_pool(self, read: dict[str, Tensor | None], **kwargs: Any) -> tuple[Any, Tensor]:
        """The output of BERT, at `[CLS]` first if there is one, and the pooled vector `[batch, hidden]`."""
        mask = read["attention_mask"]
        if self.cls_embedding is None:
            outputs = super().forward(**read, **kwargs)  # type: ignore[arg-type]
            return outputs, masked_mean(outputs.last_hidden_state, mask)
        embeds, positions = read["inputs_embeds"], read["position_ids"]
        if embeds is None:
            embeds = self.embeddings.word_embeddings(read["input_ids"])
        if positions is None:
            positions = torch.arange(embeds.shape[1], device=embeds.device)
        arguments = after_cls(positions.expand(embeds.shape[:2]), mask, read["token_type_ids"])
        cls = self.cls_embedding.weight.to(embeds.dtype).expand(len(embeds), 1, -1)
        outputs = super().forward(inputs_embeds=torch.cat([cls, embeds], dim=1), **arguments, **kwargs)  # type: ignore[arg-type]
        pooled = outputs.last_hidden_state[:, 0]
        return outputs, pooled if mask is None else pooled * mask.bool().any(dim=1, keepdim=True)

    def _readable(self, input_ids: Tensor) -> Tensor:
        """`[batch, tokens]`, true for tokens that the encoder was trained to read."""
        readable = known_positions(input_ids, None, self.config.pad_token_id)
        if self.config.attends_unknown:
            readable = readable | input_ids.eq(UNKNOWN_ID)
        if self.config.objective == "mlm":
            readable = readable | input_ids.eq(MASK_ID)
        return readable


class BarcodeMAEReconstructionModel(BarcodeMAEPreTrainedModel):
    """Common base class for pretraining and imputation: encoder and decoder."""

    def __init__(self, config: BarcodeMAEConfig, has_decoder: bool = True):
        super().__init__(config)
        self.bert = BarcodeMAEModel(config)
        self.decoder = BarcodeMAEDecoder(config) if has_decoder else None
        # A tuned model that completes barcodes has this decoder in its head.
        has_pooled = config.pooled_decoder_weight > 0 and not config.completion_weight
        self.pooled_decoder = BarcodeMAEPooledDecoder(config) if has_pooled else None
        self.post_init()

    @property
    def decoder_of_pooled(self) -> BarcodeMAEPooledDecoder | None:
        """The decoder of the pooled vector, wherever it is."""
        head = self.bert.projection_head
        in_head = None if head is None else head.network
        return in_head if isinstance(in_head, BarcodeMAEPooledDecoder) else self.pooled_decoder

    def set_attn_implementation(self, *args: Any, **kwargs: Any) -> None:
        super().set_attn_implementation(*args, **kwargs)
        if self.decoder is not None:
            # transformers 5.17 updates a nested model only the first time.
            self.decoder.bert.config._attn_implementation = self.config._attn_implementation

    def _encode(
        self, input_ids: Tensor, position_ids: Tensor | None, partition: Partition, **kwargs: Any
    ) -> tuple[BaseModelOutputWithPooling, Tensor]:
        """Encode the kept tokens.

        Returns:
            The encoder's output, and the positions of all tokens, `[batch, tokens]` in the order of `partition`.
        """
        positions = take_columns(counted_positions(input_ids, position_ids, self.config.pad_token_id), partition.order)
        kept = slice(0, partition.num_kept)
        encoded = self.bert(
            input_ids=take_columns(input_ids, partition.order[:, kept]),
            attention_mask=partition.kept()[:, kept] if partition.first_masked < partition.num_kept else None,
            position_ids=positions[:, kept],
            for_decoder=True,
            **kwargs,
        )
        return encoded, positions


class BarcodeMAEForPreTraining(BarcodeMAEReconstructionModel):
    """Masks a part of each barcode and reconstructs it from the rest.

    As published (arXiv 2502.18405, section 3), a decoder that attends to all tokens of the encoder reconstructs the
    masked ones; with `config.soft_target_temperature`, similar k-mers are part of its targets. With
    `config.pooled_decoder_weight`, a second decoder, or the only one, reconstructs the barcode from the pooled vector
    alone: the base at each coordinate, or with `config.pooled_target` `kmers` the numbers of its k-mers. The loss is
    the weighted sum of both, in which a base or k-mer has `mask_ratio / k` times the weight of a masked token, because
    there are more of them; with one decoder, it is its mean cross-entropy times its weight. If taxa are given to a
    model with `config.auxiliary_objective`, the weighted loss of that objective on the pooled vector is added.

    Examples:
        >>> from modeling_barcodemae import SIZES, BarcodeMAEConfig, BarcodeMAEForPreTraining
        >>> from tokenization_barcodemae import build_kmer_tokenizer
        >>> model = BarcodeMAEForPreTraining(BarcodeMAEConfig(**SIZES["nano"]))
        >>> batch = build_kmer_tokenizer()(["ACGTAC" * 20, "TTGACA" * 20], return_tensors="pt")
        >>> output = model(**batch)
        >>> output.mask.sum(1), output.logits.shape
        (tensor([10, 10]), torch.Size([2, 10, 4096]))
    """

    def __init__(self, config: BarcodeMAEConfig):
        super().__init__(config, has_decoder=config.token_decoder_weight > 0)
        self.auxiliary_head = None
        if config.auxiliary_objective != "none":
            self.auxiliary_head = AUXILIARY_HEADS[config.auxiliary_objective](config)
            self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        noise: Tensor | None = None,
        num_kept: int | None = None,
        pooled_labels: Tensor | None = None,
        taxa: Tensor | None = None,
        auxiliary_weight: float = 0.1,
        num_items_in_batch: Tensor | int | None = None,
        return_loss: bool = True,
        **kwargs: Any,
    ) -> BarcodeMAEForPreTrainingOutput:
        """Mask tokens, reconstruct them and compute the loss.

        Padding, special tokens and tokens with attention 0 are neither kept nor masked.

        Args:
            input_ids: `[batch, tokens]`.
            attention_mask: `[batch, tokens]`, 0 at tokens that the barcode lacks.
            position_ids: `[batch, tokens]`, slots on the marker's reference frame; by default counted from 0.
            noise: `[batch, tokens]` in [0, 1); tokens with the smallest values are kept. By default drawn here.
            num_kept: number of tokens to keep in each row, if the caller knows that all rows have more; see
                `partition_equally`. Not used with `mask_by_chance`.
            pooled_labels: targets of the pooled decoder: `[batch, coordinates]`, 0 to 3 for A, C, G and T, another
                number where there is no target; or `[batch, 1, 4**k]`, how often the barcode has each k-mer. By default
                those of the known tokens.
            taxa: `[batch]`, the index of each barcode's taxon for the auxiliary objective, negative if it is unknown.
            auxiliary_weight: weight of the auxiliary objective.
            num_items_in_batch: divisor of the summed loss; by default the number of masked tokens of this batch, or of
                bases or k-mers if the model has only the pooled decoder.
            return_loss: ignored; by its name and default, Trainer knows that the model has a loss without labels.
            **kwargs: passed to the encoder.
        """
        config = self.config
        known = known_positions(input_ids, attention_mask, config.pad_token_id)
        partition = choose_partition(config, known, noise, num_kept)
        encoded, positions = self._encode(input_ids, position_ids, partition, **kwargs)
        masked = partition.masked()
        logits = labels = pooled_logits = None
        loss, counted = torch.zeros((), device=input_ids.device), masked
        if self.decoder is not None:
            logits = self.decoder(encoded.last_hidden_state, positions, partition)
            labels = take_columns(input_ids, partition.order[:, partition.first_masked :]) - FIRST_KMER_ID
            labels = labels.masked_fill(~masked[:, partition.first_masked :], -100)
            token_loss = (
                soft_cross_entropy(logits.flatten(0, 1), labels.flatten(), config.k, config.soft_target_temperature)
                if config.soft_target_temperature
                else summed_cross_entropy(logits.flatten(0, 1), labels.flatten())
            )
            loss = config.token_decoder_weight * token_loss
        pooled_decoder = self.decoder_of_pooled
        if pooled_decoder is not None:
            pooled_logits = pooled_decoder(encoded.pooler_output)
            pooled_labels = self._pooled_labels(pooled_labels, input_ids, position_ids, known)
            weight = config.pooled_decoder_weight
            if self.decoder is None:
                counted = pooled_labels if pooled_labels.is_floating_point() else pooled_labels >= 0
            else:
                weight *= config.mask_ratio / config.k
            shortened = pooled_decoder.shortened(encoded.pooler_output)  # type: ignore[arg-type]
            all_logits = [pooled_logits, *(pooled_decoder(pooled) for pooled in shortened)]
            for prefix_logits in all_logits:
                pooled_loss = summed_cross_entropy(prefix_logits.flatten(0, 1), pooled_labels.flatten(0, 1))
                loss = loss + weight / len(all_logits) * pooled_loss
        auxiliary_loss = None
        if self.auxiliary_head is not None and taxa is not None:
            auxiliary_loss = self.auxiliary_head(encoded.pooler_output, taxa)
            # As the other losses are sums over counted tokens, this mean counts once for each of them.
            loss = loss + auxiliary_weight * counted.sum() * auxiliary_loss
        if num_items_in_batch is None:
            num_items_in_batch = counted.sum().clamp(min=1)
        return BarcodeMAEForPreTrainingOutput(
            loss=loss / num_items_in_batch,
            logits=logits,
            labels=labels,
            mask=put_columns(masked, partition.order, torch.zeros_like(known)),
            pooled_logits=pooled_logits,
            pooled_labels=None if pooled_decoder is None else pooled_labels,
            auxiliary_loss=auxiliary_loss,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )

    def _pooled_labels(
        self, labels: Tensor | None, input_ids: Tensor, position_ids: Tensor | None, known: Tensor
    ) -> Tensor:
        """The targets of the pooled decoder, by default those of the known tokens; see the output."""
        config = self.config
        if config.pooled_target == "kmers":
            return kmer_counts(input_ids, known, config) if labels is None else labels.float()
        if labels is None:
            positions = counted_positions(input_ids, position_ids, config.pad_token_id)
            labels = kmer_bases(input_ids, positions, known, config)
        return labels.long().masked_fill((labels < 0) | (labels > 3), -100)


class BarcodeMAEForMaskedLM(BarcodeMAEReconstructionModel):
    """Predicts the k-mers of a barcode that are `[MASK]` or unknown, such as those with an `N`.

    A model that was pretrained without the decoder of tokens predicts the bases at their coordinates by the decoder of
    the pooled vector; the score of a k-mer is then the sum of the log probabilities of its bases. With a reference
    frame, this is right only for barcodes whose `position_ids` are slots on the frame.
    """

    def __init__(self, config: BarcodeMAEConfig):
        super().__init__(config, has_decoder=config.token_decoder_weight > 0)

    @property
    def predicts_kmers(self) -> bool:
        """Whether there is a decoder of tokens or bases."""
        reconstructs_bases = self.config.pooled_target == "bases" and self.config.num_targets == 4**self.config.k
        return self.decoder is not None or (reconstructs_bases and self.decoder_of_pooled is not None)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> MaskedLMOutput:
        """Predict unknown k-mers.

        Args:
            input_ids: `[batch, tokens]`, with `[MASK]` or `[UNK]` for the k-mers to predict.
            attention_mask: `[batch, tokens]`, 0 at tokens that the barcode lacks.
            position_ids: `[batch, tokens]`, slots on the marker's reference frame; by default counted from 0.
            labels: `[batch, tokens]`, ids of the k-mers to predict, -100 elsewhere. Labels at known k-mers of
                `input_ids` are ignored, because those are not predicted.
            **kwargs: passed to the encoder.

        Returns:
            `loss`, the mean cross-entropy over the labels, 0 without any. `logits` `[batch, tokens, vocabulary]`; for a
            known k-mer, its own id has the maximum, so that the arg max over the vocabulary gives the completed
            barcode. Special tokens have the minimum.

        Raises:
            ValueError: the model has a decoder neither of tokens nor of bases.
        """
        inside: Tensor = input_ids.ne(self.config.pad_token_id)
        if attention_mask is not None:
            inside = inside & attention_mask.bool()
        known = known_positions(input_ids, attention_mask, self.config.pad_token_id)
        partition = partition_unknown(known, inside & ~known)
        encoded, positions = self._encode(input_ids, position_ids, partition, **kwargs)
        if not self.predicts_kmers:
            raise ValueError("expected a model with a decoder of tokens or bases, got one that was pretrained without")
        if self.decoder is not None:
            predicted = self.decoder(encoded.last_hidden_state, positions, partition)
        else:
            base_logits = self.decoder_of_pooled(encoded.pooler_output)  # type: ignore[misc]
            predicted = kmer_log_probabilities(base_logits, positions[:, partition.first_masked :], self.config.k)

        columns = partition.order[:, partition.first_masked :]
        masked = partition.masked()[:, partition.first_masked :]
        loss = None
        if labels is not None:
            targets = take_columns(labels, columns) - FIRST_KMER_ID
            targets = targets.masked_fill(~masked | (targets < 0) | (targets >= self.config.num_targets), -100)
            loss = summed_cross_entropy(predicted.flatten(0, 1), targets.flatten()) / targets.ge(0).sum().clamp(min=1)

        minimum = torch.finfo(predicted.dtype).min
        shape = (*input_ids.shape, self.config.vocab_size)
        logits = torch.full(shape, minimum, dtype=predicted.dtype, device=predicted.device)
        logits = logits.scatter(2, input_ids[..., None], 0.0)
        predicted = nn.functional.pad(predicted, (FIRST_KMER_ID, 1), value=minimum)
        logits = put_columns(torch.where(masked[..., None], predicted, take_columns(logits, columns)), columns, logits)
        return MaskedLMOutput(
            loss=loss, logits=logits, hidden_states=encoded.hidden_states, attentions=encoded.attentions
        )


class BarcodeMAEForSequenceClassification(BarcodeMAEPreTrainedModel):
    """A linear classifier on the mean embedding, for instance of species.

    With `config.label_ranks` it classifies a barcode at several ranks at once. A logit is then the log-odds of a label
    among those of its rank: its sigmoid is a probability, and the probabilities at a rank sum to 1. The `problem_type`
    "multi_label_classification" makes pipelines apply the sigmoid.
    """

    def __init__(self, config: BarcodeMAEConfig):
        super().__init__(config)
        if config.label_ranks is not None:
            counts = list(dict(config.label_ranks).values())
            if min(counts, default=0) < 1 or sum(counts) != config.num_labels:
                raise ValueError(
                    f"label_ranks must give the number of labels of each rank, {config.num_labels} in sum; got {counts}"
                )
            config.problem_type = "multi_label_classification"
        self.bert = BarcodeMAEModel(config)
        dropout = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if dropout is None else dropout)
        self.classifier = nn.Linear(config.pooled_size, config.num_labels)  # type: ignore[arg-type]
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Classify barcodes.

        Args:
            input_ids: `[batch, tokens]`.
            attention_mask: `[batch, tokens]`.
            position_ids: `[batch, tokens]`.
            labels: `[batch]` class ids; `[batch, labels]`, 0 or 1, for `config.problem_type`
                "multi_label_classification"; with `config.label_ranks`, `[batch, ranks]`, index of the taxon among
                those of its rank, -100 if it is unknown.
            **kwargs: passed to the encoder.

        Returns:
            `logits` `[batch, labels]`; with `config.label_ranks`, `loss` is the mean cross-entropy over the known taxa.
        """
        encoded = self.bert(input_ids, attention_mask, position_ids, **kwargs)
        logits = self.classifier(self.dropout(encoded.pooler_output))
        loss = None
        if self.config.label_ranks is not None:
            counts = list(dict(self.config.label_ranks).values())
            loss = None if labels is None else rank_cross_entropy(logits, labels, counts)
            logits = torch.cat([log_odds(rank_logits) for rank_logits in logits.split(counts, dim=1)], dim=1)
        elif labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=encoded.hidden_states, attentions=encoded.attentions
        )


class BarcodeMAEForTokenClassification(BarcodeMAEPreTrainedModel):
    """A linear classifier of each token, for instance to find introns."""

    def __init__(self, config: BarcodeMAEConfig):
        super().__init__(config)
        self.bert = BarcodeMAEModel(config)
        dropout = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if dropout is None else dropout)
        self.classifier = nn.Linear(config.pooled_size, config.num_labels)  # type: ignore[arg-type]
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> TokenClassifierOutput:
        """Classify the tokens of barcodes.

        Args:
            input_ids: `[batch, tokens]`.
            attention_mask: `[batch, tokens]`.
            position_ids: `[batch, tokens]`.
            labels: `[batch, tokens]` class ids, -100 at tokens to ignore.
            **kwargs: passed to the encoder.

        Returns:
            `logits` `[batch, tokens, labels]`. Those of tokens that are not known k-mers are computed from the mean.
        """
        encoded = self.bert(input_ids, attention_mask, position_ids, **kwargs)
        logits = self.classifier(self.dropout(encoded.last_hidden_state))
        loss = None if labels is None else self.loss_function(logits, labels, self.config)
        return TokenClassifierOutput(
            loss=loss, logits=logits, hidden_states=encoded.hidden_states, attentions=encoded.attentions
        )


__all__ = [
    "BarcodeMAEForMaskedLM",
    "BarcodeMAEForPreTraining",
    "BarcodeMAEForSequenceClassification",
    "BarcodeMAEForTokenClassification",
    "BarcodeMAEModel",
    "BarcodeMAEPreTrainedModel",
]
