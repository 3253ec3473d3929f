"""A causal state-space model in place of the transformer, as in BarcodeMamba (arXiv 2412.11084): for GPUs.

What it saves is `transformers`' own Mamba-2, which loads with `AutoModel` and `AutoModelForCausalLM` as it is. On a
CPU, without the kernels that it is made for, a step takes many times as long as a transformer's.
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
    """A Mamba-2 as wide and deep as an encoder of that size.

    Args:
        size: one of `SIZES`; its width is a multiple of 32.
        encoder: whose ids the model is to read.
    """
    width = size["hidden_size"]
    return Mamba2Config(
        vocab_size=encoder.vocab_size,
        hidden_size=width,
        num_hidden_layers=size["num_hidden_layers"],
        expand=_EXPANSION,
        head_dim=_HEAD_WIDTH,
        num_heads=width * _EXPANSION // _HEAD_WIDTH,
        num_groups=1,
        pad_token_id=encoder.pad_token_id,
        bos_token_id=None,
        eos_token_id=None,
        tie_word_embeddings=False,
        use_cache=False,
    )


class CausalMamba2(Mamba2ForCausalLM):
    """`Mamba2ForCausalLM` whose forward takes what the training loop gives, and scores only places that count."""

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
            attention_mask: `[batch, tokens]`, 0 at padding, which stands last.
            position_ids: not looked at: the model knows order alone.
            num_items_in_batch: what to divide the summed loss by; by default the places that count.
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
