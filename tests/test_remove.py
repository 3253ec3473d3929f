"""Removal of records by the command."""

import gzip

import pyarrow.compute as pc
import pytest

from barcodemae.cli.remove import read_ids, remove
from barcodemae.errors import ConfigurationError, LibraryError, UnreadableFileError
from barcodemae.library.store.stored import StoredLibrary
from helpers.reference_records import library_of


@pytest.fixture
def folder(sample, tmp_path):
    named = sample.filter(pc.match_substring_regex(sample["species"], "^[A-Z][a-z]+ [a-z]+$"))
    return library_of(named.slice(0, 20), tmp_path)


@pytest.fixture
def ids(folder):
    return StoredLibrary.open(folder).names()["id"].to_pylist()


def test_ids_from_arguments_and_a_file(folder, ids, tmp_path, capsys):
    (tmp_path / "gone.txt").write_text(f"{ids[3]}\n\n  {ids[4]}  \r\n{ids[0]}")
    remove([str(folder), ids[0], ids[1], "--ids", str(tmp_path / "gone.txt")])
    assert capsys.readouterr().out == f"Records removed from {folder}: 4.\n"
    assert StoredLibrary.open(folder).removed.tolist() == [0, 1, 3, 4]
    remove([str(folder), ids[7]])
    assert len(StoredLibrary.open(folder).live) == 15
    capsys.readouterr()
    remove([str(folder), ids[7], ids[8], ids[1]])
    expected = f"Ids whose records had been removed before: 2 (such as {min(ids[7], ids[1])}).\n"
    assert capsys.readouterr().out == f"Records removed from {folder}: 1.\n{expected}"


def test_unknown_id_is_an_error_and_removes_nothing(folder, ids):
    with pytest.raises(LibraryError, match="expected ids of records in the library, got 'nobody'"):
        remove([str(folder), ids[0], "nobody"])
    assert len(StoredLibrary.open(folder).live) == 20


def test_empty_id_is_an_error_and_removes_nothing(folder, ids):
    with pytest.raises(ConfigurationError, match="expected ids of records to remove, got an empty one"):
        remove([str(folder), ids[0], ""])
    assert len(StoredLibrary.open(folder).live) == 20


def test_no_ids_is_an_error(folder, tmp_path):
    with pytest.raises(ConfigurationError, match="expected ids of records to remove, or --ids FILE"):
        remove([str(folder)])
    (tmp_path / "none.txt").write_text("\n \n")
    with pytest.raises(UnreadableFileError, match=r"none\.txt: expected ids, one per line, got none"):
        remove([str(folder), "--ids", str(tmp_path / "none.txt")])


def test_library_on_the_hub_is_an_error():
    with pytest.raises(LibraryError, match="hub:org/library: expected a folder"):
        remove(["hub:org/library", "x"])


def test_reading_files_of_ids(tmp_path):
    (tmp_path / "ids.txt.gz").write_bytes(gzip.compress(b"a b\n=c\n"))
    assert read_ids(tmp_path / "ids.txt.gz") == ["a b", "=c"]
    (tmp_path / "ids.txt").write_bytes(b"a\n\xff\n")
    assert read_ids(tmp_path / "ids.txt") == ["a", "ÿ"]
    with pytest.raises(UnreadableFileError, match="nowhere"):
        read_ids(tmp_path / "nowhere.txt")
