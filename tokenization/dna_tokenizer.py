"""What the tokenizers share: special tokens, and normalisation of DNA."""

import string

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

MASK_TOKEN = "[MASK]"
UNK_TOKEN = "[UNK]"
PAD_TOKEN = "[PAD]"

# Lower case is DNA too (soft-masked sequence), and RNA is DNA spelt with U.
REPLACED_CHARACTERS = {"a": "A", "c": "C", "g": "G", "t": "T", "n": "N", "u": "T", "U": "T"}
REMOVED_CHARACTERS = "-." + string.whitespace


def dna_tokenizer(model: models.Model, pre_tokenizer: pre_tokenizers.PreTokenizer) -> Tokenizer:
    """A tokenizer that normalises DNA and joins tokens without spaces.

    Lower case becomes upper, U becomes T, gaps and ASCII white space go; any other character stays as it is.
    """
    tokenizer = Tokenizer(model)
    removed = "".join(f"\\x{ord(base):02x}" for base in REMOVED_CHARACTERS)
    replacements = [normalizers.Replace(old, new) for old, new in REPLACED_CHARACTERS.items()]
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(Regex(f"[{removed}]"), ""), *replacements])
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.Fuse()
    return tokenizer
