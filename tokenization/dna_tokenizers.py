"""The tokenizers of DNA: k-mers that do not overlap, and byte pairs learned from barcodes."""

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from .sequences import MASK_TOKEN, PAD_TOKEN, REMOVED_CHARACTERS, REPLACED_CHARACTERS, UNK_TOKEN

if TYPE_CHECKING:
    from .barcode_tokenizer import BarcodeTokenizer

MAX_K = 8
# With N, there are 15,625 k-mers of 6 bases; those of 7 would be more than the plain 8-mers.
MAX_K_WITH_N = 6
MIN_VOCAB_SIZE, MAX_VOCAB_SIZE = 128, 4096


def kmer_vocabulary(k: int = 6, with_n: bool = False) -> dict[str, int]:
    """Every token and its id, as published: `[MASK]` 0, `[UNK]` 1, k-mers from 2; and `[PAD]` last.

    Args:
        k: bases per token, 1 to 8.
        with_n: give the k-mers that contain `N` ids of their own, after the plain ones (k up to 6).

    Returns:
        Tokens in the order of their ids; k-mers are in the order of `itertools.product`.

    Raises:
        ValueError: k is out of range.

    Source: BarcodeBERT and BarcodeMAE (`datasets.py`), which have no `[PAD]`.
    """
    max_k = MAX_K_WITH_N if with_n else MAX_K
    if not 1 <= k <= max_k:
        raise ValueError(f"k must be 1 to {max_k}{' if N has tokens' if with_n else ''}, not {k}")
    kmers = ["".join(bases) for bases in itertools.product("ACGT", repeat=k)]
    if with_n:
        kmers += [kmer for kmer in map("".join, itertools.product("ACGTN", repeat=k)) if "N" in kmer]
    return {token: i for i, token in enumerate([MASK_TOKEN, UNK_TOKEN, *kmers, PAD_TOKEN])}


def build_kmer_tokenizer(k: int = 6, with_n: bool = False, model_max_length: int = 512) -> "BarcodeTokenizer":
    """Make the tokenizer that cuts DNA into adjacent k-mers; no tokens are added at the ends.

    Lower case, RNA, gaps (`-`, `.`) and ASCII white space are normalised. A k-mer with any other character is `[UNK]`;
    no sequence raises an error. Bases at the end that fill no k-mer are dropped. Offsets refer to the given text.

    Args:
        k: bases per token, 1 to 8.
        with_n: give the k-mers that contain `N` ids of their own (k up to 6).
        model_max_length: maximum number of tokens with `truncation=True`.

    Returns:
        A fast tokenizer with a `frame` that can be set. What it saves loads with `AutoTokenizer`; without remote code
        it loads as a plain fast tokenizer.

    Raises:
        ValueError: k is out of range.

    Examples:
        >>> from tokenization_barcodemae import build_kmer_tokenizer
        >>> tokenizer = build_kmer_tokenizer(k=4)
        >>> tokenizer.tokenize("ACGTacguANGTAC")
        ['ACGT', 'ACGT', '[UNK]']
    """
    from .barcode_tokenizer import BarcodeTokenizer  # imports transformers, which is slow and rarely needed

    model = models.WordLevel(kmer_vocabulary(k, with_n), unk_token=UNK_TOKEN)
    # FixedLength would keep the bases at the end as an [UNK].
    kmers = pre_tokenizers.Split(Regex(f".{{{k}}}"), "removed", invert=True)
    return BarcodeTokenizer.wrap(_dna_tokenizer(model, kmers), model_max_length)


def train_bpe_tokenizer(sequences: Iterable[str], vocab_size: int, model_max_length: int = 512) -> "BarcodeTokenizer":
    """Learn a byte-pair encoding of DNA, with tokens of variable length; equal sequences give equal tokenizers.

    Text is normalised as in `build_kmer_tokenizer`. Each character other than A, C, G and T is an `[UNK]` of its own,
    and no token extends across one. Ids: `[MASK]` 0, `[UNK]` 1, then the byte pairs, `[PAD]` last.

    Args:
        sequences: DNA to learn from.
        vocab_size: number of ids, including the special tokens, 128 to 4,096.
        model_max_length: maximum number of tokens with `truncation=True`.

    Returns:
        A fast tokenizer; what it saves loads with `AutoTokenizer`, without remote code.

    Raises:
        ValueError: `vocab_size` is out of range, or too large for the sequences.

    Examples:
        >>> from barcodemae.data import read_records
        >>> from tokenization_barcodemae import train_bpe_tokenizer
        >>> barcodes = read_records("sample")["nucleotides"][:200].to_pylist()
        >>> len(train_bpe_tokenizer(barcodes, vocab_size=128))
        128
    """
    from .barcode_tokenizer import BarcodeTokenizer  # imports transformers, which is slow and rarely needed

    if not MIN_VOCAB_SIZE <= vocab_size <= MAX_VOCAB_SIZE:
        raise ValueError(f"vocab_size must be {MIN_VOCAB_SIZE} to {MAX_VOCAB_SIZE}, not {vocab_size}")
    unknown_isolated = pre_tokenizers.Split(Regex("[^ACGT]"), "isolated")
    tokenizer = _dna_tokenizer(models.BPE(unk_token=UNK_TOKEN), unknown_isolated)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 1,  # [PAD] is added by `wrap`
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


def _dna_tokenizer(model: models.Model, pre_tokenizer: pre_tokenizers.PreTokenizer) -> Tokenizer:
    """A tokenizer that normalises DNA, and decodes tokens without spaces between them.

    Lower case becomes upper case, U becomes T, gaps and ASCII white space are removed; other characters remain.
    """
    tokenizer = Tokenizer(model)
    removed = "".join(f"\\x{ord(character):02x}" for character in REMOVED_CHARACTERS)
    replacements = [normalizers.Replace(old, new) for old, new in REPLACED_CHARACTERS.items()]
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(Regex(f"[{removed}]"), ""), *replacements])
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.Fuse()
    return tokenizer
