"""The interface of the encoders, which turn many barcodes into the input ids of a model."""

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike
from tokenizers.models import BPE

from .bpe_encoder import BpeEncoder
from .kmer_encoder import KmerEncoder
from .sequences import Sequences

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class BarcodeEncoder(Protocol):
    """Turns many barcodes into arrays of token ids; `KmerEncoder` documents attributes and arguments."""

    k: int
    name: str
    vocab_size: int
    mask_token_id: int
    unk_token_id: int
    pad_token_id: int

    def __call__(
        self,
        sequences: Sequences,
        offsets: ArrayLike | None = None,
        starts: ArrayLike | None = None,
        max_length: int | None = None,
    ) -> dict[str, np.ndarray]:
        """Arrays `input_ids`, `attention_mask` and `position_ids`, each int64 `[n, tokens]`."""


def encoder_for(tokenizer: "PreTrainedTokenizerBase") -> BarcodeEncoder:
    """The encoder with the ids of a tokenizer of this package.

    Raises:
        ValueError: the tokenizer is not one of this package.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None and isinstance(backend.model, BPE):
        return BpeEncoder(tokenizer)  # type: ignore[arg-type]
    return KmerEncoder.from_tokenizer(tokenizer)
