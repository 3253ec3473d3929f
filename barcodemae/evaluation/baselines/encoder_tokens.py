"""Barcodes to the ids of another model's tokenizer, with counts of what it could not read."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from barcodemae.errors import ConfigurationError
from tokenization_barcodemae.sequences import REMOVED_CHARACTERS

logger = logging.getLogger(__name__)


@dataclass
class TokenCounts:
    """Tokens of all barcodes so far.

    Attributes:
        barcodes: embedded barcodes.
        truncated: of these, how many were truncated to the longest input of the model.
        tokens: tokens, without special ones.
        unknown: of these, how many are not in the vocabulary of the tokenizer.
    """

    barcodes: int = 0
    truncated: int = 0
    tokens: int = 0
    unknown: int = 0


class EncoderTokens:
    """A tokenizer of `transformers` with the way in which barcodes are written for it, and a maximum length.

    Args:
        tokenizer: any.
        prepare: how a barcode is written: see `write_barcodes`.
        max_length: maximum number of tokens, special ones included. Longer barcodes are truncated and counted.
        num_ids: size of the model's vocabulary.

    Attributes:
        counts: of all barcodes so far.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prepare: str, max_length: int, num_ids: int):
        self._tokenizer: Any = tokenizer
        self._prepare = prepare
        self._max_length = max_length
        self._num_ids = num_ids
        self.counts = TokenCounts()

    def __call__(self, sequences: list[str]) -> list[list[int]]:
        """Ids of each barcode, special tokens included.

        Raises:
            ConfigurationError: all tokens are unknown, a barcode has none, or the model does not know an id.
        """
        texts = write_barcodes(sequences, self._prepare)
        ids = self._tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"]
        long = [row for row, one in enumerate(ids) if len(one) > self._max_length]
        if long:
            # The tokenizer truncates, so that a special token at the end is preserved.
            cut = self._tokenizer([texts[row] for row in long], truncation=True, max_length=self._max_length)
            for row, one in zip(long, cut["input_ids"], strict=True):
                ids[row] = one
            if not self.counts.truncated:
                logger.warning("%d of %d barcodes are truncated to %d tokens", len(long), len(ids), self._max_length)
        self.counts.barcodes += len(ids)
        self.counts.truncated += len(long)
        self._count_unknown(ids)
        return ids

    def _count_unknown(self, ids: list[list[int]]) -> None:
        if num_empty := sum(not one for one in ids):
            raise ConfigurationError(f"expected a token in every barcode, got none in {num_empty} of {len(ids)}")
        tokens = np.concatenate(ids)
        if tokens.max() >= self._num_ids:
            raise ConfigurationError(
                f"expected a tokenizer with ids below {self._num_ids}, as the model knows them, got {tokens.max()}"
            )
        unknown = self._tokenizer.unk_token_id
        special = set(self._tokenizer.all_special_ids) - {unknown}
        num_tokens = int((~np.isin(tokens, list(special))).sum())
        num_unknown = 0 if unknown is None else int((tokens == unknown).sum())
        if num_unknown == num_tokens:
            raise ConfigurationError(
                f"expected a tokenizer that reads DNA, got one that maps all of {len(ids)} barcodes to unknown tokens: "
                f"another text form may help (prepare: any of {', '.join(TEXT_FORMS)})"
            )
        self.counts.tokens += num_tokens
        self.counts.unknown += num_unknown


_TO_DNA = {ord(base): None for base in REMOVED_CHARACTERS} | {ord("U"): "T", ord("u"): "T"}


def _kmers(dna: str, k: int, stride: int) -> str:
    return " ".join(dna[begin : begin + k] for begin in range(0, len(dna) - k + 1, stride))


_FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "lower": str.lower,
    "rna": lambda dna: dna.replace("T", "U"),
    "spaced": " ".join,
    **{f"kmers_{k}": partial(_kmers, k=k, stride=1) for k in (3, 4, 5, 6)},
    **{f"blocks_{k}": partial(_kmers, k=k, stride=k) for k in (3, 4, 5, 6)},
}

TEXT_FORMS = tuple(_FORMS)


def write_barcodes(sequences: list[str], form: str) -> list[str]:
    """Barcodes in the spelling that a tokenizer expects.

    Gaps and white space are removed and all is written as upper-case DNA, as everywhere in this package. Then the
    form: `plain` changes nothing; `lower` is lower case; `rna` has U for T; `spaced` puts a space between bases;
    `kmers_K` writes the k-mers at every base, with spaces between them (as DNABERT reads them); `blocks_K` those at
    every K-th base, without the tail that is shorter than K. The strand is not changed.

    Args:
        sequences: barcodes.
        form: one of `TEXT_FORMS`.
    """
    write = _FORMS[form]
    return [write(sequence.translate(_TO_DNA).upper()) for sequence in sequences]
