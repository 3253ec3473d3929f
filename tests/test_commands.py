"""Arguments from file and command line, and how a command ends."""

import os
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

from barcodemae.commands import parse_arguments, run_command
from barcodemae.errors import ConfigurationError, UnreadableFileError


@dataclass
class Options:
    rate: float = 1.0
    names: list[str] = field(default_factory=lambda: ["a"])
    flag: bool = False


@pytest.fixture
def config(tmp_path):
    def write(text):
        (tmp_path / "options.yaml").write_text(text)
        return str(tmp_path / "options.yaml")

    return write


def parse(*arguments):
    return parse_arguments((Options,), arguments)[0]


def test_command_line_goes_before_file_and_file_before_default(config):
    file = config("rate: 1e-3\nnames: [b, c]\nflag: true\n")
    assert parse("--config", file) == Options(1e-3, ["b", "c"], True)
    assert parse("--config", file, "--rate", "5", "--flag", "false") == Options(5.0, ["b", "c"], False)
    assert parse("--names", "d") == Options(names=["d"])


@pytest.mark.parametrize(
    ("text", "message"),
    [("speed: 3", "there is no option speed"), ("- 1", "expected options"), ("a: [", "expected a YAML file")],
)
def test_bad_file(config, text, message):
    with pytest.raises(ConfigurationError, match=message):
        parse("--config", config(text))


def test_missing_file():
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml"):
        parse("--config", "nowhere.yaml")


def test_an_option_that_does_not_exist_is_told():
    with pytest.raises(ConfigurationError, match="there is no option --speed"):
        parse("--speed", "3")


def test_a_dash_alone_is_a_word():
    (parsed,) = parse_arguments((Options,), ("-", "--flag"), positionals=("names",))
    assert parsed == Options(names=["-"], flag=True)


def test_words_before_the_first_option_fill_positionals():
    def parse(*arguments):
        return parse_arguments((Options,), arguments, positionals=("rate", "names"))[0]

    expected = Options(2.0, ["b"], True)
    assert parse("2", "b", "--flag") == parse("2", "--names", "b", "--flag") == expected
    assert parse("--names", "b", "--rate", "2", "--flag") == expected
    assert parse("2", "b", "c", "--flag") == Options(2.0, ["b", "c"], True)
    with pytest.raises(ConfigurationError, match="expected RATE, got 2 b"):
        parse_arguments((Options,), ("2", "b"), positionals=("rate",))


def test_the_last_positional_may_take_all_further_words():
    (parsed,) = parse_arguments((Options,), ("2", "a", "b", "--flag"), positionals=("rate", "names"))
    assert parsed == Options(2.0, ["a", "b"], True)
    (parsed,) = parse_arguments((Options,), ("--flag",), positionals=("names",))
    assert parsed == Options(flag=True)


def test_bad_input_is_one_line_and_code_2(capsys):
    def main():
        raise UnreadableFileError("x.tsv", "expected 3 columns,\n got 2", line=7)

    with pytest.raises(SystemExit) as ended:
        run_command(main)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: x.tsv, line 7: expected 3 columns, got 2\n"


def test_other_errors_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 / 0)


CLOSED = "import os, sys; os.dup2(int(sys.argv[1]), {stream}); from barcodemae.commands import run_command; "


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
def test_nobody_reads_the_output_any_more(stream, main):
    reader, writer = os.pipe()
    os.close(reader)
    program = CLOSED.format(stream=stream) + f"run_command(lambda: {main})"
    command = [sys.executable, "-c", program, str(writer)]
    done = subprocess.run(command, pass_fds=[writer], capture_output=True, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stdout, done.stderr) == (141, "", "")
