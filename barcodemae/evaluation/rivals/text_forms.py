"""How a barcode is written for a tokenizer: models were trained on different spellings of DNA."""

from collections.abc import Callable
from functools import partial

from tokenization_barcodemae.dna_tokenizer import REMOVED_LETTERS

_TO_DNA = {ord(letter): None for letter in REMOVED_LETTERS} | {ord("U"): "T", ord("u"): "T"}


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
    """Barcodes as a tokenizer wants to read them.

    First gaps and white space go and all becomes upper-case DNA, as everywhere in this package. Then the form:
    `plain` leaves it so; `lower` is lower case; `rna` has U for T; `spaced` puts a space between letters; `kmers_K`
    writes the k-mers at every letter, with spaces between them (as DNABERT reads them); `blocks_K` those at every
    K-th letter, without the tail that is shorter than K. The strand is not turned.

    Args:
        sequences: barcodes.
        form: one of `TEXT_FORMS`.
    """
    write = _FORMS[form]
    return [write(sequence.translate(_TO_DNA).upper()) for sequence in sequences]
