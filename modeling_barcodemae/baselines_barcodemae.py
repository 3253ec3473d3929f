"""Two other pretraining objectives on the same encoder, with which BarcodeMAE is compared.

BERT-style: masked tokens remain in the encoder's input as `[MASK]` (BarcodeBERT, arXiv 2311.02401). Causal: each token
is predicted from those before it, as in GPT. Head and dropout are those of BarcodeMAE's decoder.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils.generic import can_return_tuple

from .configuration_barcodemae import FIRST_KMER_ID, MASK_ID, BarcodeMAEConfig
from .losses_barcodemae import summed_cross_entropy
from .masking_barcodemae import choose_partition, put_columns
from .modeling_barcodemae import (
    BarcodeMAEForPreTrainingOutput,
    BarcodeMAEModel,
    BarcodeMAEPreTrainedModel,
)
from .tokens_barcodemae import known_positions


class BarcodeMAETokenPredictionModel(BarcodeMAEPreTrainedModel):
    """Common base class: the encoder with a linear head on its last hidden state."""

    def __init__(self, config: BarcodeMAEConfig):
        super().__init__(config)
        self.bert = BarcodeMAEModel(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.head = nn.Linear(config.hidden_size, config.num_targets)
        self.post_init()

    def _predict(
        self, hidden: Tensor, targets: Tensor, counted: Tensor, num_items_in_batch: Tensor | int | None
    ) -> BarcodeMAEForPreTrainingOutput:
        """Apply the head only to counted tokens, because it is a large part of the computation."""
        logits = self.head(self.dropout(hidden[counted]))
        labels = targets[counted] - FIRST_KMER_ID
        return BarcodeMAEForPreTrainingOutput(
            loss=summed_cross_entropy(logits, labels)
            / (max(len(labels), 1) if num_items_in_batch is None else num_items_in_batch),
            logits=logits,
            labels=labels,
            mask=counted,
        )


class BarcodeMAEForMaskedTokenPreTraining(BarcodeMAETokenPredictionModel):
    """BERT-style: predicts the k-mers at `[MASK]`. Equal noise masks the same tokens as in BarcodeMAE."""

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        noise: Tensor | None = None,
        num_kept: int | None = None,
        num_items_in_batch: Tensor | int | None = None,
        return_loss: bool = True,
        **kwargs: Any,
    ) -> BarcodeMAEForPreTrainingOutput:
        """Mask tokens, predict them and compute the loss; arguments as in `BarcodeMAEForPreTraining.forward`.

        Returns:
            `logits` `[masked, targets]` and `labels` `[masked]` of all masked tokens of the batch, row by row.
        """
        known = known_positions(input_ids, attention_mask, self.config.pad_token_id)
        partition = choose_partition(self.config, known, noise, num_kept)
        masked = put_columns(partition.masked(), partition.order, torch.zeros_like(known))
        hidden = self.bert(
            input_ids=input_ids.masked_fill(masked, MASK_ID),
            attention_mask=attention_mask,
            position_ids=position_ids,
            **kwargs,
        ).last_hidden_state
        return self._predict(hidden, input_ids, masked, num_items_in_batch)


class BarcodeMAEForCausalPreTraining(BarcodeMAETokenPredictionModel):
    """GPT-style: predicts each k-mer from those before it. The configuration's `is_decoder` makes attention causal."""

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        return_loss: bool = True,
        **kwargs: Any,
    ) -> BarcodeMAEForPreTrainingOutput:
        """Predict next tokens and compute the loss; arguments as in `BarcodeMAEForPreTraining.forward`.

        Returns:
            `logits` `[followed, targets]` and `labels` `[followed]` for all known tokens that are followed by another,
            row by row; `mask` `[batch, tokens - 1]`, true at those tokens.
        """
        known = known_positions(input_ids, attention_mask, self.config.pad_token_id)
        hidden = self.bert(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, **kwargs
        ).last_hidden_state
        followed = known[:, 1:] & known[:, :-1]
        return self._predict(hidden[:, :-1], input_ids[:, 1:], followed, num_items_in_batch)


__all__ = ["BarcodeMAEForCausalPreTraining", "BarcodeMAEForMaskedTokenPreTraining"]
