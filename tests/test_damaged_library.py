"""A library with a file that is missing, cut short, changed or another's is refused, and the reason told."""

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
    """Two of them, each of 110 records, then 60 more, with a calibration, and three records less."""
    named = pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$")
    for rank in RANKS:
        named = pc.and_(named, pc.not_equal(sample[rank], ""))
    records = sample.filter(named)
    folder = tmp_path_factory.mktemp("libraries")
    with pytest.MonkeyPatch.context() as small:
        small.setattr("barcodemae.data.text.BATCH_ROWS", 60)
        small.setattr(segments, "EXACT_RECORDS", 100)
        for number, name in enumerate(("whole", "other")):
            these = records.slice(200 * number, 200)
            first = write_fasta(these.slice(0, 110), folder / "first.fasta")
            more = write_fasta(these.slice(110, 60), folder / "more.fasta")
            build_library(folder / name, [first], OneHotEmbedder(), MODEL)
            append_records(folder / name, [more], OneHotEmbedder(), MODEL)
            remove_records(folder / name, these["id"].to_pylist()[10 * number : 10 * number + 3])
    return folder


@pytest.fixture
def folder(libraries, tmp_path):
    return shutil.copytree(libraries / "whole", tmp_path / "library")


def refusal(folder):
    with pytest.raises(LibraryError) as refused:
        StoredLibrary.open(folder).calibration()
    return str(refused.value)


def test_these_are_all_files_of_the_library(folder):
    found = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert found == {*FILES, "library.json", ".lock"}
    assert set(read_manifest(folder).files()) == set(FILES)


@pytest.mark.parametrize("name", FILES)
class TestEachFile:
    def test_missing(self, name, folder):
        (folder / name).unlink()
        assert refusal(folder) == f"{folder / name}: expected a file of the library, found none"

    @pytest.mark.parametrize("length", [0, 1, -1])
    def test_cut_short(self, length, name, folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:length])
        expected, got = f"{len(content):,}", f"{len(content[:length]):,}"
        assert refusal(folder) == f"{folder / name}: expected {expected} bytes, as in library.json, got {got}"

    @pytest.mark.parametrize("place", [0, -1])
    def test_one_byte_changed(self, place, name, folder):
        content = bytearray((folder / name).read_bytes())
        content[place] ^= 1
        (folder / name).write_bytes(content)
        assert refusal(folder) == f"{folder / name}: expected the file that library.json was written for, got another"

    def test_of_another_library(self, name, folder, libraries):
        shutil.copy(libraries / "other" / name, folder / name)
        assert str(folder / name) in refusal(folder)

    def test_a_folder_in_its_place(self, name, folder):
        (folder / name).unlink()
        (folder / name).mkdir()
        assert str(folder / name) in refusal(folder)


@pytest.mark.parametrize("others", [(PARTS[0], PARTS[1]), (PARTS[0], PARTS[2]), ("segment-00000", "segment-00001")])
def test_two_exchanged(others, folder):
    first, second = (folder / name for name in others)
    aside = first.rename(folder / "aside")
    second.rename(first)
    aside.rename(second)
    assert "segment-0000" in refusal(folder)


def test_the_manifest_of_another_library(folder, libraries):
    shutil.copy(libraries / "other" / "library.json", folder / "library.json")
    assert refusal(folder).endswith("expected the file that library.json was written for, got another")


def test_a_file_that_is_not_the_librarys_counts_for_nothing(folder):
    expected = StoredLibrary.open(folder).names()
    for name in ("notes.txt", "segment-00000/part-00002.arrow", "segment-00001/index.safetensors", "removed-00001.npy"):
        (folder / name).write_bytes(b"x")
    opened = StoredLibrary.open(folder)
    assert opened.names().equals(expected)
    assert len(opened.live) == 167


# What came so from whoever made the library, so that its manifest names it.


def written_anew(folder, name):
    """Have the manifest name a file as it is now."""
    told = json.loads((folder / "library.json").read_text())
    segment, _, file = name.rpartition("/")
    files = [one["files"] for one in told["segments"] if one["name"] == segment] or [told["removed"]]
    if name == CALIBRATION:
        files = [told["calibration"]]
    files[0][file] = vars(fingerprint(folder / name))
    (folder / "library.json").write_text(json.dumps(told))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "content", [b"", b"x", b"{}", b"[" * 100_000, bytes(5000), b"PK\x03\x04", b"\x93NUMPY\x01\x00"]
)
def test_what_is_no_such_file_is_told(content, name, folder):
    (folder / name).write_bytes(content)
    written_anew(folder, name)
    assert refusal(folder).startswith(f"{folder / name}: expected ")


@pytest.mark.parametrize(
    "removed", [np.array([170]), np.array([-1]), np.array([[1]]), np.array([0.5]), np.array(3), np.array(["a"])]
)
def test_what_are_no_numbers_of_records_are_told(removed, folder):
    np.save(folder / REMOVED, removed)
    written_anew(folder, REMOVED)
    assert "removed-00000.npy: expected whole numbers from 0 to 169, got others" in refusal(folder)


