"""BarcodeMAE (arXiv 2502.18405): a BERT encoder that sees only the k-mers that were kept, and a decoder for the rest.

The encoder is `transformers`' own BERT, by name and by number. What is added here is the paper's: which places are
kept, the decoder, the objective; and, for a tuned model, the map by which the cosine of embeddings ranks relatives.
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

from .companions_barcodemae import read_companions
from .configuration_barcodemae import FIRST_KMER_ID, MASK_ID, UNKNOWN_ID, BarcodeMAEConfig
from .losses_barcodemae import cross_entropy_of_ranks, log_odds, summed_cross_entropy
from .masking_barcodemae import (
    Partition,
    choose_positions,
    partition_unknown,
    put_positions,
    take_positions,
)
from .pooled_decoder_barcodemae import BarcodeMAEPooledDecoder, BarcodeMAEZeroLinear
from .tokens_barcodemae import (
    base_columns,
    bases_of_kmers,
    counted_positions,
    every_nth_slot,
    known_positions,
    masked_mean,
    padding_on_the_left,
)


@dataclass
class BarcodeMAEForPreTrainingOutput(ModelOutput):
    """Output of `BarcodeMAEForPreTraining`.

    Attributes:
        loss: mean cross-entropy over the masked places of the batch; see `BarcodeMAEForPreTraining` for the loss of a
            model with a pooled decoder.
        logits: `[batch, masked, targets]`, scores of the k-mers (id less 2) at the masked places, each row's first.
        labels: `[batch, masked]`, the k-mers that stood there (id less 2); -100 where a row has fewer masked places.
        mask: `[batch, tokens]`, true where a place was masked.
        base_logits: `[batch, coordinates, 4]`, the pooled decoder's scores of A, C, G and T, where there is one.
        base_labels: `[batch, coordinates]`, the bases, 0 to 3 for A, C, G and T; -100 where none is known.
        hidden_states: with `output_hidden_states`, the encoder's, each `[batch, kept, hidden]`.
        attentions: with `output_attentions`, the encoder's, each `[batch, heads, kept, kept]`.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    labels: Tensor | None = None
    mask: Tensor | None = None
    base_logits: Tensor | None = None
    base_labels: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class BarcodeMAEDecoder(nn.Module):
    """Reconstructs masked places from what the encoder made of the kept ones."""

    def __init__(self, config: BarcodeMAEConfig):
        super().__init__()
        decoder_config = config.decoder_config()
        self.projection = nn.Linear(config.hidden_size, decoder_config.hidden_size)
        self.bert = BertModel(decoder_config, add_pooling_layer=False)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.head = nn.Linear(decoder_config.hidden_size, config.num_targets)

    def forward(self, encoded: Tensor, position_ids: Tensor, partition: Partition) -> Tensor:
        """Scores of the k-mers from `partition.first_masked` on.

        Args:
            encoded: `[batch, num_kept, hidden]`, the encoder's last hidden state.
            position_ids: `[batch, places]`, in the order of `partition`.
            partition: which places are kept and which are masked.

        Returns:
            `[batch, places - first_masked, targets]`.
        """
        # Read past `padding_idx`, which would withhold the gradient: the mask token starts at zero and is trained.
        mask_token = self.bert.embeddings.word_embeddings.weight[0]
        places = self.projection(encoded)
        if partition.first_masked < partition.num_kept:
            places = torch.where(partition.kept()[:, : partition.num_kept, None], places, mask_token.to(places.dtype))
        num_masked = partition.order.shape[1] - partition.num_kept
        mask_tokens = mask_token.to(places.dtype).expand(len(places), num_masked, -1)
        decoded = self.bert(
            inputs_embeds=torch.cat([places, mask_tokens], dim=1),
            attention_mask=partition.present(),
            position_ids=position_ids,
        ).last_hidden_state
        return self.head(self.dropout(decoded[:, partition.first_masked :]))


