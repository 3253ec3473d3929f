"""Unlabelled barcodes into clusters: single linkage by the share of bases that differ."""

THRESHOLD = 0.02
"""Default for the maximum share of bases in which two barcodes that join may differ; see `docs/clustering.md`."""
