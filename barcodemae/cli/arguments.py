"""Fills dataclasses from the command line and from a YAML file."""

import argparse
import difflib
import io
import logging
import os
import sys
import textwrap
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from barcodemae.errors import ConfigurationError, option_name

_CONFIG = "config"
_WORDS = "words"

# NumPy, FAISS, PyTorch and Arrow; tokenizers; UMAP, which otherwise gives PyTorch all cores.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS")

# The same in every command.
_SHORT = {"output": "-o", "output_dir": "-o", "threads": "-t", "quiet": "-q"}


def parse_arguments(
    kinds: Sequence[Any],
    arguments: Sequence[str] | None = None,
    *,
    positionals: Sequence[str] = (),
    about: str = "",
    example: str = "",
    takes_config: bool = False,
) -> tuple[Any, ...]:
    """Fill dataclasses from the command line.

    Each field is an option: `num_hits` is `--num-hits` (or `--num_hits`), a list takes one or more values, and a
    Boolean is a flag, which the prefix `--no-` turns off. In every command `-o` is the output, `-t` the number of
    threads and `-q` quiet. The metadata of a field holds its `help`, and may hold its `choices`.

    Args:
        kinds: dataclasses.
        arguments: by default those of the command line.
        positionals: fields whose values need no option, in the order in which they are typed. At most one of them is a
            list; it takes all words that the other fields leave.
        about: what the command does, for its help.
        example: a command that works, for its help.
        takes_config: whether `--config FILE` names a YAML file with more options. The command line has precedence.

    Returns:
        An instance of each dataclass. `CommonArguments` are read too, and applied.

    Raises:
        ConfigurationError: an option does not exist, has no value or a wrong one, or the YAML file can't be read.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    by_name = {field.name: field for kind in (*kinds, CommonArguments) for field in fields(kind)}
    hints = {name: hint for kind in (*kinds, CommonArguments) for name, hint in typing.get_type_hints(kind).items()}
    parser = _Parser(
        usage=_usage(positionals, by_name, hints),
        description=_description(about, positionals, by_name),
        epilog=f"example:\n  {example}" if example else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    if positionals:
        parser.add_argument(_WORDS, nargs="*", help=argparse.SUPPRESS)
    for name, spec in by_name.items():
        _add_option(parser, spec, hints[name], is_positional=name in positionals)
    if takes_config:
        parser.add_argument("--config", metavar="FILE", help="YAML file with any of the other options.")
    given = parser.parse(arguments)
    if _CONFIG in given:
        in_file = _read_config(Path(given.pop(_CONFIG)), by_name, hints)
        given = parser.parse(in_file) | given
    words = given.pop(_WORDS, [])
    _assign(words, positionals, given, by_name, hints)
    for name, spec in by_name.items():
        if name not in given and _is_required(spec):
            raise ConfigurationError(f"expected {option_name(name)} {_metavar(name)}: {spec.metadata['help']}")
    *parsed, common = (
        kind(**{field.name: given[field.name] for field in fields(kind) if field.name in given})
        for kind in (*kinds, CommonArguments)
    )
    common.apply()
    return tuple(parsed)


@dataclass
class CommonArguments:
    """The options of every command."""

    threads: int | None = field(default=None, metadata={"help": "Number of threads; by default the number of cores."})
    quiet: bool = field(default=False, metadata={"help": "Print only errors."})

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise ConfigurationError(f"--threads {self.threads}: expected 1 or more")

    def apply(self) -> None:
        """Set the options for this process. Libraries read the number of threads when they are imported."""
        if self.threads is not None:
            os.environ.update(dict.fromkeys(_THREADS, str(self.threads)))
        if self.quiet:
            os.environ["TQDM_DISABLE"] = "1"
            logging.getLogger("barcodemae").setLevel(logging.ERROR)
            sys.stdout = io.StringIO()  # results on standard output do not pass through it


class _Parser(argparse.ArgumentParser):
    """A parser that raises its errors, and accepts underscores in the names of options."""

    def parse(self, arguments: Iterable[str]) -> dict[str, Any]:
        """The values on the command line, by the name of the field."""
        return vars(self.parse_intermixed_args(self._as_flags(map(_dashed, arguments))))

    def _as_flags(self, arguments: Iterable[str]) -> list[str]:
        """Let a flag have a value, true or false, as in the scripts of Hugging Face."""
        flags = {option for action in self._actions if action.nargs == 0 for option in action.option_strings}
        parsed: list[str] = []
        for argument in arguments:
            if argument.lower() == "false" and parsed and parsed[-1] in flags:
                parsed[-1] = parsed[-1].replace("--no-", "--") if "--no-" in parsed[-1] else f"--no-{parsed[-1][2:]}"
            elif argument.lower() != "true" or not parsed or parsed[-1] not in flags:
                parsed.append(argument)
        return parsed

    def error(self, message: str) -> typing.NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown == message:
            raise ConfigurationError(message)
        wrong = unknown.split()[0]
        known = [option for action in self._actions for option in action.option_strings]
        close = difflib.get_close_matches(wrong, known, n=1)
        raise ConfigurationError(f"unknown option {wrong}{f'; did you mean {close[0]}?' if close else ''}")


def _dashed(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value if argument.startswith("--") else argument


def _metavar(name: str) -> str:
    return name.upper()


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _is_repeated(field: Field[Any]) -> bool:
    """Whether each value of a list has the option before it, so that positional arguments may follow a value."""
    return bool(field.metadata.get("repeated"))


def _is_list(hint: Any) -> bool:
    return typing.get_origin(hint) is list


def _value_type(hint: Any) -> tuple[Any, Sequence[Any] | None]:
    """The type of one value of a field, and the values that are allowed; None where all are."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        (hint,) = (one for one in typing.get_args(hint) if one is not type(None))
    if _is_list(hint):
        (hint,) = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Literal:
        choices = typing.get_args(hint)
        return type(choices[0]), choices
    return hint, None