class BarcodeMAEProjectionHead(nn.Module):
    """Maps a barcode to a tuned model's embedding: what the encoder made of it, and its bases, each by a linear map.

    The bases have a path of their own, for a transformer as small as a laptop wants it loses the fine differences
    between close relatives.
    """

    def __init__(self, config: BarcodeMAEConfig):
        super().__init__()
        self.k = config.k
        self.network = nn.Linear(config.hidden_size, config.embedding_size)
        # The last row is of what says nothing, and stays zero: unknown k-mers, and places beyond the frame.
        self.silent = config.frame_slots * config.k * 4
        self.bases = nn.Embedding(self.silent + 1, config.embedding_size, padding_idx=self.silent)

    def forward(self, pooled: Tensor, input_ids: Tensor, position_ids: Tensor) -> Tensor:
        """`[batch, tokens, embedding_size]`: at each place its bases, and the encoder's mean.

        `pooled [batch, hidden]`, that mean, says the same at all places: the mean over any of them counts it once.
        """
        columns = base_columns(input_ids, position_ids, self.k)
        columns = columns.masked_fill((columns < 0) | (columns > self.silent), self.silent)
        # A sum of look-ups: an `embedding_bag` becomes a loop over all tokens in ONNX.
        of_bases = self.bases(columns[..., 0])
        for i in range(1, self.k):
            of_bases = of_bases + self.bases(columns[..., i])
        # The head may be kept in a higher precision than the encoder: fine differences are its business. Quantised, a
        # linear map has no `weight.dtype`.
        return of_bases + self.network(pooled.to(of_bases.dtype))[:, None]


class BarcodeMAEPreTrainedModel(BertPreTrainedModel):
    """What all models of the family share."""

    config: BarcodeMAEConfig
    # Whoever wants the encoder of a pretraining checkpoint need not be told that its decoder or head is left behind.
    _keys_to_ignore_on_load_unexpected = [r"^decoder\.", r"^pooled_decoder\.", r"^head\."]  # noqa: RUF012
    _companions: dict[str, bytes] = {}  # noqa: RUF012
    # Losses are means over a batch: Trainer has to divide them by the number of accumulated batches itself.
    accepts_loss_kwargs = False

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, BarcodeMAEZeroLinear):
            initialization.zeros_(module.weight)
        else:
            super()._init_weights(module)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As of any model; what lies beside the weights and belongs to them is remembered, for `save_pretrained`."""
        loaded = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        if pretrained_model_name_or_path is not None:
            model._companions = read_companions(pretrained_model_name_or_path, kwargs)
        return loaded

    def save_pretrained(self, save_directory: Any, *args: Any, push_to_hub: bool = False, **kwargs: Any) -> None:
        """As of any model, and the reference frame and the tokenizer's code with it.

        A tokenizer that was loaded without trust saves neither, and the model would be left without its frame.
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
        """For those who ask for the size that there is: tokens are the k-mers, and no other size has a meaning.

        Raises:
            ValueError: it is another size.
        """
        if new_num_tokens not in (None, self.config.vocab_size):
            raise ValueError(
                f"the vocabulary is the {self.config.vocab_size} tokens of the {self.config.k}-mers and can't be "
                f"resized; got {new_num_tokens}"
            )
        return self.get_input_embeddings()  # type: ignore[return-value]


