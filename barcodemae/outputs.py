"""What a command writes to, as its user named it: a file, whole or not at all, or a pipe or device, as it comes."""

import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from barcodemae.errors import ConfigurationError
from barcodemae.files import naming, written_atomically

STANDARD_OUTPUT = "-"
"""As the name of an output."""

_STDOUT = 1
_MAX_LINKS = 40  # as many as Linux follows


def check_outputs(outputs: Mapping[str, str | Path | None], inputs: Iterable[str | Path] = ()) -> None:
    """See to it, before any work is done, that a command can write what it is asked to, and over nothing that it reads.

    Args:
        outputs: names of files by the options that give them; None where an option is not given.
        inputs: what the command reads: files, folders with all that is in them, `-` for standard input. What does not
            exist, such as a name on the Hub, is passed over.

    Raises:
        ConfigurationError: an output can't be written, or is an input or another output, be it by another name.
    """
    taken = {identity: f"{name}, which is read" for name in inputs for identity in _identities_within(name)}
    taken.pop(None, None)
    for option, name in outputs.items():
        if name is None:
            continue
        try:
            check_output(name)
        except ConfigurationError as error:
            raise ConfigurationError(f"{option} {error}") from error
        identity = _identity(_locate(name))
        if identity in taken:
            raise ConfigurationError(f"{option} {name}: expected another file than {taken[identity]}")
        if identity is not None:
            taken[identity] = f"that of {option}"


def check_output(name: str | Path) -> None:
    """See to it, before any work is done, that an output can be written.

    Raises:
        ConfigurationError: it can't.
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
    """See to it, before any work is done, that files can be written to a folder, which need not exist.

    Args:
        folder: its name.
        without: names of files by which it is known to hold something else, which must not be written over.

    Raises:
        ConfigurationError: they can't, or one of these files is there.
    """
    for name in without:
        if (Path(folder) / name).exists():
            raise ConfigurationError(f"{folder}: expected a new folder or another one, as {name} lies there")
    with _named(folder):
        str(folder).encode()  # libraries that write in other languages take names as UTF-8
        _check_folder(Path(folder).resolve())


def is_stream(name: str | Path) -> bool:
    """Whether an output is written as it comes: standard output, another open file of this process, a pipe, a device.

    Raises:
        ConfigurationError: it can't be written.
    """
    target = _locate(name)
    return isinstance(target, int) or _is_special(target)


def message_stream(*outputs: str | Path | None) -> TextIO:
    """Where messages go: to standard error where one of the outputs is standard output, and else there."""
    is_taken = any(name is not None and _descriptor(name) == _STDOUT for name in outputs)
    return sys.stderr if is_taken else sys.stdout


@contextmanager
def open_output(name: str | Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes its place when the context ends well; before that an old one stays.

    Its folder is made where there is none. A link is followed, and an old file hands on its permissions. A stream, see
    `is_stream`, gets what is written at once, and can't seek.

    Args:
        name: of the file; `-` for standard output.

    Raises:
        ConfigurationError: something else stands there.
        OSError: the system refuses; it names the file.
    """
    target = _locate(name)
    if isinstance(target, Path) and not _is_special(target):
        with written_atomically(target.parent) as scratch, naming(name), (scratch / target.name).open("wb") as file:
            yield file
        return
    sys.stdout.flush()  # what was printed before comes first
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
    """The descriptor of an open file of this process, or the path behind all links.

    Raises:
        ConfigurationError: what stands there is no file, pipe or device of characters.
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
    """The number of the open file of this process that a name stands for, as `/dev/stdout` does."""
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
    # A file that standard output is redirected to: replaced, it would leave the messages to nobody.
    identity = _identity(Path(name))
    return _STDOUT if isinstance(identity, tuple) and identity == _identity(_STDOUT) else None


def _status(file: int | Path) -> os.stat_result | None:
    """What the system knows of a file, behind all links; None where there is none."""
    try:
        return os.fstat(file) if isinstance(file, int) else file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_special(path: Path) -> bool:
    found = _status(path)
    return found is not None and (stat.S_ISFIFO(found.st_mode) or stat.S_ISCHR(found.st_mode))


def _identity(file: int | Path) -> object:
    """What all names of one file share; None for a device, which takes whatever it gets, and for what is closed."""
    try:
        found = _status(file)
    except OSError:
        return None
    if found is None:
        return file
    return None if stat.S_ISCHR(found.st_mode) else (found.st_dev, found.st_ino)


def _identities_within(name: str | Path) -> Iterator[object]:
    """Of an input: of itself, or of all files in a folder."""
    if str(name) == STANDARD_OUTPUT:  # as an input it stands for standard input
        yield _identity(0)
    elif _status(path := Path(name)) is not None:
        yield from map(_identity, path.rglob("*") if path.is_dir() else [path])


def _check_folder(path: Path) -> None:
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    if not there.is_dir():
        raise ConfigurationError(f"{there}: expected a folder, got a file")
    with tempfile.TemporaryFile(dir=there):  # the one way to know is to try
        pass
