"""The first sample of a user: references and queries in the files that people have, through the commands."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from barcodemae.cli.calibrate import calibrate as calibrate_command
from barcodemae.cli.cluster import cluster as cluster_command
from barcodemae.cli.identify import identify as identify_command
from barcodemae.cli.index import index as index_command
from barcodemae.cli.split import split as split_command
from barcodemae.data import RANKS, read_records
from barcodemae.errors import BarcodeMAEError
from helpers.reference_records import write_fasta

NUM_SPECIES = 10
LOWER = ("family", "genus", "species")


@pytest.fixture(scope="module")
def barcodes(sample):
    """Four complete barcodes of each of some species, of which names are known at all ranks."""
    complete = pc.and_(pc.greater(pc.utf8_length(sample["nucleotides"]), 600), pc.equal(sample["split"], "train"))
    named = sample.filter(pc.and_(complete, pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$")))
    for rank in RANKS:
        named = named.filter(pc.not_equal(named[rank], ""))
    rows: dict[str, list[int]] = {}
    for row, species in enumerate(named["species"].to_pylist()):
        rows.setdefault(species, []).append(row)
    chosen = [some[:4] for some in rows.values() if len(some) >= 4][:NUM_SPECIES]
    assert len(chosen) == NUM_SPECIES
    return named.take(pa.array([row for some in chosen for row in some]))


@pytest.fixture(scope="module")
def references(barcodes):
    return barcodes.take(pa.array([row for row in range(len(barcodes)) if row % 4]))


@pytest.fixture(scope="module")
def queries(barcodes):
    return barcodes.take(pa.array(range(0, len(barcodes), 4)))


@pytest.fixture(scope="module")
def library(references, tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    index_command([write_fasta(references, folder / "references.fasta"), str(folder / "library")])
    return folder / "library"


def identified(file, library, *options):
    output = file.with_name("results.parquet")
    identify_command([str(file), "--library", str(library), "-o", str(output), *options])
    return pq.read_table(output)


def write(records, folder, header):
    lines = [f">{header(record)}\n{record['nucleotides']}\n" for record in records.to_pylist()]
    (folder / "names.fasta").write_text("".join(lines))
    return folder / "names.fasta"


def joined(record, separator, prefixed=False):
    names = (f"{rank[0]}:{record[rank].replace(' ', '_')}" if prefixed else record[rank] for rank in RANKS)
    return separator.join(names)


HEADERS = {
    "SINTAX with spaces": (
        lambda one: f"{one['id']};tax=k:Animalia, {joined(one, ', ', prefixed=True)};",
        RANKS,
    ),
    "DADA2 assignTaxonomy": (lambda one: f"Animalia;{joined(one, ';')};", RANKS),
    "DADA2 assignSpecies": (lambda one: f"{one['id']} {one['species']}", ("genus", "species")),
    "NCBI": (
        lambda one: f"{one['id']}.1 {one['species']} voucher X cytochrome oxidase subunit I (COI) gene, partial cds",
        ("genus", "species"),
    ),
    "OBITools": (
        lambda one: (
            f"{one['id']} taxid=1; species_name={one['species']}; genus_name={one['genus']}; "
            f"family_name={one['family']}; rank=species;"
        ),
        LOWER,
    ),
    "CRABS": (lambda one: f"{one['id']};Root;Eukaryota;{joined(one, ';').replace(' ', '_')}", RANKS),
    "mkCOInr": (lambda one: f"{one['id']} 123;Metazoa;{joined(one, ';').replace(' ', '_')}", RANKS),
    "COIDB": (lambda one: f"{one['id']} Animalia;{joined(one, ';')};BOLD:AAA0001", RANKS),
    "BOLD with spaces": (lambda one: f"{one['id']} | {one['species']} | COI-5P", ("genus", "species")),
    "RDP with kingdoms": (lambda one: f"{one['id']}\tRoot;Eukaryota;Metazoa;{joined(one, ';')}", RANKS),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_of_reference_databases_give_all_their_names(kind, references, tmp_path):
    header, ranks = HEADERS[kind]
    found = read_records(write(references, tmp_path, header))
    assert {rank: found[rank].to_pylist() for rank in ranks} == {rank: references[rank].to_pylist() for rank in ranks}
    assert set(found["species"].to_pylist()) == set(references["species"].to_pylist())


def test_table_with_epithets_of_a_genus(references, tmp_path):
    epithets = [name.split()[1] for name in references["species"].to_pylist()]
    table = references.select(["id", "nucleotides", "genus"]).append_column("Species", pa.array(epithets))
    pa.csv.write_csv(table, tmp_path / "a.csv")
    assert read_records(tmp_path / "a.csv")["species"].to_pylist() == references["species"].to_pylist()


def test_library_of_species_without_other_ranks(references, queries, tmp_path, capsys):
    pa.csv.write_csv(references.select(["id", "nucleotides", "species"]), tmp_path / "references.csv")
    index_command([str(tmp_path / "references.csv"), str(tmp_path / "library")])
    results = identified(tmp_path / write_named(queries, tmp_path), tmp_path / "library")
    assert results["best_genus"].to_pylist() == queries["genus"].to_pylist()
    assert results["best_species"].to_pylist() == queries["species"].to_pylist()


def write_named(queries, folder):
    return write(queries, folder, lambda one: one["id"]).name


def test_unnamed_species_are_no_species_in_headers_and_tables(references, queries, tmp_path):
    """Half of the species are `Genus sp.` and `unclassified`: their queries are not called by a species."""
    species = references["species"].to_pylist()
    unnamed = {name: f"{name.split()[0]} sp." if number % 4 else "unclassified" for number, name in enumerate(species)}
    changed = [unnamed[name] for name in species]
    column = references.column_names.index("species")
    table = references.set_column(column, references.schema.field("species"), [pa.array(changed, pa.large_string())])
    pa.csv.write_csv(table.select(["id", "nucleotides", *RANKS]), tmp_path / "references.csv")
    fasta = write_fasta(table, tmp_path / "references.fasta")
    for number, file in enumerate((tmp_path / "references.csv", fasta)):
        index_command([str(file), str(tmp_path / f"library-{number}")])
        results = identified(tmp_path / write_named(queries, tmp_path), tmp_path / f"library-{number}")
        assert "species" not in results["call"].to_pylist()
        assert results["best_genus"].to_pylist() == queries["genus"].to_pylist()


def test_queries_with_an_indel_get_the_names_of_complete_ones(library, queries, tmp_path):
    changes = {
        "": lambda text: text,
        "-deleted": lambda text: text[:200] + text[201:],
        "-doubled": lambda text: text[:300] + text[299:],
    }
    rows = [
        {"id": row["id"] + name, "nucleotides": change(row["nucleotides"])}
        for row in queries.to_pylist()
        for name, change in changes.items()
    ]
    results = identified(write(pa.Table.from_pylist(rows), tmp_path, lambda one: one["id"]), library)
    expected = [name for name in queries["species"].to_pylist() for _ in changes]
    assert sum(map(str.__eq__, results["best_species"].to_pylist(), expected)) >= len(expected) - 2
    indels = results["indels"].to_numpy().reshape(len(queries), len(changes))
    assert (indels[:, 1:] > 0).all()


def test_one_record_of_each_species_is_enough_for_an_exact_copy(references, tmp_path, capsys):
    singles = references.take(pa.array(range(0, len(references), 3)))
    index_command([write_fasta(singles, tmp_path / "singles.fasta"), str(tmp_path / "library")])
    assert "Note: species: no held-out record gets a right name" in capsys.readouterr().out
    results = identified(tmp_path / write_named(singles, tmp_path), tmp_path / "library")
    assert results["best_species"].to_pylist() == singles["species"].to_pylist()
    assert min(results["best_species_confidence"].to_pylist()) > 0.5
    assert max(results["novelty"].to_pylist()) < 0.5


def test_calibration_without_queries_of_new_species_keeps_the_own_records(references, queries, tmp_path, capsys):
    half = set(queries["species"].to_pylist()[: NUM_SPECIES // 2])
    is_known = pc.is_in(references["species"], value_set=pa.array(half, references.schema.field("species").type))
    known = write_fasta(references.filter(is_known), tmp_path / "known.fasta")
    index_command([known, str(tmp_path / "library")])
    for file, message in (
        (
            write_fasta(queries.slice(0, NUM_SPECIES // 2), tmp_path / "named.fasta"),
            "named queries of other species: 0",
        ),
        (known, "named queries equal references and were left out"),
    ):
        calibrate_command([str(tmp_path / "library"), "--queries", file])
        assert message in capsys.readouterr().out
        results = identified(tmp_path / write_named(queries.slice(NUM_SPECIES // 2), tmp_path), tmp_path / "library")
        assert "species" not in results["call"].to_pylist()


def test_representative_is_the_most_abundant_and_has_all_reads(queries, tmp_path):
    text = queries["nucleotides"][0].as_py()
    (tmp_path / "asvs.fasta").write_text(f">a;size=900\n{text}\n>b;size=2\n{text[1:]}\n")
    options = ["-o", str(tmp_path / "c.tsv"), "--representatives", str(tmp_path / "c.fasta"), "--threshold", "0.03"]
    cluster_command([str(tmp_path / "asvs.fasta"), *options])
    assert (tmp_path / "c.fasta").read_text().splitlines()[0] == ">a;size=902"
    before = (tmp_path / "asvs.fasta").read_text()
    with pytest.raises(BarcodeMAEError, match="expected another file than"):
        cluster_command([str(tmp_path / "asvs.fasta"), *options[:3], str(tmp_path / "asvs.fasta")])
    assert (tmp_path / "asvs.fasta").read_text() == before


def test_split_can_leave_out_a_damaged_row(barcodes, tmp_path, capsys):
    pa.csv.write_csv(barcodes.select(["id", "nucleotides", *RANKS]), tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    (tmp_path / "a.csv").write_text("\n".join([*lines[:4], "half a row", *lines[4:], ""]))
    options = ["--data", str(tmp_path / "a.csv"), "-o", str(tmp_path / "splits.parquet")]
    with pytest.raises(BarcodeMAEError, match="line 5"):
        split_command(options)
    assert not (tmp_path / "splits.parquet").exists()
    with pytest.raises(BarcodeMAEError, match="a genus with two species"):  # which these few barcodes do not have
        split_command([*options, "--on-error", "skip"])
    assert "Records left out, as they are damaged: 1." in capsys.readouterr().out
