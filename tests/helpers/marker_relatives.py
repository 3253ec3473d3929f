"""Sequences of invented markers: of genera, species and barcodes that are more and more alike."""

import random
from collections.abc import Iterator
from typing import NamedTuple

BASES = "ACGT"


class Relative(NamedTuple):
    """A sequence and its names."""

    genus: str
    species: str
    text: str


def changed(rng: random.Random, text: str, share: float) -> str:
    """A text with some of its bases drawn anew."""
    return "".join(rng.choice(BASES) if rng.random() < share else base for base in text)


def relatives(
    before: str,
    after: str,
    is_uneven: bool,
    num_genera: int = 16,
    num_species: int = 5,
    num_barcodes: int = 5,
    seed: int = 1,
) -> Iterator[Relative]:
    """Sequences with a variable part between two conserved ones.

    Args:
        before, after: the conserved parts.
        is_uneven: whether the length of the variable part differs among genera and species.
        num_genera, num_species, num_barcodes: genera, species of each, and sequences of each of these.
        seed: another one gives other variable parts.
    """
    rng = random.Random(seed)
    common = "".join(rng.choices(BASES, k=200))
    for genus in range(num_genera):
        name = f"Genus{chr(97 + genus)}"
        of_genus = "".join(rng.choices(BASES, k=rng.randint(120, 240))) if is_uneven else changed(rng, common, 0.3)
        for species in range(num_species):
            of_species = changed(rng, of_genus, 0.15)[rng.randint(0, 12) if is_uneven else 0 :]
            for _ in range(num_barcodes):
                parts = (changed(rng, part, 0.006) for part in (before, of_species, after))
                yield Relative(name, f"{name} sp{chr(97 + species)}ecies", "".join(parts))
