"""Reference libraries: named barcodes, by which other barcodes are identified."""
