"""A missing, truncated, changed or exchanged file of a library is an error with the reason."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from barcodemae.data.schema import RANKS
from barcodemae.errors import LibraryError
from barcodemae.library import segments
from barcodemae.library.building import append_records, build_library, remove_records
from barcodemae.library.search.comparison import BasesOnFrame
from barcodemae.library.search.inverted_file import Lists
from barcodemae.library.store.manifest import fingerprint, read_manifest
from barcodemae.library.store.records import map_part, write_part
from barcodemae.library.store.stored import StoredLibrary
from helpers.reference_records import MODEL, OneHotEmbedder, write_fasta

PARTS = ("segment-00000/part-00000.arrow", "segment-00000/part-00001.arrow", "segment-00001/part-00000.arrow")
INDEX, REMOVED, CALIBRATION = "segment-00000/index.safetensors", "removed-00000.npy", "calibration-00001.json"
FILES = (*PARTS, INDEX, REMOVED, CALIBRATION)


@pytest.fixture(scope="module")
def libraries(sample, tmp_path_factory):
    """Two libraries, each of 110 records and then 60 more, with a calibration and three removed records."""
    named = pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$")
    for rank in RANKS:
        named = pc.and_(named, pc.not_equal(sample[rank], ""))
    records = sample.filter(named)
    folder = tmp_path_factory.mktemp("libraries")
    with pytest.MonkeyPatch.context() as small:
        small.setattr("barcodemae.data.text.BATCH_ROWS", 60)
        small.setattr(segments, "MAX_EXACT_RECORDS", 100)
        for number, name in enumerate(("intact", "other")):
            these = records.slice(200 * number, 200)
            first = write_fasta(these.slice(0, 110), folder / "first.fasta")
            more = write_fasta(these.slice(110, 60), folder / "more.fasta")
            build_library(folder / name, [first], OneHotEmbedder(), MODEL)
            append_records(folder / name, [more], OneHotEmbedder(), MODEL)
            remove_records(folder / name, these["id"].to_pylist()[10 * number : 10 * number + 3])
    return folder


@pytest.fixture
def folder(libraries, tmp_path):
    return shutil.copytree(libraries / "intact", tmp_path / "library")


def error_of(folder):
    with pytest.raises(LibraryError) as error:
        StoredLibrary.open(folder).calibration()
    return str(error.value)


def test_all_files_of_the_library_are_tested(folder):
    found = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert found == {*FILES, "library.json", ".lock"}
    assert set(read_manifest(folder).files()) == set(FILES)


@pytest.mark.parametrize("name", FILES)
class TestEachFile:
    def test_missing(self, name, folder):
        (folder / name).unlink()
        assert error_of(folder) == f"{folder / name}: expected a file of the library, found none"

    @pytest.mark.parametrize("length", [0, 1, -1])
    def test_truncated(self, length, name, folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:length])
        expected, got = f"{len(content):,}", f"{len(content[:length]):,}"
        assert error_of(folder) == f"{folder / name}: expected {expected} bytes, as in library.json, got {got}"

    @pytest.mark.parametrize("offset", [0, -1])
    def test_one_byte_changed(self, offset, name, folder):
        content = bytearray((folder / name).read_bytes())
        content[offset] ^= 1
        (folder / name).write_bytes(content)
        assert (
            error_of(folder)
            == f"{folder / name}: expected the file listed in library.json, got another one of the same size"
        )

    def test_of_another_library(self, name, folder, libraries):
        shutil.copy(libraries / "other" / name, folder / name)
        assert str(folder / name) in error_of(folder)

    def test_folder_in_place_of_the_file(self, name, folder):
        (folder / name).unlink()
        (folder / name).mkdir()
        assert str(folder / name) in error_of(folder)


@pytest.mark.parametrize("others", [(PARTS[0], PARTS[1]), (PARTS[0], PARTS[2]), ("segment-00000", "segment-00001")])
def test_exchanged_files(others, folder):
    first, second = (folder / name for name in others)
    aside = first.rename(folder / "aside")
    second.rename(first)
    aside.rename(second)
    assert "segment-0000" in error_of(folder)


def test_the_manifest_of_another_library(folder, libraries):
    shutil.copy(libraries / "other" / "library.json", folder / "library.json")
    assert error_of(folder).endswith("expected the file listed in library.json, got another one of the same size")


def test_other_files_in_the_folder_are_ignored(folder):
    expected = StoredLibrary.open(folder).names()
    for name in ("notes.txt", "segment-00000/part-00002.arrow", "segment-00001/index.safetensors", "removed-00001.npy"):
        (folder / name).write_bytes(b"x")
    opened = StoredLibrary.open(folder)
    assert opened.names().equals(expected)
    assert len(opened.live) == 167


# Libraries that were made with wrong contents, for which the manifest has the fingerprints.


def update_manifest(folder, name):
    """Put the present fingerprint of a file into the manifest."""
    manifest = json.loads((folder / "library.json").read_text())
    segment, _, file = name.rpartition("/")
    files = [entry["files"] for entry in manifest["segments"] if entry["name"] == segment]
    if name == REMOVED:
        files = [manifest["removed"]]
    if name == CALIBRATION:
        files = [manifest["calibration"]]
    files[0][file] = vars(fingerprint(folder / name))
    (folder / "library.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "content", [b"", b"x", b"{}", b"[" * 100_000, bytes(5000), b"PK\x03\x04", b"\x93NUMPY\x01\x00"]
)
def test_other_content_is_an_error(content, name, folder):
    (folder / name).write_bytes(content)
    update_manifest(folder, name)
    assert error_of(folder).startswith(f"{folder / name}: expected ")


@pytest.mark.parametrize(
    "removed", [np.array([170]), np.array([-1]), np.array([[1]]), np.array([0.5]), np.array(3), np.array(["a"])]
)
def test_other_values_than_record_numbers_are_an_error(removed, folder):
    np.save(folder / REMOVED, removed)
    update_manifest(folder, REMOVED)
    assert "removed-00000.npy: expected integers from 0 to 169, got others" in error_of(folder)


def test_header_that_is_not_python_is_an_error(folder):
    content = (folder / REMOVED).read_bytes()
    (folder / REMOVED).write_bytes(content.replace(b"'<i8'", b"',<i8'").replace(b" \n", b"\n"))
    update_manifest(folder, REMOVED)
    assert "removed-00000.npy: expected numbers of removed records, got: " in error_of(folder)


def test_pickled_objects_are_not_loaded(folder):
    np.save(folder / REMOVED, np.array([{}], object))
    update_manifest(folder, REMOVED)
    assert "removed-00000.npy: expected numbers of removed records, got: " in error_of(folder)


def test_records_of_other_dimensions_are_an_error(folder):
    part = map_part(folder / PARTS[0], BasesOnFrame(658), 32)
    write_part(folder / PARTS[0], part, np.zeros((60, 7), np.int8), np.zeros((60, 32)))
    update_manifest(folder, PARTS[0])
    expected = (
        "expected records with bases on a frame of 658 nucleotides and a vector of 32 numbers, got the columns id"
    )
    assert expected in error_of(folder)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"centroids": np.zeros((20, 31), np.float32)}, "got centroids of float32 (20, 31)"),
        ({"centroids": np.zeros((20, 32), np.float16)}, "got centroids of float16 (20, 32)"),
        ({"centroids": np.full((20, 32), np.nan, np.float32)}, "got numbers that are not finite"),
        ({"centroids": np.zeros((0, 32), np.float32)}, "got numbers of lists that are not from 0 to -1"),
        ({"centroids": np.zeros(32, np.float32)}, "got centroids of float32 (32,)"),
        ({"list_of": np.zeros(109, np.int32)}, "got list_of of int32 (109,)"),
        ({"list_of": np.full(110, 20, np.int32)}, "got numbers of lists that are not from 0 to 19"),
        ({"list_of": np.full(110, -1, np.int32)}, "got numbers of lists that are not from 0 to 19"),
        ({"codes": np.zeros((110, 15), np.uint8)}, "got codebook of float32 (0,)"),
        ({"codes": np.zeros((110, 16), np.uint8)}, "got codebook of float32 (0,)"),
        ({"codebook": np.zeros((16, 256, 2), np.float32)}, "got codebook of float32 (16, 256, 2)"),
        (
            {"codes": np.zeros((110, 15), np.uint8), "codebook": np.zeros((16, 256, 2), np.float32)},
            "got codes of uint8",
        ),
    ],
)
def test_lists_of_other_vectors_are_an_error(change, problem, folder):
    lists = {
        "centroids": np.zeros((20, 32), np.float32),
        "list_of": np.zeros(110, np.int32),
        "codebook": np.zeros(0, np.float32),
        "codes": np.zeros(0, np.uint8),
    }
    Lists(**lists | change).save(folder / INDEX)
    update_manifest(folder, INDEX)
    message = error_of(folder)
    assert "index.safetensors: expected the lists of 110 vectors of 32 numbers, " in message
    assert problem in message


def test_other_columns_are_an_error(folder):
    table = pa.table({"id": ["a"]})
    with pa.OSFile(str(folder / PARTS[0]), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    update_manifest(folder, PARTS[0])
    assert "got the columns id (string)" in error_of(folder)


def test_other_numbers_of_records_are_an_error(folder):
    data = json.loads((folder / "library.json").read_text())
    data["segments"][0]["num_records"], data["segments"][1]["num_records"] = 60, 110
    (folder / "library.json").write_text(json.dumps(data))
    assert "segment-00000: expected 60 records, as in library.json, got 110" in error_of(folder)


def test_manifest_without_segments_is_an_error(folder):
    data = json.loads((folder / "library.json").read_text()) | {"segments": [], "removed": {}}
    (folder / "library.json").write_text(json.dumps(data))
    assert "expected at least one segment, got none" in error_of(folder)


def change(data, path, value):
    *parents, last = path
    for key in parents:
        data = data[key]
    data[last] = value


@pytest.mark.parametrize("value", [None, True, -1, 0, 0.5, "x", [], {}, 2**70])
@pytest.mark.parametrize(
    "path",
    [
        ("version",),
        ("model",),
        ("model", "name"),
        ("model", "engine"),
        ("dimension",),
        ("frame_length",),
        ("segments",),
        ("segments", 0),
        ("segments", 0, "name"),
        ("segments", 0, "num_records"),
        ("segments", 0, "files"),
        ("segments", 0, "files", "part-00000.arrow"),
        ("segments", 0, "files", "part-00000.arrow", "bytes"),
        ("segments", 0, "index"),
        ("segments", 0, "index", "kind"),
        ("segments", 0, "index", "nprobe"),
        ("segments", 0, "index", "recall"),
        ("removed", REMOVED, "blake2"),
        ("calibration",),
    ],
)
def test_manifest_value_of_another_type_is_an_error(path, value, folder):
    data = json.loads((folder / "library.json").read_text())
    change(data, path, value)
    (folder / "library.json").write_text(json.dumps(data))
    try:
        StoredLibrary.open(folder)
    except LibraryError:
        return
    # These are valid too: another name, no calibration, and version `True`, which equals 1.
    allowed = [("name", "x"), ("engine", "x"), ("kind", "x"), ("calibration", {}), ("version", True)]
    # More lists than there are means all of them.
    assert (path[-1], value) in [*allowed, ("recall", 0), ("recall", 0.5), ("nprobe", 2**70)]


@pytest.mark.parametrize(
    "value", [None, "x", [], [[]], [1], [float("nan")] * 5, [[0, 2]], [[1, 0.5], [0, 0.5]], {}, [5, [6]]]
)
@pytest.mark.parametrize(
    "path",
    [
        ("by",),
        ("lengths",),
        ("version",),
        ("weights",),
        ("weights", "genus"),
        ("weights", "novelty", 0),
        ("guarantee",),
        ("guarantee", "other species", 0, "wrong"),
    ],
)
def test_calibration_value_of_another_type_is_an_error(path, value, folder):
    if path[-1] == "wrong" and value in ([], [1]):  # confidences of none or one: what is expected
        return
    data = json.loads((folder / CALIBRATION).read_text())
    change(data, path, value)
    (folder / CALIBRATION).write_text(json.dumps(data))
    update_manifest(folder, CALIBRATION)
    assert f"{CALIBRATION}: expected a calibration, got: " in error_of(folder)
