"""Reference libraries: built, opened, searched, added to, taken from; whole, or as if nothing had happened."""

import json
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from filelock import FileLock

from barcodemae.data.schema import RANKS, STRING
from barcodemae.errors import BadRecordError, ConfigurationError, LibraryError
from barcodemae.reference import build, indexing
from barcodemae.reference.build import append_records, build_library, check_model, keep_calibration, remove_records
from barcodemae.reference.calibrate import calibrate_by_own
from barcodemae.reference.calibration import OWN, Calibration
from barcodemae.reference.indexing import build_index
from barcodemae.reference.library import Library
from barcodemae.reference.manifest import fingerprint, read_manifest
from helpers.reference_records import MODEL, LettersEmbedder, library_of, write_fasta


@pytest.fixture(scope="module")
def records(sample):
    """Barcodes of named species. What is no name of a species, as `sp. 4`, is not read from a header."""
    named = pc.and_(
        pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$"), pc.equal(sample["split"], "train")
    )
    named = sample.filter(named)
    return named.slice(0, 200)


@pytest.fixture
def embedder():
    return LettersEmbedder()


@pytest.fixture
def folder(records, tmp_path):
    return library_of(records.slice(0, 120), tmp_path)


def files_in(folder):
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_each_record_is_its_own_nearest(folder, records, embedder):
    opened = Library.open(folder)
    queries = embedder.encode(records["nucleotides"].to_pylist()[:120])
    hits = opened.search(queries, 5)
    assert len(opened.live) == 120
    assert hits.rows[:, 0].tolist() == list(range(120))
    np.testing.assert_allclose(hits.similarities[:, 0], 1, atol=1e-3)
    expected = np.sort(queries @ queries.T, axis=1)[:, :-6:-1]
    np.testing.assert_allclose(hits.similarities, expected, atol=2e-3)


def test_records_keep_names_sequences_and_letters(folder, records):
    opened = Library.open(folder)
    for column in ("id", "family", "genus", "species"):
        assert opened.names()[column].to_pylist() == records[column].to_pylist()[:120]
    assert opened.nucleotides(np.array([7, 3])) == [records["nucleotides"][row].as_py() for row in (7, 3)]
    assert (opened.letters(np.arange(120)) >= 0).sum(axis=1).min() >= 100


def test_datasets_read_the_records_too(folder, records):
    from datasets import Dataset

    (part,) = folder.glob("segment-*/*.arrow")
    assert Dataset.from_file(str(part))["id"][:3] == records["id"].to_pylist()[:3]


def test_fewer_records_than_hits_leave_nothing(folder, embedder, records):
    hits = Library.open(folder).search(embedder.encode(records["nucleotides"].to_pylist()[:2]), 500)
    assert hits.rows.shape == (2, 120)


def test_appended_records_are_found_and_the_others_stay(folder, records, embedder, tmp_path):
    before = files_in(folder)
    source = write_fasta(records.slice(120), tmp_path / "more.fasta")
    added = append_records(folder, [source], embedder, MODEL)
    assert added.num_records == 80
    hits = Library.open(folder).search(embedder.encode(records["nucleotides"].to_pylist()), 1)
    assert hits.rows[:, 0].tolist() == list(range(200))
    after = files_in(folder)
    assert all(after[name] == content for name, content in before.items() if name != "library.json")


def test_removed_records_are_found_no_more(folder, records, embedder, tmp_path):
    ids = records["id"].to_pylist()
    assert remove_records(folder, [ids[0], ids[5]]) == 2
    assert remove_records(folder, [ids[6]]) == 1
    opened = Library.open(folder)
    assert len(opened.live) == 117
    assert opened.removed.tolist() == [0, 5, 6]
    hits = opened.search(embedder.encode(records["nucleotides"].to_pylist()[:7]), 117)
    assert not {0, 5, 6} & set(hits.rows.ravel().tolist())
    with pytest.raises(LibraryError, match=f"none of the id '{ids[0]}'"):
        remove_records(folder, [ids[1], ids[0]])
    assert len(Library.open(folder).live) == 117


def test_an_approximate_index_gives_nearly_what_an_exact_search_gives(records, embedder, tmp_path, monkeypatch):
    exact = Library.open(library_of(records, tmp_path))
    for module in (build, indexing):
        monkeypatch.setattr(module, "EXACT_RECORDS", 150)
    (tmp_path / "other").mkdir()
    opened = Library.open(library_of(records, tmp_path / "other"))
    assert opened.manifest.segments[0].index["kind"].startswith("IVF28,SQfp16")
    assert opened.manifest.segments[0].index["recall"] >= 0.99
    queries = embedder.encode(records["nucleotides"].to_pylist())
    found, expected = opened.search(queries, 1), exact.search(queries, 1)
    assert (found.rows == expected.rows).mean() >= 0.97
    np.testing.assert_allclose(found.similarities, expected.similarities, atol=1e-3)
    remove_records(opened.folder, [records["id"][0].as_py()])
    assert 0 not in Library.open(opened.folder).search(queries[:1], 10).rows


