"""A library from a malicious author, who writes the fingerprints too: its contents are checked when it is opened."""

import json
import os
import shutil
import threading

import faiss
import numpy as np
import pyarrow as pa
import pytest

from barcodemae.errors import CheckpointError, LibraryError
from barcodemae.library import segments
from barcodemae.library.building import remove_records, save_calibration
from barcodemae.library.calibration.probability import OWN, QUERIES
from barcodemae.library.models import find_neighbours
from barcodemae.library.search.comparison import BasesOnFrame
from barcodemae.library.search.marker import read_on_marker
from barcodemae.library.store.manifest import fingerprint
from barcodemae.library.store.records import BASES, map_part
from barcodemae.library.store.stored import StoredLibrary
from helpers.plain_calibration import plain_calibration
from helpers.reference_records import OneHotEmbedder, library_of

PART, INDEX = "segment-00000/part-00000.arrow", "segment-00000/index.safetensors"


@pytest.fixture(scope="module")
def library(sample, tmp_path_factory):
    with pytest.MonkeyPatch.context() as small:
        small.setattr(segments, "MAX_EXACT_RECORDS", 100)
        return library_of(sample.slice(0, 150), tmp_path_factory.mktemp("strangers"))


@pytest.fixture
def folder(library, tmp_path):
    return shutil.copytree(library, tmp_path / "library")


def update_manifest(folder, name=PART):
    """Put the present fingerprint of a file into the manifest."""
    manifest = json.loads((folder / "library.json").read_text())
    segment, _, file = name.rpartition("/")
    files = manifest["segments"][0]["files"] if segment else manifest["calibration"]
    files[file] = vars(fingerprint(folder / name))
    (folder / "library.json").write_text(json.dumps(manifest))


def write(folder, table, **options):
    file = folder / PART
    file.unlink()
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema, **options) as writer:
        writer.write_table(table)
    update_manifest(folder)


def with_column(table, name, column):
    index = table.schema.get_field_index(name)
    return table.set_column(index, table.schema.field(name), column)


def lists(values, size):
    return pa.FixedSizeListArray.from_arrays(values, size)


def error_of(folder):
    with pytest.raises(LibraryError) as error:
        StoredLibrary.open(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def read(folder):
    """The part, copied to memory."""
    part = map_part(folder / PART, BasesOnFrame(658), 32)
    return pa.ipc.open_stream(pa.BufferReader(serialised(part))).read_all()


def serialised(table):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


@pytest.mark.parametrize("row", [0, 75, 149])
@pytest.mark.parametrize(
    "change", [lambda v: v * np.nan, lambda v: v * np.inf, lambda v: v * 2, lambda v: v * 0, lambda v: v / 2]
)
def test_vectors_that_are_not_of_length_1_are_an_error(change, row, folder):
    part = read(folder)
    vectors = np.stack(part["vector"].to_numpy())
    with np.errstate(invalid="ignore"):
        vectors[row] = change(vectors[row])
    write(folder, with_column(part, "vector", lists(pa.array(vectors.ravel()), 32)))
    assert error_of(folder).endswith("expected records of a library, got vectors that are not of length 1")


@pytest.mark.parametrize("base", [-2, 4, 127, -128])
def test_bases_out_of_range_are_an_error(base, folder):
    part = read(folder)
    bases = np.stack(part[BASES].to_numpy())
    bases[3, 5] = base
    write(folder, with_column(part, BASES, lists(pa.array(bases.ravel()), 658)))
    assert error_of(folder).endswith("got bases that are not from -1 to 3")


@pytest.mark.parametrize("name", ["id", "genus", "nucleotides", "bin"])
def test_missing_texts_are_an_error(name, folder):
    part = read(folder)
    texts = [None, *part[name].to_pylist()[1:]]
    write(folder, with_column(part, name, pa.array(texts, pa.large_string())))
    assert error_of(folder).endswith("got missing values")


@pytest.mark.parametrize(("name", "kind", "size"), [(BASES, pa.int8(), 658), ("vector", pa.float16(), 32)])
@pytest.mark.parametrize("within", [False, True])
def test_missing_numbers_are_an_error(within, name, kind, size, folder):
    part = read(folder)
    rows = part[name].to_pylist()
    if within:
        rows[1][2] = None
    else:
        rows[1] = None
    write(folder, with_column(part, name, pa.array(rows, pa.list_(kind, size))))
    assert error_of(folder).endswith("got missing values")


@pytest.mark.parametrize("offset", [2**40, -1, -(2**62), 2**63 - 1])
@pytest.mark.parametrize("name", ["id", "species", "nucleotides"])
def test_text_offsets_out_of_range_is_an_error(name, offset, folder):
    part = read(folder)
    column = part[name].combine_chunks()
    _, offsets, data = column.buffers()
    moved = np.frombuffer(offsets, np.int64).copy()
    moved[7] = offset
    wrong = pa.Array.from_buffers(pa.large_string(), len(column), [None, pa.py_buffer(moved), data])
    write(folder, with_column(part, name, wrong))
    assert "expected records of a library, got: " in error_of(folder)


def test_text_that_is_not_utf8_is_an_error(folder):
    part = read(folder)
    wrong = pa.array([b"\xff\xfe", *[b"x"] * 149], pa.large_binary())
    wrong = pa.Array.from_buffers(pa.large_string(), 150, wrong.buffers())
    write(folder, with_column(part, "genus", wrong))
    assert "UTF8" in error_of(folder)


def test_column_name_that_is_not_utf8_is_an_error(folder):
    content = (folder / PART).read_bytes()
    (folder / PART).write_bytes(content.replace(b"genus", b"gen\xffs", 1))
    update_manifest(folder)
    assert "can't decode byte 0xff" in error_of(folder)


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_compressed_records_are_an_error_before_memory_is_allocated(codec, folder):
    write(folder, read(folder), options=pa.ipc.IpcWriteOptions(compression=codec))
    before = pa.default_memory_pool().max_memory()
    assert "expected uncompressed record batches" in error_of(folder)
    assert pa.default_memory_pool().max_memory() - before < 2**20


def test_faiss_index_is_not_read(folder, sample):
    """That of an earlier version is ignored, and the segment searched exactly."""
    expected = StoredLibrary.open(folder)
    manifest = json.loads((folder / "library.json").read_text())
    files = manifest["segments"][0]["files"]
    del files["index.safetensors"]
    (folder / "segment-00000" / "index.faiss").write_bytes(b"what crashes FAISS")
    files["index.faiss"] = vars(fingerprint(folder / "segment-00000" / "index.faiss"))
    (folder / "library.json").write_text(json.dumps(manifest))
    queries = OneHotEmbedder().encode(sample["nucleotides"].slice(0, 20).to_pylist())
    found, before = (library.search(queries, 5) for library in (StoredLibrary.open(folder), expected))
    assert (found.rows[:, 0] == before.rows[:, 0]).mean() > 0.9


def test_no_file_is_read_by_faiss(folder, monkeypatch):
    for name in ("read_index", "deserialize_index", "read_index_binary"):
        monkeypatch.setattr(faiss, name, None)
    assert StoredLibrary.open(folder).search(np.eye(32, dtype=np.float32)[:3], 5).rows.shape == (3, 5)


# Links and special files


@pytest.mark.parametrize("name", ["library.json", PART, INDEX])
def test_links_are_an_error(name, folder, tmp_path):
    file = folder / name
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert error_of(folder) == f"{file}: expected a file of the library, got a link"


def test_linked_segment_is_an_error(folder, tmp_path):
    (folder / "segment-00000").rename(tmp_path / "elsewhere")
    (folder / "segment-00000").symlink_to(tmp_path / "elsewhere")
    assert error_of(folder) == f"{folder / 'segment-00000'}: expected a folder of the library, got a link"


def test_link_to_a_library_can_be_opened(folder, tmp_path):
    (tmp_path / "mine").symlink_to(folder)
    assert len(StoredLibrary.open(tmp_path / "mine").live) == 150


def in_cache(folder, cache):
    """The library as in the Hub's cache: links to files that are named by their hashes."""
    snapshot = cache / "snapshots" / "0123"
    (cache / "blobs").mkdir(parents=True)
    for number, file in enumerate(file for file in sorted(folder.rglob("*")) if file.is_file()):
        link = snapshot / file.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, cache / "blobs" / str(number))
        link.symlink_to(os.path.relpath(cache / "blobs" / str(number), link.parent))
    return snapshot


