"""Reads barcodes from files and the Hub into records of one schema, and filters them by quality."""

from typing import TYPE_CHECKING

from barcodemae.lazy import lazy_names

if TYPE_CHECKING:
    from barcodemae.data.presets import PRESETS, find_preset
    from barcodemae.data.quality import QualityFilter, Report, filter_records, log_report, normalise_nucleotides
    from barcodemae.data.readers import read_records, stream_records
    from barcodemae.data.schema import COLUMNS, RANKS
    from barcodemae.data.sources import sample_path

_MODULES = {
    "COLUMNS": "schema",
    "PRESETS": "presets",
    "RANKS": "schema",
    "QualityFilter": "quality",
    "Report": "quality",
    "find_preset": "presets",
    "filter_records": "quality",
    "normalise_nucleotides": "quality",
    "read_records": "readers",
    "sample_path": "sources",
    "stream_records": "readers",
    "log_report": "quality",
}

__all__ = [
    "COLUMNS",
    "PRESETS",
    "RANKS",
    "QualityFilter",
    "Report",
    "filter_records",
    "find_preset",
    "log_report",
    "normalise_nucleotides",
    "read_records",
    "sample_path",
    "stream_records",
]

__getattr__ = lazy_names(__name__, _MODULES)
