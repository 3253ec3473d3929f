"""Cleaning of taxon names, and inheritance of higher ranks."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.data import RANKS, read_records
from barcodemae.data.names import clean_names, clean_species, clean_taxon, inherit_ranks
from barcodemae.data.taxonomy import read_taxonomy

MELLIFERA = ("Apis", "Apis mellifera")
ONLY_GENUS = ("Apis", "")
NAMES = {
    **dict.fromkeys(
        [
            *("Apis mellifera", "Apis_mellifera", "Apis  mellifera ", '"Apis mellifera"', "s__Apis_mellifera"),
            *("Apis mellifera Linnaeus, 1758", "Apis mellifera (L.)", "Apis mellifera L.", "Apis mellifera L"),
            *("Apis mellifera (Linnaeus 1758)", "Apis (Apis) mellifera", "Apis mellifera De Geer & Smith, 1773"),
            *("Apis mellifera carnica", "Apis mellifera ssp. carnica", "Apis mellifera var. carnica Pollmann, 1879"),
            *("Apis mellifera voucher 7", "Apis mellifera BOLD:AAA2326", "Apis mellifera sp. nov.", "APIS MELLIFERA"),
            *("Apis mellifera, form molestus", "[Apis] mellifera", "Apis mellifera cf. carnica"),
        ],
        MELLIFERA,
    ),
    **dict.fromkeys(
        [
            *(
                "Apis sp.",
                "Apis sp",
                "Apis_sp.",
                "Apis spp.",
                "Apis sp. 5",
                "Apis sp5",
                "Apis sp.1",
                "Apis sp. AB-2010",
            ),
            *("Apis cf. mellifera", "Apis cf mellifera", "Apis_cf._mellifera", "Apis aff. cerana", "Apis nr. cerana"),
            *("Apis near cerana", "Apis n. sp.", "Apis sp. nov.", "Apis sp.n.", "Apis indet.", "Apis ?mellifera"),
            *("Apis mellifera?", "Apis BOLD:AAA2326", "Apis sp. BOLD:AAA2326", "Apis Linnaeus, 1758", "Apis"),
            *(
                "Apis mellifera x Apis cerana",
                "Apis mellifera \u00d7 cerana",
                "Apis mellifera group",
                "Apis mellifera/cerana",
            ),
            *("Apis mellifera complex", "Apis mellifera or cerana", "Apis mellifera hybrid", "Apis species"),
        ],
        ONLY_GENUS,
    ),
    **dict.fromkeys(
        [
            *(
                "",
                "NA",
                "uncultured bee",
                "uncultured Apis",
                "Apis environmental sample",
                "unclassified Apis",
                "Apis_X",
            ),
            *("Apidae gen. sp.", "Apidae sp.", "Apidae", "Diptera sp.", "BOLD:AAA2326", "mellifera", "cf. Apis cerana"),
            *("Ambiguous_taxa", "unidentified", "Apis_unclassified", "Fungi_gen_Incertae_sedis", "gut metagenome", "-"),
        ],
        ("", ""),
    ),
    "Apis spinosa": ("Apis", "Apis spinosa"),
    "Mentha \u00d7 piperita": ("Mentha", "Mentha x piperita"),
    "Temnothorax JTL015": ("Temnothorax", "Temnothorax JTL015"),
    "Apis nova 7": ("Apis", "Apis nova 7"),
    "Aëdes vexans": ("Aëdes", "Aëdes vexans"),
}


@pytest.mark.parametrize("name", NAMES)
def test_genus_and_species_of_a_name(name):
    assert clean_species("", name) == NAMES[name]


@pytest.mark.parametrize(
    ("genus", "species", "expected"),
    [
        ("Apis", "mellifera", MELLIFERA),
        ("Apis", "mellifera carnica", MELLIFERA),
        ("Apis", "A. mellifera", MELLIFERA),
        ("Apis", "apis mellifera", MELLIFERA),
        ("Apis Linnaeus, 1758", "mellifera", MELLIFERA),
        ("g__Apis", "s__mellifera", MELLIFERA),
        ("Apis sp.", "", ONLY_GENUS),
        ("Apis", "BOLD:AAA2326", ONLY_GENUS),
        ("Apis", "Apidae", ONLY_GENUS),
        ("uncultured", "mellifera", ("", "")),
        ("gelJanzen01", "gelJanzen01 Janzen317", ("gelJanzen01", "gelJanzen01 Janzen317")),
    ],
)
def test_species_beside_a_genus(genus, species, expected):
    assert clean_species(genus, species) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, "Apidae") for name in ("Apidae", "f__Apidae", "Apidae Latreille, 1802", "Apidae(100)", "APIDAE")),
        *(
            (name, "")
            for name in ("Apidae_X", "Apidae_XX", "?Apidae", "unknown family", "Apidae_fa", "undef_Apidae", "NA")
        ),
    ],
)
def test_names_above_the_genus(name, expected):
    assert clean_taxon(name) == expected


@given(st.text("Apis mx\u00d7.cf()L,1?_-BOLD:A", max_size=30), st.text("Apis m.", max_size=8))
def test_cleaning_again_changes_nothing(species, genus):
    first = clean_species(genus, species)
    assert clean_species(*first) == first


@pytest.mark.parametrize("name", [name for name in NAMES if "," not in name and '"' not in name])
def test_headers_tables_and_taxonomies_agree(name, tmp_path):
    (tmp_path / "a.fasta").write_text(f">x;tax=g:,s:{name.replace(' ', '_')};\nACGT\n", "utf-8")
    (tmp_path / "a.tsv").write_text(f"id\tnuc\tspecies\nx\tACGT\t{name}\n", "utf-8")
    (tmp_path / "t.tsv").write_text(f"id\tgenus\tspecies\ny\tVespa\t\nx\t\t{name}\n", "utf-8")
    rows = [
        read_records(tmp_path / "a.fasta").to_pylist()[0],
        read_records(tmp_path / "a.tsv").to_pylist()[0],
        read_taxonomy(tmp_path / "t.tsv").to_pylist()[1],
    ]
    assert [(row["genus"], row["species"]) for row in rows] == [NAMES[name]] * 3


def table(*rows):
    return pa.table({rank: pa.array([row[i] for row in rows], pa.large_string()) for i, rank in enumerate(RANKS)})


def test_higher_ranks_are_inherited_where_they_are_unambiguous():
    known = ["Arthropoda", "Insecta", "Hymenoptera", "Apidae", "Apis", "Apis cerana"]
    found = inherit_ranks(
        table(
            known,
            ["", "", "", "", "Apis", "Apis mellifera"],
            ["", "", "", "Apidae", "", ""],
            # A homonym in two phyla.
            ["Arthropoda", "Insecta", "Lepidoptera", "Xidae", "Homo", ""],
            ["Chordata", "Mammalia", "Primates", "Hominidae", "Homo", ""],
            ["", "", "", "", "Homo", ""],
            # A genus in two families of one order.
            ["Arthropoda", "Insecta", "Diptera", "Aidae", "Musca", ""],
            ["Arthropoda", "Insecta", "Diptera", "Bidae", "Musca", ""],
            ["", "", "", "", "Musca", ""],
        )
    )
    rows = [list(row.values()) for row in found.to_pylist()]
    assert rows[1] == [*known[:5], "Apis mellifera"]
    assert rows[2] == [*known[:4], "", ""]
    assert rows[5] == ["", "", "", "", "Homo", ""]
    assert rows[8] == ["Arthropoda", "Insecta", "Diptera", "", "Musca", ""]


def test_missing_columns_are_unknown():
    names = clean_names({"species": pa.array(["Apis mellifera", None])})
    assert names["genus"].to_pylist() == ["Apis", ""]
    assert names["phylum"].to_pylist() == ["", ""]
