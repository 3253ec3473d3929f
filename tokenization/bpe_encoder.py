"""Byte-pair encoding for whole blocks of barcodes, with the manners of the k-mer encoder."""

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike
from tokenizers import Tokenizer
from tokenizers.models import BPE

from .sequences import Sequences

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class BpeEncoder:
    """Sequences to padded arrays of the ids of a tokenizer of `train_bpe_tokenizer`.

    Words are of any length, so that they fit no slots of a reference frame: barcodes are read from their first base,
    and positions are counted.

    Args:
        tokenizer: whose ids they are.

    Attributes:
        k: 1, by how many bases reading can be shifted and still be another reading: not at all.
        name: tells its ids from those of others.
        vocab_size: number of ids.
        mask_token_id, unk_token_id, pad_token_id: ids of the special tokens.

    Raises:
        ValueError: the tokenizer is no byte-pair encoding with the special tokens of `train_bpe_tokenizer`.
    """

    k = 1

    def __init__(self, tokenizer: "PreTrainedTokenizerFast"):
        if not isinstance(tokenizer.backend_tokenizer.model, BPE):
            raise ValueError(f"{type(tokenizer.backend_tokenizer.model).__name__} is no byte-pair encoding")
        ids = (tokenizer.mask_token_id, tokenizer.unk_token_id, tokenizer.pad_token_id)
        expected = (0, 1, len(tokenizer) - 1)
        if ids != expected:
            raise ValueError(f"expected [MASK], [UNK] and [PAD] with the ids {expected}, got {ids}")
        self.vocab_size = len(tokenizer)
        self.mask_token_id, self.unk_token_id, self.pad_token_id = expected
        # A copy of its own: calls of the tokenizer switch padding on and off.
        self._backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._backend.no_padding()
        self._backend.no_truncation()
        checksum = hashlib.sha256(self._backend.to_str().encode()).hexdigest()
        self.name = f"{self.vocab_size} words, SHA-256 {checksum}"

    def __call__(
        self,
        sequences: Sequences,
        offsets: ArrayLike | None = None,
        starts: ArrayLike | None = None,
        max_length: int | None = None,
    ) -> dict[str, np.ndarray]:
        """Encode sequences from their first base.

        Args:
            sequences: strings, or an Arrow column of strings, where null is empty.
            offsets: `[n]`, bases to cut off the front of each sequence.
            starts: not for words: None.
            max_length: tokens to keep.

        Returns:
            `input_ids`, `attention_mask` and `position_ids`, each int64 `[n, tokens]`.

        Raises:
            ValueError: `starts` are given.
        """
        if starts is not None:
            raise ValueError("a byte-pair encoding has no slots on a reference frame: expected no starts")
        if isinstance(sequences, (pa.Array, pa.ChunkedArray)):
            sequences = sequences.to_pylist()
        texts = [text or "" for text in sequences]
        if offsets is not None:
            texts = [text[cut:] for text, cut in zip(texts, np.asarray(offsets).tolist(), strict=True)]
        words = [encoding.ids[:max_length] for encoding in self._backend.encode_batch_fast(texts)]
        lengths = np.fromiter(map(len, words), np.int64, len(words))
        width = int(lengths.max(initial=0))
        attended = np.arange(width) < lengths[:, None]
        input_ids = np.full((len(words), width), self.pad_token_id, np.int64)
        input_ids[attended] = np.fromiter((word for row in words for word in row), np.int64, int(lengths.sum()))
        return {
            "input_ids": input_ids,
            "attention_mask": attended.astype(np.int64),
            "position_ids": np.tile(np.arange(width), (len(words), 1)),
        }
