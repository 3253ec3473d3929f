"""Encoders of several architectures, small and untrained, with a tokenizer of one token per base."""

from typing import Any

import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    EsmConfig,
    EsmModel,
    GPT2Config,
    GPT2Model,
    LlamaConfig,
    LlamaModel,
    Mamba2Config,
    Mamba2Model,
    MambaConfig,
    MambaModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5Model,
)

SIZE: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2}
HEADS: dict[str, Any] = {"num_attention_heads": 2, "intermediate_size": 32}
MAMBA: dict[str, Any] = {"state_size": 4, "expand": 2, "pad_token_id": 0}
BARCODES = ["ACGTACGTTA", "ACG", "TTGACCA", "ACGTNA", "GATTACAGATTACA"]

FAMILIES = {
    "bert": lambda n: BertModel(BertConfig(vocab_size=n, max_position_embeddings=40, **SIZE, **HEADS)),
    "esm": lambda n: EsmModel(EsmConfig(vocab_size=n, max_position_embeddings=40, pad_token_id=0, **SIZE, **HEADS)),
    "mamba": lambda n: MambaModel(MambaConfig(vocab_size=n, **SIZE, **MAMBA)),
    "mamba2": lambda n: Mamba2Model(
        Mamba2Config(vocab_size=n, num_heads=4, head_dim=8, n_groups=2, chunk_size=8, **SIZE, **MAMBA)
    ),
    "gpt2": lambda n: GPT2Model(GPT2Config(vocab_size=n, n_positions=40, n_embd=16, n_layer=2, n_head=2)),
    "llama": lambda n: LlamaModel(LlamaConfig(vocab_size=n, max_position_embeddings=40, **SIZE, **HEADS)),
    "t5": lambda n: T5Model(T5Config(vocab_size=n, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)),
}


def base_tokenizer(bases="ACGTN", pad="[PAD]", ends=True):
    """One token per base, between `[CLS]` and `[SEP]`."""
    vocabulary = {token: row for row, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *bases])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    if ends:
        tokenizer.post_processor = processors.TemplateProcessing(
            "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", pad_token=pad
    )


def small_model(family, n=9):
    torch.manual_seed(3)
    return FAMILIES[family](n).eval()
