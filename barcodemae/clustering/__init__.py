"""Groups of barcodes with no labels: single linkage by the share of letters that differ."""
