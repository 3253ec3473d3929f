"""A causal state-space model instead of the transformer, as in BarcodeMamba (arXiv 2412.11084); for GPUs.

Its checkpoint is a plain Mamba-2 of `transformers`, which loads with `AutoModel` and `AutoModelForCausalLM`. On a CPU,
without its GPU kernels, a step takes many times as long as that of a transformer.
"""

from typing import Any

from torch import Tensor
from transformers import Mamba2Config, Mamba2ForCausalLM

from modeling_barcodemae import BarcodeMAEForPreTrainingOutput
from modeling_barcodemae.losses_barcodemae import summed_cross_entropy
from modeling_barcodemae.tokens_barcodemae import known_positions
from tokenization_barcodemae import BarcodeEncoder

_EXPANSION, _HEAD_WIDTH = 2, 64


def mamba2_config(size: dict[str, int], encoder: BarcodeEncoder) -> Mamba2Config:
    """The configuration of a Mamba-2 with the width and depth of an encoder size.

    Args:
        size: one of `SIZES`; its width is a multiple of 32.
        encoder: gives the input ids of the model.
    """
    width = size["hidden_size"]
    return Mamba2Config(
        vocab_size=encoder.vocab_size,
        hidden_size=width,
        num_hidden_layers=size["num_hidden_layers"],
        expand=_EXPANSION,
        head_dim=_HEAD_WIDTH,
        num_heads=width * _EXPANSION // _HEAD_WIDTH,
        n_groups=1,
        pad_token_id=encoder.pad_token_id,
        bos_token_id=None,
        eos_token_id=None,
        tie_word_embeddings=False,
        use_cache=False,
    )


class CausalMamba2(Mamba2ForCausalLM):
    """`Mamba2ForCausalLM` with the inputs and outputs of `BarcodeMAEForCausalPreTraining`."""

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> BarcodeMAEForPreTrainingOutput:
        """Predict each token from those before it; as `BarcodeMAEForCausalPreTraining.forward`.

        Args:
            input_ids: `[batch, tokens]`.
            attention_mask: `[batch, tokens]`, 0 at padding, which comes last.
            position_ids: ignored: the model depends only on the order of tokens.
            num_items_in_batch: divisor of the summed loss; by default the number of predicted tokens.
            **kwargs: passed to `Mamba2Model`.
        """
        known = known_positions(input_ids, attention_mask, self.config.pad_token_id)
        hidden = self.backbone(input_ids=input_ids, attention_mask=attention_mask, **kwargs)[0]
        followed = known[:, 1:] & known[:, :-1]
        logits = self.lm_head(hidden[:, :-1][followed].to(self.lm_head.weight.dtype))
        labels = input_ids[:, 1:][followed]
        count = max(len(labels), 1) if num_items_in_batch is None else num_items_in_batch
        return BarcodeMAEForPreTrainingOutput(
            loss=summed_cross_entropy(logits, labels) / count, logits=logits, labels=labels, mask=followed
        )
