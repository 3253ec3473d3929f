"""What can be wrong with what a user hands in: one small tree, so that a command can answer each with one line."""

import errno
import os
import re
from pathlib import Path

NOT_WRITTEN = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EBADF}
"""What the system says when content can't be written, without a word on where."""


class BarcodeMAEError(Exception):
    """Bad input. A command prints the message as one line and exits with code 2."""


class ConfigurationError(BarcodeMAEError):
    """An option, or a combination of options, that can't work."""


class CheckpointError(BarcodeMAEError):
    """A model folder or Hub repository that is missing, incomplete or broken."""


class LibraryError(BarcodeMAEError):
    """A reference library that is missing, incomplete or damaged, of another model, or being written to."""


class HubError(BarcodeMAEError):
    """The Hub can't be reached, or refuses."""


class UnreadableFileError(BarcodeMAEError):
    """A file that cannot be read as what it should be: missing, empty, truncated, wrong columns.

    Args:
        path: the file.
        problem: what was expected and what came; made one line, as what libraries say may hold more.
        line: 1-based line number, where there is one.
    """

    def __init__(self, path: str | Path, problem: str, line: int | None = None):
        where = f"{path}, line {line}" if line is not None else str(path)
        super().__init__(f"{where}: {' '.join(problem.split())}")


class BadRecordError(BarcodeMAEError):
    """One record that is no usable barcode: too short, no DNA, nothing but unknown bases.

    Args:
        path: the file it came from.
        record: its id.
        problem: what was expected and what came.
        line: 1-based line (text files) or row (Parquet) number, where it is known.
    """

    def __init__(self, path: str | Path, record: str, problem: str, line: int | None = None):
        where = f"{path}, line {line}" if line is not None else str(path)
        super().__init__(f"{where}, record {record!r}: {problem}")


def printable(text: object) -> str:
    """Text as it may reach a terminal, on one line: what would move its cursor or change its state is written out.

    Names come from files of strangers, and name files whose names need not be UTF-8.
    """
    return _NOT_PRINTABLE.sub(_written_out, " ".join(str(text).split()))


def printable_lines(text: str) -> str:
    """The same of text that may have several lines, and tabs in them."""
    return _NOT_PRINTABLE_IN_LINES.sub(_written_out, text)


def system_refusal(error: BaseException) -> str | None:
    """What the system refused (a file, disk space, memory, a name) as one line; None where an error is something else.

    A name that is not UTF-8 is refused where libraries take paths as text; Python itself opens such files.
    """
    code = why_not_written(error)
    if isinstance(error, UnicodeEncodeError) and _SURROGATE.search(error.object):
        return f"{error.object}: expected a name that is UTF-8"
    if isinstance(error, OSError):
        named = [str(name) for name in (error.filename, error.filename2) if name is not None]
        reason = error.strerror if code is None else os.strerror(code)  # some libraries make it long
        return ": ".join([*named, reason or str(error) or type(error).__name__])
    if is_out_of_memory(error):
        return f"out of memory: {error}" if str(error) else "out of memory"
    return None if code is None else os.strerror(code)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: torch has an error of its own for devices, and a plain `RuntimeError` for CPUs."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )


def why_not_written(error: BaseException | None) -> int | None:
    """The system's number (`errno`) for why it took no more content; None where that is not what was wrong.

    torch and libraries that write from Rust hide it, in the context or in the words of errors of their own.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in NOT_WRITTEN:
            return error.errno
        for code in NOT_WRITTEN:
            if f"(os error {code})" in str(error):
                return code
        error = error.__cause__ or error.__context__
    return None


_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_PRINTABLE_IN_LINES = re.compile(f"[{_CONTROLS}]")
_NOT_PRINTABLE = re.compile(f"[{_CONTROLS}\u2028\u2029]")


def _written_out(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
