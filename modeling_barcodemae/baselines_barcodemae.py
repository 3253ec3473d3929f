"""The two kinds of pretraining that BarcodeMAE is compared with, on the very same encoder.

BERT-style: masked places stay in the encoder's input, as `[MASK]` (BarcodeBERT, arXiv 2311.02401). Causal: each place
is told from those before it, as in GPT. Head and dropout are those of BarcodeMAE's decoder.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils.generic import can_return_tuple

from .configuration_barcodemae import FIRST_KMER_ID, MASK_ID, BarcodeMAEConfig
from .losses_barcodemae import summed_cross_entropy
from .masking_barcodemae import choose_positions, put_positions
from .modeling_barcodemae import (
    BarcodeMAEForPreTrainingOutput,
    BarcodeMAEModel,
    BarcodeMAEPreTrainedModel,
)
from .tokens_barcodemae import known_positions


class BarcodeMAETokenPredictionModel(BarcodeMAEPreTrainedModel):
    """What both share: the encoder, and a linear head on its last hidden state."""

    def __init__(self, config: BarcodeMAEConfig):
        super().__init__(config)
        self.bert = BarcodeMAEModel(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.head = nn.Linear(config.hidden_size, config.num_targets)
        self.post_init()

    def _predict(
        self, hidden: Tensor, targets: Tensor, counted: Tensor, num_items_in_batch: Tensor | int | None
    ) -> BarcodeMAEForPreTrainingOutput:
        """Score the places that count, and no others: the head is a large part of the work."""
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
    """BERT-style: finds the k-mers that `[MASK]` stands for. The same noise masks the same places as in BarcodeMAE."""

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
        """Mask, predict, compare; arguments as of `BarcodeMAEForPreTraining.forward`.

        Returns:
            `logits` `[masked, targets]` and `labels` `[masked]` of all masked places of the batch, row by row.
        """
        known = known_positions(input_ids, attention_mask, self.config.pad_token_id)
        partition = choose_positions(self.config, known, noise, num_kept)
        masked = put_positions(partition.masked(), partition.order, torch.zeros_like(known))
        hidden = self.bert(
            input_ids=input_ids.masked_fill(masked, MASK_ID),
            attention_mask=attention_mask,
            position_ids=position_ids,
            **kwargs,
        ).last_hidden_state
        return self._predict(hidden, input_ids, masked, num_items_in_batch)


class BarcodeMAEForCausalPreTraining(BarcodeMAETokenPredictionModel):
    """GPT-style: finds each k-mer from those before it. The configuration's `is_decoder` makes attention causal."""

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
        """Predict, compare; arguments as of `BarcodeMAEForPreTraining.forward`.

        Returns:
            `logits` `[followed, targets]` and `labels` `[followed]` of all places that a known k-mer follows, row by
            row; `mask` `[batch, tokens - 1]`, true at those places.
        """
        known = known_positions(input_ids, attention_mask, self.config.pad_token_id)
        hidden = self.bert(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, **kwargs
        ).last_hidden_state
        followed = known[:, 1:] & known[:, :-1]
        return self._predict(hidden[:, :-1], input_ids[:, 1:], followed, num_items_in_batch)


__all__ = ["BarcodeMAEForCausalPreTraining", "BarcodeMAEForMaskedTokenPreTraining"]
