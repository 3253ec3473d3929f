"""Atomic writing of files, and locks."""

import errno
import os
import signal
import stat
import subprocess
import sys

import pytest

from barcodemae.errors import ConfigurationError, UnreadableFileError, system_refusal
from barcodemae.files import written_atomically
from barcodemae.locks import BusyError, locked

WRITE = """
import os, sys, time
from pathlib import Path
from barcodemae.files import written_atomically
with written_atomically(Path(sys.argv[1])) as scratch:
    (scratch / "half").write_text("x")
    print("writing", flush=True)
    sys.stdin.read()
"""


def start_writing(folder):
    """A process that writes to a folder until its standard input ends."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout.readline() == "writing\n"
    return writer


def write(folder, name="a", text="1"):
    with written_atomically(folder) as scratch:
        (scratch / name).write_text(text)


def test_files_are_moved_and_others_stay(tmp_path):
    folder = tmp_path / "new" / "folder"
    for content in ({"a": "1", "b": "2"}, {"a": "3"}):
        with written_atomically(folder) as scratch:
            for name, text in content.items():
                (scratch / name).write_text(text)
    assert {file.name: file.read_text() for file in folder.iterdir()} == {"a": "3", "b": "2"}


def test_files_in_subfolders_are_moved(tmp_path):
    for text in ("1", "2"):
        with written_atomically(tmp_path) as scratch:
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


def test_failure_leaves_the_old_file(tmp_path):
    (tmp_path / "a").write_text("old")

    def fail():
        with written_atomically(tmp_path) as scratch:
            (scratch / "a").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a", "old")]


def test_new_subfolder_is_moved_at_once(tmp_path, monkeypatch):
    """By one rename, so that a kill leaves all of its files or none."""
    renamed = []
    monkeypatch.setattr("pathlib.Path.replace", lambda source, target: renamed.append(source.rename(target)))
    with written_atomically(tmp_path) as scratch:
        (scratch / "inner").mkdir()
        for name in "ab":
            (scratch / "inner" / name).touch()
    assert renamed == [tmp_path / "inner"]
    assert {file.name for file in tmp_path.rglob("*")} == {"inner", "a", "b"}


def test_permissions_are_those_of_the_old_file_or_of_the_umask(tmp_path):
    """Also if a library sets others, and in subfolders."""
    write(tmp_path, "old")
    (tmp_path / "old").chmod(0o640)
    with written_atomically(tmp_path) as scratch:
        (scratch / "new").mkdir()
        for name in ("old", "a", "new/b"):
            (scratch / name).touch(0o600)
    umask = os.umask(0o022)
    os.umask(umask)
    modes = {str(file.relative_to(tmp_path)): stat.S_IMODE(file.stat().st_mode) for file in tmp_path.rglob("*")}
    assert modes == {"old": 0o640, "a": 0o666 & ~umask, "new": 0o777 & ~umask, "new/b": 0o666 & ~umask}


def test_target_of_a_link_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").symlink_to("../disk/b")
    for text in ("1", "2"):
        write(tmp_path / "folder", text=text)
        assert (tmp_path / "folder" / "a").is_symlink()
        assert [(file.name, file.read_text()) for file in (tmp_path / "disk").iterdir()] == [("b", text)]


@pytest.mark.parametrize("put", [os.mkfifo, os.mkdir])
def test_nothing_is_moved_if_one_file_cannot_be(put, tmp_path):
    put(tmp_path / "b")

    def move_both():
        with written_atomically(tmp_path) as scratch:
            for name in "ab":
                (scratch / name).touch()

    with pytest.raises(ConfigurationError, match="b: expected a file, got something else"):
        move_both()
    assert [file.name for file in tmp_path.iterdir()] == ["b"]
    assert not (tmp_path / "b").is_file()


class TestRefusals:
    """Errors of the system name a file of the user, and new folders are removed."""

    ERRORS = (
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.ENOSPC, "in the words of a library. Detail: [errno 28]"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    )

    @pytest.mark.parametrize("error", ERRORS, ids=str)
    def test_full_disk(self, tmp_path, error):
        with (
            pytest.raises(OSError, match=r"No space|Detail") as caught,
            written_atomically(tmp_path / "new" / "folder"),
        ):
            raise error
        assert system_refusal(caught.value) == f"{tmp_path}/new/folder: No space left on device"
        assert list(tmp_path.iterdir()) == []

    def test_error_of_a_scratch_file_names_the_folder(self, tmp_path):
        with pytest.raises(PermissionError) as caught, written_atomically(tmp_path / "a") as scratch:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "source", None, str(scratch / "b"))
        assert system_refusal(caught.value) == f"{tmp_path}/a: Permission denied"

    def test_error_of_another_file_is_unchanged(self, tmp_path):
        with pytest.raises(FileNotFoundError) as caught, written_atomically(tmp_path):
            (tmp_path / "absent").read_text()
        assert system_refusal(caught.value) == f"{tmp_path}/absent: No such file or directory"

    def test_bad_input_and_defects_are_unchanged(self, tmp_path):
        for error in (UnreadableFileError("a.fasta", "expected a readable file"), ZeroDivisionError("by nothing")):
            error.__cause__ = OSError(errno.EIO, "in what was read") if isinstance(error, UnreadableFileError) else None
            with pytest.raises(type(error)) as caught, written_atomically(tmp_path):
                raise error
            assert caught.value is error

    def test_existing_folder_stays(self, tmp_path):
        (tmp_path / "mine").mkdir()
        with pytest.raises(KeyboardInterrupt), written_atomically(tmp_path / "mine" / "new"):
            raise KeyboardInterrupt
        assert [file.name for file in tmp_path.rglob("*")] == ["mine"]


class TestScratchFolders:
    def test_that_of_a_killed_process_is_removed(self, tmp_path):
        writer = start_writing(tmp_path)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert len(list(tmp_path.iterdir())) == 1
        write(tmp_path)
        assert [file.name for file in tmp_path.iterdir()] == ["a"]

    def test_that_of_a_running_process_stays(self, tmp_path):
        writer = start_writing(tmp_path)
        write(tmp_path)
        assert len(list(tmp_path.iterdir())) == 2
        writer.communicate("")
        assert writer.returncode == 0
        assert {file.name for file in tmp_path.iterdir()} == {"a", "half"}

    def test_incomplete_one_is_removed(self, tmp_path):
        for name, within in ((".saving-abcdefg1", ""), (".saving-abcdefg2", "lock"), (".saving-abcdefg3", "files/b")):
            (tmp_path / name / within).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).mkdir(exist_ok=True)
            if within:
                (tmp_path / name / within).touch()
        write(tmp_path)
        assert [file.name for file in tmp_path.iterdir()] == ["a"]

    def test_similar_names_of_the_user_stay(self, tmp_path):
        others = {".saving-notes/x", ".saving-holidays/1.jpg", ".saving-my_notes", "saving-abcdefgh/files"}
        for name in others:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("mine")
        (tmp_path / "mine" / "files").mkdir(parents=True)
        (tmp_path / ".saving-abcdefgh").symlink_to("mine")
        write(tmp_path)
        others |= {
            "a",
            ".saving-abcdefgh",
            "mine",
            "mine/files",
            ".saving-notes",
            ".saving-holidays",
            "saving-abcdefgh",
        }
        assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*")} == others

    def test_link_as_lock_is_not_followed(self, tmp_path):
        (tmp_path / "precious").write_text("precious")
        for number, link in enumerate((os.symlink, os.link)):
            (tmp_path / f".saving-abcdefg{number}").mkdir()
            link(tmp_path / "precious", tmp_path / f".saving-abcdefg{number}" / "lock")
        write(tmp_path)
        assert (tmp_path / "precious").read_text() == "precious"


class TestLocks:
    def test_lock_is_held_by_one_process(self, tmp_path):
        with locked(tmp_path / ".lock"), pytest.raises(BusyError), locked(tmp_path / ".lock", timeout=0):
            pass
        with locked(tmp_path / ".lock", timeout=0):
            pass

    @pytest.mark.parametrize("put", [os.symlink, os.link, lambda source, path: os.mkfifo(path)])
    def test_link_is_refused(self, put, tmp_path):
        (tmp_path / "precious").write_text("precious")
        put(tmp_path / "precious", tmp_path / ".lock")
        with pytest.raises(ConfigurationError, match=r"\.lock: expected"), locked(tmp_path / ".lock", timeout=0):
            pass
        assert (tmp_path / "precious").read_text() == "precious"

    def test_lock_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").touch()
        expected = "lock: expected a file to lock, got: "
        with pytest.raises(ConfigurationError, match=expected), locked(tmp_path / "file" / "lock"):
            pass


def test_saved_files_have_the_mode_of_new_files(tmp_path):
    with written_atomically(tmp_path) as scratch:
        (scratch / "deep").mkdir()
        for name in ("a", "deep/b"):
            (scratch / name).write_text("x")
            (scratch / name).chmod(0o600)
    (tmp_path / "new").write_text("x")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "a", "deep/b")}
    assert len(modes) == 1


def test_files_of_a_checkpoint_have_the_same_mode(checkpoint):
    assert len({stat.S_IMODE(file.stat().st_mode) for file in checkpoint.rglob("*") if file.is_file()}) == 1
