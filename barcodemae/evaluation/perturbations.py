"""Damage done to barcodes on purpose: sequencing errors, short reads, other frames and strands.

What becomes of a record depends on (seed, change, record) alone. The random numbers are the same for every amount of a
change: a base that changes at 1 % also changes at 10 %, so that a curve over amounts is not blurred by chance.
"""

import zlib
from collections.abc import Callable, Sequence

import numpy as np

from barcodemae.errors import ConfigurationError
from tokenization_barcodemae import reverse_complement

_BASES = np.frombuffer(b"ACGT", np.uint8)


def substitute(sequence: str, rate: float, rng: np.random.Generator) -> str:
    """Each A, C, G or T becomes one of the other three with chance `rate`; other letters stay."""
    letters = _letters(sequence)
    is_base = letters[:, None] == _BASES
    changed = (rng.random(len(letters)) < rate) & is_base.any(axis=1)
    others = _BASES[(is_base.argmax(axis=1) + rng.integers(1, 4, len(letters))) % 4]
    return _text(np.where(changed, others, letters))


def insert_and_delete(sequence: str, rate: float, rng: np.random.Generator) -> str:
    """At each letter with chance `rate`, one of two, equally often: it is lost, or a random base follows it."""
    letters = _letters(sequence)
    changed = rng.random(len(letters)) < rate
    is_insertion = rng.random(len(letters)) < 0.5
    bases = rng.choice(_BASES, len(letters))
    times = 1 + np.where(is_insertion, 1, -1) * changed
    result = np.repeat(letters, times)
    result[np.cumsum(times)[changed & is_insertion] - 1] = bases[changed & is_insertion]
    return _text(result)


def make_ambiguous(sequence: str, rate: float, rng: np.random.Generator) -> str:
    """Each letter becomes an N with chance `rate`."""
    letters = _letters(sequence)
    return _text(np.where(rng.random(len(letters)) < rate, ord("N"), letters))


def mini_barcode(sequence: str, length: int, rng: np.random.Generator) -> str:
    """A window of `length` nucleotides, from anywhere; a sequence that is no longer stays whole."""
    start = int(rng.random() * (len(sequence) - length + 1))
    return sequence[start : start + length] if len(sequence) > length else sequence


def cut_front(sequence: str, n: int, rng: np.random.Generator) -> str:
    """Without its first `n` nucleotides; `rng` is not asked."""
    return sequence[n:]


def other_strand(sequence: str, amount: None, rng: np.random.Generator) -> str:
    """The other strand; `rng` is not asked."""
    return reverse_complement(sequence)


# Name of a change -> what does it, and the amounts that are tried.
CHANGES: dict[str, tuple[Callable, tuple[float | None, ...]]] = {
    "substitutions": (substitute, (0.01, 0.03, 0.1)),
    "indels": (insert_and_delete, (0.002, 0.005, 0.02)),
    "ambiguous": (make_ambiguous, (0.01, 0.03, 0.1)),
    "mini_barcode": (mini_barcode, (400, 300, 200, 100)),
    "shifted_frame": (cut_front, (1, 2, 3, 4, 5)),
    "reverse_complement": (other_strand, (None,)),
}


def perturb(
    sequences: Sequence[str], records: np.ndarray, change: str, amount: float | None, seed: int = 0
) -> list[str]:
    """Do one change to every barcode.

    Args:
        sequences: `[n]`, upper case.
        records: `[n]`, the number of each, which decides what becomes of it; 0 or more.
        change: one of `CHANGES`.
        amount: a rate per nucleotide (substitutions, indels, ambiguous), a number of nucleotides (mini_barcode,
            shifted_frame), or None (reverse_complement).
        seed: of the random numbers; 0 or more.

    Returns:
        `[n]` sequences.

    Raises:
        ConfigurationError: there is no such change.
    """
    if change not in CHANGES:
        raise ConfigurationError(f"expected one of the changes {', '.join(CHANGES)}, got {change!r}")
    do, _ = CHANGES[change]
    stream = zlib.crc32(change.encode())
    return [
        do(sequence, amount, np.random.default_rng([seed, stream, record]))
        for sequence, record in zip(sequences, records, strict=True)
    ]


def _letters(sequence: str) -> np.ndarray:
    return np.frombuffer(sequence.encode("ascii"), np.uint8)


def _text(letters: np.ndarray) -> str:
    return letters.astype(np.uint8).tobytes().decode("ascii")
