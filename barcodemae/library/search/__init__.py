"""Search: barcodes on the marker, their nearest references, and the evidence for a name."""
