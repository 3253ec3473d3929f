"""Exit codes and error lines of commands."""

import os
import subprocess
import sys

import pytest

from barcodemae.cli.command import run_command
from barcodemae.errors import UnreadableFileError


def test_bad_input_is_one_line_and_exit_code_2(capsys):
    def main():
        raise UnreadableFileError("x.tsv", "expected 3 columns,\n got 2", line=7)

    with pytest.raises(SystemExit) as ended:
        run_command(main)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: x.tsv, line 7: expected 3 columns, got 2\n"


def test_other_errors_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 / 0)


CLOSED = "import os, sys; os.dup2(int(sys.argv[1]), {stream}); from barcodemae.cli.command import run_command; "


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stream", "main"),
    [
        (1, "print('few')"),
        (1, "print('many' * 1_000_000)"),
        (1, "(print('help'), sys.exit(0))"),
        (2, "print('progress', file=sys.stderr)"),
    ],
)
def test_closed_pipe_ends_the_command_silently(stream, main):
    reader, writer = os.pipe()
    os.close(reader)
    program = CLOSED.format(stream=stream) + f"run_command(lambda: {main})"
    command = [sys.executable, "-c", program, str(writer)]
    done = subprocess.run(command, pass_fds=[writer], capture_output=True, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stdout, done.stderr) == (141, "", "")


@pytest.mark.slow
def test_message_is_on_its_own_line_above_a_progress_bar():
    script = (
        "import logging; from tqdm import tqdm; from barcodemae.cli.command import run_command\n"
        "def main():\n"
        "    with tqdm(total=2, desc='bar', mininterval=0, disable=False) as bar:\n"
        "        bar.update(1); logging.getLogger('barcodemae.x').info('3 records are read'); bar.update(1)\n"
        "run_command(main)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    lines = [line.rpartition("\r")[2] for line in ended.stderr.replace("\r\n", "\n").split("\n")]
    assert "3 records are read" in lines
    assert lines[-2].startswith("bar: 100%")
