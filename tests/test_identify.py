"""Identification of queries, in Python and by the commands."""

import json
import re
from dataclasses import fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from barcodemae.cli.calibrate import calibrate as calibrate_command
from barcodemae.cli.command import run_command
from barcodemae.cli.identify import identify as identify_command
from barcodemae.cli.index import index as index_command
from barcodemae.data import COLUMNS, RANKS, read_records
from barcodemae.data.conforming import conform
from barcodemae.errors import ConfigurationError, LibraryError
from barcodemae.library.alignment import Alignment
from barcodemae.library.building import remove_records, save_calibration
from barcodemae.library.calibration.fitting import calibrate, calibrate_by_own
from barcodemae.library.calibration.named_queries import search_named
from barcodemae.library.calibration.probability import OWN, QUERIES
from barcodemae.library.identification import Identifier
from barcodemae.library.results.schema import RESULTS
from barcodemae.library.store.manifest import fingerprint
from barcodemae.library.store.stored import StoredLibrary
from helpers.reference_records import MODEL, OneHotEmbedder, library_of, write_fasta
from tokenization_barcodemae import reverse_complement


@pytest.fixture(scope="module")
def splits(sample):
    """Named barcodes: of a library, of known species, and of new species of its genera."""
    named = sample.filter(pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$"))
    new = named.filter(pc.equal(named["split"], "test_unseen")).slice(0, 150)
    known = named.filter(pc.equal(named["split"], "test")).slice(0, 150)
    in_genera = pc.is_in(named["genus"], value_set=pa.chunked_array([*new["genus"].chunks, *known["genus"].chunks]))
    return named.filter(pc.and_(in_genera, pc.equal(named["split"], "train"))).slice(0, 2500), known, new


@pytest.fixture(scope="module")
def folder(splits, tmp_path_factory):
    return library_of(splits[0], tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def calibration(folder, splits):
    return calibrate(search_named(StoredLibrary.open(folder), OneHotEmbedder(), pa.concat_tables(splits[1:])), QUERIES)


@pytest.fixture(scope="module")
def identifier(folder, calibration):
    return Identifier(StoredLibrary.open(folder), OneHotEmbedder(), calibration)


def read(texts, tmp_path):
    (tmp_path / "queries.fasta").write_text("".join(f">{name}\n{text}\n" for name, text in texts.items()))
    return read_records(tmp_path / "queries.fasta", on_error="skip")


def test_reference_is_identified_as_itself(identifier, splits, tmp_path):
    row = splits[0].slice(7, 1).to_pylist()[0]
    (result,) = identifier(read({"q": row["nucleotides"]}, tmp_path)).to_pylist()
    assert (result["id"], result["call"], result["name"], result["reason"]) == ("q", "species", row["species"], "")
    assert result["hits"][0]["id"] == row["id"]
    assert result["hits"][0]["frame_identity"] == 1
    assert result["hits"][0]["identity"] is None
    assert all(result[rank] == row[rank] for rank in RANKS if row[rank])
    assert result["strand"] == "+"
    assert result["bases"] >= 100


def test_names_do_not_depend_on_strand_and_start(identifier, splits, tmp_path):
    text = next(text for text in splits[0]["nucleotides"].to_pylist() if len(text) == 658 and set(text) == set("ACGT"))
    texts = {"complete": text, "other strand": reverse_complement(text), "part": text[90:400]}
    complete, other, part = identifier(read(texts, tmp_path)).to_pylist()
    assert complete["name"] == other["name"]
    assert (complete["strand"], other["strand"]) == ("+", "-")
    assert part["genus"] == complete["genus"]
    assert part["start"] == complete["start"] + 90
    assert part["bases"] == 310


def test_copies_of_a_read_have_the_same_result_and_are_read_once(identifier, splits, tmp_path, monkeypatch):
    first, second = splits[1]["nucleotides"][:2].to_pylist()
    texts = {"a": first, "b": second, "c": first.lower(), "none": "NNNN", "d": first, "short": second[:50], "nil": "NN"}
    num_read = []
    read_marker = type(identifier._marker).read
    monkeypatch.setattr(
        type(identifier._marker), "read", lambda self, *args: num_read.append(len(args[0])) or read_marker(self, *args)
    )
    results = identifier(read(texts, tmp_path))
    assert results["id"].to_pylist() == list(texts)
    assert num_read == [4]
    rows = results.drop_columns(["id"]).to_pylist()
    assert rows[0] == rows[2] == rows[4] != rows[1]
    assert [row["reason"] for row in rows] == ["", "", "", "no DNA", "", "too short", "no DNA"]


def test_names_do_not_depend_on_indels(identifier, splits, tmp_path):
    texts = splits[1]["nucleotides"].to_pylist()[:100]
    complete = identifier(read({f"q{row}": text for row, text in enumerate(texts)}, tmp_path))
    changed = {f"q{row}": text[:200] + text[201:300] + text[299:] for row, text in enumerate(texts)}
    found = identifier(read(changed, tmp_path))
    assert pc.mean(pc.equal(pc.subtract(found["indels"], complete["indels"]), 2)).as_py() >= 0.9
    assert pc.mean(pc.equal(found["name"], complete["name"])).as_py() >= 0.95


def test_nearest_references_are_aligned_and_names_do_not_change(folder, calibration, splits, tmp_path):
    text = next(text for text in splits[0]["nucleotides"].to_pylist() if len(text) == 658 and set(text) == set("ACGT"))
    without_codon = text[:300] + text[303:]
    queries = read(
        {"complete": text, "turned": reverse_complement(text), "codon": without_codon, "none": "NN"}, tmp_path
    )
    plain, aligned = (
        Identifier(StoredLibrary.open(folder), OneHotEmbedder(), calibration, num_aligned=number)(queries)
        for number in (0, 2)
    )
    assert plain.drop_columns("hits").equals(aligned.drop_columns("hits"))
    complete, turned, codon, none = aligned["hits"].to_pylist()
    assert [hit["identity"] is None for hit in complete] == [False] * 2 + [True] * 8
    assert none == []
    names = [field.name for field in fields(Alignment)]
    assert [complete[0][name] for name in names] == [1, 658, 0, 0, 1, 658, 1, 658]
    assert [turned[0][name] for name in names] == [1, 658, 0, 0, 1, 658, 658, 1]
    # The bases on both sides of the gap are those of the reference, on the frame and in the alignment.
    assert codon[0]["frame_identity"] == 1
    assert (codon[0]["identity"] > 0.95, codon[0]["gap_openings"]) == (True, 1)


def test_unusable_queries_have_a_reason(identifier, splits, tmp_path):
    text = splits[0]["nucleotides"][7].as_py()
    queries = read({"none": "NNNN", "other": "ACGGT" * 100, "short": text[:60], "good": text}, tmp_path)
    results = identifier(queries)
    assert results.schema == RESULTS
    assert results["call"].to_pylist()[:3] == ["unreliable"] * 3
    assert results["reason"].to_pylist() == ["no DNA", "not the marker", "too short", ""]
    assert results["id"].to_pylist() == ["none", "other", "short", "good"]
    assert results["hits"].to_pylist()[:3] == [[], [], []]
    assert results["genus"].to_pylist()[:3] == ["", "", ""]
    assert results["genus_confidence"].to_pylist()[:3] == [None] * 3


def test_no_queries_have_no_results(identifier, splits, tmp_path):
    assert identifier(read({"a": "ACGT"}, tmp_path).slice(0, 0)).num_rows == 0


def test_new_species_have_a_high_novelty(folder, calibration, splits):
    identifier = Identifier(StoredLibrary.open(folder), OneHotEmbedder(), calibration)
    known, new = (
        identifier(with_reading(split))["novelty"].to_numpy(zero_copy_only=False).mean() for split in splits[1:]
    )
    assert known < 0.3 < 0.7 < new


def with_reading(table):
    """The table with the columns that reading adds."""
    columns = table.select([name for name in COLUMNS if name in table.column_names])
    return conform(columns, "queries", np.arange(1, len(table) + 1))


def test_probabilities_hold_for_other_species(folder, splits):
    """Calibrated with some species, and applied to others."""
    halves = []
    for split in splits[1:]:
        species = np.array(split["species"].to_pylist())
        first = np.isin(species, np.unique(species)[::2])
        halves.append([split.filter(pa.array(first)), split.filter(pa.array(~first))])
    library, embedder = StoredLibrary.open(folder), OneHotEmbedder()
    fitted = calibrate(search_named(library, embedder, pa.concat_tables([half[0] for half in halves])), QUERIES)
    others = search_named(library, embedder, pa.concat_tables([half[1] for half in halves]))
    predicted = fitted(others.votes, others.num_bases)["species"]
    assert others.is_new.any()
    assert not others.is_new.all()
    assert predicted[others.right["species"]].mean() > 0.7
    assert predicted[others.is_new].mean() < 0.3


def test_calibration_by_queries_without_a_species_is_an_error(folder, splits):
    unnamed = splits[1].set_column(
        splits[1].column_names.index("species"), "species", pa.array([""] * len(splits[1]), pa.large_string())
    )
    with pytest.raises(ConfigurationError, match="with a species to calibrate with, got none"):
        search_named(StoredLibrary.open(folder), OneHotEmbedder(), unnamed)


def test_library_has_the_last_calibration(splits, calibration, tmp_path):
    folder = library_of(splits[0].slice(0, 50), tmp_path)
    assert StoredLibrary.open(folder).calibration().by == OWN
    for _ in range(2):
        save_calibration(StoredLibrary.open(folder), calibration)
    assert [file.name for file in folder.glob("calibration-*")] == ["calibration-00001.json"]
    remove_records(folder, [splits[0]["id"][0].as_py()])
    assert StoredLibrary.open(folder).calibration().as_json() == calibration.as_json()
    (folder / "calibration-00001.json").write_text("{}")
    with pytest.raises(LibraryError, match=r"bytes, as in library\.json"):
        StoredLibrary.open(folder)


@pytest.fixture(scope="module")
def indexed(splits, tmp_path_factory):
    """A calibrated library of the frame engine, made by the commands."""
    folder = tmp_path_factory.mktemp("indexed")
    sources = [write_fasta(split, folder / f"{i}.fasta") for i, split in enumerate(splits)]
    index_command([sources[0], str(folder / "library"), "--engine", "frame"])
    calibrate_command([str(folder / "library"), "--queries", *sources[1:]])
    return folder


def test_commands_identify_barcodes(indexed, splits, capsys):
    output, page = indexed / "results.parquet", indexed / "results.html"
    options = ["--library", str(indexed / "library"), "--output", str(output), "--summary", str(page)]
    identify_command([str(indexed / "1.fasta"), *options])
    assert f"Results of 150 queries are in {output}." in capsys.readouterr().out
    results = pq.read_table(output)
    assert results["id"].to_pylist() == splits[1]["id"].to_pylist()
    right = pc.equal(results["best_species"], splits[1]["species"].cast(pa.string()))
    assert pc.mean(right).as_py() > 0.85
    assert "<title>Barcodes of 1.fasta" in page.read_text()
    assert str(indexed) not in page.read_text()


@pytest.mark.parametrize(("options", "num_lines"), [([], 50), (["--align", "3"], 15)])
def test_blast_table_has_the_aligned_hits(options, num_lines, indexed, splits, tmp_path):
    source = write_fasta(splits[1].slice(0, 5), tmp_path / "five.fasta")
    given = ["--library", str(indexed / "library"), "--output", str(tmp_path / "hits.txt"), "--format", "blast6"]
    identify_command([source, *given, *options])
    lines = [line.split("\t") for line in (tmp_path / "hits.txt").read_text().splitlines()]
    assert len(lines) == num_lines
    assert all(len(line) == 12 and 50 < float(line[2]) <= 100 for line in lines)


def test_results_are_in_the_order_of_the_queries(indexed, splits, tmp_path):
    text = splits[1]["nucleotides"][0].as_py()
    (tmp_path / "mixed.fasta").write_text(f">a\n{text}\n>b\nACGT\n>c\n{text}\n")
    options = ["--library", str(indexed / "library"), "--output", str(tmp_path / "results.jsonl")]
    identify_command([str(tmp_path / "mixed.fasta"), *options])
    results = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [result["id"] for result in results] == ["a", "b", "c"]
    assert results[1]["call"] == "unreliable"
    assert results[0]["call"] == results[2]["call"] != "unreliable"


def test_library_of_few_records_rests_on_the_prior(splits, tmp_path, capsys):
    _, first = np.unique(splits[0]["species"].to_pylist(), return_index=True)
    few = splits[0].take(pa.array(first[:3]))
    source = write_fasta(few, tmp_path / "few.fasta")
    index_command([source, str(tmp_path / "library"), "--engine", "frame"])
    message = "Note: species: no held-out record gets a right name, so that the confidence rests on other libraries"
    assert message in capsys.readouterr().out
    output = tmp_path / "results.parquet"
    identify_command([source, "--library", str(tmp_path / "library"), "--output", str(output)])
    results = pq.read_table(output)
    assert results["best_species"].to_pylist() == few["species"].to_pylist()
    assert pc.min(results["best_species_confidence"]).as_py() > 0.5  # they are copies of the references


def test_calibration_of_an_earlier_version_is_an_error(splits, tmp_path):
    folder = library_of(splits[0].slice(0, 20), tmp_path)
    file = folder / "calibration-00000.json"
    file.write_text(json.dumps({"by": OWN, "lengths": [130, 200, 300, 600], "probabilities": {}}))
    manifest = json.loads((folder / "library.json").read_text())
    manifest["calibration"] = {file.name: vars(fingerprint(file))}
    (folder / "library.json").write_text(json.dumps(manifest))
    with pytest.raises(LibraryError, match=f"calibrate it again: barcodemae calibrate {folder}"):
        Identifier.from_library(StoredLibrary.open(folder), OneHotEmbedder())
    library = StoredLibrary.open(folder)
    save_calibration(library, calibrate_by_own(library, OneHotEmbedder()))
    assert Identifier.from_library(StoredLibrary.open(folder), OneHotEmbedder()).min_confidences.tolist() == [0.8] * 4


def test_another_model_is_an_error(folder, tmp_path, splits):
    source = write_fasta(splits[1], tmp_path / "queries.fasta")
    options = ["--library", str(folder), "--output", str(tmp_path / "a.tsv"), "--model", "nano_coi"]
    with pytest.raises(LibraryError, match=re.escape(f"made with {MODEL['name']}")):
        identify_command([source, *options])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--min-confidence", "2"], "--min-confidence 2.0: expected 0 to 1"),
        (["--align", "11"], "--align 11: expected 0 to 10"),
        (["--output", "results.xlsx"], "results.xlsx"),
        (["--library", "nowhere"], "nowhere: expected a reference library"),
    ],
)
def test_bad_options_are_one_line(options, message, indexed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = ["--library", str(indexed / "library"), "--output", "results.tsv", *options]
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: identify_command([str(indexed / "1.fasta"), *given]))
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "results.tsv").exists()


