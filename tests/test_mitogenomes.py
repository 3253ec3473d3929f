"""Barcodes within long sequences, on either strand, and over the ends of circular ones."""

import numpy as np
import pytest

from barcodemae.data import read_records
from barcodemae.library.library import Library
from barcodemae.library.search.marker import read_on_marker
from tokenization_barcodemae import ReferenceFrame, reverse_complement

COI = ReferenceFrame.coi()
AROUND = "".join(np.random.default_rng(0).choice(list("ACGT"), 15_400))
POSITION = 5_000


@pytest.fixture(scope="module")
def barcodes(full_length_barcodes):
    return full_length_barcodes[:30]


def genome(barcode, origin=0):
    """A genome of 16 kb with a barcode; of a circular one, the sequence begins at any origin."""
    text = AROUND[:POSITION] + barcode + AROUND[POSITION:]
    return text[origin:] + text[:origin]


@pytest.mark.parametrize("turn", [str, reverse_complement])
@pytest.mark.parametrize("origin", [0, POSITION, POSITION + 1, POSITION + 130, POSITION + 329, POSITION + 600, 9_000])
def test_bases_are_those_of_the_barcode(barcodes, origin, turn):
    expected = read_on_marker(barcodes, COI)
    found = read_on_marker([turn(genome(barcode, origin)) for barcode in barcodes], COI)
    assert found.fits.all()
    differing = (found.bases != expected.bases).sum(axis=1)
    assert np.median(differing) <= 1  # a single base over the end may not be found
    assert (differing <= 15).all()  # random bases beside a barcode may look like an indel at its end


def test_end_of_a_linear_sequence_is_not_joined_with_the_other(barcodes):
    read = read_on_marker([AROUND + barcodes[0][:400], barcodes[1][200:] + AROUND, AROUND], COI)
    assert read.moved.tolist() == [0, 0, 0]
    assert read.fits.tolist() == [True, True, False]
    assert read.num_bases[:2].tolist() == [400, 458]


def test_both_ends_are_reported(barcodes, tmp_path):
    library = Library.build("sample", tmp_path / "library")
    barcode, length = barcodes[0], len(AROUND) + 658
    over_ends = genome(barcode, POSITION + 300)
    queries = [barcode, genome(barcode), reverse_complement(genome(barcode)), over_ends, reverse_complement(over_ends)]
    results = library.identify([*queries, barcode[:80]], num_aligned=1)
    found = list(zip(results["query_start"].to_pylist(), results["query_end"].to_pylist(), strict=True))
    last = POSITION + 658
    assert found[:3] == [(1, 658), (POSITION + 1, last), (length - POSITION, length - last + 1)]
    assert found[3:] == [(length - 299, 358), (300, length - 357), (None, None)]
    assert len(set(results["name"].to_pylist()[:5])) == 1
    assert results["reason"].to_pylist() == [""] * 5 + ["too short"]
    assert results["strand"].to_pylist() == ["+", "+", "-", "+", "-", ""]
    hits = [hit[0] for hit in results["hits"].to_pylist()[:5]]
    assert {hit["identity"] for hit in hits} == {1.0}
    assert hits[3]["query_start"] == length - 299
    assert hits[3]["query_end"] == 358


def test_references_may_be_genomes(barcodes, tmp_path):
    sample = read_records("sample").slice(0, 300)
    rows = sample.to_pylist()
    lines = [
        f">{row['id']};tax=g:{row['genus']},s:{row['species']};\n{genome(row['nucleotides'], 40 * number)}\n"
        for number, row in enumerate(rows)
    ]
    (tmp_path / "genomes.fasta").write_text("".join(lines))
    library = Library.build(tmp_path / "genomes.fasta", tmp_path / "library")
    results = library.identify(sample)
    assert len(library) == 300
    assert [hits[0]["frame_identity"] for hits in results["hits"].to_pylist()] == pytest.approx([1] * 300, abs=0.03)
