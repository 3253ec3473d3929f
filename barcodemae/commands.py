"""What all commands share: arguments from YAML and the command line, and one clear line when the input is bad."""

import argparse
import itertools
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import yaml

from barcodemae.errors import BarcodeMAEError, ConfigurationError, printable, system_refusal
from barcodemae.terminal import drop_output, flush_output, standard_streams

# What a shell tells of a command that a signal ended: so much, and the signal's number.
_SIGNALLED, _SIGPIPE = 128, 13
BAD_INPUT = 2


def run_command(main: Callable[[], None]) -> None:
    """Run a command, and end with a code that tells how it went.

    Bad input, or what the system refuses (a file, disk space, memory), becomes one line and exit code 2; a signal one
    line and 128 with its number, as shells have it: 130 for Ctrl-C, 143 for SIGTERM. Where nobody reads the output any
    more, as in `... | head -1`, it ends quietly, with 141. Anything else is a defect, and keeps its traceback.

    Args:
        main: reads `sys.argv` and does the work.
    """
    with standard_streams(), _stopped_by_signals():
        logging.basicConfig(format="%(message)s")
        logging.getLogger("barcodemae").setLevel(logging.INFO if is_main_process() else logging.ERROR)
        try:
            try:
                main()
            finally:
                flush_output()
        except BarcodeMAEError as error:
            _end(BAD_INPUT, f"error: {error}")
        except BrokenPipeError:
            drop_output(sys.stdout, sys.stderr)
            sys.exit(_SIGNALLED + _SIGPIPE)
        except KeyboardInterrupt:
            _end(_SIGNALLED + signal.SIGINT, "interrupted")
        except _Stopped as stopped:
            _end(_SIGNALLED + stopped.signal, f"stopped by {stopped.signal.name}")
        except Exception as error:
            refusal = system_refusal(error)
            if refusal is None:
                raise
            _end(BAD_INPUT, f"error: {refusal}")


class _Stopped(BaseException):
    """A signal came that would have ended the process at once, and what is half written with it."""

    def __init__(self, number: int):
        self.signal = signal.Signals(number)


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise _Stopped(number)

    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # elsewhere Python takes no handlers
        for name in ("SIGTERM", "SIGHUP"):  # the latter is not on every system, and nohup has it ignored
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                previous[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end(code: int, line: str) -> NoReturn:
    """Say one line, in the first process alone, and end."""
    try:
        flush_output()
    except OSError:
        drop_output(sys.stdout)
    if is_main_process():
        with suppress(OSError):  # standard error may be what can't be written
            print(printable(line), file=sys.stderr)
    sys.exit(code)


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