class BarcodeMAEModel(BarcodeMAEPreTrainedModel, BertModel):
    """The encoder: `BertModel` with a mean over the known tokens where BERT has its pooler.

    In a tuned model (`config.embedding_size`), `projection_head` maps that mean and the bases to an embedding. The
    encoder then reads every `config.encoder_stride`-th slot; in pretraining too it saw but a part of them.

    Args:
        config: the model's.
        add_pooling_layer: taken for the sake of callers that know BERT; there is no pooling layer to add or leave out.
    """

    def __init__(self, config: BarcodeMAEConfig, add_pooling_layer: bool = False):
        super().__init__(config, add_pooling_layer=False)
        self.projection_head = None
        if config.embedding_size:
            self.projection_head = BarcodeMAEProjectionHead(config)
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

        Attention and mean leave out what pretraining never showed to the encoder, whatever the attention mask says of
        it: padding, `[UNK]` (but with `config.attends_unknown`) and `[MASK]` (but with the objective `mlm`).

        Args:
            input_ids: `[batch, tokens]`.
            attention_mask: `[batch, tokens]`, 0 at tokens that are to be passed over as well; by default none.
            position_ids: `[batch, tokens]`, slots on the marker's reference frame; by default counted from 0 at the
                first token that is no padding.
            token_type_ids: `[batch, tokens]`; ours are all 0, as by default.
            inputs_embeds: `[batch, tokens, hidden]`, in place of `input_ids`, for instance to attribute an output to
                them. All are taken for known k-mers.
            for_decoder: what the decoder takes: the encoder's output at all tokens as it is, of a tuned model too. All
                attended tokens are taken for known k-mers.
            **kwargs: whatever else `BertModel` takes.

        Returns:
            `last_hidden_state` `[batch, tokens, hidden]`, of a tuned model `[batch, tokens, embedding_size]`, and as
            `pooler_output` its mean over the known tokens (zero where there is none). What is left out holds that mean
            in `last_hidden_state`: a mean over all tokens, or over those of the tokenizer's attention mask, is the same
            again. Of a tuned model, `hidden_states` and `attentions` are those of the tokens that the encoder read.

        Raises:
            ValueError: a tuned model got no `input_ids`: embeddings of tokens have no bases.
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
            outputs = super().forward(**read, **kwargs)
            pooled = masked_mean(outputs.last_hidden_state, attention_mask)
            return BaseModelOutputWithPooling(
                outputs.last_hidden_state, pooled, outputs.hidden_states, outputs.attentions
            )
        given: Tensor = inputs_embeds if input_ids is None else input_ids  # type: ignore[assignment]
        num_tokens = given.shape[1]
        if num_tokens > self.config.max_position_embeddings:
            raise RuntimeError(
                f"expected at most {self.config.max_position_embeddings} tokens, got {num_tokens}: the tokenizer cuts "
                "with truncation=True, and BarcodeEmbedder reads longer sequences in windows"
            )
        if num_tokens == 0:  # no sequence of the batch is as long as a k-mer
            nothing = torch.full((len(given), 1), self.config.pad_token_id, device=given.device)  # type: ignore[arg-type]
            outputs = self(nothing, for_decoder=False, **kwargs)
            outputs.last_hidden_state = outputs.last_hidden_state[:, :0]
            return outputs
        if input_ids is None:
            known = torch.ones(given.shape[:2], dtype=torch.bool, device=given.device)
        else:
            known = self._readable(input_ids)
            read["position_ids"] = counted_positions(input_ids, position_ids, self.config.pad_token_id)
        if attention_mask is not None:
            known = known & attention_mask.bool()
        read["attention_mask"] = known
        if self.projection_head is None:
            outputs = super().forward(**read, **kwargs)
            places = outputs.last_hidden_state
        else:
            if input_ids is None:
                raise ValueError("a tuned model reads bases: expected input_ids, got none")
            positions = read["position_ids"]
            padding = padding_on_the_left(input_ids, self.config.pad_token_id)
            read = every_nth_slot(read | {"position_ids": position_ids}, self.config.encoder_stride, padding)
            outputs = super().forward(**read, **kwargs)
            places = self.projection_head(
                masked_mean(outputs.last_hidden_state, read["attention_mask"]), input_ids, positions
            )
        pooled = masked_mean(places, known)
        return BaseModelOutputWithPooling(
            last_hidden_state=torch.where(known[..., None], places, pooled[:, None]),
            pooler_output=pooled,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _readable(self, input_ids: Tensor) -> Tensor:
        """`[batch, tokens]`, true at tokens that the encoder was trained to read."""
        readable = known_positions(input_ids, None, self.config.pad_token_id)
        if self.config.attends_unknown:
            readable = readable | input_ids.eq(UNKNOWN_ID)
        if self.config.objective == "mlm":
            readable = readable | input_ids.eq(MASK_ID)
        return readable


class BarcodeMAEReconstructionModel(BarcodeMAEPreTrainedModel):
    """What pretraining and imputation share: encoder, decoder, and the road between them."""

    def __init__(self, config: BarcodeMAEConfig, has_decoder: bool = True):
        super().__init__(config)
        self.bert = BarcodeMAEModel(config)
        self.decoder = BarcodeMAEDecoder(config) if has_decoder else None
        self.post_init()

    def set_attn_implementation(self, *args: Any, **kwargs: Any) -> None:
        super().set_attn_implementation(*args, **kwargs)
        if self.decoder is not None:
            # transformers 5.17 changes a model within the model once, and never again.
            self.decoder.bert.config._attn_implementation = self.config._attn_implementation

    def _encode(
        self, input_ids: Tensor, position_ids: Tensor | None, partition: Partition, **kwargs: Any
    ) -> tuple[BaseModelOutputWithPooling, Tensor]:
        """Encode the kept places: the encoder's output, and `[batch, places]` positions in the order of `partition`."""
        positions = take_positions(
            counted_positions(input_ids, position_ids, self.config.pad_token_id), partition.order
        )
        kept = slice(0, partition.num_kept)
        encoded = self.bert(
            input_ids=take_positions(input_ids, partition.order[:, kept]),
            attention_mask=partition.kept()[:, kept] if partition.first_masked < partition.num_kept else None,
            position_ids=positions[:, kept],
            for_decoder=True,
            **kwargs,
        )
        return encoded, positions


class BarcodeMAEForPreTraining(BarcodeMAEReconstructionModel):
    """Masks part of each barcode, and reconstructs it from the rest.

    As published (arXiv 2502.18405, section 3), a decoder that sees all tokens of the encoder reconstructs those that
    were masked. With `config.pooled_decoder_weight`, beside it or instead, one that sees the pooled vector alone
    reconstructs all bases. The loss is the weighted sum of both, in which a base counts `mask_ratio / k` of a masked
    token, as there are so many more of them; with one decoder, it is its mean cross-entropy times its weight.
    """

    def __init__(self, config: BarcodeMAEConfig):
        super().__init__(config, has_decoder=config.token_decoder_weight > 0)
        self.pooled_decoder = None
        if config.pooled_decoder_weight:
            self.pooled_decoder = BarcodeMAEPooledDecoder(config)
            self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        noise: Tensor | None = None,
        num_kept: int | None = None,
        bases: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        return_loss: bool = True,
        **kwargs: Any,
    ) -> BarcodeMAEForPreTrainingOutput:
        """Mask, reconstruct, compare.

        Padding, special tokens and places with attention 0 are neither kept nor masked.

        Args:
            input_ids: `[batch, tokens]`.
            attention_mask: `[batch, tokens]`, 0 at places that the barcode lacks.
            position_ids: `[batch, tokens]`, slots on the marker's reference frame; by default counted from 0.
            noise: `[batch, tokens]` in [0, 1); places with the smallest are kept. By default drawn here.
            num_kept: how many places to keep in each row, where the caller knows that all have more; see
                `partition_equally`. Not used with `mask_by_chance`.
            bases: `[batch, coordinates]`, what the pooled decoder is to reconstruct: 0 to 3 for A, C, G and T, another
                number where there is nothing to reconstruct. By default the bases of the known k-mers.
            num_items_in_batch: what to divide the summed loss by; by default the masked places of this batch, or its
                bases where no masked place is reconstructed.
            return_loss: there for its name and default, by which Trainer knows that there is a loss without labels.
            **kwargs: passed to the encoder.
        """
        config = self.config
        known = known_positions(input_ids, attention_mask, config.pad_token_id)
        partition = choose_positions(config, known, noise, num_kept)
        encoded, positions = self._encode(input_ids, position_ids, partition, **kwargs)
        masked = partition.masked()
        logits = labels = base_logits = base_labels = None
        loss, counted = torch.zeros((), device=input_ids.device), masked
        if self.decoder is not None:
            logits = self.decoder(encoded.last_hidden_state, positions, partition)
            places = partition.order[:, partition.first_masked :]
            labels = take_positions(input_ids, places) - FIRST_KMER_ID
            labels = labels.masked_fill(~masked[:, partition.first_masked :], -100)
            loss = config.token_decoder_weight * summed_cross_entropy(logits.flatten(0, 1), labels.flatten())
        if self.pooled_decoder is not None:
            base_logits = self.pooled_decoder(encoded.pooler_output)
            if bases is None:
                positions = counted_positions(input_ids, position_ids, config.pad_token_id)
                bases = bases_of_kmers(input_ids, positions, known, config)
            base_labels = bases.long().masked_fill((bases < 0) | (bases > 3), -100)
            weight = config.pooled_decoder_weight
            if self.decoder is None:
                counted = base_labels >= 0
            else:
                weight *= config.mask_ratio / config.k
            shorter = self.pooled_decoder.shortened(encoded.pooler_output)  # type: ignore[arg-type]
            of_all = [base_logits, *(self.pooled_decoder(pooled) for pooled in shorter)]
            for scores in of_all:
                of_bases = summed_cross_entropy(scores.flatten(0, 1), base_labels.flatten())
                loss = loss + weight / len(of_all) * of_bases
        if num_items_in_batch is None:
            num_items_in_batch = counted.sum().clamp(min=1)
        return BarcodeMAEForPreTrainingOutput(
            loss=loss / num_items_in_batch,
            logits=logits,
            labels=labels,
            mask=put_positions(masked, partition.order, torch.zeros_like(known)),
            base_logits=base_logits,
            base_labels=base_labels,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )


