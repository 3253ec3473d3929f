"""Byte-pair encoding of many barcodes at a time, with the interface of the k-mer encoder."""

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
    """Encodes sequences as padded arrays of the ids of a tokenizer of `train_bpe_tokenizer`.

    Tokens have variable length and do not fit the slots of a reference frame: barcodes are read from their first base,
    and positions are counted.

    Args:
        tokenizer: gives the ids.

    Attributes:
        k: 1, because there are no other offsets to read from.
        name: identifies its ids.
        vocab_size: number of ids.
        mask_token_id, unk_token_id, pad_token_id: ids of the special tokens.

    Raises:
        ValueError: the tokenizer is not a byte-pair encoding with the special tokens of `train_bpe_tokenizer`.
    """

    k = 1

    def __init__(self, tokenizer: "PreTrainedTokenizerFast"):
        if not isinstance(tokenizer.backend_tokenizer.model, BPE):
            raise ValueError(f"expected a byte-pair encoding, got {type(tokenizer.backend_tokenizer.model).__name__}")
        ids = (tokenizer.mask_token_id, tokenizer.unk_token_id, tokenizer.pad_token_id)
        expected = (0, 1, len(tokenizer) - 1)
        if ids != expected:
            raise ValueError(f"expected [MASK], [UNK] and [PAD] with the ids {expected}, got {ids}")
        self.vocab_size = len(tokenizer)
        self.mask_token_id, self.unk_token_id, self.pad_token_id = expected
        # A copy, because calls of the tokenizer switch padding on and off.
        self._backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._backend.no_padding()
        self._backend.no_truncation()
        checksum = hashlib.sha256(self._backend.to_str().encode()).hexdigest()
        self.name = f"{self.vocab_size} byte-pair tokens, SHA-256 {checksum}"

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
            offsets: `[n]`, number of bases to skip at the begin of each sequence.
            starts: None: not supported by byte-pair tokens.
            max_length: maximum number of tokens.

        Returns:
            `input_ids`, `attention_mask` and `position_ids`, each int64 `[n, tokens]`.

        Raises:
            ValueError: `starts` is not None.
        """
        if starts is not None:
            raise ValueError("a byte-pair encoding has no slots on a reference frame: expected no starts")
        if isinstance(sequences, (pa.Array, pa.ChunkedArray)):
            sequences = sequences.to_pylist()
        texts = [text or "" for text in sequences]
        if offsets is not None:
            texts = [text[cut:] for text, cut in zip(texts, np.asarray(offsets).tolist(), strict=True)]
        rows = [encoding.ids[:max_length] for encoding in self._backend.encode_batch_fast(texts)]
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        width = int(lengths.max(initial=0))
        attended = np.arange(width) < lengths[:, None]
        input_ids = np.full((len(rows), width), self.pad_token_id, np.int64)
        input_ids[attended] = np.fromiter((token for row in rows for token in row), np.int64, int(lengths.sum()))
        return {
            "input_ids": input_ids,
            "attention_mask": attended.astype(np.int64),
            "position_ids": np.tile(np.arange(width), (len(rows), 1)),
        }
