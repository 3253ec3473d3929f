"""Escaping of control characters, standard streams that are closed or full, signals and errors of the system."""

import os
import signal
import subprocess
import sys

import pytest

from barcodemae.cli.command import run_command
from barcodemae.errors import (
    BarcodeMAEError,
    ConfigurationError,
    is_out_of_memory,
    printable,
    printable_lines,
    system_refusal,
)

ESCAPES = "\x1b]0;title\x07\x1b[31mred\x9b2J\x08\x7f\u202egnp.exe\udcff"
WRITTEN_OUT = r"\x1b]0;title\x07\x1b[31mred\x9b2J\x08\x7f\u202egnp.exe\udcff"


def within(program, *arguments):
    """The command line that runs a program, which defines `main`, in `run_command`."""
    first = "import logging, os, sys, time\nfrom barcodemae.cli.command import run_command"
    return [sys.executable, "-c", f"{first}\n{program}\nrun_command(main)", *arguments]


def python(program, *arguments, shell=None, before=":", **options):
    """Run a program with the redirections of a shell."""
    command = within(program, *arguments)
    if shell is not None:
        command = ["sh", "-c", f'{before}; exec "$@" {shell}', "sh", *command]
    return subprocess.run(command, capture_output=True, check=False, timeout=60, **options)


class TestPrintable:
    def test_control_characters_are_escaped(self):
        assert printable(ESCAPES) == printable_lines(ESCAPES) == WRITTEN_OUT

    @pytest.mark.parametrize("text", ["Apis mellifera", "Ünïcode 中文 é 🦋", "a/b\\c $x^$ 'q'"])
    def test_other_text_is_unchanged(self, text):
        assert printable(text) == printable_lines(text) == text

    def test_line_breaks(self):
        assert printable("a\n b\r\tc\u2028d") == "a b c d"
        assert printable_lines("a\n b\tc\r") == "a\n b\tc\\r"


class TestMessages:
    def test_errors_logs_and_prints_are_escaped(self):
        program = (
            "def main():\n"
            "    print(sys.argv[1]); sys.stdout.writelines([sys.argv[1]])\n"
            "    logging.getLogger('barcodemae').warning(sys.argv[1])\n"
            "    from barcodemae.errors import ConfigurationError\n"
            "    raise ConfigurationError(sys.argv[1])"
        )
        done = python(program, os.fsencode(ESCAPES))
        expected = WRITTEN_OUT.encode()
        assert done.returncode == 2
        assert done.stdout == expected + b"\n" + expected
        assert done.stderr == expected + b"\nerror: " + expected + b"\n"

    def test_encoding_without_a_character(self):
        done = python("def main(): print('\u00e9')", env=os.environ | {"PYTHONIOENCODING": "ascii"})
        assert (done.returncode, done.stdout) == (0, b"\\xe9\n")

    def test_progress_bars_move(self):
        program = "def main():\n    from tqdm import tqdm\n    for _ in tqdm(range(2), position=1): pass"
        done = python(program)
        assert b"\r" in done.stderr
        assert b"\x1b[A" in done.stderr
        assert b"\\" not in done.stderr


