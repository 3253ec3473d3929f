"""A section of a MultiQC report: the calls of each sample, as custom content that MultiQC finds by the file's name."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from barcodemae.errors import ConfigurationError
from barcodemae.library.results.samples import SampleCounts
from barcodemae.library.results.schema import CALLS
from barcodemae.outputs import open_output

MULTIQC_SUFFIX = "_mqc.json"


def check_multiqc_name(path: Path) -> None:
    """Check the name of a file for MultiQC before any work is done.

    Raises:
        ConfigurationError: MultiQC would not find a file of this name.
    """
    if not path.name.endswith(MULTIQC_SUFFIX):
        raise ConfigurationError(f"--multiqc {path}: expected a name that ends with {MULTIQC_SUFFIX}")


class CallCounts:
    """Numbers of reads by call and sample."""

    def __init__(self) -> None:
        self._samples = SampleCounts()

    def write(self, results: pa.Table) -> None:
        """Add results, of `RESULTS`, to the counts."""
        self._samples.write(results)

    def as_json(self) -> dict[str, object]:
        """The section: see https://docs.seqera.io/multiqc/custom_content."""
        table = self._samples.table()
        calls = table["call"].to_pylist()
        data: dict[str, dict[str, int]] = {}
        for column in table.column_names[table.column_names.index("species") + 1 :]:
            counts = dict.fromkeys(CALLS, 0)
            for call, reads in zip(calls, table[column].to_pylist(), strict=True):
                counts[call] += reads
            data[column] = counts
        return {
            "id": "barcodemae_identify",
            "section_name": "BarcodeMAE",
            "description": "Reads by the lowest rank that was called: those of novel barcodes have no name with the "
            "minimum confidence, and unreliable ones are not barcodes of the marker.",
            "plot_type": "bargraph",
            "pconfig": {"id": "barcodemae_identify_calls", "title": "BarcodeMAE: calls", "ylab": "Reads"},
            "data": data,
        }


@contextmanager
def open_multiqc(path: Path) -> Iterator[CallCounts]:
    """Counts to which results are written; the file is written, by `outputs.open_output`, at the end of the context.

    Raises:
        OSError: the system refuses.
    """
    counts = CallCounts()
    yield counts
    with open_output(path) as file:
        file.write((json.dumps(counts.as_json(), indent=2) + "\n").encode())