class BarcodeMAEForMaskedLM(BarcodeMAEReconstructionModel):
    """Finds the k-mers of a barcode that are `[MASK]` or unknown, such as those with an `N`."""

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> MaskedLMOutput:
        """Reconstruct what is not known.

        Args:
            input_ids: `[batch, tokens]`, with `[MASK]` or `[UNK]` where a k-mer is to be found.
            attention_mask: `[batch, tokens]`, 0 at places that the barcode lacks.
            position_ids: `[batch, tokens]`, slots on the marker's reference frame; by default counted from 0.
            labels: `[batch, tokens]`, ids of the k-mers to be found, -100 elsewhere. Only those count that stand where
                `input_ids` has no known k-mer, as nothing else is reconstructed.
            **kwargs: passed to the encoder.

        Returns:
            `loss`, the mean cross-entropy over the labels that count, 0 where there is none.
            `logits` `[batch, tokens, vocabulary]`. A known k-mer has all the weight at its own place, so that the
            arg max over the vocabulary is the barcode with its gaps filled. No special token has any.
        """
        inside: Tensor = input_ids.ne(self.config.pad_token_id)
        if attention_mask is not None:
            inside = inside & attention_mask.bool()
        known = known_positions(input_ids, attention_mask, self.config.pad_token_id)
        partition = partition_unknown(known, inside & ~known)
        encoded, positions = self._encode(input_ids, position_ids, partition, **kwargs)
        if self.decoder is None:
            raise ValueError("expected a model with a decoder of tokens, got one that was pretrained without")
        scores = self.decoder(encoded.last_hidden_state, positions, partition)

        places = partition.order[:, partition.first_masked :]
        masked = partition.masked()[:, partition.first_masked :]
        loss = None
        if labels is not None:
            wanted = take_positions(labels, places) - FIRST_KMER_ID
            wanted = wanted.masked_fill(~masked | (wanted < 0) | (wanted >= self.config.num_targets), -100)
            loss = summed_cross_entropy(scores.flatten(0, 1), wanted.flatten()) / wanted.ge(0).sum().clamp(min=1)

        never = torch.finfo(scores.dtype).min
        logits = torch.full((*input_ids.shape, self.config.vocab_size), never, dtype=scores.dtype, device=scores.device)
        logits = logits.scatter(2, input_ids[..., None], 0.0)
        scores = nn.functional.pad(scores, (FIRST_KMER_ID, 1), value=never)
        logits = put_positions(torch.where(masked[..., None], scores, take_positions(logits, places)), places, logits)
        return MaskedLMOutput(
            loss=loss, logits=logits, hidden_states=encoded.hidden_states, attentions=encoded.attentions
        )