def test_names_below_the_call_are_empty_and_the_best_names_are_not(identifier, splits):
    results = identifier(with_reading(splits[2])).to_pylist()
    assert len({result["call"] for result in results}) > 1
    for result in results:
        depth = RANKS.index(result["call"]) if result["call"] in RANKS else -1
        for number, rank in enumerate(RANKS):
            confidence, best = result[f"{rank}_confidence"], result[f"best_{rank}"]
            if number > depth:
                assert (result[rank], confidence) == ("", None)
            assert (confidence is None) == (result[rank] == "")
            assert (result[f"best_{rank}_confidence"] is None) == (best == "")
        if depth >= 0:
            assert result["name"] == result[result["call"]] == result[f"best_{result['call']}"] != ""
            assert result["confidence"] == result[f"{result['call']}_confidence"] >= 0.8
        else:
            assert (result["name"], result["confidence"]) == ("", None)


def test_lineage_of_a_call_is_that_of_its_references(folder, identifier, splits):
    names = StoredLibrary.open(folder).names().to_pylist()
    lineages = {rank: {tuple(row[r] for r in RANKS[: d + 1]) for row in names} for d, rank in enumerate(RANKS)}
    for result in identifier(with_reading(pa.concat_tables(splits[1:]))).to_pylist():
        if result["call"] in RANKS:
            ranks = RANKS[: RANKS.index(result["call"]) + 1]
            assert tuple(result[rank] for rank in ranks) in lineages[result["call"]]
            confidences = [result[f"{rank}_confidence"] for rank in ranks if result[rank]]
            assert min(confidences) == result["confidence"]


