"""Standard input, output and error, such as they are: closed, no longer read, of another encoding, or a terminal."""

import io
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

from barcodemae.errors import printable_lines

# What progress bars do: they begin their line anew, and where several stand below each other they go up.
_MOVES = re.compile(r"(\r|\x1b\[A)")


@contextmanager
def standard_streams() -> Iterator[None]:
    """Make the three usable while a command runs.

    What is closed is opened again, so that no file of the command gets its number and with it what others print; to
    read from it or write to it fails. Text that is printed can't change the state of a terminal, and is written out
    where the encoding does not have it.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    for number, mode in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_RDONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # gets the lowest number that is free
    # Messages may go to nobody: they have a sink of their own.
    with os.fdopen(0, closefd=False) as stdin, Path(os.devnull).open("w") as sink:
        sys.stdin = before[0] or stdin
        sys.stdout = cast(TextIO, _Printed(before[1] or sink))
        sys.stderr = cast(TextIO, _Printed(before[2] or sink, may_move=True))
        try:
            yield
        finally:
            sys.stdin, sys.stdout, sys.stderr = before


def flush_output() -> None:
    """Have written what was printed.

    Raises:
        OSError: it can't be.
    """
    with _naming("standard output"):
        sys.stdout.flush()


def drop_output(*streams: TextIO) -> None:
    """Have what is still to be printed there go nowhere: it would fail once more when Python ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(nowhere, stream.fileno())


@contextmanager
def _naming(stream: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, stream) from error


class _Printed:
    """A stream to which text goes with its control characters written out.

    Args:
        stream: where it goes.
        may_move: leaves in what progress bars need.
    """

    def __init__(self, stream: TextIO, may_move: bool = False):
        self._stream = stream
        self._may_move = may_move
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        parts = _MOVES.split(text) if self._may_move else [text]
        parts[::2] = map(printable_lines, parts[::2])
        with _naming("standard error" if self._may_move else "standard output"):
            self._stream.write("".join(parts))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
