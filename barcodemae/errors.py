"""What can be wrong with what a user hands in: one small tree, so that a command can answer each with one line."""

from pathlib import Path


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
    """One record that is no usable barcode: too short, no DNA, nothing but unknown letters.

    Args:
        path: the file it came from.
        record: its id.
        problem: what was expected and what came.
        line: 1-based line (text files) or row (Parquet) number, where it is known.
    """

    def __init__(self, path: str | Path, record: str, problem: str, line: int | None = None):
        where = f"{path}, line {line}" if line is not None else str(path)
        super().__init__(f"{where}, record {record!r}: {problem}")
