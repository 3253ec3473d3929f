"""Sites at which a taxon differs from its relatives: by hand, and as a command."""

import csv
import random

import numpy as np
import pytest

from barcodemae import Library
from barcodemae.cli.sites import sites
from barcodemae.errors import ConfigurationError
from barcodemae.library.checking.reading_frame import reading_frame
from barcodemae.library.explanation.diagnostic_sites import (
    NEARLY_PURE,
    PURE,
    BaseShares,
    Taxon,
    find_sites,
    find_taxon,
    nearest_taxa,
)
from barcodemae.library.models import open_with_model
from helpers.reference_records import write_barcodes
from tokenization_barcodemae import ReferenceFrame


def with_base(text, coordinate, base):
    """A barcode of the complete region with another base at a coordinate, from 1."""
    return text[: coordinate - 1] + base + text[coordinate:]


def changed_at(text, coordinates):
    """With the next base of the alphabet at each coordinate."""
    for coordinate in coordinates:
        text = with_base(text, coordinate, "ACGT"[("ACGT".index(text[coordinate - 1]) + 1) % 4])
    return text


@pytest.fixture(scope="module")
def barcode(full_length_barcodes):
    frame = ReferenceFrame.coi()
    placed = frame.place(full_length_barcodes[:50])
    rows = np.flatnonzero((placed.start == 0) & (placed.strand > 0) & (placed.num_indels == 0))
    return full_length_barcodes[rows[0]]


@pytest.fixture(scope="module")
def library(barcode, tmp_path_factory):
    """Genus Aus differs from Bus and Cus at 100, from Bus at 200; one of its species differs at 300. Dus is far."""
    folder = tmp_path_factory.mktemp("sites")
    own = [barcode, barcode, changed_at(barcode, [300])]
    records = [("Aus", f"Aus {name}", text) for name, text in zip(("unus", "unus", "duo"), own, strict=True)]
    records += [("Bus", "Bus bus", changed_at(barcode, [100, 200]))] * 2
    records += [("Cus", f"Cus {name}", changed_at(barcode, [100, 400])) for name in ("cus", "custos")]
    far = random.Random(0).sample(range(1, 659), 60)
    records += [("Dus", "Dus dus", changed_at(barcode, far))]
    Library.build(write_barcodes(records, folder / "r.fasta", "Arthropoda"), folder / "library")
    return folder / "library"


class TestShares:
    def test_species_count_alike(self):
        taxon = Taxon("Aus", np.arange(5), np.array(["Aus unus", "Aus unus", "Aus duo", "", ""], object))
        assert taxon.weights().tolist() == [0.5, 0.5, 1, 1, 1]
        assert taxon.num_species == 2

    def test_by_hand(self):
        bases = np.array([[0, 1], [2, -1], [0, -1]], np.int8)
        found = BaseShares.of(bases, np.array([1.0, 1.0, 2.0]))
        np.testing.assert_allclose(found.shares[:, 0], [0.75, 0, 0.25, 0])
        np.testing.assert_allclose(found.shares[:, 1], [0, 1, 0, 0])
        np.testing.assert_allclose(found.known, [1, 0.25])


class TestSites:
    def test_sites_by_hand(self, library, barcode):
        stored, embedder = open_with_model(library)
        (rank, taxon), others = find_taxon(stored, "Aus"), nearest_taxa(stored, "genus", "Aus", 2)
        assert rank == "genus"
        assert {one.name for one in others} == {"Bus", "Cus"}
        found = find_sites(stored, embedder, taxon, others).to_pylist()
        assert [row["coordinate"] for row in found] == [100, 200, 400]
        assert [row["num_distinguished"] for row in found] == [2, 1, 1]
        assert [row["base"] for row in found] == [barcode[at - 1] for at in (100, 200, 400)]
        assert {row["kind"] for row in found} == {PURE}
        assert found[1]["distinguished_from"] == "Bus"
        assert f"Cus {barcode[199]} 1.00" in found[1]["other_bases"]
        begin = reading_frame(embedder.frame)
        assert [row["codon_position"] for row in found] == [(at - 1 - begin) % 3 + 1 for at in (100, 200, 400)]

    def test_base_of_half_of_the_species_is_not_a_site(self, library):
        stored, embedder = open_with_model(library)
        aus, cus = (find_taxon(stored, name)[1] for name in ("Aus", "Cus"))
        found = find_sites(stored, embedder, aus, [cus], 0.6)
        assert found["coordinate"].to_pylist() == [100, 400]  # not 300

    def test_site_with_exceptions_is_nearly_pure(self, library, barcode):
        stored, embedder = open_with_model(library)
        taxa = {name: find_taxon(stored, name)[1] for name in ("Aus", "Bus")}
        # Two of three species of this taxon are Aus, and the third has the bases of Bus.
        records = np.concatenate([taxa["Aus"].records[:2], taxa["Bus"].records[:1]])
        mixed = Taxon("Mixed", records, np.array([*"abc"], object))
        (site,) = (
            row
            for row in find_sites(stored, embedder, mixed, [taxa["Bus"]], 0.6).to_pylist()
            if row["coordinate"] == 100
        )
        assert (site["kind"], site["share"]) == (NEARLY_PURE, pytest.approx(2 / 3))

    def test_unknown_name_has_a_suggestion(self, library):
        stored, _ = open_with_model(library)
        with pytest.raises(ConfigurationError, match=r"Auss: expected a taxon .*; did you mean Aus\?"):
            find_taxon(stored, "Auss")
        with pytest.raises(ConfigurationError, match="Aus: expected a species of the library, got none"):
            find_taxon(stored, "Aus", "species")


class TestCommand:
    def test_table_and_message(self, library, tmp_path, capsys):
        output = tmp_path / "sites.tsv"
        sites([str(library), "Aus", "-o", str(output), "--num-others", "2"])
        rows = list(csv.DictReader(output.open(), delimiter="\t"))
        assert [row["coordinate"] for row in rows] == ["100", "200", "400"]
        printed = capsys.readouterr().out
        assert "Genus Aus (2 species, 3 records) against " in printed
        assert "3 sites" in printed
        assert "1 distinguish it from all of them" in printed
        assert "Bus 2" in printed
        assert "Cus 2" in printed

    def test_given_taxa_of_any_rank(self, library, capfd):
        sites([str(library), "Aus unus", "--against", "Bus bus"])
        assert capfd.readouterr().out.splitlines()[1].startswith("100\t")

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            (["Aus", "--min-share", "0.5"], "expected more than 0.5 and at most 1"),
            (["Aus", "--num-others", "0"], "expected 1 or more"),
            (["Aus", "--against", "Aus"], "Aus: expected another genus to distinguish it from"),
            (["Aus", "--against", "Nus"], "Nus: expected a genus of the library"),
            (["Arthropoda"], "expected another phylum to distinguish it from, got none"),
        ],
    )
    def test_bad_options(self, library, options, error):
        with pytest.raises(ConfigurationError, match=error):
            sites([str(library), *options])