def test_a_type_that_is_no_python_is_told(folder):
    content = (folder / REMOVED).read_bytes()
    (folder / REMOVED).write_bytes(content.replace(b"'<i8'", b"',<i8'").replace(b" \n", b"\n"))
    written_anew(folder, REMOVED)
    assert "removed-00000.npy: expected numbers of removed records, got: " in refusal(folder)


def test_what_would_be_run_is_not_loaded(folder):
    np.save(folder / REMOVED, np.array([{}], object))
    written_anew(folder, REMOVED)
    assert "removed-00000.npy: expected numbers of removed records, got: " in refusal(folder)


def test_records_of_other_sizes_are_told(folder):
    part = map_part(folder / PARTS[0], 658, 32)
    write_part(folder / PARTS[0], part, np.zeros((60, 7), np.int8), np.zeros((60, 32)))
    written_anew(folder, PARTS[0])
    assert "expected records of 658 bases and a vector of 32 numbers, got the columns id" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"centroids": np.zeros((20, 31), np.float32)}, "got centroids of float32 (20, 31)"),
        ({"centroids": np.zeros((20, 32), np.float16)}, "got centroids of float16 (20, 32)"),
        ({"centroids": np.full((20, 32), np.nan, np.float32)}, "got numbers that are not finite"),
        ({"centroids": np.zeros((0, 32), np.float32)}, "got some that are in none of the 0 lists"),
        ({"centroids": np.zeros(32, np.float32)}, "got centroids of float32 (32,)"),
        ({"list_of": np.zeros(109, np.int32)}, "got list_of of int32 (109,)"),
        ({"list_of": np.full(110, 20, np.int32)}, "got some that are in none of the 20 lists"),
        ({"list_of": np.full(110, -1, np.int32)}, "got some that are in none of the 20 lists"),
        ({"codes": np.zeros((110, 15), np.uint8)}, "got codebook of float32 (0,)"),
        ({"codes": np.zeros((110, 16), np.uint8)}, "got codebook of float32 (0,)"),
        ({"codebook": np.zeros((16, 256, 2), np.float32)}, "got codebook of float32 (16, 256, 2)"),
        (
            {"codes": np.zeros((110, 15), np.uint8), "codebook": np.zeros((16, 256, 2), np.float32)},
            "got codes of uint8",
        ),
    ],
)
def test_lists_of_other_vectors_are_told(change, problem, folder):
    lists = {
        "centroids": np.zeros((20, 32), np.float32),
        "list_of": np.zeros(110, np.int32),
        "codebook": np.zeros(0, np.float32),
        "codes": np.zeros(0, np.uint8),
    }
    Lists(**lists | change).save(folder / INDEX)
    written_anew(folder, INDEX)
    told = refusal(folder)
    assert "index.safetensors: expected the lists of 110 vectors of 32 numbers, " in told
    assert problem in told


def test_other_columns_are_told(folder):
    table = pa.table({"id": ["a"]})
    with pa.OSFile(str(folder / PARTS[0]), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    written_anew(folder, PARTS[0])
    assert "got the columns id (string)" in refusal(folder)


def test_other_numbers_of_records_are_told(folder):
    told = json.loads((folder / "library.json").read_text())
    told["segments"][0]["num_records"], told["segments"][1]["num_records"] = 60, 110
    (folder / "library.json").write_text(json.dumps(told))
    assert "segment-00000: expected 60 records, as library.json has it, got 110" in refusal(folder)


def test_a_library_of_nothing_is_told(folder):
    told = json.loads((folder / "library.json").read_text()) | {"segments": [], "removed": {}}
    (folder / "library.json").write_text(json.dumps(told))
    assert "expected a segment or more, got none" in refusal(folder)


def change(told, path, value):
    *above, last = path
    for key in above:
        told = told[key]
    told[last] = value


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
def test_a_value_of_another_kind_is_told(path, value, folder):
    told = json.loads((folder / "library.json").read_text())
    change(told, path, value)
    (folder / "library.json").write_text(json.dumps(told))
    try:
        StoredLibrary.open(folder)
    except LibraryError:
        return
    # What remains is a manifest too: of another name, without a calibration, or of version `True`, which is 1.
    allowed = [("name", "x"), ("engine", "x"), ("kind", "x"), ("calibration", {}), ("version", True)]
    # More lists are searched than there are: all of them.
    assert (path[-1], value) in [*allowed, ("recall", 0), ("recall", 0.5), ("nprobe", 2**70)]


@pytest.mark.parametrize(
    "value", [None, "x", [], [[]], [1], [float("nan")] * 5, [[0, 2]], [[1, 0.5], [0, 0.5]], {}, [5, [6]]]
)
@pytest.mark.parametrize(
    "path",
    [
        ("by",),
        ("lengths",),
        ("probabilities",),
        ("probabilities", "genus"),
        ("probabilities", "novelty", 0, "weights"),
        ("probabilities", "novelty", 0, "knots"),
    ],
)
def test_what_is_no_calibration_is_told(path, value, folder):
    told = json.loads((folder / CALIBRATION).read_text())
    change(told, path, value)
    (folder / CALIBRATION).write_text(json.dumps(told))
    written_anew(folder, CALIBRATION)
    assert f"{CALIBRATION}: expected a calibration, got: " in refusal(folder)
