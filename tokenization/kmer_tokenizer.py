"""The k-mer tokenizer: DNA cut into words of k bases that do not overlap."""

import itertools
from typing import TYPE_CHECKING

from tokenizers import Regex, models, pre_tokenizers

from .dna_tokenizer import MASK_TOKEN, PAD_TOKEN, UNK_TOKEN, dna_tokenizer

if TYPE_CHECKING:
    from .barcode_tokenizer import BarcodeTokenizer

MAX_K = 8
# With N a size of 6 has 15,625 k-mers; 7 would have more than the plain 8-mers.
MAX_K_WITH_N = 6


def kmer_vocabulary(k: int = 6, with_n: bool = False) -> dict[str, int]:
    """Every token and its id, as published: `[MASK]` 0, `[UNK]` 1, k-mers from 2; and `[PAD]` last.

    Args:
        k: bases per token, 1 to 8.
        with_n: give the k-mers that contain `N` ids of their own, after the plain ones (k up to 6).

    Returns:
        Tokens in the order of their ids; k-mers stand in the order of `itertools.product`.

    Raises:
        ValueError: k is out of range.

    Source: BarcodeBERT and BarcodeMAE (`datasets.py`), which have no `[PAD]`.
    """
    largest = MAX_K_WITH_N if with_n else MAX_K
    if not 1 <= k <= largest:
        raise ValueError(f"k must be 1 to {largest}{' where N has tokens' if with_n else ''}, not {k}")
    kmers = ["".join(bases) for bases in itertools.product("ACGT", repeat=k)]
    if with_n:
        kmers += [kmer for kmer in map("".join, itertools.product("ACGTN", repeat=k)) if "N" in kmer]
    return {token: i for i, token in enumerate([MASK_TOKEN, UNK_TOKEN, *kmers, PAD_TOKEN])}


def build_kmer_tokenizer(k: int = 6, with_n: bool = False, model_max_length: int = 512) -> "BarcodeTokenizer":
    """Make the tokenizer that cuts DNA into k-mers side by side; no tokens are added at the ends.

    Lower case, RNA, gaps (`-`, `.`) and ASCII white space are normalised. A k-mer with any other base is
    `[UNK]`; nothing raises. Bases at the end that fill no k-mer are dropped. Offsets point into the text as
    it was given.

    Args:
        k: bases per token, 1 to 8.
        with_n: give the k-mers that contain `N` ids of their own (k up to 6).
        model_max_length: tokens to which `truncation=True` cuts.

    Returns:
        A fast tokenizer, whose `frame` can be set; what it saves loads with `AutoTokenizer`, plain without remote code.

    Raises:
        ValueError: k is out of range.
    """
    from .barcode_tokenizer import BarcodeTokenizer  # imports transformers, which is slow, and few need it

    model = models.WordLevel(kmer_vocabulary(k, with_n), unk_token=UNK_TOKEN)
    # FixedLength would keep a short tail and call it [UNK].
    kmers = pre_tokenizers.Split(Regex(f".{{{k}}}"), "removed", invert=True)
    return BarcodeTokenizer.wrap(dna_tokenizer(model, kmers), model_max_length)
