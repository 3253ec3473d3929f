"""What all commands share: arguments from YAML and the command line, and one clear line when the input is bad."""

import argparse
import itertools
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from barcodemae.errors import BarcodeMAEError, ConfigurationError

# What a shell tells of a command that a closed pipe ended: 128, and the number of SIGPIPE.
CLOSED_PIPE = 141


def run_command(main: Callable[[], None]) -> None:
    """Run a command; bad input becomes one line and exit code 2, anything else keeps its traceback.

    Where nobody reads its output any more, as in `... | head -1`, it ends quietly, with exit code 141.

    Args:
        main: reads `sys.argv` and does the work.
    """
    logging.basicConfig(format="%(message)s")
    logging.getLogger("barcodemae").setLevel(logging.INFO if is_main_process() else logging.ERROR)
    try:
        try:
            main()
        finally:
            sys.stdout.flush()
    except BarcodeMAEError as error:
        if is_main_process():
            print("error:", " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        # What is still to be written would fail once more when Python ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
        sys.exit(CLOSED_PIPE)


def is_main_process() -> bool:
    """Whether this is the first, or the only, of the processes that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def parse_arguments(
    kinds: Sequence[Any], arguments: Sequence[str] | None = None, positionals: Sequence[str] = ()
) -> tuple[Any, ...]:
    """Fill dataclasses from the command line, and from the YAML file that `--config` names.

    What the command line says goes before what the file says.

    Args:
        kinds: dataclasses, whose fields become options.
        arguments: by default the command line's.
        positionals: options that need not be named: words before the first option are theirs, in this order. The last
            of them takes all words that are left, where it may have several.

    Returns:
        An instance of each.

    Raises:
        ConfigurationError: an option does not exist, or the file can't be read.
    """
    from transformers.hf_argparser import HfArgumentParser  # slow to import, and the list of verbs needs none

    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parser = HfArgumentParser(list(kinds))
    if positionals:
        takes_many = any(action.dest == positionals[-1] and action.nargs == "+" for action in parser._actions)
        words = [*map(str.upper, positionals), *(["..."] if takes_many else [])]
        parser.usage = " ".join(["%(prog)s", *words, "[--option value ...]"])
        arguments = _named(arguments, positionals, takes_many)
    parser.add_argument("--config", metavar="FILE", help="YAML file with any of the other options.")
    config = parser.parse_known_args(arguments)[0].config
    if config is not None:
        arguments = [*_as_arguments(Path(config), parser), *arguments]
    *parsed, unknown = parser.parse_args_into_dataclasses(arguments, return_remaining_strings=True)
    if unknown:
        raise ConfigurationError(f"there is no option {unknown[0]}")
    return tuple(parsed[: len(kinds)])


def _named(arguments: list[str], positionals: Sequence[str], takes_many: bool) -> list[str]:
    """The same arguments, each with its name."""
    # A dash alone is a word: it stands for standard input.
    words = list(itertools.takewhile(lambda argument: argument == "-" or not argument.startswith("-"), arguments))
    if len(words) > len(positionals) and not takes_many:
        raise ConfigurationError(f"expected {' '.join(map(str.upper, positionals))}, got {' '.join(words)}")
    pairs = ((f"--{name}", word) for name, word in zip(positionals, words, strict=False))
    more = words[len(positionals) :]
    return [*itertools.chain.from_iterable(pairs), *more, *arguments[len(words) :]]


def _as_arguments(path: Path, parser: argparse.ArgumentParser) -> list[str]:
    try:
        options = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: expected a YAML file: {error}") from error
    if not isinstance(options, dict):
        raise ConfigurationError(f"{path}: expected options with values, got {type(options).__name__}")
    known = {action.dest for action in parser._actions}
    if unknown := sorted(set(map(str, options)) - known):
        raise ConfigurationError(f"{path}: there is no option {unknown[0]}")
    arguments: list[str] = []
    for name, value in options.items():
        if value is not None:
            arguments += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return arguments