class BarcodeMAEForSequenceClassification(BarcodeMAEPreTrainedModel):
    """A linear classifier on the mean embedding, for instance of species.

    With `config.label_ranks` it names a barcode at several ranks at once, and a label's score is its log-odds among
    those of its rank: the sigmoid of it is its probability, and over a rank they sum to 1. `problem_type`
    "multi_label_classification" tells pipelines so.
    """

    def __init__(self, config: BarcodeMAEConfig):
        super().__init__(config)
        if config.label_ranks is not None:
            counts = list(dict(config.label_ranks).values())
            if min(counts, default=0) < 1 or sum(counts) != config.num_labels:
                raise ValueError(
                    f"label_ranks must give each rank its share of the {config.num_labels} labels; got {counts}"
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
                "multi_label_classification"; `[batch, ranks]` where `config.label_ranks` names ranks: the number of the
                taxon among those of its rank, -100 where it is unknown.
            **kwargs: passed to the encoder.

        Returns:
            `logits` `[batch, labels]`; with `config.label_ranks`, `loss` is the mean cross-entropy over the known taxa.
        """
        encoded = self.bert(input_ids, attention_mask, position_ids, **kwargs)
        logits = self.classifier(self.dropout(encoded.pooler_output))
        loss = None
        if self.config.label_ranks is not None:
            counts = list(dict(self.config.label_ranks).values())
            loss = None if labels is None else cross_entropy_of_ranks(logits, labels, counts)
            logits = torch.cat([log_odds(scores) for scores in logits.split(counts, dim=1)], dim=1)
        elif labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=encoded.hidden_states, attentions=encoded.attentions
        )


class BarcodeMAEForTokenClassification(BarcodeMAEPreTrainedModel):
    """A linear classifier of each token, for instance of what is an intron."""

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
            labels: `[batch, tokens]` class ids, -100 at tokens that do not count.
            **kwargs: passed to the encoder.

        Returns:
            `logits` `[batch, tokens, labels]`. Those of a token that is no known k-mer are of the barcode's mean.
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
