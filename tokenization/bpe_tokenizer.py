"""Byte-pair encoding of DNA: words of any length, learnt from barcodes."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tokenizers import Regex, models, pre_tokenizers, trainers

from .dna_tokenizer import MASK_TOKEN, UNK_TOKEN, dna_tokenizer

if TYPE_CHECKING:
    from .barcode_tokenizer import BarcodeTokenizer

MIN_VOCAB_SIZE, MAX_VOCAB_SIZE = 128, 4096


def train_bpe_tokenizer(sequences: Iterable[str], vocab_size: int, model_max_length: int = 512) -> "BarcodeTokenizer":
    """Learn a byte-pair encoding of DNA; the same sequences give the same tokenizer.

    Text is normalised as in `build_kmer_tokenizer`. Each base other than A, C, G and T is an `[UNK]` of its
    own, and no word reaches across one. Ids: `[MASK]` 0, `[UNK]` 1, then the words, `[PAD]` last.

    Args:
        sequences: DNA to learn from.
        vocab_size: number of ids, the special tokens among them, 128 to 4,096.
        model_max_length: tokens to which `truncation=True` cuts.

    Returns:
        A fast tokenizer; what it saves loads with `AutoTokenizer`, without remote code.

    Raises:
        ValueError: `vocab_size` is out of range, or there is too little DNA for so many words.
    """
    from .barcode_tokenizer import BarcodeTokenizer  # imports transformers, which is slow, and few need it

    if not MIN_VOCAB_SIZE <= vocab_size <= MAX_VOCAB_SIZE:
        raise ValueError(f"vocab_size must be {MIN_VOCAB_SIZE} to {MAX_VOCAB_SIZE}, not {vocab_size}")
    unknown_apart = pre_tokenizers.Split(Regex("[^ACGT]"), "isolated")
    tokenizer = dna_tokenizer(models.BPE(unk_token=UNK_TOKEN), unknown_apart)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 1,  # [PAD] comes when it is wrapped
        special_tokens=[MASK_TOKEN, UNK_TOKEN],
        initial_alphabet=list("ACGT"),
        limit_alphabet=4,
        show_progress=False,
    )
    tokenizer.train_from_iterator(sequences, trainer)
    wrapped = BarcodeTokenizer.wrap(tokenizer, model_max_length)
    if len(wrapped) < vocab_size:
        raise ValueError(f"expected DNA for {vocab_size} tokens; these sequences give {len(wrapped)}")
    return wrapped
