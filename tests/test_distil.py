"""Distillation: a small library that gives the same names."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from barcodemae.cli.distil import distil
from barcodemae.cli.index import index
from barcodemae.errors import ConfigurationError, LibraryError
from barcodemae.hub.library_card import render_library_card
from barcodemae.library.building import append_records, copy_records, remove_records
from barcodemae.library.calibration.probability import OWN
from barcodemae.library.distillation.choosing import choose_records
from barcodemae.library.distillation.distilling import distil_library
from barcodemae.library.store.stored import StoredLibrary
from helpers.fresh_process import run_barcodemae
from helpers.reference_records import MODEL, OneHotEmbedder, library_of, write_fasta

BASES = np.array(list("ACGT"))


def variants(base, count, num_changes, rng):
    """Copies of a barcode with a few other bases each."""
    found = []
    for _ in range(count):
        one = base.copy()
        where = rng.permutation(658)[:num_changes]
        one[where] = (one[where] + rng.integers(1, 4, size=num_changes)) % 4
        found.append(one)
    return found


@pytest.fixture(scope="module")
def sample_library(sample, tmp_path_factory):
    """Records of the forty species with most records, and of some with one record."""
    named = sample.filter(pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$"))
    counts = {one["values"]: one["counts"] for one in named["species"].value_counts().to_pylist()}
    names = sorted(counts, key=lambda name: (-counts[name], name))
    names = names[:40] + names[-10:]
    records = sample.filter(pc.is_in(sample["species"], pa.array(names)))
    return library_of(records, tmp_path_factory.mktemp("large"))


def test_few_records_give_the_same_names(sample_library):
    library, embedder = StoredLibrary.open(sample_library), OneHotEmbedder()
    chosen = choose_records(library)
    assert len(chosen) < len(library.live) / 5
    species = np.array(library.names()["species"].to_pylist(), object)
    assert set(species[chosen]) == set(species[library.live])
    small = library.without(np.setdiff1d(library.live, chosen))
    assert small.live.tolist() == chosen.tolist()
    left_out = np.setdiff1d(library.live, chosen)
    hits = small.search(library.vectors(left_out).astype(np.float32), 1).rows[:, 0]
    assert np.isin(hits, chosen).all()
    assert (species[hits] == species[left_out]).mean() > 0.98
    assert embedder.num_encoded == 0  # the vectors of the library are used


def test_more_records_are_chosen_where_a_sister_species_is_near(sample, tmp_path):
    """Haplotypes of one species on both sides of its sister: the mean of the first would be named as the second."""
    rows = sample.filter(pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$")).slice(0, 1)
    text = rows["nucleotides"][0].as_py()[:658]
    sister = np.array([("ACGT" + "A" * 99).index(base) if base in "ACGT" else 0 for base in text])
    rng = np.random.default_rng(0)
    records = []
    for name, base in (
        ("Aus alba", variants(sister, 1, 60, rng)[0]),
        ("Aus alba", variants(sister, 1, 60, rng)[0]),
        ("Aus nigra", sister),
    ):
        records += [(name, one) for one in variants(base, 6, 4, rng)]
    table = pa.table(
        {
            "id": [f"r{i}" for i in range(len(records))],
            "nucleotides": ["".join(BASES[one]) for _, one in records],
            **{rank: [rank] * len(records) for rank in ("phylum", "class", "order", "family")},
            "genus": ["Aus"] * len(records),
            "species": [name for name, _ in records],
        }
    )
    library = StoredLibrary.open(library_of(table, tmp_path))
    chosen = choose_records(library)
    species = np.array(library.names()["species"].to_pylist())[chosen].tolist()
    assert sorted(species) == ["Aus alba", "Aus alba", "Aus nigra"]
    assert len({int(number) // 6 for number in chosen}) == 3  # one of each group of haplotypes


def test_small_library_has_names_sources_and_a_calibration(sample_library, tmp_path):
    large, embedder = StoredLibrary.open(sample_library), OneHotEmbedder()
    made = distil_library(large, embedder, tmp_path / "small")
    small = StoredLibrary.open(tmp_path / "small")
    assert made.num_records == len(large.live) > 5 * len(small.live)
    (segment,), (original,) = small.manifest.segments, large.manifest.segments
    assert (segment.sources, segment.distilled_from) == (original.sources, len(large.live))
    assert small.calibration().by == OWN  # fewer than fifty were held out
    ids = large.names()["id"].to_pylist()
    rows = [ids.index(id) for id in small.names()["id"].to_pylist()]
    assert large.names().take(pa.array(rows)).equals(small.names())
    np.testing.assert_array_equal(large.vectors(np.array(rows)), small.vectors(small.live))
    np.testing.assert_array_equal(large.bases(np.array(rows)), small.bases(small.live))
    # Those that were measured were not chosen, and are species of both libraries.
    assert made.num_measured >= 40  # each once more as a barcode of a new species
    for predicted in (made.before, made.after):
        is_known = predicted["species"].depth == 5
        assert predicted["species"].observed[is_known].mean() > 0.95
        assert not predicted["species"].observed[~is_known].any()
        assert is_known.mean() == pytest.approx(0.5, abs=0.05)


def test_removed_records_are_not_chosen_and_added_sources_stay_known(sample_library, sample, tmp_path):
    records = sample.filter(pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$"))
    folder = library_of(records.slice(0, 30), tmp_path)
    more = write_fasta(records.slice(30, 30), tmp_path / "more.fasta")
    append_records(folder, [more], OneHotEmbedder(), MODEL, on_error="skip")
    removed = StoredLibrary.open(folder).names()["id"][0].as_py()
    remove_records(folder, [removed])
    made = distil_library(StoredLibrary.open(folder), OneHotEmbedder(), tmp_path / "small")
    assert removed not in made.library.names()["id"].to_pylist()
    assert [segment.distilled_from for segment in made.library.manifest.segments] == [29, 30]
    assert [segment.sources[0].name for segment in made.library.manifest.segments] == ["library.fasta", "more.fasta"]
    assert (made.num_measured, made.before, made.library.calibration().by) == (0, {}, OWN)
    assert append_records(tmp_path / "small", [more], OneHotEmbedder(), MODEL, on_error="skip") is None


def test_share_is_a_maximum_and_one_of_each_species_the_minimum(sample_library, tmp_path):
    library = StoredLibrary.open(sample_library)
    names = library.names()
    num_species = len(set(names["species"].to_pylist()))
    needed = choose_records(library)
    assert num_species + 1 < len(needed) < len(library.live) / 5
    for maximum in (num_species, num_species + 1):
        chosen = choose_records(library, maximum)
        assert len(chosen) == maximum
        assert set(names["species"].take(pa.array(chosen)).to_pylist()) == set(names["species"].to_pylist())
    assert choose_records(library, len(library.live)).tolist() == needed.tolist()
    with pytest.raises(ConfigurationError, match=f"expected at least {num_species} records, .* got a maximum of 7"):
        choose_records(library, 7)
    with pytest.raises(ConfigurationError, match="got a maximum of"):
        distil_library(library, OneHotEmbedder(), tmp_path / "small", max_share=0.001)
    assert not (tmp_path / "small").exists() or [path.name for path in (tmp_path / "small").iterdir()] == [".lock"]


def test_interrupted_copy_uses_its_choice(sample_library, tmp_path, monkeypatch):
    large = StoredLibrary.open(sample_library)
    choices = []

    def choose():
        choices.append(large.live[:9])
        return choices[-1]

    def copy(options):
        return copy_records(tmp_path / "small", large, options, choose, lambda library: large.calibration())

    def interrupted(*_):
        raise KeyboardInterrupt

    for options, num_choices in (({"share": 1}, 1), ({"share": 1}, 1), ({"share": 2}, 2)):
        with monkeypatch.context() as patched:
            patched.setattr("barcodemae.library.building.write_manifest", interrupted)
            with pytest.raises(KeyboardInterrupt):
                copy(options)
        assert len(choices) == num_choices
        with pytest.raises(LibraryError, match="expected a complete library"):
            StoredLibrary.open(tmp_path / "small")
    (tmp_path / "small" / "building.json").write_text('{"records": [1, 2')  # damaged
    small, records = copy({"share": 2})
    assert len(choices) == 3
    assert records.tolist() == large.live[:9].tolist()
    assert small.names()["id"].to_pylist() == large.names()["id"].to_pylist()[:9]
    names = {path.name for path in (tmp_path / "small").iterdir()}
    assert names == {".lock", "library.json", "segment-00000", "calibration-00000.json"}
    with pytest.raises(LibraryError, match="expected a new or empty folder, got one with a library"):
        copy({"share": 2})


def test_card_of_a_distilled_library_says_from_what(sample_library, tmp_path):
    large = StoredLibrary.open(sample_library)
    copy_records(tmp_path / "small", large, {}, lambda: large.live[:9], lambda library: large.calibration())
    assert "distilled" not in render_library_card(sample_library, "org/large", "cc0-1.0")
    card = render_library_card(tmp_path / "small", "org/small", "cc0-1.0")
    assert f"distilled from {len(large.live):,} barcodes" in card


@pytest.fixture(scope="module")
def files(sample, tmp_path_factory):
    """A library of real barcodes and the shipped model, and queries."""
    folder = tmp_path_factory.mktemp("files")
    named = sample.filter(pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$"))
    write_fasta(named.slice(60, 20), folder / "queries.fasta")
    index([write_fasta(named.slice(0, 60), folder / "references.fasta"), str(folder / "large")])
    return folder


def test_command_prints_accuracy_before_and_after(files, tmp_path, capsys):
    distil([str(files / "large"), "-o", str(tmp_path / "small"), "--queries", str(files / "queries.fasta")])
    lines = capsys.readouterr().out.splitlines()
    num_records, num_all = (len(StoredLibrary.open(name).live) for name in (tmp_path / "small", files / "large"))
    assert lines[0] == f"Records in {tmp_path / 'small'}: {num_records} of {num_all} ({num_records / num_all:.1%})."
    assert lines[1].split() == ["queries", "accuracy", "before", "after", "error", "before", "after"]
    phylum = next(line for line in lines if line.startswith("phylum   ")).split()
    assert phylum[-4:-2] == ["100.00%", "100.00%"]
    assert "Measured with 20 queries." in lines


def test_bad_input_of_the_command(files, tmp_path):
    small = tmp_path / "small"
    for share in ("0", "1.5", "-1"):
        with pytest.raises(ConfigurationError, match=f"--share {float(share)}: expected more than 0, and at most 1"):
            distil([str(files / "large"), "-o", str(small), "--share", share])
    with pytest.raises(LibraryError, match="expected a reference library"):
        distil([str(tmp_path), "-o", str(small)])
    with pytest.raises(ConfigurationError, match=r"as this one has a library\.json"):
        distil([str(files / "large"), "-o", str(files / "large")])
    (tmp_path / "nameless.fasta").write_text(">q\n" + "ACGT" * 150 + "\n")
    with pytest.raises(ConfigurationError, match="expected barcodes of the marker with a species"):
        distil([str(files / "large"), "-o", str(small), "--queries", str(tmp_path / "nameless.fasta")])
    assert not small.exists()


@pytest.mark.slow
def test_whole_workflow_in_fresh_processes(files, tmp_path):
    """Distilled, a library identifies; its sources are known to it; a complete one is not overwritten."""

    def run(*arguments, code=0):
        done = run_barcodemae(*arguments)
        assert done.returncode == code, done.stderr
        return done

    small = tmp_path / "small"
    run("distil", files / "large", "-o", small)
    before = {path: path.read_bytes() for path in small.rglob("*") if path.is_file()}
    again = run("distil", files / "large", "-o", small, code=2)
    assert again.stderr.splitlines()[-1].startswith(f"error: {small}: expected a new folder or another one")
    appended = run("index", files / "references.fasta", "-o", small, "--append")
    assert "nothing was added" in appended.stdout
    assert {path: path.read_bytes() for path in small.rglob("*") if path.is_file()} == before
    run("identify", files / "queries.fasta", "--library", small, "-o", tmp_path / "names.parquet")
    assert len(pq.read_table(tmp_path / "names.parquet")) == 20
