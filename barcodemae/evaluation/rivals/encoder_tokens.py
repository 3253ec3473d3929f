"""Barcodes to the ids of another model's tokenizer, with an account of what it could not read."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from barcodemae.errors import ConfigurationError
from barcodemae.evaluation.rivals.text_forms import TEXT_FORMS, write_barcodes

logger = logging.getLogger(__name__)


@dataclass
class Reading:
    """What an encoder's tokenizer made of the barcodes so far.

    Attributes:
        n_barcodes: embedded barcodes.
        n_cut: of these, how many were cut to the longest input of the model.
        n_tokens: tokens, without special ones.
        n_unknown: of these, how many were unknown to the tokenizer.
    """

    n_barcodes: int = 0
    n_cut: int = 0
    n_tokens: int = 0
    n_unknown: int = 0


class EncoderTokens:
    """A tokenizer of `transformers`, told how barcodes are written and how long they may be.

    Args:
        tokenizer: any.
        prepare: how a barcode is written: see `text_forms.write_barcodes`.
        max_length: tokens at most, special ones included. What a barcode has beyond is cut and counted.
        n_ids: ids that the model knows.

    Attributes:
        reading: what the tokenizer made of the barcodes so far.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prepare: str, max_length: int, n_ids: int):
        self._tokenizer: Any = tokenizer
        self._prepare = prepare
        self._max_length = max_length
        self._n_ids = n_ids
        self.reading = Reading()

    def __call__(self, sequences: list[str]) -> list[list[int]]:
        """Ids of each barcode, special tokens included.

        Raises:
            ConfigurationError: all tokens are unknown, a barcode has none, or the model does not know an id.
        """
        texts = write_barcodes(sequences, self._prepare)
        ids = self._tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"]
        long = [row for row, one in enumerate(ids) if len(one) > self._max_length]
        if long:
            # The tokenizer cuts, not we: a special token at the end stays.
            cut = self._tokenizer([texts[row] for row in long], truncation=True, max_length=self._max_length)
            for row, one in zip(long, cut["input_ids"], strict=True):
                ids[row] = one
            if not self.reading.n_cut:
                logger.warning("%d of %d barcodes are cut to %d tokens", len(long), len(ids), self._max_length)
        self.reading.n_barcodes += len(ids)
        self.reading.n_cut += len(long)
        self._count_unknown(ids)
        return ids

    def _count_unknown(self, ids: list[list[int]]) -> None:
        if n_empty := sum(not one for one in ids):
            raise ConfigurationError(f"expected a token in every barcode, got none in {n_empty} of {len(ids)}")
        tokens = np.concatenate(ids)
        if tokens.max() >= self._n_ids:
            raise ConfigurationError(
                f"expected a tokenizer with ids below {self._n_ids}, as the model knows them, got {tokens.max()}"
            )
        unknown = self._tokenizer.unk_token_id
        special = set(self._tokenizer.all_special_ids) - {unknown}
        n_tokens = int((~np.isin(tokens, list(special))).sum())
        n_unknown = 0 if unknown is None else int((tokens == unknown).sum())
        if n_unknown == n_tokens:
            raise ConfigurationError(
                f"expected a tokenizer that reads DNA, got one that maps all of {len(ids)} barcodes to unknown tokens: "
                f"another text form may help (prepare: any of {', '.join(TEXT_FORMS)})"
            )
        self.reading.n_tokens += n_tokens
        self.reading.n_unknown += n_unknown
