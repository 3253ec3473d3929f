"""Reference libraries: built, opened, searched and changed, completely or not at all."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from filelock import FileLock

from barcodemae.data.schema import RANKS, STRING
from barcodemae.errors import BadRecordError, ConfigurationError, LibraryError
from barcodemae.library import segments
from barcodemae.library.building import (
    Removed,
    append_records,
    build_library,
    remove_records,
    save_calibration,
)
from barcodemae.library.models import check_model
from barcodemae.library.search import indexing
from barcodemae.library.search.indexing import learn_index
from barcodemae.library.store.manifest import fingerprint, read_manifest
from barcodemae.library.store.stored import StoredLibrary
from helpers.plain_calibration import plain_calibration
from helpers.reference_records import MODEL, OneHotEmbedder, library_of, write_fasta


@pytest.fixture(scope="module")
def many_records(sample):
    """Barcodes of named species; from a header, only the full name of a species is read, not `sp. 4`."""
    named = pc.and_(
        pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$"), pc.equal(sample["split"], "train")
    )
    named = sample.filter(named)
    return named.slice(0, 400)


@pytest.fixture(scope="module")
def records(many_records):
    return many_records.slice(0, 200)


@pytest.fixture
def embedder():
    return OneHotEmbedder()


@pytest.fixture
def folder(records, tmp_path):
    return library_of(records.slice(0, 120), tmp_path)


@pytest.fixture
def calibration():
    return plain_calibration()


def files_in(folder):
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_each_record_is_its_own_nearest(folder, records, embedder):
    opened = StoredLibrary.open(folder)
    queries = embedder.encode(records["nucleotides"].to_pylist()[:120])
    hits = opened.search(queries, 5)
    assert len(opened.live) == 120
    assert hits.rows[:, 0].tolist() == list(range(120))
    np.testing.assert_allclose(hits.similarities[:, 0], 1, atol=1e-3)
    expected = np.sort(queries @ queries.T, axis=1)[:, :-6:-1]
    np.testing.assert_allclose(hits.similarities, expected, atol=2e-3)


def test_names_sequences_and_bases_round_trip(folder, records):
    opened = StoredLibrary.open(folder)
    for column in ("id", "family", "genus", "species"):
        assert opened.names()[column].to_pylist() == records[column].to_pylist()[:120]
    assert opened.nucleotides(np.array([7, 3])) == [records["nucleotides"][row].as_py() for row in (7, 3)]
    assert (opened.bases(np.arange(120)) >= 0).sum(axis=1).min() >= 100


def test_records_can_be_read_by_datasets(folder, records):
    from datasets import Dataset

    (part,) = folder.glob("segment-*/*.arrow")
    assert Dataset.from_file(str(part))["id"][:3] == records["id"].to_pylist()[:3]


def test_hits_are_limited_by_the_number_of_records(folder, embedder, records):
    hits = StoredLibrary.open(folder).search(embedder.encode(records["nucleotides"].to_pylist()[:2]), 500)
    assert hits.rows.shape == (2, 120)


def test_appended_records_are_found_and_others_unchanged(folder, records, embedder, tmp_path):
    before = files_in(folder)
    source = write_fasta(records.slice(120), tmp_path / "more.fasta")
    added = append_records(folder, [source], embedder, MODEL)
    assert added.num_records == 80
    hits = StoredLibrary.open(folder).search(embedder.encode(records["nucleotides"].to_pylist()), 1)
    assert hits.rows[:, 0].tolist() == list(range(200))
    after = files_in(folder)
    assert {name for name, content in before.items() if after.get(name) != content} == {
        "library.json",
        "calibration-00000.json",
    }


def test_removed_records_are_not_found(folder, records, embedder, tmp_path):
    ids = records["id"].to_pylist()
    assert remove_records(folder, [ids[0], ids[5]]) == Removed(2, [])
    assert remove_records(folder, [ids[6]]) == Removed(1, [])
    opened = StoredLibrary.open(folder)
    assert len(opened.live) == 117
    assert opened.removed.tolist() == [0, 5, 6]
    hits = opened.search(embedder.encode(records["nucleotides"].to_pylist()[:7]), 117)
    assert not {0, 5, 6} & set(hits.rows.ravel().tolist())
    assert remove_records(folder, [ids[6], ids[0], ids[1]]) == Removed(1, [ids[0], ids[6]])
    with pytest.raises(LibraryError, match="expected ids of records in the library, got 'nobody'"):
        remove_records(folder, [ids[2], "nobody"])
    assert len(StoredLibrary.open(folder).live) == 116
    before = files_in(folder)
    assert remove_records(folder, [ids[0], ids[1]]) == Removed(0, [ids[0], ids[1]])
    assert files_in(folder) == before


def test_approximate_search_finds_nearly_the_same_as_exact_search(many_records, embedder, tmp_path, monkeypatch):
    exact = StoredLibrary.open(library_of(many_records, tmp_path))
    for module in (segments, indexing):
        monkeypatch.setattr(module, "MAX_EXACT_RECORDS", 150)
    (tmp_path / "other").mkdir()
    opened = StoredLibrary.open(library_of(many_records, tmp_path / "other"))
    assert opened.manifest.segments[0].index["kind"].startswith("IVF40,SQfp16")
    assert opened.manifest.segments[0].index["recall"] >= 0.99
    queries = embedder.encode(many_records["nucleotides"].to_pylist())
    found, expected = opened.search(queries, 1), exact.search(queries, 1)
    assert (found.rows == expected.rows).mean() >= 0.97
    np.testing.assert_allclose(found.similarities, expected.similarities, atol=1e-3)
    remove_records(opened.folder, [many_records["id"][0].as_py()])
    assert 0 not in StoredLibrary.open(opened.folder).search(queries[:1], 10).rows


def test_recall_is_measured_against_an_exact_search():
    vectors = np.random.default_rng(0).normal(size=(3000, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    _, index, described = learn_index(vectors)
    assert described["kind"] == f"IVF{index.num_lists},SQfp16"
    assert described["nprobe"] == index.nprobe
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -1)
    found = index.search(vectors, 50)[1]
    recall = (found == similarities.argmax(axis=1)[:, None]).any(axis=1).mean()
    assert recall == pytest.approx(described["recall"], abs=0.02)
    assert described["recall"] >= 0.99


# Errors


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.unlink(), "part-00000.arrow: expected a file of the library, found none"),
        (lambda file: file.write_bytes(file.read_bytes()[:-9]), "bytes, as in library.json, got"),
        (
            lambda file: file.write_bytes(bytes(len(file.read_bytes()))),
            "listed in library.json, got another one",
        ),
    ],
)
def test_missing_truncated_or_swapped_file_is_an_error(folder, damage, message):
    damage(next(folder.glob("segment-*/*.arrow")))
    with pytest.raises(LibraryError, match=message):
        StoredLibrary.open(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected the manifest of a library, got"),
        ("[]", "expected the manifest of a library, got"),
        ('{"version": 9}', "expected a library of version 1, got version 9"),
        ('{"version": 1}', "expected the manifest of a library, got"),
    ],
)
def test_damaged_manifest_is_an_error(folder, content, message):
    (folder / "library.json").write_text(content)
    with pytest.raises(LibraryError, match=message):
        StoredLibrary.open(folder)


@pytest.mark.parametrize("name", ["../library.fasta", "/etc/hostname", "..", "", "a/b"])
def test_manifest_cannot_name_files_outside_the_folder(name, folder):
    manifest = json.loads((folder / "library.json").read_text())
    for files in (manifest["segments"][0]["files"], manifest["removed"]):
        files[name] = {"bytes": 0, "blake2": ""}
        (folder / "library.json").write_text(json.dumps(manifest))
        with pytest.raises(LibraryError, match="expected the name of a file of a library, got "):
            StoredLibrary.open(folder)
        del files[name]
    manifest["segments"][0]["name"] = name
    (folder / "library.json").write_text(json.dumps(manifest))
    with pytest.raises(LibraryError, match="expected the name of a file of a library, got "):
        StoredLibrary.open(folder)


def test_folder_without_a_library_is_an_error(tmp_path):
    with pytest.raises(LibraryError, match=r"expected a reference library \(a folder with library.json\), found none"):
        StoredLibrary.open(tmp_path)


def test_missing_library_is_not_created_by_changes(records, embedder, tmp_path):
    source = write_fasta(records, tmp_path / "more.fasta")
    for write in (
        lambda: append_records(tmp_path / "gone", [source], embedder, MODEL),
        lambda: remove_records(tmp_path / "gone", ["x"]),
    ):
        with pytest.raises(LibraryError, match="gone: expected a reference library"):
            write()
    assert not (tmp_path / "gone").exists()


def test_another_model_is_an_error(folder, records, embedder, tmp_path):
    before = files_in(folder)
    other = MODEL | {"weights_sha256": "1" * 64, "name": "other"}
    source = write_fasta(records.slice(120), tmp_path / "more.fasta")
    with pytest.raises(LibraryError, match=r"made with bases .* got other \(111111111111\)"):
        append_records(folder, [source], embedder, other)
    assert files_in(folder) == before
    with pytest.raises(LibraryError, match="engine"):
        check_model(folder, read_manifest(folder), MODEL | {"engine": "network"})


def test_second_writer_is_an_error(folder, records, embedder, tmp_path):
    source = write_fasta(records.slice(120), tmp_path / "more.fasta")
    with FileLock(folder / ".lock"):
        for write in (
            lambda: append_records(folder, [source], embedder, MODEL),
            lambda: build_library(folder, [source], embedder, MODEL),
            lambda: remove_records(folder, ["x"]),
            lambda: save_calibration(StoredLibrary.open(folder), plain_calibration()),
        ):
            with pytest.raises(LibraryError, match="another process is writing to this library"):
                write()
        assert len(StoredLibrary.open(folder).live) == 120


def test_build_does_not_replace_another_library(folder, records, embedder, tmp_path):
    before = files_in(folder)
    other = write_fasta(records.slice(1), tmp_path / "other.fasta")
    own = str(tmp_path / "library.fasta")
    names = pa.table({"id": records["id"], **{rank: records[rank] for rank in RANKS}})
    for sources, model, taxonomy in (
        ([other], MODEL, None),
        ([own, other], MODEL, None),
        ([own], MODEL | {"weights_sha256": "1" * 64}, None),
        ([own], MODEL, names),
    ):
        expected = "expected a folder without a library, got one of 120 records; add to it with --append"
        with pytest.raises(LibraryError, match=expected):
            build_library(folder, sources, embedder, model, taxonomy=taxonomy)
        assert files_in(folder) == before


def test_records_off_the_marker_are_left_out_or_an_error(records, embedder, tmp_path):
    (tmp_path / "mixed.fasta").write_text(
        f">good\n{records['nucleotides'][0].as_py()}\n>other\n{'ACGGT' * 100}\n>none\nNNNN\n"
    )
    added = build_library(tmp_path / "a", [str(tmp_path / "mixed.fasta")], embedder, MODEL, on_error="skip")
    assert (added.num_records, added.off_marker, added.report.counts) == (1, 1, {"all N": 1})
    (tmp_path / "off.fasta").write_text(f">other\n{'ACGGT' * 100}\n")
    with pytest.raises(BadRecordError, match=r"off\.fasta, line 1, record 'other': expected a barcode of the marker"):
        build_library(tmp_path / "b", [str(tmp_path / "off.fasta")], embedder, MODEL)
    with pytest.raises(LibraryError, match="expected barcodes of the marker COI-5P, got none in 1 records"):
        build_library(tmp_path / "b", [str(tmp_path / "off.fasta")], embedder, MODEL, on_error="skip")
    assert not (tmp_path / "b" / "library.json").exists()


def test_model_without_a_frame_is_an_error(embedder, tmp_path):
    embedder.frame = None
    with pytest.raises(ConfigurationError, match="expected a model with a reference frame"):
        build_library(tmp_path / "a", ["x.fasta"], embedder, MODEL)


# Interrupted builds


def test_interrupted_build_is_resumed(records, embedder, tmp_path, monkeypatch):
    monkeypatch.setattr("barcodemae.data.text.BATCH_ROWS", 50)
    source = write_fasta(records, tmp_path / "library.fasta")
    written = []

    def stop_at_third(file, *given):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(file.name)
        write_part(file, *given)

    write_part = segments.write_part
    monkeypatch.setattr(segments, "write_part", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        build_library(tmp_path / "library", [source], embedder, MODEL)
    with pytest.raises(LibraryError, match="expected a complete library, got one whose build has not ended"):
        StoredLibrary.open(tmp_path / "library")
    (tmp_path / "library" / "segment-00000" / ".saving-abcdefgh").mkdir()  # as left by a killed process
    monkeypatch.setattr(
        segments, "write_part", lambda file, *given: write_part(written.append(file.name) or file, *given)
    )
    assert build_library(tmp_path / "library", [source], embedder, MODEL).num_records == 200
    assert written == [f"part-{number:05d}.arrow" for number in range(4)]
    (tmp_path / "at once").mkdir()
    uninterrupted = library_of(records, tmp_path / "at once")
    assert files_in(tmp_path / "library") == files_in(uninterrupted)


def stopped_build(folder, sources, embedder, monkeypatch, **options):
    """A build that was interrupted after its first part."""

    def stop(*given):
        write_part(*given)
        raise KeyboardInterrupt

    write_part = segments.write_part
    with monkeypatch.context() as stopping:
        stopping.setattr(segments, "write_part", stop)
        with pytest.raises(KeyboardInterrupt):
            build_library(folder, sources, embedder, MODEL, **options)


def test_build_of_other_sources_starts_again(records, embedder, tmp_path, monkeypatch):
    stopped_build(tmp_path / "library", [write_fasta(records, tmp_path / "a.fasta")], embedder, monkeypatch)
    library_of(records.slice(0, 5), tmp_path)
    assert len(StoredLibrary.open(tmp_path / "library").live) == 5


def test_build_is_resumed_with_a_copy_and_starts_again_with_other_content(records, embedder, tmp_path, monkeypatch):
    """The content of a source counts, not its folder or modification time."""
    source = Path(write_fasta(records.slice(0, 50), tmp_path / "a.fasta"))
    stopped_build(tmp_path / "library", [str(source)], embedder, monkeypatch)
    (tmp_path / "b").mkdir()
    copy = tmp_path / "b" / "a.fasta"
    copy.write_bytes(source.read_bytes())
    part = tmp_path / "library" / "segment-00000" / "part-00000.arrow"
    before = part.stat()
    build_library(tmp_path / "library", [str(copy)], embedder, MODEL)
    after = part.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    stopped_build(tmp_path / "other", [str(source)], embedder, monkeypatch)
    status = source.stat()
    source.write_bytes(source.read_bytes().replace(b"Animalia", b"animalia").replace(b"g:A", b"g:B"))
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    build_library(tmp_path / "other", [str(source)], embedder, MODEL)
    assert not [
        genus for genus in StoredLibrary.open(tmp_path / "other").names()["genus"].to_pylist() if genus[0] == "A"
    ]


def test_build_with_another_taxonomy_starts_again(records, embedder, tmp_path, monkeypatch):
    """The part written before has the names of the first taxonomy."""
    source = str(tmp_path / "plain.fasta")
    Path(source).write_text("".join(f">{row['id']}\n{row['nucleotides']}\n" for row in records.to_pylist()))
    tables = [
        pa.table({"id": records["id"], **{rank: pa.repeat(pa.scalar(name, STRING), 200) for rank in RANKS}})
        for name in ("first", "second")
    ]

    stopped_build(tmp_path / "library", [source], embedder, monkeypatch, taxonomy=tables[0])
    build_library(tmp_path / "library", [source], embedder, MODEL, taxonomy=tables[1])
    assert set(StoredLibrary.open(tmp_path / "library").names()["genus"].to_pylist()) == {"second"}


def make_files(folder, *names):
    """Make files, and their folders."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


