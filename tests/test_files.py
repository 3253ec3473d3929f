"""Files that are whole or not there."""

import pytest

from barcodemae.files import written_whole


def test_files_take_their_place_and_others_stay(tmp_path):
    folder = tmp_path / "new" / "folder"
    for content in ({"a": "1", "b": "2"}, {"a": "3"}):
        with written_whole(folder) as scratch:
            for name, text in content.items():
                (scratch / name).write_text(text)
    assert {file.name: file.read_text() for file in folder.iterdir()} == {"a": "3", "b": "2"}


def test_files_in_folders_take_their_place_too(tmp_path):
    for text in ("1", "2"):
        with written_whole(tmp_path) as scratch:
            (scratch / "inner" / "most").mkdir(parents=True)
            (scratch / "inner" / "most" / "a").write_text(text)
    (tmp_path / "inner" / "b").write_text("mine")
    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*")} == {
        "inner",
        "inner/b",
        "inner/most",
        "inner/most/a",
    }
    assert (tmp_path / "inner" / "most" / "a").read_text() == "2"


def test_a_failure_leaves_what_was_there(tmp_path):
    (tmp_path / "a").write_text("old")

    def fail():
        with written_whole(tmp_path) as scratch:
            (scratch / "a").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a", "old")]
