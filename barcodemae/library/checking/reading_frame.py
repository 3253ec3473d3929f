"""Stop codons and frame shifts of barcodes on a coding marker: signs of nuclear copies (NUMTs), and of errors."""

from collections.abc import Sequence

import numpy as np

from tokenization_barcodemae import Placement, ReferenceFrame

# Stop codons of the genetic codes that animals, fungi and plants use for COI, by NCBI's numbers (The Genetic Codes,
# https://www.ncbi.nlm.nih.gov/Taxonomy/Utils/wprintgc.cgi).
_STOPS = {
    1: ("TAA", "TAG", "TGA"),  # standard; plant mitochondria
    2: ("TAA", "TAG", "AGA", "AGG"),  # vertebrates
    4: ("TAA", "TAG"),  # cnidarians, sponges, most fungi
    5: ("TAA", "TAG"),  # most invertebrates
    9: ("TAA", "TAG"),  # echinoderms, most flatworms
    13: ("TAA", "TAG"),  # tunicates
    14: ("TAG",),  # some flatworms
}

# Flatworms use codes 9 and 14; only what is a stop in both is reported. Chordates are named by class, as they differ.
_CODES_BY_TAXON = {
    "Acanthocephala": (5,),
    "Annelida": (5,),
    "Arthropoda": (5,),
    "Bryozoa": (5,),
    "Mollusca": (5,),
    "Nematoda": (5,),
    "Nemertea": (5,),
    "Onychophora": (5,),
    "Rotifera": (5,),
    "Tardigrada": (5,),
    "Cnidaria": (4,),
    "Ctenophora": (4,),
    "Porifera": (4,),
    "Ascomycota": (4,),
    "Basidiomycota": (4,),
    "Echinodermata": (9,),
    "Hemichordata": (9,),
    "Platyhelminthes": (9, 14),
    "Actinopteri": (2,),
    "Actinopterygii": (2,),
    "Amphibia": (2,),
    "Aves": (2,),
    "Chondrichthyes": (2,),
    "Elasmobranchii": (2,),
    "Lepidosauria": (2,),
    "Mammalia": (2,),
    "Reptilia": (2,),
    "Teleostei": (2,),
    "Testudines": (2,),
    "Appendicularia": (13,),
    "Ascidiacea": (13,),
    "Thaliacea": (13,),
    "Bryophyta": (1,),
    "Chlorophyta": (1,),
    "Magnoliophyta": (1,),
    "Streptophyta": (1,),
    "Tracheophyta": (1,),
}

# Code 14 is not assumed without a taxon: its TAA, a stop everywhere else, would be lost.
_CODES_OF_UNKNOWN = (1, 2, 4, 5, 9, 13)

# Expected stops in a barcode whose bases were drawn from the profile one by one: on COI, 0.2 in the reading frame and
# 6 and 25 in the others.
_MAX_EXPECTED = 1.0

_UNKNOWN_CODON = 64  # after the numbers of the 64 codons


def reading_frame(frame: ReferenceFrame) -> int | None:
    """Where codons begin on a marker.

    Args:
        frame: of the marker.

    Returns:
        The coordinate of the first base of the first complete codon, 0 to 2: that with the fewest expected stop
        codons. None if each of the three has some, so that the marker is not coding.
    """
    expected = []
    for begin in range(3):
        first, second, third = np.moveaxis(_codons(frame.profile, begin), 1, 0)
        expected.append(float((first[:, 3] * second[:, 0] * (third[:, 0] + third[:, 2])).sum()))
    begin = int(np.argmin(expected))
    return begin if expected[begin] <= _MAX_EXPECTED else None


def count_stops(bases: np.ndarray, begin: int, lineages: Sequence[tuple[str, str]]) -> np.ndarray:
    """Count the stop codons of barcodes.

    Args:
        bases: int8 `[n, coordinates]`, as from `lay_out`; a codon with an unknown base is not counted.
        begin: as `reading_frame` returns it.
        lineages: `[n]`, phylum and class of each, "" where unknown. They decide the genetic code; where it is not
            known, a stop is what is one in all codes that are in question.

    Returns:
        int64 `[n]`.
    """
    end = begin + (bases.shape[1] - begin) // 3 * 3
    first, second, third = (bases[:, position:end:3] for position in range(begin, begin + 3))
    numbers = first * np.int8(16) + second * np.int8(4) + third
    numbers[(first < 0) | (second < 0) | (third < 0)] = _UNKNOWN_CODON
    different = {lineage: number for number, lineage in enumerate(dict.fromkeys(lineages))}
    number_of = np.array([different[lineage] for lineage in lineages], np.int64)
    counts = np.zeros(len(bases), np.int64)
    for lineage, number in different.items():
        rows = np.flatnonzero(number_of == number)
        counts[rows] = _is_stop(*lineage).take(numbers[rows]).sum(axis=1)
    return counts


def count_frame_shifts(placement: Placement) -> np.ndarray:
    """Count the indels of barcodes that shift the reading frame: those whose length is not a multiple of three.

    Args:
        placement: of `n` barcodes.

    Returns:
        int64 `[n]`.
    """
    counts = np.zeros(len(placement.unplaced), np.int64)
    for row in np.flatnonzero(placement.unplaced.astype(bool)):
        counts[row] = sum((part.end - part.begin - part.length) % 3 != 0 for part in placement.unplaced[row])
    return counts


def describe_reading(num_stops: int, num_shifts: int) -> str:
    """What is wrong with the reading frame of a barcode, in words for the user; "" if nothing is."""
    found = ((num_stops, "stop codon"), (num_shifts, "frame shift"))
    return ", ".join(f"{count} {what}{'s' if count > 1 else ''}" for count, what in found if count)


def _codons(values: np.ndarray, begin: int) -> np.ndarray:
    """Values at coordinates, `[coordinates, ...]`, as those of complete codons, `[codons, 3, ...]`."""
    num_codons = (len(values) - begin) // 3
    return values[begin : begin + 3 * num_codons].reshape(num_codons, 3, *values.shape[1:])


def _is_stop(phylum: str, class_: str) -> np.ndarray:
    """Whether each codon is a stop, bool `[65]`; the last one stands for codons that are not known."""
    codes = _CODES_BY_TAXON.get(class_) or _CODES_BY_TAXON.get(phylum) or _CODES_OF_UNKNOWN
    stops = set.intersection(*(set(_STOPS[code]) for code in codes))
    is_stop = np.zeros(_UNKNOWN_CODON + 1, bool)
    for codon in stops:
        first, second, third = map("ACGT".index, codon)
        is_stop[first * 16 + second * 4 + third] = True
    return is_stop