def everything_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_files_left_by_killed_processes_are_deleted(folder, records):
    before = everything_in(folder)
    make_files(
        folder, "segment-00007/part-00000.arrow", "segment-00007/index.faiss", "removed-00003.npy", "building.json"
    )
    make_files(folder, "calibration-00009.json", ".saving-abcdefgh/files/library.json", ".saving-abcdefgh/lock")
    make_files(folder, "segment-00007/.saving-abcdefgh/files/part-00001.arrow")
    remove_records(folder, [records["id"][0].as_py()])
    assert everything_in(folder) == before | {"removed-00000.npy"}


USER_FILES = (
    "notes.txt",
    "removed-chimeras.fasta",
    "calibration-curve.csv",
    "calibration-00000.json.bak",
    "calibration-x.png",
    "removed-00003.txt",
    "removed-1.npy",
    "segment-photos/1.jpg",
    "segment-00007/1.jpg",
    "segment-00008",
    "removed-00009.npy/mine",
    ".saving-notes/x",
    ".saving-holidays/1.jpg",
    "segment-00000/notes.txt",
    "building.json/mine",
)


def test_files_of_the_user_are_not_deleted(folder, records, embedder, calibration, tmp_path):
    make_files(folder, *USER_FILES)
    (tmp_path / "elsewhere").mkdir()
    (folder / ".saving-abcdefgh").symlink_to(tmp_path / "elsewhere")
    remove_records(folder, [records["id"][0].as_py()])
    save_calibration(StoredLibrary.open(folder), calibration)
    for name in USER_FILES:
        assert (folder / name).read_text() == "x"
    assert (folder / ".saving-abcdefgh").is_symlink()


