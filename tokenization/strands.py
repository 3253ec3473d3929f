"""The two strands of DNA."""

import numpy as np

from .sequences import Sequences, is_arrow

_BASES, _COMPLEMENTS = "ACGTURYKMBVDH", "TGCAAYRMKVBHD"
_COMPLEMENT = str.maketrans(_BASES + _BASES.lower(), _COMPLEMENTS + _COMPLEMENTS.lower())


def reverse_complement(sequence: str) -> str:
    """The other strand, 5' to 3', as DNA. IUPAC codes have their complements; other characters stay."""
    return sequence.translate(_COMPLEMENT)[::-1]


def orient(sequences: Sequences, strands: np.ndarray) -> list[str]:
    """Each sequence read on its strand.

    Args:
        sequences: strings, or an Arrow column of strings, where null is empty.
        strands: `[n]`, +1 for as given, -1 for the reverse complement.

    Raises:
        ValueError: there is not one strand per sequence.
    """
    if is_arrow(sequences):
        sequences = sequences.fill_null("").to_pylist()  # type: ignore[union-attr]
    texts = list(sequences)
    if len(texts) != len(strands):
        raise ValueError(f"expected one strand for each of {len(texts)} sequences, not {len(strands)}")
    for row in np.flatnonzero(np.asarray(strands) < 0):
        texts[row] = reverse_complement(texts[row])
    return texts
