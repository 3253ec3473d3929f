"""Standard streams that are closed, not read any more, in another encoding, or a terminal."""

import io
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

from barcodemae.errors import printable_lines

# Progress bars return to the beginning of the line, and move up if there are several.
_MOVES = re.compile(r"(\r|\x1b\[A)")


@contextmanager
def standard_streams() -> Iterator[None]:
    """Make the three standard streams usable while a command runs.

    A closed stream is replaced, so that no file that the command opens gets its descriptor and then what is printed;
    reading from it or writing to it fails. Control characters in printed text are escaped, and so are characters that
    the encoding does not have.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    for number, mode in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_RDONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # gets the lowest free descriptor
    # Messages to a closed stream are discarded.
    with os.fdopen(0, closefd=False) as stdin, Path(os.devnull).open("w") as sink:
        sys.stdin = before[0] or stdin
        sys.stdout = cast(TextIO, _EscapedStream(before[1] or sink))
        sys.stderr = cast(TextIO, _EscapedStream(before[2] or sink, may_move=True))
        try:
            yield
        finally:
            sys.stdin, sys.stdout, sys.stderr = before


def flush_output() -> None:
    """Flush standard output.

    Raises:
        OSError: it can't be written.
    """
    with _naming("standard output"):
        sys.stdout.flush()


def drop_output(*streams: TextIO) -> None:
    """Discard the remaining output of streams, which would fail again when Python ends."""
    sink = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(sink, stream.fileno())


@contextmanager
def _naming(stream: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, stream) from error


class _EscapedStream:
    """A stream that escapes control characters.

    Args:
        stream: the stream to write to.
        may_move: whether to allow the control characters of progress bars.
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
