"""Files of results, written table by table."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, cast

import pyarrow as pa
import pyarrow.parquet as pq

from barcodemae.errors import ConfigurationError
from barcodemae.library.results.lines import TSV_HEADER, json_lines, tsv_lines
from barcodemae.library.results.other_programs import QIIME2_HEADER, blast6_lines, qiime2_lines, sintax_lines
from barcodemae.library.results.schema import RESULTS
from barcodemae.library.settings import BLAST6, FORMATS, JSONL, PARQUET, QIIME2, SINTAX, TSV
from barcodemae.outputs import check_output, is_stream, open_output

GZIP = ".gz"


class _Layout(NamedTuple):
    """A text format: its header line, if any, and the function that makes lines of a table of results."""

    header: str | None
    lines: Callable[[pa.Table], list[str]]


_LAYOUTS = {
    TSV: _Layout(TSV_HEADER, tsv_lines),
    JSONL: _Layout(None, json_lines),
    SINTAX: _Layout(None, sintax_lines),
    QIIME2: _Layout(QIIME2_HEADER, qiime2_lines),
    BLAST6: _Layout(None, blast6_lines),
}
_FORMAT_OF_SUFFIX = {".tsv": TSV, ".jsonl": JSONL, ".parquet": PARQUET}
_FORMAT_OF_STREAM = TSV


class ResultsWriter(Protocol):
    """Writes results, some thousand queries at a time."""

    def write(self, results: pa.Table) -> None:
        """Append results, a table of `RESULTS`."""


def results_format(path: Path, format: str | None = None) -> str:
    """The format of a file of results.

    Args:
        path: of the file; `-` for standard output.
        format: one of `FORMATS`; by default that of the suffix, or TSV for standard output, pipes and devices.

    Raises:
        ConfigurationError: an unknown format, or no format where the suffix gives none; Parquet with `.gz`; or no file
            can be written there.
    """
    check_output(path)
    is_gzip = path.suffix == GZIP
    if format is None:
        suffix = Path(path.stem).suffix if is_gzip else path.suffix
        format = _FORMAT_OF_SUFFIX.get(suffix)
        if format is None and is_stream(path):
            format = _FORMAT_OF_STREAM
        if format is None:
            endings = ", ".join(_FORMAT_OF_SUFFIX)
            raise ConfigurationError(f"{path}: expected a name that ends with {endings}, or a format")
    if format not in FORMATS:
        raise ConfigurationError(f"expected one of the formats {', '.join(FORMATS)}, got {format!r}")
    if format == PARQUET and is_gzip:
        raise ConfigurationError(f"{path}: expected a name without {GZIP}, because Parquet is already compressed")
    return format


@contextmanager
def open_writer(path: Path, format: str | None = None) -> Iterator[ResultsWriter]:
    """Open a file for results by `outputs.open_output`.

    Args:
        path: of the file; text in a file whose name ends with `.gz` is compressed.
        format: as for `results_format`.

    Raises:
        ConfigurationError: as from `results_format`.
        OSError: the system refuses.
    """
    format = results_format(path, format)
    with ExitStack() as stack:
        file = stack.enter_context(open_output(path))
        if format == PARQUET:
            yield stack.enter_context(pq.ParquetWriter(file, RESULTS))
        else:
            if path.suffix == GZIP:
                # Without name and time, so that equal results make equal files.
                file = cast(BinaryIO, stack.enter_context(gzip.GzipFile("", "wb", 6, file, mtime=0)))
            yield _TextWriter(file, _LAYOUTS[format])


class _TextWriter:
    """Appends results to a text file.

    Args:
        file: open to write.
        layout: of its lines.
    """

    def __init__(self, file: BinaryIO, layout: _Layout):
        self._file = file
        self._layout = layout
        if layout.header is not None:
            self._append([layout.header])

    def write(self, results: pa.Table) -> None:
        self._append(self._layout.lines(results))

    def _append(self, lines: list[str]) -> None:
        self._file.write("".join(f"{line}\n" for line in lines).encode())