def test_library_in_the_cache_of_the_hub_can_be_opened(folder, tmp_path):
    assert len(StoredLibrary.open(in_cache(folder, tmp_path / "datasets--org--name")).live) == 150


def test_links_out_of_the_cache_are_an_error(folder, tmp_path):
    cache = tmp_path / "datasets--org--name"
    snapshot = in_cache(folder, cache)
    (cache / "blobs").rename(tmp_path / "private")
    (cache / "blobs").symlink_to(tmp_path / "private")
    assert error_of(snapshot).endswith("expected a file of the library, got a link")


@pytest.mark.parametrize("name", ["library.json", PART, INDEX])
def test_pipe_is_an_error(name, folder):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert error_of(folder) == f"{folder / name}: expected a file of the library, got something else"


def test_text_file_that_is_too_large_is_not_read(folder, monkeypatch):
    monkeypatch.setattr("barcodemae.library.store.manifest._MAX_TEXT_BYTES", 100)
    assert error_of(folder).endswith("library.json: expected at most 100 bytes, got more")


@pytest.mark.parametrize(
    "name", ["notes.txt", "part-0.arrow", "part-00000.arrow.exe", "part-\u0660\u0660\u0660\u0660\u0660.arrow", ".lock"]
)
def test_other_file_names_in_the_manifest_are_an_error(name, folder):
    manifest = json.loads((folder / "library.json").read_text())
    manifest["segments"][0]["files"][name] = {"bytes": 0, "blake2": ""}
    (folder / "library.json").write_text(json.dumps(manifest))
    assert "expected the name of a file of a library, got " in error_of(folder)


# Models


def test_query_vectors_that_are_not_finite_are_an_error(folder, sample):
    class Broken(OneHotEmbedder):
        def embed_bases(self, *given, **more):
            return super().embed_bases(*given, **more) * np.nan

    queries = read_on_marker(sample["nucleotides"].slice(0, 3).to_pylist(), OneHotEmbedder().frame)
    with pytest.raises(CheckpointError, match="bases: expected finite vectors of barcodes of the marker, got others"):
        find_neighbours(StoredLibrary.open(folder), Broken(), queries)


# Readers during writes


def test_readers_are_not_disturbed_by_writers(folder, sample):
    never = [plain_calibration(by) for by in (OWN, QUERIES)]
    save_calibration(StoredLibrary.open(folder), never[1])
    done, errors = threading.Event(), []

    def read_again_and_again():
        while not done.is_set():
            try:
                assert StoredLibrary.open(folder).calibration() is not None
            except Exception as error:
                errors.append(error)

    readers = [threading.Thread(target=read_again_and_again) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for row in range(40):
            save_calibration(StoredLibrary.open(folder), never[row % 2])
            if row % 4 == 0:
                remove_records(folder, [sample["id"][row].as_py()])
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert errors == []
    assert len(StoredLibrary.open(folder).live) == 140