def test_recall_is_measured_against_an_exact_search(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(3000, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    told = build_index(vectors, tmp_path / "index.faiss")
    index = faiss.read_index(str(tmp_path / "index.faiss"))
    assert index.ntotal == 3000
    assert told["nprobe"] == index.nprobe
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -1)
    found = index.search(vectors, 50)[1]
    recall = (found == similarities.argmax(axis=1)[:, None]).any(axis=1).mean()
    assert recall == pytest.approx(told["recall"], abs=0.02)
    assert told["recall"] >= 0.99


# What is refused


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.unlink(), "part-00000.arrow: expected a file of the library, found none"),
        (lambda file: file.write_bytes(file.read_bytes()[:-9]), "bytes, as in library.json, got"),
        (lambda file: file.write_bytes(bytes(len(file.read_bytes()))), "written for, got another"),
    ],
)
def test_a_missing_truncated_or_swapped_file_is_refused(folder, damage, message):
    damage(next(folder.glob("segment-*/*.arrow")))
    with pytest.raises(LibraryError, match=message):
        Library.open(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected the manifest of a library, got"),
        ("[]", "expected the manifest of a library, got"),
        ('{"version": 9}', "expected a library of version 1, got version 9"),
        ('{"version": 1}', "expected the manifest of a library, got"),
    ],
)
def test_a_broken_manifest_is_refused(folder, content, message):
    (folder / "library.json").write_text(content)
    with pytest.raises(LibraryError, match=message):
        Library.open(folder)


@pytest.mark.parametrize("name", ["../library.fasta", "/etc/hostname", "..", "", "a/b"])
def test_a_manifest_does_not_lead_out_of_its_folder(name, folder):
    manifest = json.loads((folder / "library.json").read_text())
    for told in (manifest["segments"][0]["files"], manifest["removed"]):
        told[name] = {"bytes": 0, "blake2": ""}
        (folder / "library.json").write_text(json.dumps(manifest))
        with pytest.raises(LibraryError, match="is no plain name of a file"):
            Library.open(folder)
        del told[name]
    manifest["segments"][0]["name"] = name
    (folder / "library.json").write_text(json.dumps(manifest))
    with pytest.raises(LibraryError, match="is no plain name of a file"):
        Library.open(folder)


def test_a_folder_without_a_library_is_told(tmp_path):
    with pytest.raises(LibraryError, match=r"expected a reference library \(a folder with library.json\), found none"):
        Library.open(tmp_path)


def test_what_is_not_there_is_not_written_to(records, embedder, tmp_path):
    source = write_fasta(records, tmp_path / "more.fasta")
    for write in (
        lambda: append_records(tmp_path / "gone", [source], embedder, MODEL),
        lambda: remove_records(tmp_path / "gone", ["x"]),
    ):
        with pytest.raises(LibraryError, match="gone: expected a reference library"):
            write()
    assert not (tmp_path / "gone").exists()


def test_another_model_is_refused(folder, records, embedder, tmp_path):
    before = files_in(folder)
    other = MODEL | {"weights_sha256": "1" * 64, "name": "other"}
    source = write_fasta(records.slice(120), tmp_path / "more.fasta")
    with pytest.raises(LibraryError, match=r"made with letters .* got other \(111111111111\)"):
        append_records(folder, [source], embedder, other)
    assert files_in(folder) == before
    with pytest.raises(LibraryError, match="engine"):
        check_model(folder, read_manifest(folder), MODEL | {"engine": "network"})


def test_a_second_writer_is_refused(folder, records, embedder, tmp_path):
    source = write_fasta(records.slice(120), tmp_path / "more.fasta")
    with FileLock(folder / ".lock"):
        for write in (
            lambda: append_records(folder, [source], embedder, MODEL),
            lambda: build_library(folder, [source], embedder, MODEL),
            lambda: remove_records(folder, ["x"]),
            lambda: keep_calibration(folder, Calibration({}, OWN)),
            lambda: calibrate_by_own(folder, embedder),
        ):
            with pytest.raises(LibraryError, match="another process is writing to this library"):
                write()
        assert len(Library.open(folder).live) == 120


def test_a_library_is_not_built_over_another(folder, embedder, tmp_path):
    with pytest.raises(LibraryError, match="expected a folder without a library"):
        build_library(folder, [str(tmp_path / "library.fasta")], embedder, MODEL)


