"""Groups of barcodes with no labels: single linkage by the share of bases that differ."""

THRESHOLD = 0.02
"""Maximum share of bases in which two barcodes that join may differ; see `docs/clustering.md`."""
