"""Reading of taxonomy tables, and joining them to records."""

import gzip
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from barcodemae.data import RANKS, read_records
from barcodemae.data.taxonomy import join_taxonomy, read_taxonomy
from barcodemae.errors import UnreadableFileError

APIS = {
    "phylum": "Arthropoda",
    "class": "Insecta",
    "order": "Hymenoptera",
    "family": "Apidae",
    "genus": "Apis",
    "species": "Apis mellifera",
}
TAXON = "k__Animalia; p__Arthropoda; c__Insecta; o__Hymenoptera; f__Apidae; g__Apis; s__mellifera"
NOTHING = dict.fromkeys(RANKS, "")


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", f"Feature ID\tTaxon\nx\t{TAXON}\ny\tUnassigned\n"),
        ("a.tsv", f"Feature ID\tTaxon\tConfidence\n#q2:types\ttext\tnumeric\nx\t{TAXON}\t0.9\ny\tUnassigned\t1\n"),
        ("a.txt", f"x\t{TAXON}\ny\tUnassigned\n"),
        ("a.taxon", f"x\t{TAXON}\t0.9\n\ny\tUnassigned\t0.5\n"),
        ("a.tsv", f"#OTU ID\ttaxonomy\nx\t{TAXON}\ny\t\n"),
        ("a.tsv", "id\tTaxon\nx\tRoot;Animalia;Arthropoda;Insecta;Hymenoptera;Apidae;Apis;Apis mellifera\ny\tRoot;\n"),
        ("a.csv", f"id,{','.join(RANKS)}\nx,{','.join(APIS.values())}\ny,,None, ,NA,,nan\n"),
        ("a.csv", "processid,note,species_name,genus_name,family,order,class,phylum\n"
                  "x,,Apis mellifera,Apis,Apidae,Hymenoptera,Insecta,Arthropoda\ny,,,,,,,\n"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("compress", [False, True])
def test_formats_agree(write, name, content, compress):
    path = write(f"{name}.gz", gzip.compress(content.encode(), mtime=0)) if compress else write(name, content)
    assert read_taxonomy(path).to_pylist() == [{"id": "x", **APIS}, {"id": "y", **NOTHING}]


def test_taxon_ids_of_midori_are_removed_from_names(write):
    taxa = (
        "k__Eukaryota_2759;p__Chordata_7711;c__Actinopteri_186623;o__order_Percichthyidae_8162;f__Percichthyidae_8162"
    )
    path = write("a.taxon", f"AB1.1.<1.>8\t{taxa};g__Macquaria_45782;s__Macquaria ambigua_135764\n")
    assert list(read_taxonomy(path).to_pylist()[0].values()) == [
        "AB1.1.<1.>8",
        "Chordata",
        "Actinopteri",
        "",
        "Percichthyidae",
        "Macquaria",
        "Macquaria ambigua",
    ]


def test_repeated_id_with_equal_names(write):
    path = write("a.csv", "id,genus\nx,Apis\ny,Bombus\nx,Apis\n")
    assert read_taxonomy(path)["id"].to_pylist() == ["x", "y"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "a.csv: expected records, got an empty file"),
        ("a.csv", "id,genus\n", "a.csv: expected taxonomies, got a header only"),
        ("a.csv", "id,note\nx,y\n", "a.csv: expected a column of ids .* got the columns id, note"),
        ("a.csv", "genus,species\nx,y\n", "a.csv: expected a column of ids .* got the columns genus, species"),
        ("a.tsv", "id\tTaxon\nx\tApis\n", "a.tsv: expected the names of ranks .*, got none"),
        ("a.csv", "id,genus\nx,Apis\ny\n", "a.csv, line 3: expected 2 columns, as in the header, got 1"),
        ("a.csv", "id,genus\nx,Apis\n ,Apis\n", "a.csv, line 3: expected an id, got an empty value"),
        ("a.tsv", f"\t{TAXON}\n", "a.tsv, line 1: expected an id, got an empty value"),
        ("a.xlsx", "", "a.xlsx: expected records, got an empty file"),
        ("a.csv.gz", gzip.compress(b"id,genus\nx,Apis\n", mtime=0)[:-9], "a.csv.gz: expected a complete gzip file"),
        (
            "a.csv",
            "id,genus\nx,Apis\ny,Apis\n\nx,Bombus\n",
            "a.csv, line 5: expected one taxonomy for 'x', got another one than on line 2",
        ),
    ],
)
def test_broken_table(write, name, content, message):
    with pytest.raises(UnreadableFileError, match=message):
        read_taxonomy(write(name, content))


def test_missing_table(tmp_path):
    with pytest.raises(UnreadableFileError, match=r"gone.tsv: expected a readable file"):
        read_taxonomy(tmp_path / "gone.tsv")


def test_join_replaces_ranks_by_id_and_counts_missing_ids(write, caplog):
    records = read_records(write("a.fa", ">y;tax=g:Bombus\nAC\n>x;tax=g:Vespa,s:Vespa_crabro\nGT\n>x\nA\n"))
    caplog.clear()
    taxonomy = read_taxonomy(write("a.tsv", f"x\t{TAXON}\nz\t{TAXON}\n"))
    with caplog.at_level(logging.WARNING):
        joined = join_taxonomy(records, taxonomy)
    assert joined.schema == records.schema
    assert [[row[rank] for rank in RANKS] for row in joined.to_pylist()] == [
        ["", "", "", "", "Bombus", ""],
        list(APIS.values()),
        list(APIS.values()),
    ]
    assert joined.drop_columns(list(RANKS)).equals(records.drop_columns(list(RANKS)))
    assert [entry.getMessage() for entry in caplog.records] == [
        "1 of 3 records are not in the taxonomy table: they keep their own names"
    ]


def test_join_without_missing_ids_logs_nothing(write, caplog):
    records = read_records(write("a.fa", ">x\nAC\n"))
    caplog.clear()
    join_taxonomy(records, read_taxonomy(write("a.tsv", f"x\t{TAXON}\n")))
    assert not caplog.records


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.from_regex("[a-z]{1,5}", fullmatch=True), st.sampled_from(["Apis", "Bombus", ""]), min_size=1)
)
def test_round_trip(write, genera):
    genera = {"first": "Apis", **genera}
    path = write("a.csv", "id,genus\n" + "".join(f"{name},{genus}\n" for name, genus in genera.items()))
    assert {row["id"]: row["genus"] for row in read_taxonomy(path).to_pylist()} == genera


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=200) | st.text('id,taxongeus\t\n_;k p"#\r').map(str.encode), st.sampled_from([".tsv", ".csv"])
)
def test_any_bytes_give_a_table_or_an_error(write, content, extension):
    try:
        table = read_taxonomy(write(f"a{extension}", content))
    except UnreadableFileError:
        return
    assert table.column_names == ["id", *RANKS]