@pytest.mark.parametrize("name", ["notes.txt", "in.fasta", "segment-00000/1.jpg", "segment-00000", *USER_FILES[1:10]])
def test_folder_with_other_files_is_an_error(name, records, embedder, tmp_path):
    folder = tmp_path / "library"
    make_files(folder, name)
    source = write_fasta(records, folder / "in.fasta" if name == "in.fasta" else tmp_path / "in.fasta")
    before = everything_in(folder)
    first = name.partition("/")[0]
    expected = f"library: expected a new or empty folder for the library, got one with {first}"
    with pytest.raises(LibraryError, match=expected):
        build_library(folder, [source], embedder, MODEL)
    assert everything_in(folder) == before


def test_file_in_place_of_the_folder_is_an_error(records, embedder, tmp_path):
    source = write_fasta(records, tmp_path / "in.fasta")
    with pytest.raises(LibraryError, match="expected a folder for the library, got a file"):
        build_library(tmp_path / "in.fasta", [source], embedder, MODEL)
    assert (tmp_path / "in.fasta").read_text()


@pytest.mark.parametrize("name", ["segment-00001", "segment-00001/passwords.txt", "segment-00001/part-00000.arrow/x"])
def test_segment_folder_with_other_files_is_an_error(name, folder, records, embedder, tmp_path):
    make_files(folder, name)
    source = write_fasta(records.slice(120), tmp_path / "more.fasta")
    before = everything_in(folder)
    with pytest.raises(LibraryError, match=r"segment-00001.*: expected"):
        append_records(folder, [source], embedder, MODEL)
    assert everything_in(folder) == before
    assert len(StoredLibrary.open(folder).live) == 120