class TestClosed:
    READ = "def main():\n    from barcodemae.data import read_records\n    read_records('-')"
    PRINT = "def main():\n    print('for nobody')\n    open(sys.argv[1], 'w').write('done')"

    def test_input(self):
        done = python(self.READ, shell="<&-")
        assert (done.returncode, done.stdout) == (2, b"")
        assert done.stderr == b"error: standard input: expected a readable file, got 'Bad file descriptor'\n"

    @pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-", "2>&-"])
    def test_output(self, tmp_path, closed):
        """Printed text is discarded, and does not go to the file that is opened next."""
        done = python(self.PRINT, str(tmp_path / "file"), shell=closed)
        assert (done.returncode, done.stderr) == (0, b"")
        assert (tmp_path / "file").read_text() == "done"

    def test_closed_standard_output_as_output(self):
        program = (
            "def main():\n"
            "    from barcodemae.outputs import open_output\n"
            "    with open_output('-') as file: file.write(b'1')"
        )
        done = python(program, shell=">&-")
        assert (done.returncode, done.stderr) == (2, b"error: -: Bad file descriptor\n")

    @pytest.mark.parametrize("amount", [1, 100_000])
    @pytest.mark.parametrize("unbuffered", ["", "1"])
    def test_full(self, tmp_path, amount, unbuffered):
        options = {"cwd": tmp_path, "env": os.environ | {"PYTHONUNBUFFERED": unbuffered}}
        done = python(f"def main(): print('x' * {amount})", before="ulimit -f 0", shell=">file", **options)
        assert (done.returncode, done.stderr) == (2, b"error: standard output: File too large\n")


class TestSignals:
    @pytest.mark.parametrize(
        ("number", "code", "line"),
        [
            (signal.SIGINT, 130, "interrupted"),
            (signal.SIGTERM, 143, "stopped by SIGTERM"),
            (signal.SIGHUP, 129, "stopped by SIGHUP"),
        ],
    )
    def test_signal_is_one_line_and_nothing_is_left(self, tmp_path, number, code, line):
        program = (
            "def main():\n"
            "    from barcodemae.outputs import open_output\n"
            "    with open_output(sys.argv[1]) as file:\n"
            "        file.write(b'half'); print('writing', flush=True); time.sleep(60)"
        )
        command = within(program, str(tmp_path / "new" / "file"))
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "writing\n"
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (code, "", f"{line}\n")
        assert list(tmp_path.iterdir()) == []

    def test_ignored_signal_stays_ignored(self):
        """As with nohup."""
        program = "def main():\n    os.kill(os.getpid(), 1)\n    print('on')"
        done = python(program, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        assert (done.returncode, done.stdout) == (0, b"on\n")

    def test_handlers_are_restored(self):
        before = signal.getsignal(signal.SIGTERM)
        run_command(lambda: None)
        assert signal.getsignal(signal.SIGTERM) == before


class TestRefusals:
    @pytest.mark.parametrize(
        ("error", "line"),
        [
            (FileNotFoundError(2, "No such file or directory", "a.tsv"), "a.tsv: No such file or directory"),
            (OSError(18, "Invalid cross-device link", "a", None, "b"), "a: b: Invalid cross-device link"),
            (OSError("words of a library"), "words of a library"),
            (ConnectionError(), "ConnectionError"),
            (MemoryError(), "out of memory"),
            (MemoryError("Unable to allocate 3.2 GiB"), "out of memory: Unable to allocate 3.2 GiB"),
            (
                UnicodeEncodeError("utf-8", "a\udcff", 1, 2, "surrogates not allowed"),
                r"a\udcff: expected a name that is UTF-8",
            ),
        ],
        ids=repr,
    )
    def test_error_of_the_system_is_one_line_and_exit_code_2(self, capsys, error, line):
        def main():
            raise error

        with pytest.raises(SystemExit) as ended:
            run_command(main)
        assert ended.value.code == 2
        assert capsys.readouterr().err == f"error: {line}\n"

    @pytest.mark.parametrize(
        "error", [KeyError("a"), UnicodeEncodeError("ascii", "é", 0, 1, "ordinal"), RuntimeError()]
    )
    def test_defect_is_not_an_error_of_the_system(self, error):
        assert system_refusal(error) is None
        assert not is_out_of_memory(error)

    def test_message_of_bad_input_is_unchanged(self, capsys):
        def main():
            raise ConfigurationError("bad") from OSError(28, "No space left on device")

        with pytest.raises(SystemExit):
            run_command(main)
        assert capsys.readouterr().err == "error: bad\n"
        assert issubclass(ConfigurationError, BarcodeMAEError)