def test_what_is_no_barcode_of_the_marker_is_left_out_or_told(records, embedder, tmp_path):
    (tmp_path / "mixed.fasta").write_text(
        f">good\n{records['nucleotides'][0].as_py()}\n>other\n{'ACGGT' * 100}\n>none\nNNNN\n"
    )
    added = build_library(tmp_path / "a", [str(tmp_path / "mixed.fasta")], embedder, MODEL, on_error="skip")
    assert (added.num_records, added.off_marker, added.report.counts) == (1, 1, {"all N": 1})
    (tmp_path / "off.fasta").write_text(f">other\n{'ACGGT' * 100}\n")
    with pytest.raises(BadRecordError, match=r"off\.fasta, line 1, record 'other': expected a barcode of the marker"):
        build_library(tmp_path / "b", [str(tmp_path / "off.fasta")], embedder, MODEL)
    with pytest.raises(LibraryError, match="expected barcodes of the marker, got none in 1 records"):
        build_library(tmp_path / "b", [str(tmp_path / "off.fasta")], embedder, MODEL, on_error="skip")
    assert not (tmp_path / "b" / "library.json").exists()


def test_a_model_without_a_frame_makes_no_library(embedder, tmp_path):
    embedder.frame = None
    with pytest.raises(ConfigurationError, match="expected a model with a reference frame"):
        build_library(tmp_path / "a", ["x.fasta"], embedder, MODEL)


# What was interrupted


def test_an_interrupted_build_goes_on_where_it_was(records, embedder, tmp_path, monkeypatch):
    monkeypatch.setattr("barcodemae.data.fasta.BATCH_ROWS", 50)
    source = write_fasta(records, tmp_path / "library.fasta")
    written = []

    def stop_at_third(file, *given):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(file.name)
        write_part(file, *given)

    write_part = build.write_part
    monkeypatch.setattr(build, "write_part", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        build_library(tmp_path / "library", [source], embedder, MODEL)
    with pytest.raises(LibraryError, match="found none"):
        Library.open(tmp_path / "library")
    (tmp_path / "library" / "segment-00000" / ".saving-part").mkdir()  # as a kill leaves it
    monkeypatch.setattr(build, "write_part", write_part)
    embedder.num_encoded = 0
    assert build_library(tmp_path / "library", [source], embedder, MODEL).num_records == 200
    assert embedder.num_encoded == 100
    (tmp_path / "at once").mkdir()
    whole = library_of(records, tmp_path / "at once")
    assert files_in(tmp_path / "library") == files_in(whole)


def test_a_build_of_other_sources_begins_anew(records, embedder, tmp_path):
    place = tmp_path / "library" / "segment-00000"
    place.mkdir(parents=True)
    (place / "part-00000.arrow").write_bytes(b"of another build")
    (place / "building.json").write_text("{}")
    library_of(records.slice(0, 5), tmp_path)
    assert len(Library.open(tmp_path / "library").live) == 5


def test_a_build_with_other_names_begins_anew(records, embedder, tmp_path, monkeypatch):
    """A part that is there already would keep the names of the table before."""
    source = str(tmp_path / "plain.fasta")
    Path(source).write_text("".join(f">{row['id']}\n{row['nucleotides']}\n" for row in records.to_pylist()))
    tables = [
        pa.table({"id": records["id"], **{rank: pa.repeat(pa.scalar(name, STRING), 200) for rank in RANKS}})
        for name in ("first", "second")
    ]

    def stop(*given):
        write_part(*given)
        raise KeyboardInterrupt

    write_part = build.write_part
    monkeypatch.setattr(build, "write_part", stop)
    with pytest.raises(KeyboardInterrupt):
        build_library(tmp_path / "library", [source], embedder, MODEL, taxonomy=tables[0])
    monkeypatch.setattr(build, "write_part", write_part)
    build_library(tmp_path / "library", [source], embedder, MODEL, taxonomy=tables[1])
    assert set(Library.open(tmp_path / "library").names()["genus"].to_pylist()) == {"second"}


def test_what_interrupted_writers_left_goes(folder, records):
    (folder / "segment-00007").mkdir()
    (folder / "segment-00007" / "part-00000.arrow").write_bytes(b"x")
    (folder / "removed-00003.npy").write_bytes(b"x")
    (folder / "notes.txt").write_text("mine")
    remove_records(folder, [records["id"][0].as_py()])
    assert {place.name for place in folder.iterdir()} == {
        ".lock",
        "library.json",
        "notes.txt",
        "removed-00000.npy",
        "segment-00000",
    }


def test_a_fingerprint_sees_both_ends_and_the_size(tmp_path):
    file = tmp_path / "file"
    content = bytearray(1_000_000)
    file.write_bytes(content)
    before = fingerprint(file)
    assert fingerprint(file) == before
    for place in (0, -1):
        changed = bytearray(content)
        changed[place] = 1
        file.write_bytes(changed)
        assert fingerprint(file) != before
    file.write_bytes(content[:-1])
    assert fingerprint(file).bytes == before.bytes - 1
    file.write_bytes(b"")
    assert fingerprint(file).bytes == 0


def test_the_manifest_tells_no_path_of_this_machine(folder, tmp_path):
    told = json.loads((folder / "library.json").read_text())
    assert str(tmp_path) not in json.dumps(told)
    assert told["segments"][0]["num_records"] == 120
