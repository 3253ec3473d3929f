"""Barcodes from files and the Hub to judged records of one schema, and from records to batches."""

from barcodemae.data.presets import PRESETS, find_preset
from barcodemae.data.quality import Judge, Report, judge, normalise_nucleotides, tell
from barcodemae.data.readers import read_records, stream_records
from barcodemae.data.sample_data import sample_path
from barcodemae.data.schema import COLUMNS, RANKS

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
