"""Options from the command line and from a file."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Literal

import pytest

from barcodemae.cli.arguments import parse_arguments
from barcodemae.errors import ConfigurationError


@dataclass
class Work:
    """Inputs, an output, and options of every kind."""

    data: list[str] = field(metadata={"help": "Files."})
    output: str = field(metadata={"help": "A folder."})
    rate: float = field(default=1.0, metadata={"help": "Share, 5 % or so."})
    num_hits: int | None = field(default=None, metadata={"help": "Hits."})
    names: list[str] = field(default_factory=lambda: ["a"], metadata={"help": "Names."})
    append: bool = field(default=False, metadata={"help": "Add."})
    use_frame: bool = field(default=True, metadata={"help": "Read sequences from their first base."})
    on_error: Literal["raise", "skip"] = field(default="raise", metadata={"help": "Raise or skip."})


@dataclass
class Options:
    """Options only."""

    rate: float = field(default=1.0, metadata={"help": "Share."})
    names: list[str] = field(default_factory=lambda: ["a"], metadata={"help": "Names."})
    flag: bool = field(default=False, metadata={"help": "Whether."})


def parse(text, **options):
    return parse_arguments((Work,), text.split(), positionals=("data", "output"), **options)[0]


@pytest.fixture
def config(tmp_path):
    def write(text):
        (tmp_path / "options.yaml").write_text(text)
        return str(tmp_path / "options.yaml")

    return write


def parse_options(*arguments):
    return parse_arguments((Options,), arguments, takes_config=True)[0]


@pytest.mark.parametrize(
    "text",
    [
        "x y -o z --append",
        "-o z --append x y",
        "x --append y --output z",
        "x y z --append",
        "--append x y z",
        "--output=z x y --append",
        "--data x y --output z --append",
        "z --append --data x y",
    ],
)
def test_inputs_and_output_in_any_order(text):
    assert parse(text) == Work(["x", "y"], "z", append=True)


def test_dashes_and_underscores_are_equal_in_names_only():
    assert parse("a_b c_d --num_hits 3") == parse("a_b c_d --num-hits=3") == Work(["a_b"], "c_d", num_hits=3)
    assert parse("a b --names=c_d").names == ["c_d"]


def test_flags():
    assert parse("a b --no-use-frame --on-error skip") == Work(["a"], "b", use_frame=False, on_error="skip")
    assert parse("a b --append --no-append") == Work(["a"], "b")
    assert parse("a b --append true --use_frame False") == Work(["a"], "b", append=True, use_frame=False)
    assert parse("a b --append false --no-use-frame false") == Work(["a"], "b")


def test_single_dash_is_a_word():
    assert parse("- -o b") == Work(["-"], "b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "expected DATA OUTPUT, got a"),
        ("", "expected DATA OUTPUT, got nothing"),
        ("--data a", "expected OUTPUT, got nothing"),
        ("-o b", "expected DATA, got nothing"),
        ("a b --num-hit 3", r"unknown option --num-hit; did you mean --num-hits\?"),
        ("a b --zzz", "unknown option --zzz$"),
        ("a b --num-hits x", "--num-hits: invalid int value: 'x'"),
        ("a b --num-hits", "--num-hits: expected one argument"),
        ("a b --on-error maybe", "--on-error: invalid choice: 'maybe'"),
    ],
)
def test_wrong_arguments(text, message):
    with pytest.raises(ConfigurationError, match=message):
        parse(text)


def test_missing_required_option():
    with pytest.raises(ConfigurationError, match=r"expected --output OUTPUT: A folder\."):
        parse_arguments((Work,), ["a"], positionals=("data",))


def test_unexpected_words():
    with pytest.raises(ConfigurationError, match="unknown option x"):
        parse_arguments((Options,), ["x"])
    with pytest.raises(ConfigurationError, match="expected RATE, got 1 2"):
        parse_arguments((Options,), ["1", "2"], positionals=("rate",))
    with pytest.raises(ConfigurationError, match="RATE: expected float, got 'x'"):
        parse_arguments((Options,), ["x"], positionals=("rate",))


def test_single_positional_before_a_list():
    assert parse_arguments((Options,), ["2", "b", "c"], positionals=("rate", "names"))[0] == Options(2.0, ["b", "c"])
    assert parse_arguments((Options,), ["2"], positionals=("rate", "names"))[0] == Options(2.0)


def test_help(capsys):
    with pytest.raises(SystemExit) as ended:
        parse("--help", about="Add barcodes.", example="barcodemae index a b")
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert " DATA ... -o OUTPUT [options]\n\nAdd barcodes.\n\n  DATA\n    Files.\n" in shown
    assert "--num-hits NUM_HITS" in shown
    assert "Share, 5 % or so. (default: 1.0)" in shown
    assert "--no-use-frame" in shown
    assert "--on-error {raise,skip}" in shown
    assert "example:\n  barcodemae index a b\n" in shown
    for hidden in ("--data", "--no-append", "--use-frame ", "None", "num_hits"):
        assert hidden not in shown


def test_command_line_has_precedence_over_file_over_default(config):
    file = config("rate: 1e-3\nnames: [b, c]\nflag: true\n")
    assert parse_options("--config", file) == Options(1e-3, ["b", "c"], True)
    assert parse_options("--config", file, "--rate", "5", "--no-flag") == Options(5.0, ["b", "c"], False)
    assert parse_options("--names", "d") == Options(names=["d"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speed: 3", "unknown option speed"),
        ("- 1", "expected names of options with their values, got list"),
        ("a: [", "expected a YAML file"),
        ("flag: 3", "flag: expected true or false, got 3"),
        ("rate: fast", "--rate: invalid float value: 'fast'"),
    ],
)
def test_bad_config_file(config, text, message):
    with pytest.raises(ConfigurationError, match=message):
        parse_options("--config", config(text))


def test_missing_config_file():
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml"):
        parse_options("--config", "nowhere.yaml")


def test_config_file_is_refused_by_a_command_without_one():
    with pytest.raises(ConfigurationError, match="unknown option --config"):
        parse_arguments((Options,), ["--config", "x"])


COMMON = """
import os, sys
from barcodemae.cli.arguments import parse_arguments
parse_arguments((), sys.argv[1:])
print(os.environ.get("OMP_NUM_THREADS"), os.environ.get("NUMBA_NUM_THREADS"), "numpy" in sys.modules)
"""


def run_common(*words):
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    command = [sys.executable, "-c", COMMON, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def test_threads_are_set_before_libraries_are_imported_and_quiet_prints_nothing():
    assert run_common("-t", "3") == "3 3 False\n"
    assert run_common() == "None None False\n"
    assert run_common("--quiet") == ""
    with pytest.raises(ConfigurationError, match="--threads 0: expected 1 or more"):
        parse("a b --threads 0")