@pytest.mark.parametrize(
    "name",
    [
        ".lock",
        "library.json",
        "building.json",
        "segment-00001",
        "segment-00001/part-00000.arrow",
        "segment-00001/index.faiss",
        "removed-00000.npy",
        "calibration-00001.json",
    ],
)
def test_links_are_not_followed_by_writers(name, folder, records, embedder, calibration, tmp_path):
    source = write_fasta(records.slice(120), tmp_path / "more.fasta")
    outside = tmp_path / "outside"
    make_files(outside, "file")
    target = outside if name == "segment-00001" else outside / "file"
    if name == "library.json":
        target = (folder / name).rename(outside / "library.json")
    (folder / name).unlink(missing_ok=True)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(target)
    before = files_in(outside)
    writers = [lambda: append_records(folder, [source], embedder, MODEL)]
    if name.count("/") == 0:
        writers += [
            lambda: remove_records(folder, [records["id"][0].as_py()]),
            lambda: save_calibration(StoredLibrary.open(folder), calibration),
        ]
    for write in writers:
        with pytest.raises((LibraryError, ConfigurationError), match=f"{name}: expected"):
            write()
        assert files_in(outside) == before
        assert (folder / name).is_symlink()


# Repeated commands


def test_repeated_build_changes_nothing(folder, embedder, tmp_path):
    before = files_in(folder)
    make_files(folder, "building.json", "calibration-00007.json")  # as left by a killed process
    assert build_library(folder, [str(tmp_path / "library.fasta")], embedder, MODEL) is None
    assert files_in(folder) == before


