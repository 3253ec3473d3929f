"""Barcodes from files and the Hub to judged records of one schema, and from records to batches."""

from typing import TYPE_CHECKING

from barcodemae.lazy import lazy_names

if TYPE_CHECKING:
    from barcodemae.data.presets import PRESETS, find_preset
    from barcodemae.data.quality import Judge, Report, judge, normalise_nucleotides, tell
    from barcodemae.data.readers import read_records, stream_records
    from barcodemae.data.sample_data import sample_path
    from barcodemae.data.schema import COLUMNS, RANKS

_MODULES = {
    "COLUMNS": "schema",
    "PRESETS": "presets",
    "RANKS": "schema",
    "Judge": "quality",
    "Report": "quality",
    "find_preset": "presets",
    "judge": "quality",
    "normalise_nucleotides": "quality",
    "read_records": "readers",
    "sample_path": "sample_data",
    "stream_records": "readers",
    "tell": "quality",
}

__all__ = [
    "COLUMNS",
    "PRESETS",
    "RANKS",
    "Judge",
    "Report",
    "find_preset",
    "judge",
    "normalise_nucleotides",
    "read_records",
    "sample_path",
    "stream_records",
    "tell",
]

__getattr__ = lazy_names(__name__, _MODULES)
