"""What the tokenizers share: special tokens, normalisation of DNA, the class they are handed out in."""

import string
from typing import TYPE_CHECKING

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MASK_TOKEN = "[MASK]"
UNK_TOKEN = "[UNK]"
PAD_TOKEN = "[PAD]"

# Lower case is DNA too (soft-masked sequence), and RNA is DNA spelt with U.
REPLACED_LETTERS = {"a": "A", "c": "C", "g": "G", "t": "T", "n": "N", "u": "T", "U": "T"}
REMOVED_LETTERS = "-." + string.whitespace


def dna_tokenizer(model: models.Model, pre_tokenizer: pre_tokenizers.PreTokenizer) -> Tokenizer:
    """A tokenizer that normalises DNA and joins tokens without spaces.

    Lower case becomes upper, U becomes T, gaps and ASCII white space go; any other character stays as it is.
    """
    tokenizer = Tokenizer(model)
    removed = "".join(f"\\x{ord(letter):02x}" for letter in REMOVED_LETTERS)
    replacements = [normalizers.Replace(old, new) for old, new in REPLACED_LETTERS.items()]
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(Regex(f"[{removed}]"), ""), *replacements])
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def wrap_tokenizer(tokenizer: Tokenizer, model_max_length: int) -> "PreTrainedTokenizerFast":
    """The tokenizer as a plain `transformers` class: a saved one loads with `AutoTokenizer`, no remote code.

    Special tokens that the vocabulary lacks get the next ids.
    """
    from transformers import PreTrainedTokenizerFast  # slow to import, and few need it

    specials = [MASK_TOKEN, UNK_TOKEN, PAD_TOKEN]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        mask_token=MASK_TOKEN,
        unk_token=UNK_TOKEN,
        pad_token=PAD_TOKEN,
        model_max_length=model_max_length,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )
