"""Amplicons: the region of the marker between two primers, by which reads are compared.

A primer is synthetic: its bases in a read are not those of the specimen. A read is placed on the reference frame, so
that primers need not be found in it: what lies outside of the region between them is left out.
"""

from typing import NamedTuple

import numpy as np

from barcodemae.errors import ConfigurationError
from barcodemae.library.settings import HCO2198, LCO1490, PRIMERS
from tokenization_barcodemae import ReferenceFrame, reverse_complement

# The bases that each IUPAC code stands for.
_CODES = {"A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"}
_CODES |= {"B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT"}
_MARKER = "COI-5P"
_MIN_AGREEMENT = 0.7
_MIN_BASES = 100
_MIN_INFORMATIVE = 10


class Region(NamedTuple):
    """A part of the marker: its first coordinate on the frame, and the one after its last."""

    begin: int
    end: int


def find_region(primers: str, frame: ReferenceFrame) -> Region:
    """The region of the marker between two primers.

    Args:
        primers: a name of `PRIMERS`, or two sequences with a comma between them.
        frame: the marker's reference frame.

    Raises:
        ConfigurationError: there are no such primers, they are not on the marker, or the region between them is too
            short to identify reads.
    """
    pair = PRIMERS.get(primers.lower()) or tuple(primers.upper().replace("U", "T").replace("I", "N").split(","))
    if len(pair) != 2 or not all(pair) or not set("".join(pair)) <= set(_CODES):
        raise ConfigurationError(
            f"--primers {primers}: expected {', '.join(PRIMERS)}, or FORWARD,REVERSE in IUPAC codes of nucleotides"
        )
    for primer in pair:
        if sum(code != "N" for code in primer) < _MIN_INFORMATIVE:
            raise ConfigurationError(f"--primers {primers}: expected {_MIN_INFORMATIVE} bases or more, got {primer}")
    forward, reverse = pair
    begin = _find(forward, frame, primers) + len(forward)
    end = _find(reverse_complement(reverse), frame, primers)
    region = Region(max(begin, 0), min(end, frame.length))
    if region.end - region.begin < _MIN_BASES:
        between = f"between coordinates {begin + 1} and {end} of the marker"
        raise ConfigurationError(f"--primers {primers}: expected {_MIN_BASES} bases or more, got a region {between}")
    return region


def _find(primer: str, frame: ReferenceFrame, given: str) -> int:
    """The coordinate of a primer's first base, as read on the marker's strand; it may be before or after the frame."""
    profile = frame.profile
    num_before = 0
    if frame.marker == _MARKER:  # the sites of the primers that define the region are known
        before, after = (_one_hot(text) for text in (LCO1490, reverse_complement(HCO2198)))
        profile, num_before = np.concatenate([before, profile, after]), len(before)
    sets = _one_hot(primer)
    num_positions = len(profile) - len(primer) + 1
    agreement = [float((profile[first : first + len(primer)] * sets).sum()) for first in range(num_positions)]
    best = int(np.argmax(agreement)) if agreement else 0
    if not agreement or agreement[best] < _MIN_AGREEMENT * len(primer):
        raise ConfigurationError(f"--primers {given}: expected primers on the marker, got {primer}, which is not on it")
    return best - num_before


def _one_hot(primer: str) -> np.ndarray:
    return np.array([[base in _CODES[code] for base in "ACGT"] for code in primer], np.float32)
