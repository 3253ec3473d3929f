"""The marker of a sequence is recognised by its k-mers: COI, rbcL, ITS and 12S, and nothing else."""

import numpy as np
import pytest

from barcodemae.data import read_records
from barcodemae.data.known_markers import find_markers, known_markers
from helpers.other_markers import ITS, MIFISH, RBCL
from tokenization_barcodemae import reverse_complement

# Escherichia coli, 16S; Homo sapiens, BRCA1; Yersinia pestis, a plasmid.
BACTERIA_16S = (
    "AGAGTTTGATCCTGGCTCAGATTGAACGCTGGCGGCAGGCCTAACACATGCAAGTCGAACGGTAACAGGAAGAAGCTTGCTTCTTTGCTGACGAGTGGCGGACGGGTGAG"
    "TAATGTCTGGGAAACTGCCTGATGGAGGGGGATAACTACTGGAAACGGTAGCTAATACCGCATAACGTCGCAAGACCAAAGAGGGGGACCTTCGGGCCTCTTGCCATCGG"
)
HUMAN = (
    "GGCTCTTTAGCTTCTTAGGACAGCACTTCCTGATTTTGTTTTCAACTTCTAATCCTTTGAGTGTTTTTCATTCTGCAGATGCTGAGTTTGTGTGTGAACGGACACTGAAA"
    "TATTTTCTAGGTGCGGGAGGAAAATGGGTAGTTAGCTATTTCTGTAAGTATAATACTATTTCTCCCCTCCTCCCTTTAACACCTCAGAATTGCATTTTTACACCTAACGT"
)
PLASMID = (
    "TGTAACGAACGGTGCAATAGTGATCCACACCCAACGCCTGAAATCAGATCCAGGGGGTAATCTGCTCTCCTGATTCAGGAGAGTTTATGGTCACTTTTGAGACAGTTATG"
    "GAAATTAAAATCCTGCACAAGCAGGGAATGAGTAGCCGGGCGATTGCCAGAGAACTGGGGATCTCCCGCAATACCGTTAAACGTTATTTGCAGGCAAAATCTGAGCCGCC"
)


@pytest.fixture(scope="module")
def coi():
    return read_records("sample")["nucleotides"].slice(0, 1000).to_pylist()


def test_markers_that_are_bundled():
    assert known_markers() == ["12S", "COI-5P", "ITS", "rbcL"]


@pytest.mark.parametrize(("sequence", "marker"), [(ITS, "ITS"), (RBCL, "rbcL"), (MIFISH, "12S")])
def test_other_markers_than_coi(sequence, marker):
    assert find_markers([sequence, reverse_complement(sequence), sequence[20:]]) == [marker] * 3


def test_coi_on_both_strands_and_in_halves(coi):
    for texts in (coi, list(map(reverse_complement, coi)), [text[: len(text) // 2] for text in coi]):
        assert find_markers(texts).count("COI-5P") >= 0.995 * len(texts)


@pytest.mark.parametrize("sequence", [BACTERIA_16S, HUMAN, PLASMID, "N" * 300, "", "ACGT", "A" * 500, "ACACAC" * 80])
def test_other_dna_is_of_no_marker(sequence):
    assert find_markers([sequence]) == [""]


def test_shuffled_and_random_bases_are_of_no_marker(coi):
    rng = np.random.default_rng(0)
    shuffled = ["".join(rng.permutation(list(text))) for text in coi]
    random = [
        "".join(rng.choice(list("ACGT"), 400, p=[(1 - share) / 2, share / 2, share / 2, (1 - share) / 2]))
        for share in np.linspace(0.2, 0.7, 500)
    ]
    assert find_markers(shuffled).count("") >= 0.99 * len(shuffled)
    assert find_markers(random).count("") >= 0.995 * len(random)


def test_no_sequences():
    assert find_markers([]) == []