@pytest.mark.parametrize("num_aligned", [0, 3, 10])
def test_hits_are_nearest_first(num_aligned, folder, calibration, splits):
    identifier = Identifier(StoredLibrary.open(folder), OneHotEmbedder(), calibration, num_aligned=num_aligned)
    for result in identifier(with_reading(splits[2].slice(0, 40))).to_pylist():
        aligned = [(hit["identity"], hit["bitscore"], -hit["evalue"]) for hit in result["hits"][:num_aligned]]
        assert aligned == sorted(aligned, reverse=True)
        others = [hit["frame_identity"] for hit in result["hits"][num_aligned:]]
        assert others == sorted(others, reverse=True)
        assert all(hit["bitscore"] is hit["evalue"] is hit["identity"] is None for hit in result["hits"][num_aligned:])


def test_novelty_is_empty_where_the_nearest_reference_has_no_species(splits, calibration, tmp_path):
    without = [name if row % 2 else "" for row, name in enumerate(splits[0]["species"].slice(0, 200).to_pylist())]
    references = splits[0].slice(0, 200)
    species = references.column_names.index("species")
    references = references.set_column(species, "species", pa.array(without, pa.large_string()))
    library = StoredLibrary.open(library_of(references, tmp_path))
    results = Identifier(library, OneHotEmbedder(), calibration)(with_reading(splits[1])).to_pylist()
    usable = [result for result in results if result["hits"]]
    has_species = [result["hits"][0]["species"] != "" for result in usable]
    assert 0 < sum(has_species) < len(usable)
    assert [result["novelty"] is not None for result in usable] == has_species


