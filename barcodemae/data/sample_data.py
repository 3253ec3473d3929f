"""The barcodes that come with the package: see sample/README.md for what they are."""

from pathlib import Path

SAMPLE = "sample"
"""What the sample is called where a source is read."""


def sample_path() -> Path:
    """The bundled sample, a Parquet file with splits; found from an installed wheel too."""
    return Path(__file__).parent / "sample" / "barcodes.parquet"
