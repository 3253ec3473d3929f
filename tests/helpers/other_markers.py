"""Sequences of other markers than COI: conserved parts of real ones, which are recognised, between random bases."""

import numpy as np

ITS = (
    "AACTTTCAACAACGGATCTCTTGGTTCTCGCATCGATGAAGAACGCAGCGAAATGCGATAAGTAATGTGAATTGCAGAATTCAGTGAATCATCGAATCTTTGAACGCACAT"
    "TGCGCCCCTTGGTATTCCGGGGGGCATGCCTGTTCGAGCGTCATT"
)
"""5.8S of fungi, which lies within ITS."""

RBCL = (
    "ATGTCACCACAAACAGAGACTAAAGCAAGTGTTGGATTCAAAGCTGGTGTTAAAGATTATAAATTGACTTATTATACTCCTGACTATGAAACCAAAGATACTGATATCTT"
    "GGCAGCATTCCGAGTAACTCCTCAACCTGGAGTTCCACCTGAAGAAGCAGGGGCCGCAGTAGCTGCCGAATCTTCTACTGGTACATGGACAACTGTGTGGACCGATGGGC"
)
"""The begin of rbcL of flowering plants."""

MIFISH = (
    "GCCGGTAAAACTCGTGCCAGCCACCGCGGTTATACGAGAGACCCTAGTTGATAGACACGGCGTAAAGGGTGGTTAAGGATAATATATAATAAAGCCAAATGGCCCTTTGG"
    "CCGTCATACGCTTCTAGGTGTCCGAAGCCCAATATACGAAAGTAGCTTTAATGAAGCCCACCTGACCCCACGAAAGCTGAGAAACAAACTGGGATTAGATACCCCACTATG"
)
"""12S of fish between the primers of MiFish."""


def with_random_ends(conserved: str, number: int) -> str:
    """A sequence of a marker, another one for each number. Its ends are like those of every fourth number."""
    group, own = (np.random.default_rng([len(conserved), seed]) for seed in (number % 4, 1000 + number))
    ends = ["".join(group.choice(list("ACGT"), length)) for length in group.integers(60, 120, 2)]
    before, after = ("".join(own.choice(list("ACGT")) if own.random() < 0.08 else base for base in end) for end in ends)
    return before + conserved + after


def random_dna(number: int) -> str:
    """500 random bases, other ones for each number."""
    return "".join(np.random.default_rng(number).choice(list("ACGT"), 500))
