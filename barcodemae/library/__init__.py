"""Reference libraries: named barcodes, and what names others by them."""