def _add_option(parser: argparse.ArgumentParser, field: Field[Any], hint: Any, is_positional: bool) -> None:
    names = [option_name(field.name)]
    if field.name in _SHORT:
        names.insert(0, _SHORT[field.name])
    value_type, choices = _value_type(hint)
    text = field.metadata["help"].replace("%", "%%")
    if value_type is bool:
        off = option_name(f"no_{field.name}")
        visible, hidden = ([off], names) if field.default is True else (names, [off])
        for flags, help_text in ((visible, text), (hidden, argparse.SUPPRESS)):
            action = "store_false" if off in flags else "store_true"
            parser.add_argument(*flags, dest=field.name, action=action, help=help_text)
        return
    default = field.default_factory() if field.default_factory is not MISSING else field.default
    if default is not MISSING and default is not None and default != []:
        shown = " ".join(map(str, default)) if isinstance(default, list) else str(default)
        text = f"{text} (default: {shown.replace('%', '%%')})"
    if is_positional and field.name not in _SHORT:
        text = argparse.SUPPRESS  # it is in the description
    parser.add_argument(
        *names,
        dest=field.name,
        type=value_type,
        choices=field.metadata.get("choices", choices),
        **({"action": "append"} if _is_repeated(field) else {"nargs": "+" if _is_list(hint) else None}),
        metavar=None if field.metadata.get("choices", choices) else _metavar(field.name),
        help=text,
    )


def _description(about: str, positionals: Sequence[str], by_name: Mapping[str, Field[Any]]) -> str:
    lines = [about]
    for name in positionals:
        if name not in _SHORT:
            text = textwrap.fill(by_name[name].metadata["help"], 100, initial_indent=" " * 4, subsequent_indent=" " * 4)
            lines += ["", f"  {_metavar(name)}", text]
    return "\n".join(lines).strip()


def _usage(positionals: Sequence[str], by_name: Mapping[str, Field[Any]], hints: Mapping[str, Any]) -> str:
    words = []
    for name in positionals:
        words.append(
            " ".join([*filter(None, [_SHORT.get(name)]), _metavar(name), *(["..."] if _is_list(hints[name]) else [])])
        )
    needed = (name for name, field in by_name.items() if name not in positionals and _is_required(field))
    options = (f"{option_name(name)} {_metavar(name)}" for name in needed)
    return " ".join(["%(prog)s", *words, *options, "[options]"])


def _assign(
    words: list[str],
    positionals: Sequence[str],
    given: dict[str, Any],
    by_name: Mapping[str, Field[Any]],
    hints: Mapping[str, Any],
) -> None:
    """Assign words to the positional fields that no option has set."""
    open_fields = [name for name in positionals if name not in given]
    lists = [name for name in open_fields if _is_list(hints[name])]
    num_single = len(open_fields) - len(lists)
    num_needed = sum(_is_required(by_name[name]) for name in open_fields)
    if len(words) < num_needed or (not lists and len(words) > num_single):
        expected = " ".join(map(_metavar, open_fields)) or "options only"
        raise ConfigurationError(f"expected {expected}, got {' '.join(words) or 'nothing'}")
    rest = list(words)
    before = open_fields.index(lists[0]) if lists else len(open_fields)
    for name in open_fields[:before]:
        if rest:
            given[name] = _converted(name, rest.pop(0), hints)
    after = [name for name in open_fields[before + 1 :] if len(rest) > 1 or lists[0] in given]
    for name in reversed(after):
        given[name] = _converted(name, rest.pop(), hints)
    if lists and rest:
        given[lists[0]] = [_converted(lists[0], word, hints) for word in rest]


def _converted(name: str, word: str, hints: Mapping[str, Any]) -> Any:
    value_type, _ = _value_type(hints[name])
    try:
        return value_type(word)
    except ValueError as error:
        raise ConfigurationError(f"{_metavar(name)}: expected {value_type.__name__}, got {word!r}") from error


def _read_config(path: Path, by_name: Mapping[str, Field[Any]], hints: Mapping[str, Any]) -> list[str]:
    """The options of a YAML file, as they would be typed on the command line."""
    import yaml  # takes a fifth of the time of --help

    try:
        options = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: expected a YAML file: {error}") from error
    if not isinstance(options, dict):
        raise ConfigurationError(f"{path}: expected names of options with their values, got {type(options).__name__}")
    arguments: list[str] = []
    for name, value in options.items():
        if name not in by_name:
            raise ConfigurationError(f"{path}: unknown option {name}")
        if _value_type(hints[name])[0] is bool:
            if not isinstance(value, bool):
                raise ConfigurationError(f"{path}: {name}: expected true or false, got {value!r}")
            arguments.append(option_name(name if value else f"no_{name}"))
        elif value is not None:
            arguments += [option_name(name), *map(str, value if isinstance(value, list) else [value])]
    return arguments