def test_results_say_where_a_query_is_from(identifier, splits, tmp_path):
    text = splits[0]["nucleotides"][7].as_py()
    first, second = identifier(read({"a;size=12;sample=S1": text, "b": "NN"}, tmp_path)).to_pylist()
    assert (first["size"], first["sample"], first["file"]) == (12, "S1", str(tmp_path / "queries.fasta"))
    assert (second["size"], second["sample"], second["file"]) == (1, "", str(tmp_path / "queries.fasta"))


def test_samples_and_reads_are_counted_by_the_command(indexed, splits, tmp_path, capsys):
    text, other = (splits[1]["nucleotides"][row].as_py() for row in (0, 1))
    (tmp_path / "S1.fasta").write_text(f">a;size=12\n{text}\n>b;size=3;sample=S7\n{other}\n>c\nACGT\n")
    (tmp_path / "S2.fasta").write_text(f">a;size=5\n{text}\n")
    files = [str(tmp_path / name) for name in ("S1.fasta", "S2.fasta")]
    outputs = ["--output", str(tmp_path / "o.parquet"), "--by-sample", str(tmp_path / "s.parquet")]
    identify_command([*files, "--library", str(indexed / "library"), *outputs])
    printed = capsys.readouterr().out
    assert "Results of 4 queries (21 reads) are in" in printed
    assert "unreliable 1" in printed
    assert "Reasons: not the marker 1." in printed
    found = "1 from ids (sample=, barcodelabel= or merged_sample=), 2 from names of files."
    assert f"Samples in {tmp_path / 's.parquet'}: {found}" in printed
    samples = pq.read_table(tmp_path / "s.parquet")
    assert [pc.sum(samples[name]).as_py() for name in ("S1", "S7", "S2")] == [13, 3, 5]
    assert pq.read_table(tmp_path / "o.parquet")["file"].to_pylist() == [files[0]] * 3 + [files[1]]


@pytest.mark.parametrize("option", ["--summary", "--by-sample", "--output"])
def test_outputs_do_not_overwrite_queries(option, indexed, splits, tmp_path):
    query = write_fasta(splits[1].slice(0, 2), tmp_path / "mine.fasta")
    before = (tmp_path / "mine.fasta").read_bytes()
    (tmp_path / "link.tsv").symlink_to(query)
    (tmp_path / "hard.tsv").hardlink_to(query)
    for name in ("mine.fasta", "link.tsv", "hard.tsv"):
        given = {"--output": str(tmp_path / "o.tsv")} | {option: str(tmp_path / name)}
        options = [part for pair in given.items() for part in pair]
        with pytest.raises(ConfigurationError, match="expected another file than"):
            identify_command([query, "--library", str(indexed / "library"), *options])
    assert (tmp_path / "mine.fasta").read_bytes() == before
    assert not (tmp_path / "o.tsv").exists()