def test_repeated_append_changes_nothing(folder, records, embedder, tmp_path, caplog):
    source = write_fasta(records.slice(120), tmp_path / "more.fasta")
    assert append_records(folder, [source], embedder, MODEL).known_ids == []
    before = files_in(folder)
    for sources in ([source], [str(tmp_path / "library.fasta")], [source, str(tmp_path / "library.fasta")]):
        assert append_records(folder, sources, embedder, MODEL) is None
    assert files_in(folder) == before
    assert "more.fasta: its records are in" in caplog.text


def test_only_new_sources_are_added(folder, records, embedder, tmp_path):
    source = write_fasta(records.slice(120), tmp_path / "more.fasta")
    added = append_records(folder, [str(tmp_path / "library.fasta"), source], embedder, MODEL)
    assert (added.num_records, added.known_ids) == (80, [])
    assert len(StoredLibrary.open(folder).live) == 200


def test_equal_sources_are_read_once(records, embedder, tmp_path, caplog):
    source = write_fasta(records.slice(0, 60), tmp_path / "a.fasta")
    (tmp_path / "b.fasta").write_bytes(Path(source).read_bytes())
    added = build_library(tmp_path / "library", [source, str(tmp_path / "b.fasta"), source], embedder, MODEL)
    assert added.num_records == 60
    assert "b.fasta: same content as" in caplog.text


