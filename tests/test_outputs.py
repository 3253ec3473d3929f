"""Outputs of commands: files, links, pipes and devices, but not inputs.

Devices are nodes made here, or a pipe where the system makes none: nothing that fails may touch those of the machine.
"""

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from barcodemae.errors import ConfigurationError
from barcodemae.outputs import (
    check_output,
    check_output_folder,
    check_outputs,
    check_plot,
    is_stream,
    message_stream,
    open_output,
)


def write(name, text="new"):
    with open_output(name) as file:
        file.write(text.encode())


def read_from(pipe):
    """Return a function that returns the content that was written to a pipe."""
    found = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()

    def end():
        reader.join(timeout=20)
        return found[0]

    return end


def contents(folder):
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


class TestFiles:
    def test_appears_when_it_is_complete_with_its_folder(self, tmp_path):
        with open_output(tmp_path / "new" / "a") as file:
            file.write(b"1")
            file.flush()
            assert not (tmp_path / "new" / "a").exists()
        assert contents(tmp_path) == {"new/a": "1"}

    def test_failure_leaves_the_old_file(self, tmp_path):
        (tmp_path / "a").write_text("old")
        with pytest.raises(TypeError), open_output(tmp_path / "a") as file:
            file.writelines([b"new", "no bytes"])
        assert contents(tmp_path) == {"a": "old"}

    @pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
    def test_permissions_are_those_of_the_old_file_or_of_the_umask(self, tmp_path, umask):
        (tmp_path / "old").touch()
        (tmp_path / "old").chmod(0o640)
        before = os.umask(umask)
        try:
            for name in ("old", "new"):
                write(tmp_path / name)
        finally:
            os.umask(before)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
        assert modes == {"old": 0o640, "new": 0o666 & ~umask}

    @pytest.mark.parametrize("there", ["old", None])
    def test_links_are_followed(self, tmp_path, there):
        """Also if the target does not exist yet, is another link, or is in another folder."""
        (tmp_path / "disk").mkdir()
        if there is not None:
            (tmp_path / "disk" / "target").write_text(there)
        (tmp_path / "second").symlink_to("disk/target")
        (tmp_path / "first").symlink_to(tmp_path / "second")
        write(tmp_path / "first")
        assert (tmp_path / "first").is_symlink()
        assert (tmp_path / "second").is_symlink()
        assert (tmp_path / "disk" / "target").read_text() == "new"
        assert [file.name for file in (tmp_path / "disk").iterdir()] == ["target"]

    def test_hard_link_of_the_old_file_keeps_its_content(self, tmp_path):
        (tmp_path / "a").write_text("old")
        (tmp_path / "b").hardlink_to(tmp_path / "a")
        write(tmp_path / "a")
        assert contents(tmp_path) == {"a": "new", "b": "old"}

    def test_full_disk_names_the_file_and_leaves_the_old_one(self, tmp_path):
        (tmp_path / "a").write_text("old")
        with pytest.raises(OSError, match="No space left") as caught, open_output(tmp_path / "a"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        assert caught.value.filename == str(tmp_path / "a")
        assert contents(tmp_path) == {"a": "old"}


class TestStreams:
    @pytest.fixture(params=["pipe", "link to a pipe"])
    def pipe(self, request, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        if request.param == "pipe":
            return tmp_path / "pipe"
        (tmp_path / "link").symlink_to("pipe")
        return tmp_path / "link"

    def test_pipe_is_written_to_and_stays(self, pipe):
        read = read_from(pipe)
        write(pipe, "for the reader")
        assert read() == b"for the reader"
        assert is_stream(pipe)
        assert pipe.is_fifo()

    def test_device_is_written_to_and_stays(self, tmp_path):
        device = tmp_path / "null"
        try:
            os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
            device.read_bytes()
        except PermissionError:
            # Only root can create nodes; a new terminal is a device too.
            device = Path(os.ttyname(os.openpty()[1]))
        write(device)
        assert device.is_char_device()
        assert is_stream(device)

    @pytest.mark.parametrize("name", ["-", "/dev/fd/1", "link"])
    @pytest.mark.parametrize("redirected", ["pipe", "file", "appended"])
    def test_standard_output(self, tmp_path, name, redirected):
        """By all of its names, with the content in order. `/dev/stdout` is a link too."""
        (tmp_path / "link").symlink_to("/dev/fd/1")
        (tmp_path / "out").write_text("before ")
        program = (
            "import sys; from barcodemae.outputs import *\n"
            "print('1', end=' ')\n"
            "with open_output(sys.argv[1]) as file: file.write(b'2 ')\n"
            "print('3', end='', file=message_stream(sys.argv[1]))"
        )
        command = [sys.executable, "-c", program, name]
        if redirected == "pipe":
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
            found = done.stdout
        else:
            with (tmp_path / "out").open("ab" if redirected == "appended" else "wb") as out:
                done = subprocess.run(command, cwd=tmp_path, stdout=out, stderr=subprocess.PIPE, check=True)
            found = (tmp_path / "out").read_bytes()
        assert found == (b"before 1 2 " if redirected == "appended" else b"1 2 ")
        assert done.stderr == b"3"
        assert sorted(file.name for file in tmp_path.iterdir()) == ["link", "out"]

    def test_open_file_of_the_process(self, tmp_path):
        with (tmp_path / "a").open("wb") as file:
            file.write(b"1")
            file.flush()
            write(f"/dev/fd/{file.fileno()}", "2")
        assert contents(tmp_path) == {"a": "12"}

    def test_message_stream(self, tmp_path):
        assert message_stream(tmp_path / "a", None) is sys.stdout
        assert message_stream(tmp_path / "a", "-") is sys.stderr


class TestChecks:
    def test_valid_names_pass_and_nothing_is_left(self, tmp_path):
        (tmp_path / "old").touch()
        check_outputs({"--a": tmp_path / "old", "--b": tmp_path / "new" / "new", "--c": None}, ["-", "hub:org/name"])
        check_output_folder(tmp_path / "new" / "newer")
        assert [file.name for file in tmp_path.iterdir()] == ["old"]

    def test_folder_is_refused(self, tmp_path):
        with pytest.raises(ConfigurationError, match="expected the name of a file, a pipe or a device, got a folder"):
            check_output(tmp_path)

    def test_file_as_folder_is_refused(self, tmp_path):
        (tmp_path / "a").touch()
        for check, name in ((check_output, "a/b"), (check_output, "a/b/c"), (check_output_folder, "a")):
            with pytest.raises(ConfigurationError, match="a: expected a folder, got a file"):
                check(tmp_path / name)

    def test_closed_file_is_refused(self):
        with pytest.raises(ConfigurationError, match="/dev/fd/999: can't be written: Bad file descriptor"):
            check_output("/dev/fd/999")

    def test_folder_that_cannot_be_written_is_refused(self, tmp_path, monkeypatch):
        def refuse(dir):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(dir))

        monkeypatch.setattr("tempfile.TemporaryFile", refuse)
        for check in (check_output, check_output_folder):
            with pytest.raises(ConfigurationError, match="new: can't be written: Permission denied"):
                check(tmp_path / "new")

    def test_write_protected_file_is_refused(self, tmp_path, monkeypatch):
        (tmp_path / "a").touch()
        monkeypatch.setattr("os.access", lambda path, mode: False)
        with pytest.raises(
            ConfigurationError, match="a: expected a file that may be replaced, got one that is write-protected"
        ):
            check_output(tmp_path / "a")

    @pytest.mark.parametrize("how", ["itself", "another way", "link", "linked folder", "hard link", "link to it"])
    def test_input_is_refused_under_any_name(self, tmp_path, monkeypatch, how):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "data").mkdir()
        source = tmp_path / "data" / "a.fasta"
        source.write_text(">mine")
        (tmp_path / "link").symlink_to(source)
        (tmp_path / "folder").symlink_to("data")
        (tmp_path / "hard").hardlink_to(source)
        (tmp_path / "to_hard").symlink_to("hard")
        names = {
            "itself": source,
            "another way": "data/../data/a.fasta",
            "link": "link",
            "linked folder": "folder/a.fasta",
            "hard link": "hard",
            "link to it": "to_hard",
        }
        expected = "--output .*: expected another file than .*, which is read"
        for read, written in ((source, names[how]), (names[how], source), ("data", names[how])):
            with pytest.raises(ConfigurationError, match=expected):
                check_outputs({"--output": written}, [read])
        assert source.read_text() == ">mine"

    def test_file_at_standard_input_is_refused(self, tmp_path):
        (tmp_path / "a").touch()
        program = "from barcodemae.outputs import *; check_outputs({'--output': 'a'}, ['-'])"
        with (tmp_path / "a").open() as source:
            command = [sys.executable, "-c", program]
            done = subprocess.run(command, cwd=tmp_path, stdin=source, capture_output=True, text=True, check=False)
        assert "--output a: expected another file than -, which is read" in done.stderr

    def test_equal_outputs_are_refused(self, tmp_path):
        (tmp_path / "link").symlink_to("a")
        for first, second in (("a", "a"), ("a", "link"), ("a", "./a")):
            outputs = {"--output": tmp_path / first, "--plot": f"{tmp_path}/{second}"}
            with pytest.raises(ConfigurationError, match=r"--plot .*: expected another file than that of --output"):
                check_outputs(outputs)

    def test_device_may_be_used_twice(self):
        check_outputs({"--output": "/dev/null", "--plot": "/dev/null"}, ["/dev/null"])


def test_plot_needs_a_known_suffix_and_matplotlib(monkeypatch):
    check_plot(None, (".png",))
    check_plot("gap.png", (".png", ".pdf"))
    with pytest.raises(ConfigurationError, match=r"--plot gap\.svg: expected a name that ends with \.png, \.pdf"):
        check_plot("gap.svg", (".png", ".pdf"))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigurationError, match=r"to plot, install matplotlib: pip install 'barcodemae\[identify\]'"):
        check_plot("gap.png", (".png",))
