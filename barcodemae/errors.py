"""Errors of bad input, each of which a command prints as one line, and messages for the errors of the system."""

import errno
import os
import re
from pathlib import Path

NOT_WRITTEN = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EBADF}
"""Error numbers of the system for content that can't be written, which often come without a path."""


class BarcodeMAEError(Exception):
    """Bad input. A command prints the message as one line and exits with code 2."""


class ConfigurationError(BarcodeMAEError):
    """An option, or a combination of options, that is not valid."""


class CheckpointError(BarcodeMAEError):
    """A model folder or Hub repository that is missing, incomplete or broken."""


class LibraryError(BarcodeMAEError):
    """A reference library that is missing, incomplete or damaged, of another model, or being written to."""


class HubError(BarcodeMAEError):
    """The Hub can't be reached, or refuses."""


class UnreadableFileError(BarcodeMAEError):
    """A file that can't be read in the expected format: missing, empty, truncated, or with wrong columns.

    Args:
        path: the file.
        problem: what was expected and what was found; line breaks, as in messages of libraries, become spaces.
        line: 1-based number of the line, if known.
    """

    def __init__(self, path: str | Path, problem: str, line: int | None = None):
        where = f"{path}, line {line}" if line is not None else str(path)
        super().__init__(f"{where}: {' '.join(problem.split())}")


class BadRecordError(BarcodeMAEError):
    """A record that is not a usable barcode: too short, not DNA, or only unknown bases.

    Args:
        path: the file of the record.
        record: its id.
        problem: what was expected and what was found.
        line: 1-based number of the line (text files) or row (Parquet), if known.
    """

    def __init__(self, path: str | Path, record: str, problem: str, line: int | None = None):
        where = f"{path}, line {line}" if line is not None else str(path)
        super().__init__(f"{where}, record {record!r}: {problem}")


def printable(text: object) -> str:
    """Text that is safe to print, on one line: characters that would control a terminal are escaped.

    Names in files may be malicious, and names of files need not be UTF-8.
    """
    return _NOT_PRINTABLE.sub(_escape, " ".join(str(text).split()))


def printable_lines(text: str) -> str:
    """Text that is safe to print, with its line breaks and tabs."""
    return _NOT_PRINTABLE_IN_LINES.sub(_escape, text)


def system_refusal(error: BaseException) -> str | None:
    """A message for an error of the system (a file, disk space, memory, a name); None for other errors.

    Names that are not UTF-8 are refused by libraries that take paths as text; Python itself opens such files.
    """
    code = why_not_written(error)
    if isinstance(error, UnicodeEncodeError) and _SURROGATE.search(error.object):
        return f"{error.object}: expected a name that is UTF-8"
    if isinstance(error, OSError):
        named = [str(name) for name in (error.filename, error.filename2) if name is not None]
        reason = error.strerror if code is None else os.strerror(code)  # messages of some libraries are long
        return ": ".join([*named, reason or str(error) or type(error).__name__])
    if is_out_of_memory(error):
        return f"out of memory: {error}" if str(error) else "out of memory"
    return None if code is None else os.strerror(code)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; torch has its own error for devices, and raises `RuntimeError` on CPUs."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )


def why_not_written(error: BaseException | None) -> int | None:
    """The error number (`errno`) of a write that failed, one of `NOT_WRITTEN`; None for other errors.

    torch and libraries written in Rust hide it in the context or in the message of their own errors.
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


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def option_name(name: str) -> str:
    """The option that sets a field, as it is typed: `--num-hits` for `num_hits`."""
    return f"--{name.replace('_', '-')}"