def test_known_ids_are_reported(folder, records, embedder, tmp_path):
    ids = records["id"].to_pylist()
    remove_records(folder, [ids[117]])
    source = write_fasta(records.slice(115, 10), tmp_path / "more.fasta")
    added = append_records(folder, [source], embedder, MODEL)
    assert added.num_records == 10
    assert added.known_ids == [ids[115], ids[116], ids[118], ids[119]]


def test_removed_records_can_be_added_again(folder, records, embedder, tmp_path):
    remove_records(folder, [records["id"][3].as_py()])
    added = append_records(folder, [str(tmp_path / "library.fasta")], embedder, MODEL)
    assert (added.num_records, len(added.known_ids)) == (120, 119)


def test_calibration_of_a_library_changed_since_is_an_error(folder, records, embedder, calibration, tmp_path):
    source = write_fasta(records.slice(120), tmp_path / "more.fasta")
    for change in (
        lambda: append_records(folder, [source], embedder, MODEL),
        lambda: remove_records(folder, [records["id"][0].as_py()]),
    ):
        calibrated = StoredLibrary.open(folder)
        change()
        before = files_in(folder)
        with pytest.raises(LibraryError, match="records were added or removed while it was calibrated"):
            save_calibration(calibrated, calibration)
        assert files_in(folder) == before


def test_saving_a_calibration_again_changes_nothing(folder, calibration):
    save_calibration(StoredLibrary.open(folder), calibration)
    before = files_in(folder)
    save_calibration(StoredLibrary.open(folder), calibration)
    assert files_in(folder) == before


def test_fingerprint_depends_on_both_ends_and_the_size(tmp_path):
    file = tmp_path / "file"
    content = bytearray(1_000_000)
    file.write_bytes(content)
    before = fingerprint(file)
    assert fingerprint(file) == before
    for offset in (0, -1):
        changed = bytearray(content)
        changed[offset] = 1
        file.write_bytes(changed)
        assert fingerprint(file) != before
    file.write_bytes(content[:-1])
    assert fingerprint(file).bytes == before.bytes - 1
    file.write_bytes(b"")
    assert fingerprint(file).bytes == 0


def test_manifest_has_no_local_path(folder, tmp_path):
    manifest = json.loads((folder / "library.json").read_text())
    assert str(tmp_path) not in json.dumps(manifest)
    assert manifest["segments"][0]["num_records"] == 120
