"""Ids and ranks in headers of each format."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.data import RANKS
from barcodemae.data.headers import is_lineage, read_header
from barcodemae.data.names import clean_names

APIS = ["Arthropoda", "Insecta", "Hymenoptera", "Apidae", "Apis", "Apis mellifera"]
CLYDONELLA = ["Discosea", "Flabellinia", "", "Vannellidae", "Clydonella", "Clydonella sawyeri"]
MOTH = ["Arthropoda", "Insecta", "Lepidoptera", "Geometridae", "Oenochroma", "Oenochroma vinaria"]
NOTHING = [""] * len(RANKS)

MIDORI = "root_1;Eukaryota_2759;Discosea_555280;Flabellinia_1485085;order_Vannellidae_95227;Vannellidae_95227"
MIDORI_ALL = (
    "root_1;norank_cellular_organisms_131567;superkingdom_Eukaryota_2759;clade_Opisthokonta_33154;kingdom_Metazoa_33208"
    ";phylum_Chordata_7711;subphylum_Craniata_89593;superclass_Sarcopterygii_8287;subclass_Testudinata_2841271"
    ";order_Testudines_8459;suborder_Pleurodira_8460;family_Pelomedusidae_44515;genus_Pelusios_44525"
    ";species_Pelusios nanus_911725"
)
PELUSIOS = ["Chordata", "", "Testudines", "Pelomedusidae", "Pelusios", "Pelusios nanus"]

HEADERS = {
    # SINTAX
    "x;tax=k:Animalia,p:Arthropoda,c:Insecta,o:Hymenoptera,f:Apidae,g:Apis,s:Apis_mellifera;": ("x", APIS),
    "x;size=3;tax=d:Eukaryota,k:Animalia,p:Arthropoda,c:Insecta,o:Hymenoptera,f:Apidae,g:Apis,s:Apis_mellifera;a=1;": (
        "x;size=3",
        APIS,
    ),
    # QIIME 2, Greengenes, UNITE
    "x k__Animalia; p__Arthropoda; c__Insecta; o__Hymenoptera; f__Apidae; g__Apis; s__Apis mellifera": ("x", APIS),
    "x\td__Eukaryota;p__Arthropoda;c__Insecta;o__Hymenoptera;f__Apidae;g__Apis;s__mellifera": ("x", APIS),
    "x;k__Animalia;p__Arthropoda;c__Insecta;o__Hymenoptera;f__Apidae;g__Apis;s__Apis_mellifera": ("x", APIS),
    "B_edulis|MT1|SH1.10FU|refs|k__Fungi;p__Basidiomycota;c__;o__;f__;g__Boletus;s__Boletus_edulis|SH1.10FU": (
        "B_edulis|MT1|SH1.10FU|refs",
        ["Basidiomycota", "", "", "", "Boletus", "Boletus edulis"],
    ),
    # RDP
    "S1 Apis; Z\tLineage=Root;rootrank;Animalia;domain;Arthropoda;phylum;Insecta;class;Pterygota;subclass;"
    'Hymenoptera;order;"Apidae";family;Apis;genus': ("S1", [*APIS[:5], ""]),
    "x\tRoot;Animalia;Arthropoda;Insecta;Hymenoptera;Apidae;Apis;Apis mellifera": ("x", APIS),
    "x\tRoot;Animalia;Arthropoda;Insecta;Hymenoptera": ("x", [*APIS[:3], "", "", ""]),
    "x cellularOrganisms;Eukaryota;Metazoa;Arthropoda;Insecta;Hymenoptera;Apidae;Apis;Apis_mellifera": ("x", APIS),
    "x cellularOrganisms;Eukaryota;undef_Eukaryota;undef_undef_Eukaryota;Insecta;Hymenoptera;Apidae;Apis;Apis_cerana": (
        "x",
        ["", *APIS[1:5], "Apis cerana"],
    ),
    "x cellularOrganisms;Eukaryota_2759;Metazoa_33208;Arthropoda_6656;Malacostraca_6681;Decapoda_6683;Paguridae_6745"
    ";Paguridae_6745_genus;Paguridae_6745_genus_species": (
        "x",
        ["Arthropoda", "Malacostraca", "Decapoda", "Paguridae", "", ""],
    ),
    # MIDORI2: RDP, BLAST, all levels, SINTAX, QIIME
    f"MG1.1.<1.>690\t{MIDORI};Clydonella_218657;Clydonella sawyeri_2201168": ("MG1.1.<1.>690", CLYDONELLA),
    f"MG1.1.<1.>690###{MIDORI};Clydonella_218657;Clydonella_sawyeri_2201168": ("MG1.1.<1.>690", CLYDONELLA),
    f"LN8.1.<1.>392 {MIDORI_ALL}": ("LN8.1.<1.>392", PELUSIOS),
    "AB1.1.<1.>8;tax=k:Eukaryota_2759,p:Arthropoda_6656,c:class_order_X sp._1,f:Culicidae_7157,g:Culex_7174,s:Culex "
    "pipiens, form molestus_7175;": (
        "AB1.1.<1.>8",
        ["Arthropoda", "", "", "Culicidae", "Culex", "Culex pipiens"],
    ),
    "MH5.1.<1.>890\tk__Eukaryota_2759;p__phylum_class_genus_Amoebozoa sp._18;c__class_genus_Amoebozoa sp._18"
    ";g__genus_Amoebozoa sp._18;s__Amoebozoa sp._18": ("MH5.1.<1.>890", NOTHING),
    # BOLD 3 and 4
    "ANGBF10913-15|Apis mellifera|COI-5P|KJ146022": ("ANGBF10913-15", ["", "", "", "", "Apis", "Apis mellifera"]),
    "SIMP208-19|Apis mellifera carnica|COI-5P": ("SIMP208-19", ["", "", "", "", "Apis", "Apis mellifera"]),
    "BLPEF264-12|Apis sp. 5|COI-5P": ("BLPEF264-12", ["", "", "", "", "Apis", ""]),
    "BLPEF264-12|Noctuidae|COI-5P|": ("BLPEF264-12", ["", "", "", "Noctuidae", "", ""]),
    "BLPEF264-12|Lepidoptera|COI-5P": ("BLPEF264-12", NOTHING),
    "ASHYC4602-10|chalJanzen01 Janzen36|COI-5P": ("ASHYC4602-10", NOTHING),
    # BOLD 5
    **{
        f"AANIC003-10|COI-5P|Costa Rica|Animalia,{','.join(MOTH[:4])},Oenochrominae,{tail}": ("AANIC003-10", MOTH)
        for tail in (
            "Oenochroma,Oenochroma vinaria",
            "None,Oenochroma,Oenochroma vinaria",
            "None,Oenochroma,Oenochroma vinaria,None",
        )
    },
    "AANIC003-10|COI-5P|None|Animalia,Arthropoda,Insecta,None,None,None,None,None,None": (
        "AANIC003-10",
        ["Arthropoda", "Insecta", "", "", "", ""],
    ),
    # None of these
    "x first one": ("x", NOTHING),
    "z;size=3": ("z;size=3", NOTHING),
    "gi|12345|gb|AF001.1| Apis mellifera COI; mitochondrial": (
        "gi|12345|gb|AF001.1|",
        ["", "", "", "", "Apis", "Apis mellifera"],
    ),
    "a|b|c": ("a|b|c", NOTHING),
    "": ("", NOTHING),
}


def read(headers):
    found = [read_header(header) for header in headers]
    raw = {rank: pa.array([one.names.get(rank, "") for one in found], pa.large_string()) for rank in RANKS}
    names = clean_names(raw)
    columns = [[one.id for one in found], *(names[rank].to_pylist() for rank in RANKS)]
    return [(row_id, list(ranks)) for row_id, *ranks in zip(*columns, strict=True)]


@pytest.mark.parametrize("header", HEADERS)
def test_formats(header):
    assert read([header]) == [HEADERS[header]]


def test_mixed_formats():
    headers = [*HEADERS, *reversed(HEADERS)]
    assert read(headers) == [HEADERS[header] for header in headers]


@pytest.mark.parametrize(
    "unknown",
    [
        "",
        "unclassified",
        "Unclassified Apidae",
        "NA",
        "None",
        "unidentified",
        "Unassigned",
        "Apidae_fam_Incertae_sedis",
    ],
)
def test_words_for_unknown_ranks_become_the_empty_string(unknown):
    ((_, ranks),) = read([f"x k__Animalia; p__Arthropoda; f__{unknown}; g__Apis; s__"])
    assert ranks == ["Arthropoda", "", "", "", "Apis", ""]


@pytest.mark.parametrize(
    ("species", "expected"),
    [
        ("mellifera", "Apis mellifera"),
        ("mellifera_carnica", "Apis mellifera"),
        ("Apis_mellifera", "Apis mellifera"),
        ("Apis_sp.", ""),
        ("sp.", ""),
        ("Apis sp. BOLD:AAA0001", ""),
        ("Apis_cf._mellifera", ""),
        ("Apis spinosa", "Apis spinosa"),
        ("uncultured bee", ""),
    ],
)
def test_species_is_a_complete_name_or_unknown(species, expected):
    ((_, ranks),) = read([f"x k__Animalia; g__Apis; s__{species}"])
    assert ranks[-1] == expected


def test_epithet_without_genus_is_not_a_species():
    assert read(["x k__Animalia; g__; s__mellifera"]) == [("x", NOTHING)]


def test_number_is_a_taxon_id_only_if_other_names_have_one():
    ((_, ranks),) = read(["x;tax=k:Animalia,g:Apis,s:Apis_nova_7"])
    assert ranks[-1] == "Apis nova 7"


def test_is_lineage():
    texts = ("x", "k__Animalia; p__Arthropoda", "a|b", "Taxon")
    assert [is_lineage(text) for text in texts] == [False, True, False, False]


@given(st.lists(st.text("aA|;_:,= \t#123-pkgs.é") | st.sampled_from(list(HEADERS))))
def test_headers_do_not_influence_each_other(headers):
    assert read(headers) == [read([header])[0] for header in headers]
