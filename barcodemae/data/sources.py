"""Names of sources of records, and the maximum length of a record. Imports nothing that is slow."""

from collections.abc import Iterable
from pathlib import Path

from barcodemae.errors import UnreadableFileError
from barcodemae.provenance import HUB

__all__ = [
    "HUB",
    "MAX_LENGTH",
    "MAX_LENGTH_HELP",
    "SAMPLE",
    "SOURCES_HELP",
    "STANDARD_INPUT",
    "WHOLE_HEADERS_HELP",
    "check_file",
    "check_sources",
    "sample_path",
]

STANDARD_INPUT = "-"
"""Name of standard input."""

SAMPLE = "sample"
"""Name of the bundled sample."""

SOURCES_HELP = (
    f"Files (FASTA, FASTQ, TSV, CSV, Parquet, also compressed), {HUB}ORG/NAME, or {SAMPLE} (the bundled barcodes)"
)

WHOLE_HEADERS_HELP = "Use complete headers of FASTA and FASTQ as ids, not only their first words."

MAX_LENGTH = 1_000_000
"""Default maximum of nucleotides of a record: more than a plastid has, less than a chromosome."""

MAX_LENGTH_HELP = "Maximum number of nucleotides; a longer record, such as a chromosome, is treated as a bad record."


def sample_path() -> Path:
    """The bundled sample, a Parquet file with splits, described in `sample/README.md`; also in an installed wheel."""
    return Path(__file__).parent / "sample" / "barcodes.parquet"


def check_sources(sources: Iterable[str]) -> None:
    """Check that the files among the sources exist, before anything slow is imported.

    Raises:
        UnreadableFileError: one does not exist, or is a folder.
    """
    for source in sources:
        if source not in (STANDARD_INPUT, SAMPLE) and not source.startswith(HUB):
            check_file(Path(source))


def check_file(path: Path) -> None:
    """Check that a file of records exists.

    Raises:
        UnreadableFileError: it does not, or is a folder.
    """
    if not path.exists():
        raise UnreadableFileError(path, f"expected a file (or {HUB}ORG/NAME), got nothing of that name")
    if path.is_dir():
        raise UnreadableFileError(path, "expected a file, got a directory")
