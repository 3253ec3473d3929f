"""Checks of references and sequences: labels, names, reading frames and chimeras, and the command."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import barcodemae
from barcodemae.cli.check import check
from barcodemae.cli.index import index
from barcodemae.data.schema import RANKS
from barcodemae.errors import BarcodeMAEError, ConfigurationError, LibraryError
from barcodemae.library.building import remove_records
from barcodemae.library.checking.chimeras import MIN_PART, find_chimeras, find_chimeras_among
from barcodemae.library.checking.labels import NEARER_TO_OTHERS, SURROUNDED, find_suspects
from barcodemae.library.checking.names import (
    CONTRADICTION,
    HOMONYM,
    LONE,
    SHARED,
    SYNONYM,
    VARIANT,
    find_doubtful_names,
)
from barcodemae.library.checking.reading_frame import count_frame_shifts, count_stops, describe_reading, reading_frame
from barcodemae.library.models import find_neighbours
from barcodemae.library.search.evidence import RankNames
from barcodemae.library.search.marker import read_on_marker
from barcodemae.library.store.stored import StoredLibrary
from helpers.reference_records import OneHotEmbedder, library_of, write_fasta
from tokenization_barcodemae import ReferenceFrame

COI = ReferenceFrame.coi()
BEGIN = 1


def with_names(records, row, **names):
    """The records, one of them under other names."""
    rows = records.to_pylist()
    rows[row] |= names
    return pa.Table.from_pylist(rows, records.schema)


@pytest.fixture(scope="module")
def records(sample):
    """Six barcodes of each of two species of different genera."""
    named = sample.filter(pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$"))
    named = named.filter(pc.greater_equal(pc.utf8_length(named["nucleotides"]), 600))
    counts = named.group_by(["genus", "species"]).aggregate([("id", "count")]).sort_by("species")
    chosen: dict[str, str] = {}
    for row in counts.filter(pc.greater_equal(counts["id_count"], 6)).to_pylist():
        chosen.setdefault(row["genus"], row["species"])
    parts = [named.filter(pc.equal(named["species"], name)).slice(0, 6) for name in list(chosen.values())[:2]]
    return pa.concat_tables(parts)


def names_of(records, row):
    return {rank: records[rank][row].as_py() for rank in RANKS}


def suspects(records, folder):
    library = StoredLibrary.open(library_of(records, folder))
    ids = library.names()["id"]
    return {ids[one.record].as_py(): one.reason for one in find_suspects(library)}


def test_true_labels_are_not_suspected(records, tmp_path):
    assert suspects(records, tmp_path) == {}


def test_records_without_names_are_not_suspected(records, tmp_path):
    nameless = [row | dict.fromkeys(RANKS, "") for row in records.to_pylist()]
    assert suspects(pa.Table.from_pylist(nameless, records.schema), tmp_path) == {}


def test_record_under_the_name_of_another_genus_is_suspected(records, tmp_path):
    changed = with_names(records, 0, **names_of(records, 6))
    assert suspects(changed, tmp_path) == {records["id"][0].as_py(): NEARER_TO_OTHERS}


@pytest.mark.parametrize(("num_right", "num_wrong"), [(8, 2), (6, 2), (4, 4)])
def test_records_that_are_mislabelled_alike_are_suspected_if_they_are_a_minority(
    records, tmp_path, num_right, num_wrong
):
    """Copies have other ids, and a few bases less."""
    rows = records.to_pylist()
    right = [rows[number % 6] | {"id": f"right_{number}"} for number in range(num_right)]
    wrong = [rows[6] | names_of(records, 0) | {"id": f"wrong_{number}"} for number in range(num_wrong)]
    for number, row in enumerate(right + wrong):
        row["nucleotides"] = row["nucleotides"][number:]
    changed = pa.Table.from_pylist(right + wrong + rows[7:], records.schema)
    expected = {row["id"] for row in wrong} if num_right >= 4 * num_wrong else set()
    assert suspects(changed, tmp_path) == dict.fromkeys(expected, NEARER_TO_OTHERS)


def test_lone_record_among_another_genus_is_suspected(records, tmp_path):
    copies = [records["nucleotides"][0].as_py()] * 4
    rows = records.slice(0, 4).to_pylist()
    for row, text in zip(rows, copies, strict=True):
        row["nucleotides"] = text
    changed = with_names(pa.Table.from_pylist(rows, records.schema), 0, genus="Aus", species="Aus albus")
    assert suspects(changed, tmp_path) == {records["id"][0].as_py(): SURROUNDED}


def test_removed_suspects_are_still_listed(records, tmp_path):
    suspect = records["id"][0].as_py()
    folder = library_of(with_names(records, 0, **names_of(records, 6)), tmp_path)
    remove_records(folder, [suspect])
    library = StoredLibrary.open(folder)
    assert [library.names()["id"][one.record].as_py() for one in find_suspects(library)] == [suspect]


def library_of_names(rows, bases):
    """What is read of a library to check its names."""
    filled = [{name: row.get(name, "") for name in ("id", *RANKS, "bin")} for row in rows]
    bases = np.array(bases, np.int8)[:, None]
    return SimpleNamespace(
        names=lambda: pa.Table.from_pylist(filled), live=np.arange(len(rows)), bases=lambda numbers: bases[numbers]
    )


def reasons(rows, bases):
    return {(one.reason, one.name, one.others) for one in find_doubtful_names(library_of_names(rows, bases))}


def test_names_of_one_barcode_are_shared_and_synonyms_by_their_epithets():
    rows = [{"species": "Aus albus"}, {"species": "Bus alba"}, {"species": "Bus niger"}] * 2
    found = {one for one in reasons(rows, [0, 0, 1] * 2) if one[0] != LONE}
    assert found == {
        (SHARED, "Aus albus", ("Bus alba",)),
        (SHARED, "Bus alba", ("Aus albus",)),
        (SYNONYM, "Aus albus", ("Bus alba",)),
        (SYNONYM, "Bus alba", ("Aus albus",)),
    }


def test_names_of_one_bin_with_one_epithet_are_synonyms():
    rows = [{"species": name, "bin": "BOLD:AAA0001"} for name in ("Aus smithi", "Aus smithii", "Aus niger")] * 2
    found = reasons(rows, range(6))
    assert found == {(SYNONYM, "Aus smithi", ("Aus smithii",)), (SYNONYM, "Aus smithii", ("Aus smithi",))}


def test_names_with_and_without_author_are_variants():
    names = ("Aus albus", "Aus albus Linnaeus, 1758")
    assert reasons([{"species": name} for name in names] * 2, range(4)) == {
        (VARIANT, names[0], names[1:]),
        (VARIANT, names[1], names[:1]),
    }


def test_genus_in_two_families_contradicts_and_in_two_orders_is_a_homonym():
    rows = [
        {"order": "One", "family": "Aidae", "genus": "Aus"},
        {"order": "One", "family": "Bidae", "genus": "Aus"},
        {"order": "One", "family": "Cidae", "genus": "Cus"},
        {"order": "Two", "family": "Didae", "genus": "Cus"},
    ]
    assert reasons(rows, range(4)) == {(CONTRADICTION, "Aus", ("Aidae", "Bidae")), (HOMONYM, "Cus", ("One", "Two"))}


def test_species_with_one_record_is_listed():
    rows = [{"species": name} for name in ("Aus albus", "Aus albus", "Bus niger", "")]
    assert reasons(rows, range(4)) == {(LONE, "Bus niger", ())}


def test_reading_frame_is_that_of_the_marker():
    assert reading_frame(COI) == BEGIN
    assert reading_frame(ReferenceFrame(np.full((300, 4), 0.25), 0.1)) is None


@pytest.mark.parametrize(
    ("codon", "lineage", "num_stops"),
    [
        ("TAA", ("Arthropoda", "Insecta"), 1),
        ("TAG", ("", ""), 1),
        ("TGA", ("Arthropoda", "Insecta"), 0),
        ("TGA", ("Streptophyta", "Magnoliopsida"), 1),
        ("AGA", ("Chordata", "Aves"), 1),
        ("AGG", ("Chordata", "Ascidiacea"), 0),
        ("AGA", ("Chordata", ""), 0),
        ("TAA", ("Platyhelminthes", "Trematoda"), 0),
        ("TAA", ("", ""), 1),
        ("TNA", ("Arthropoda", "Insecta"), 0),
    ],
)
def test_stops_depend_on_the_genetic_code(codon, lineage, num_stops):
    bases = np.array(["ACGTN".index(base) if base != "N" else -1 for base in "G" + "CTA" + codon + "TA"], np.int8)
    assert count_stops(bases[None], BEGIN, [lineage]).tolist() == [num_stops]


def test_barcodes_have_no_stops(full_length_barcodes):
    read = read_on_marker(full_length_barcodes[:500], COI)
    stops = count_stops(read.bases, BEGIN, [("Arthropoda", "Insecta")] * len(read.bases))
    assert (stops > 0).mean() <= 0.01


@pytest.mark.parametrize(("num_deleted", "num_shifts"), [(0, 0), (1, 1), (2, 1), (3, 0)])
def test_indel_that_is_not_of_complete_codons_shifts_the_frame(num_deleted, num_shifts, full_length_barcodes):
    placement = COI.place([text[:300] + text[300 + num_deleted :] for text in full_length_barcodes[:40]])
    assert np.mean(count_frame_shifts(placement) == num_shifts) >= 0.9


def test_what_is_wrong_is_said_in_words():
    assert [describe_reading(*counts) for counts in ((0, 0), (1, 0), (2, 1))] == [
        "",
        "1 stop codon",
        "2 stop codons, 1 frame shift",
    ]


def test_two_halves_of_two_genera_are_a_chimera(records, tmp_path):
    library = StoredLibrary.open(library_of(records, tmp_path))
    first, second = (read_on_marker(records["nucleotides"].slice(row, 1).to_pylist(), COI).bases[0] for row in (0, 6))
    middle = 320
    joined = [
        "".join("ACGTN"[base] for base in (*one[:middle], *two[middle:])).strip("N") for one, two in ((first, second),)
    ]
    made = read_on_marker([*joined, *records["nucleotides"].to_pylist()], COI)
    genus = RankNames(library.names()["genus"]).numbers
    (found,) = find_chimeras(library, genus, OneHotEmbedder(), made)
    assert found.query == 0
    assert library.names()["species"].take([found.first, found.second]).to_pylist() == [
        records["species"][row].as_py() for row in (0, 6)
    ]
    assert found.identity == 1
    assert abs(found.coordinate - middle) < 40 < MIN_PART


def test_chimera_is_found_among_the_references_near_it(records, tmp_path):
    library = StoredLibrary.open(library_of(records, tmp_path))
    genus = RankNames(library.names()["genus"]).numbers
    first, second = (records["nucleotides"][row].as_py() for row in (0, 6))
    bases = [read_on_marker([text], COI).bases[0] for text in (first, second)]
    joined = "".join("ACGTN"[base] for base in (*bases[0][:400], *bases[1][400:])).strip("N")
    queries = read_on_marker([joined, *records["nucleotides"].to_pylist()], COI)
    found = find_neighbours(library, OneHotEmbedder(), queries)
    (chimera,) = find_chimeras_among(library, genus, queries, found)
    assert (chimera.query, chimera.identity) == (0, 1)
    assert {genus[chimera.first], genus[chimera.second]} == {genus[0], genus[6]}


def test_queries_have_notes(records, tmp_path):
    copy = records.slice(0, 1).to_pylist()[0] | {"id": "copy", "genus": "Aus", "species": "Aus albus"}
    named = pa.Table.from_pylist([*records.to_pylist(), copy], records.schema)
    library = barcodemae.Library.build(write_fasta(named, tmp_path / "r.fasta"), tmp_path / "library")
    text, other = (records["nucleotides"][row].as_py() for row in (0, 6))
    notes = library.identify([text, other[:31] + "TAA" + other[34:], other[:300] + other[301:], other, "ACGT"])["notes"]
    shared, *others = notes.to_pylist()
    start = "nearest barcode shared by "
    assert shared.startswith(start)
    assert set(shared.removeprefix(start).split(", ")) == {records["species"][0].as_py(), "Aus albus"}
    assert others == ["1 stop codon", "1 frame shift", "", ""]


class TestCommand:
    @pytest.fixture
    def library(self, records, tmp_path):
        source = write_fasta(with_names(records, 0, **names_of(records, 6)), tmp_path / "r.fasta")
        index([source, "-o", str(tmp_path / "library")])
        return tmp_path / "library"

    def test_library_is_checked(self, records, library, tmp_path, capsys):
        capsys.readouterr()
        check([str(library), "-o", str(tmp_path / "found.tsv")])
        header, *lines = [line.split("\t") for line in (tmp_path / "found.tsv").read_text().splitlines()]
        found = [dict(zip(header, line, strict=True)) for line in lines]
        suspect = next(row for row in found if row["reason"] == NEARER_TO_OTHERS)
        assert suspect["id"] == records["id"][0].as_py()
        assert suspect["other_names"] == records["species"][0].as_py()
        assert float(suspect["identity"]) > float(suspect["own_identity"]) + 0.02
        assert f"12 records of {library}: {NEARER_TO_OTHERS} 1" in capsys.readouterr().out

    def test_suspects_are_left_out_and_still_listed(self, records, tmp_path, capsys):
        source = write_fasta(with_names(records, 0, **names_of(records, 6)), tmp_path / "r.fasta")
        folder, suspect = tmp_path / "library", records["id"][0].as_py()
        command = [source, "-o", str(folder), "--exclude-suspects"]
        index(command)
        assert f"doubtful labels: 1 (such as {suspect}), left out." in capsys.readouterr().out
        library = StoredLibrary.open(folder)
        assert library.names()["id"].take(pa.array(library.removed)).to_pylist() == [suspect]
        for repeated in (command, [source, "-o", str(folder), "--append"]):
            index(repeated)
            assert "nothing was added" in capsys.readouterr().out
        with pytest.raises(LibraryError, match="expected a folder without a library"):
            index([source, "-o", str(folder)])
        check([str(folder), "-o", str(tmp_path / "found.tsv")])
        lines = (tmp_path / "found.tsv").read_text().splitlines()
        line = next(line for line in lines if line.startswith(NEARER_TO_OTHERS))
        assert (line.split("\t")[1], line.split("\t")[-1]) == (suspect, "removed")

    def test_suspects_are_counted(self, records, tmp_path, capsys):
        source = write_fasta(with_names(records, 0, **names_of(records, 6)), tmp_path / "r.fasta")
        index([source, "-o", str(tmp_path / "l")])
        assert "doubtful labels: 1 (such as" in capsys.readouterr().out
        assert len(StoredLibrary.open(tmp_path / "l").live) == 12
        index([write_fasta(records, tmp_path / "r.fasta"), "-o", str(tmp_path / "true")])
        assert "doubtful labels" not in capsys.readouterr().out

    def test_sequences_are_checked(self, full_length_barcodes, tmp_path, capfdbinary):
        text = full_length_barcodes[0]
        stop = text[:31] + "TAA" + text[34:]
        reads = tmp_path / "reads.fasta"
        reads.write_text(f">fine\n{text}\n>stop\n{stop}\n>shift\n{text[:300]}{text[301:]}\n>other\n{'ACGGT' * 60}\n")
        check([str(reads)])
        out, err = capfdbinary.readouterr()
        found = [line.split("\t") for line in out.decode().splitlines()]
        assert found[0] == ["reason", "id", "file", "line", "evidence"]
        assert [(row[1], row[4]) for row in found[1:]] == [
            ("stop", "1 stop codon"),
            ("shift", "1 frame shift"),
            ("other", "not the marker"),
        ]
        assert b"4 sequences: reading frame 2, not a usable barcode 1." in err

    def test_bad_input_is_an_error_and_nothing_is_written(self, library, tmp_path):
        output = tmp_path / "found.tsv"
        (tmp_path / "empty").mkdir()
        with pytest.raises(BarcodeMAEError, match="expected a reference library"):
            check([str(tmp_path / "empty"), "-o", str(output)])
        with pytest.raises(BarcodeMAEError, match="gone"):
            check([str(tmp_path / "gone.fasta"), "-o", str(output)])
        with pytest.raises(ConfigurationError, match="expected only with sequences"):
            check([str(library), "--library", str(library), "-o", str(output)])
        with pytest.raises(ConfigurationError, match="expected a name that ends with"):
            check([str(library), "-o", str(tmp_path / "found.txt")])
        assert not output.exists()
