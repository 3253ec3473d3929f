"""Outputs of commands: files, which are written atomically, and pipes and devices, which are written directly."""

import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, TextIO

from barcodemae.errors import ConfigurationError
from barcodemae.files import naming, written_atomically

STANDARD_OUTPUT = "-"
"""Name of standard output."""

_STDOUT = 1
_MAX_LINKS = 40  # the limit of Linux


def check_outputs(outputs: Mapping[str, str | Path | None], inputs: Iterable[str | Path] = ()) -> None:
    """Check, before any work is done, that outputs can be written and do not overwrite inputs.

    Args:
        outputs: option -> name of its file, None if the option is not given.
        inputs: files, folders with all their files, `-` for standard input. Names that do not exist, such as those of
            the Hub, are ignored.

    Raises:
        ConfigurationError: an output can't be written, or is the same file as an input or another output, also under
            another name.
    """
    used = {identity: f"{name}, which is read" for name in inputs for identity in _identities_within(name)}
    used.pop(None, None)
    for option, name in outputs.items():
        if name is None:
            continue
        try:
            check_output(name)
        except ConfigurationError as error:
            raise ConfigurationError(f"{option} {error}") from error
        identity = _identity(_locate(name))
        if identity in used:
            raise ConfigurationError(f"{option} {name}: expected another file than {used[identity]}")
        if identity is not None:
            used[identity] = f"that of {option}"


def check_output(name: str | Path) -> None:
    """Check, before any work is done, that an output can be written.

    Raises:
        ConfigurationError: it can't be written.
    """
    with _named(name):
        target = _locate(name)
        if isinstance(target, Path) and not _is_special(target):
            if target.exists() and not os.access(target, os.W_OK):
                raise ConfigurationError(
                    f"{name}: expected a file that may be replaced, got one that is write-protected"
                )
            _check_folder(target.parent)


def check_output_folder(folder: str | Path, without: Iterable[str] = ()) -> None:
    """Check, before any work is done, that files can be written to a folder, which need not exist.

    Args:
        folder: its name.
        without: names of files that show that the folder has another purpose.

    Raises:
        ConfigurationError: the folder can't be written, or has one of these files.
    """
    for name in without:
        if (Path(folder) / name).exists():
            raise ConfigurationError(f"{folder}: expected a new folder or another one, as this one has a {name}")
    with _named(folder):
        str(folder).encode()  # libraries in other languages need names in UTF-8
        _check_folder(Path(folder).resolve())


def check_plot(name: str | Path | None, suffixes: Sequence[str]) -> None:
    """Check, before any work is done, that a plot can be drawn.

    Args:
        name: of its file, the value of `--plot`; None if the option is not given.
        suffixes: of the formats that it can have.

    Raises:
        ConfigurationError: another suffix, or matplotlib is not installed.
    """
    if name is None:
        return
    if Path(name).suffix not in suffixes:
        raise ConfigurationError(f"--plot {name}: expected a name that ends with {', '.join(suffixes)}")
    if find_spec("matplotlib") is None:
        raise ConfigurationError("to plot, install matplotlib: pip install 'barcodemae[identify]'")


def is_stream(name: str | Path) -> bool:
    """Whether an output is written directly: standard output, another open file of this process, a pipe, a device.

    Raises:
        ConfigurationError: the output can't be written.
    """
    target = _locate(name)
    return isinstance(target, int) or _is_special(target)


def describe_output(name: str | Path) -> str:
    """The name of an output in a message."""
    return "standard output" if str(name) == STANDARD_OUTPUT else str(name)


def message_stream(*outputs: str | Path | None) -> TextIO:
    """The stream for messages: standard error if one of the outputs is standard output, and standard output
    otherwise."""
    is_used = any(name is not None and _descriptor(name) == _STDOUT for name in outputs)
    return sys.stderr if is_used else sys.stdout


@contextmanager
def open_output(name: str | Path) -> Iterator[BinaryIO]:
    """Open a file to write to, which appears, or replaces an old one, when the context ends without an error.

    Its folder is created if it does not exist. Links are followed, and the permissions of an old file stay. A stream
    (see `is_stream`) is written directly, and can't seek.

    Args:
        name: name of the file; `-` for standard output.

    Raises:
        ConfigurationError: the name is that of a folder or something else that can't be written.
        OSError: an error of the system, with the name of the file.
    """
    target = _locate(name)
    if isinstance(target, Path) and not _is_special(target):
        with written_atomically(target.parent) as scratch, naming(name), (scratch / target.name).open("wb") as file:
            yield file
        return
    sys.stdout.flush()  # so that earlier messages precede the content
    descriptor = os.dup(target) if isinstance(target, int) else os.open(target, os.O_WRONLY)
    with naming(name), os.fdopen(descriptor, "wb") as stream:
        yield stream


@contextmanager
def _named(name: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"{name}: can't be written: {error.strerror}") from error
    except UnicodeEncodeError as error:
        raise ConfigurationError(f"{name}: expected a name that is UTF-8") from error


def _locate(name: str | Path) -> int | Path:
    """The descriptor of an open file of this process, or the path with all links resolved.

    Raises:
        ConfigurationError: the name is not that of a file, a pipe or a character device.
    """
    number = _descriptor(name)
    if number is not None:
        os.fstat(number)
        return number
    path = Path(name)
    found = _status(path)
    if found is None or stat.S_ISREG(found.st_mode):
        return path.resolve()
    if not _is_special(path):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "something else"
        raise ConfigurationError(f"{name}: expected the name of a file, a pipe or a device, got {what}")
    return path


def _descriptor(name: str | Path) -> int | None:
    """The descriptor of an open file of this process, for names such as `/dev/stdout`; None for other names."""
    if str(name) == STANDARD_OUTPUT:
        return _STDOUT
    path = Path(name)
    for _ in range(_MAX_LINKS):
        path = path.parent.resolve() / path.name
        if match := re.fullmatch(rf"(?:/dev/fd|/proc/{os.getpid()}(?:/task/\d+)?/fd)/(\d+)", str(path)):
            return int(match[1])
        if not path.is_symlink():
            break
        path = path.parent / path.readlink()
    # The file of redirected standard output is not replaced, as later messages would be lost.
    identity = _identity(Path(name))
    return _STDOUT if isinstance(identity, tuple) and identity == _identity(_STDOUT) else None


def _status(file: int | Path) -> os.stat_result | None:
    """The status of a file, with all links resolved; None if it does not exist."""
    try:
        return os.fstat(file) if isinstance(file, int) else file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_special(path: Path) -> bool:
    found = _status(path)
    return found is not None and (stat.S_ISFIFO(found.st_mode) or stat.S_ISCHR(found.st_mode))


def _identity(file: int | Path) -> object:
    """An object that is equal for all names of a file; None for a device, which several may use, and a closed file."""
    try:
        found = _status(file)
    except OSError:
        return None
    if found is None:
        return file
    return None if stat.S_ISCHR(found.st_mode) else (found.st_dev, found.st_ino)


def _identities_within(name: str | Path) -> Iterator[object]:
    """The identity of an input, or those of all files in a folder."""
    if str(name) == STANDARD_OUTPUT:  # as an input, the name of standard input
        yield _identity(0)
    elif _status(path := Path(name)) is not None:
        yield from map(_identity, path.rglob("*") if path.is_dir() else [path])


def _check_folder(path: Path) -> None:
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    if not existing.is_dir():
        raise ConfigurationError(f"{existing}: expected a folder, got a file")
    with tempfile.TemporaryFile(dir=existing):  # permissions alone do not show whether it can be written
        pass
